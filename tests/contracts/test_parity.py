"""One way to compute features: what the API says of an account equals its row in the training matrix, bit for bit.

A simulated base is snapshotted as training does it, thousands of pairs in one pass. The same accounts are scored over
HTTP in three ways: read from the store after a run, asked for as of now, and sent as raw history. The model has a term
for every feature, so every feature's value comes back in a reason; JSON carries every bit of a float.
"""

import math
from datetime import datetime, timedelta

import polars as pl
import pytest

from models import registry
from models.clock import isoformat
from models.features import compute, measure
from models.features.measures import measure_feature
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams
from models.model import ChurnModel, usual_values
from models.schema import Column, Schema
from models.scorecard import Scorecard, Term
from models.store.scoring import score_store
from models.store.upsert import upsert
from tests.databases import Databases
from tests.http.conftest import Served, serve
from training import simulator

ACCOUNTS, WEEKS, SEED = 60, 90, 7
LISTS = ("interactions", "surveys", "contracts", "outreach", "measures")
#: The catalogue and two of the users' own numbers.
SCHEMA = Schema("history", tuple(Column.of(measure_feature(name)) for name in ("logins", "payment_delay")))
NAMES = SCHEMA.names


@pytest.fixture(scope="module")
def base() -> tuple[History, dict[str, pl.DataFrame], list]:
    """The whole history, its tables, and the moments of the snapshots, the last of them with a future behind it."""
    simulated = simulator.simulate(ACCOUNTS, WEEKS, "strong", SEED)
    last = simulated.end - timedelta(days=45, hours=7, microseconds=123_457)
    tables = simulated.tables | {"measures": measured(simulated.tables["accounts"]["account_id"], last)}
    return History.from_frames(tables), tables, [last - timedelta(days=28 * n) for n in range(4)]


def measured(accounts: pl.Series, last: datetime) -> pl.DataFrame:
    """Every third account has no numbers; some values are told late, some lie after the moments asked about."""
    rows = [
        (account, name, float(n * age % 17) / 3, last - timedelta(days=11 * age - 30), timedelta(days=n % 5 * 9))
        for n, account in enumerate(accounts)
        for name in ("logins", "payment_delay", "unread")
        for age in range(8)
        if n % 3
    ]
    frame = pl.DataFrame(rows, schema=["account_id", "name", "value", "at", "late"], orient="row")
    return frame.with_columns(recorded_at=pl.col("at") + pl.col("late")).drop("late")


@pytest.fixture(scope="module")
def model(base) -> ChurnModel:
    history, _, moments = base
    baselines = measure(history, moments[0])
    features = compute(history, moments[0], baselines, SCHEMA.features)
    terms = tuple(map(_term, SCHEMA.features))
    cards = [Scorecard(target, shift, terms) for target, shift in (("churn", -2.5), ("silent", -3))]
    return ChurnModel(
        *cards,
        HealthParams.for_base(-2.5),
        LabelParams(),
        baselines,
        usual_values(features, SCHEMA),
        "test",
        "P2",
        SCHEMA.fingerprints(),
        columns=SCHEMA,
    )


def _term(feature) -> Term:
    basis = feature.basis
    if basis.kind == "category":
        return Term(feature.name, "category", (), ("smb", "mid"), (0.11, -0.07), 0.01, 0.02)
    count = len(basis.knots) + (basis.kind == "steps")
    values = tuple(0.013 * (n - 1.7) for n in range(count))
    return Term(feature.name, basis.kind, basis.knots, (), values, 0.017)


@pytest.fixture(scope="module")
def matrix(base, model) -> dict[str, dict]:
    """The training matrix's rows of the last moment: account -> feature -> value, computed among all other rows."""
    history, _, moments = base
    pairs = pl.concat([history.accounts.select("account_id", as_of=pl.lit(moment)) for moment in reversed(moments)])
    features = compute(history, pairs, model.baselines, SCHEMA.features)
    rows = features.filter(pl.col("as_of") == moments[0]).select("account_id", *NAMES)
    return {row.pop("account_id"): row for row in rows.to_dicts()}


@pytest.fixture(scope="module")
def served(base, model, tmp_path_factory, databases: Databases):
    """The base imported, the model in service, a run done; the present is the last snapshot's moment."""
    _, tables, (now, *_) = base
    root = tmp_path_factory.mktemp("artefacts")
    facts = registry.Facts("test", "P2", dict(model.fingerprints), model.health.p_ref, {})
    model_id = registry.put(root, model.to_plain(), facts, now)
    registry.promote(root, model_id, who="test", when=now, why="test")
    with databases.open("sqlite") as engine:
        for name, frame in tables.items():
            upsert(engine, name, frame)
        run = score_store(engine, ChurnModel.from_plain(model.to_plain(), model_id), now, who="test", clock=lambda: now)
        assert run.scored > 30
        found = serve(engine, root, model_id)
        found.app.extensions["ebbtide"].clock.moment = now
        yield found


@pytest.fixture(scope="module")
def scored(served: Served, matrix) -> list[str]:
    """The accounts that have a score."""
    return [account for account in matrix if served.get(f"/v1/accounts/{account}/health").status_code == 200]


def same(got: object, expected: object) -> bool:
    """Bit for bit; unknown equals unknown only."""
    if got is None or expected is None or isinstance(expected, str):
        return got == expected
    return float(got).hex() == float(expected).hex()


def values(explanation: dict) -> dict:
    return {reason["feature"]: reason["value"] for reason in explanation["reasons"]}


def assert_parity(explanation: dict, row: dict) -> None:
    got = values(explanation)
    assert set(got) == set(NAMES)
    different = {name: (got[name], row[name]) for name in NAMES if not same(got[name], row[name])}
    assert not different


def assert_adds_up(score: dict) -> None:
    explanation = score["explanation"]
    total = explanation["base_log_odds"] + math.fsum(reason["log_odds"] for reason in explanation["reasons"])
    assert total == pytest.approx(explanation["log_odds"], abs=1e-9)
    assert 50 + math.fsum(score["components"].values()) == pytest.approx(score["health_unclipped"], abs=1e-9)
    assert 50 + math.fsum(reason["points"] for reason in explanation["reasons"]) == pytest.approx(
        score["health_unclipped"], abs=1e-9
    )


def test_after_a_run(served, scored, matrix):
    assert len(scored) > 30
    known = 0
    for account in scored:
        body = served.get(f"/v1/accounts/{account}/health").json
        assert_parity(body["explanation"], matrix[account])
        assert_adds_up(body)
        known += sum(value is not None for value in matrix[account].values())
    assert known > 20 * len(scored), "a matrix of unknowns would prove nothing"
    measures = [matrix[account]["measure:payment_delay"] for account in scored]
    assert 0 < measures.count(None) < len(scored)
    assert len(set(measures)) > 5


def test_asked_for_as_of_now(served, scored, matrix):
    items = [{"account_id": account} for account in scored]
    got = served.post("/v1/scores", {"items": items, "reasons": "all"})
    assert got.status_code == 200
    for account, item in zip(scored, got.json["results"], strict=True):
        assert_parity(item["score"]["explanation"], matrix[account])
        assert_adds_up(item["score"])


def test_after_a_write_of_one_account(served, scored, matrix, base):
    """An account scored alone, on the arrival of a fact that has not happened yet, so that no feature reads it."""
    account, soon = scored[0], base[2][0] + timedelta(hours=1)
    contact = {"interaction_id": "soon", "account_id": account, "opened_at": isoformat(soon)}
    assert served.post("/v1/interactions", {"items": [contact]}).json["rescored"] == 1
    assert_parity(served.get(f"/v1/accounts/{account}/health").json["explanation"], matrix[account])


def test_sent_as_raw_history(served, scored, matrix, base):
    """All rows are sent, those of the future too; as_of alone cuts them off."""
    history, tables, (now, *_) = base
    items = [_raw(account, tables) | {"as_of": isoformat(now)} for account in scored]
    first = history.interactions["opened_at"].min()
    body = {"items": items, "reasons": "all", "observed_from": isoformat(first)}
    got = served.post("/v1/scores", body)
    assert got.status_code == 200, got.json
    for account, item in zip(scored, got.json["results"], strict=True):
        assert_parity(item["score"]["explanation"], matrix[account])
        assert_adds_up(item["score"])
        stored = served.get(f"/v1/accounts/{account}/health").json
        for name in ("health", "p_churn", "p_silent", "band", "quiet", "confidence", "components", "trend"):
            assert item["score"][name] == stored[name]


def test_features_sent_by_name(served, scored, matrix):
    items = [{"features": matrix[account]} for account in scored]
    got = served.post("/v1/scores", {"items": items, "reasons": "all"}).json
    for account, item in zip(scored, got["results"], strict=True):
        assert_parity(item["score"]["explanation"], matrix[account])
        stored = served.get(f"/v1/accounts/{account}/health").json
        for name in ("health", "health_unclipped", "p_churn", "p_silent", "p_vocal", "components"):
            assert item["score"][name] == stored[name]


def _raw(account: str, tables: dict[str, pl.DataFrame]) -> dict:
    own = {name: _plain(tables[name], account) for name in LISTS if name in tables}
    return {"account": _plain(tables["accounts"], account)[0], **own}


def _plain(frame: pl.DataFrame, account: str) -> list[dict]:
    return [
        {
            name: isoformat(value) if hasattr(value, "tzinfo") else value
            for name, value in row.items()
            if value is not None
        }
        for row in frame.filter(pl.col("account_id") == account).to_dicts()
    ]
