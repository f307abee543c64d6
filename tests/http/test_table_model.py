"""A model of a wide table in service: rows get health and reasons; accounts and silence are not its business."""

from datetime import UTC, datetime

import polars as pl
import pytest

from models import registry
from models.errors import TableModel
from models.features import DEFAULT
from models.features.measures import USUAL, sentence_of
from models.health import HealthParams
from models.labels import LabelParams
from models.model import ChurnModel
from models.schema import Column, Schema
from models.scorecard import Scorecard, Term
from models.scoring import score_features
from models.store.scoring import score_store
from models.tables import prepare
from tests.http.cast import NOW
from tests.http.conftest import let_go, serve
from tests.http.test_errors import assert_problem

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
SCHEMA = Schema(
    "table",
    (
        Column("Contract", "text", "Contract", "commercial", sentence="Contract: {value}"),
        Column(
            "Charge",
            "number",
            "Charge",
            "commercial",
            unit="euros",
            sentence=sentence_of("Charge", "euros"),
            usual=USUAL,
        ),
        Column("Paperless", "boolean", "Paperless", "effort", sentence="Paperless: {value:yes}"),
        Column(
            "Last/login", "date", "Last login", "silence", sentence="Last login {value:ago}", usual="usual here {:ago}"
        ),
    ),
    identity="customer",
    moment="month",
)
ROW = {"Contract": "Monthly", "Charge": 75, "Paperless": True, "Last/login": "2026-01-01"}


def model() -> ChurnModel:
    terms = (
        Term("Contract", "category", (), ("Monthly", "Yearly"), (0.8, -0.4), 0.1, 0.2),
        Term("Charge", "line", (20.0, 100.0), (), (-0.5, 0.5), 0.05),
        Term("Paperless", "steps", (0.5,), (), (-0.1, 0.1)),
        Term("Last/login", "line", (0.0, 90.0), (), (-0.3, 0.6), 0.3),
    )
    usual = {"": {"Charge": 60.0, "Last/login": 20.0}}
    return ChurnModel(
        Scorecard("churn", -1.0, terms), None, HealthParams.for_base(-1.0), LabelParams(), DEFAULT, usual,
        "fitted on a table", "table", SCHEMA.fingerprints(), columns=SCHEMA,
    )  # fmt: skip


@pytest.fixture
def table(sqlite_store, tmp_path):
    made = model()
    label = {"column": "left", "id": "customer", "as_of_column": "month"}
    facts = registry.Facts(made.status, made.phase, made.fingerprints, made.health.p_ref, label)
    model_id = registry.put(tmp_path, made.to_plain(), facts, NOW)
    registry.promote(tmp_path, model_id, who="test", when=NOW, why="test")
    found = serve(sqlite_store, tmp_path, model_id)
    yield found
    let_go(found)


def scored(served, features: dict, **more) -> dict:
    got = served.post(
        "/v1/scores", {"items": [{"features": features, "as_of": MONDAY.isoformat()}], "reasons": "all", **more}
    )
    assert got.status_code == 200, got.json
    return got.json["results"][0]["score"]


def test_a_row_is_scored_with_health_and_reasons(table) -> None:
    score = scored(table, ROW)
    assert score["explanation"]["log_odds"] == pytest.approx(
        -1.0 + 0.8 + (-0.5 + 55 / 80) + 0.1 + (-0.3 + 60 * 0.9 / 90)
    )
    said = {reason["feature"]: reason["sentence"].split(":  ")[0] for reason in score["explanation"]["reasons"]}
    assert said["Charge"].startswith("Charge 75 euros; usual here 60: -")
    assert said["Contract"].startswith("Contract: Monthly: -11.5 points")
    assert said["Paperless"].startswith("Paperless: yes")
    assert said["Last/login"].startswith("Last login 60 days ago; usual here 20 days ago: ")
    assert 50 + sum(score["components"].values()) == pytest.approx(score["health_unclipped"], abs=1e-9)
    assert score["components"]["silence"] != 0


def test_silence_and_horizon_are_null(table) -> None:
    score = scored(table, ROW)
    for name in ("p_silent", "p_silent_range_80", "p_vocal", "horizon"):
        assert score[name] is None
    assert 0 < score["p_churn"] < 1


@pytest.mark.parametrize("many", [1, 20])
def test_requests_and_files_read_alike(table, many) -> None:
    written = {"Contract": " Monthly", "Charge": "75.0", "Paperless": "yes", "Last/login": "2026-01-01T00:00:00+00:00"}
    frame = pl.DataFrame([written] * many)
    made = prepare(SCHEMA, frame, pl.Series([MONDAY] * many))
    assert not made.problems
    expected = score_features(model(), made.frame)
    items = [{"features": ROW, "as_of": "2026-03-02T00:00:00Z"}] * many
    got = table.post("/v1/scores", {"items": items}).json["results"]
    assert [item["score"]["p_churn"] for item in got] == expected["p_churn"].to_list()
    assert [item["score"]["health"] for item in got] == expected["health"].to_list()


@pytest.mark.parametrize(
    ("features", "same"),
    [
        ({}, {"Contract": None, "Charge": None, "Paperless": None, "Last/login": None}),
        ({"Contract": "NA", "Paperless": "", "Charge": "null"}, {}),
        ({"Contract": 10**400}, {"Contract": "never seen"}),
        ({"Contract": "never seen"}, {"Contract": "nor this"}),
        ({"Paperless": False}, {"Paperless": "no"}),
        ({"Paperless": 1}, {"Paperless": "TRUE"}),
    ],
)
def test_ways_of_saying_the_same(table, features, same) -> None:
    one, other = scored(table, features), scored(table, same)
    assert one["p_churn"] == other["p_churn"]


@pytest.mark.parametrize(
    ("features", "pointer", "code", "said"),
    [
        ({"Charge": "75"}, "/features/Charge", "invalid", "must be a finite number"),
        ({"Charge": True}, "/features/Charge", "invalid", "must be a finite number"),
        ({"Charge": 10**400}, "/features/Charge", "invalid", "must be a finite number"),
        ({"Contract": ["x"]}, "/features/Contract", "invalid", "must be text"),
        ({"Paperless": 2}, "/features/Paperless", "invalid", "must be true or false"),
        ({"Last/login": "soon"}, "/features/Last~1login", "invalid", "is not an ISO 8601 time"),
        ({"Last/login": 5}, "/features/Last~1login", "invalid", "must be a date as text"),
        ({"contract": "x"}, "/features/contract", "unknown_feature", "did you mean Contract?"),
        ({"month": "2026-01-01"}, "/features/month", "unknown_feature", "give it as as_of beside features"),
        ({"customer": "c"}, "/features/customer", "unknown_feature", "give it as id beside features"),
        ([], "/features", "invalid", "must be an object"),
    ],
)
def test_what_cannot_be_read_is_refused(table, features, pointer, code, said) -> None:
    got = table.post("/v1/scores", {"items": [{"features": features}, {"features": ROW}]})
    assert got.status_code == 207
    refused, fine = got.json["results"]
    assert fine["status"] == "scored"
    (error,) = refused["errors"]
    assert error["pointer"].endswith(pointer)
    assert error["code"] == code
    assert said in error["message"]


def test_a_moment_that_is_none_is_refused(table) -> None:
    got = table.post("/v1/scores", {"items": [{"features": ROW, "as_of": "later"}]})
    assert got.json["results"][0]["errors"][0]["pointer"].endswith("/as_of")


def test_accounts_are_not_its_business(table) -> None:
    items = [{"account_id": "a"}, {"account": {"account_id": "b", "started_at": "2025-01-01T00:00:00Z"}}]
    got = table.post("/v1/scores", {"items": items}).json["results"]
    assert [item["errors"][0]["code"] for item in got] == ["model_reads_table"] * 2
    assert "POST /v1/scores with `features`" in got[0]["errors"][0]["message"]
    assert_problem(
        table.post("/v1/scores", {"items": [{"features": ROW}], "target": "silent"}), 409, "model_reads_table"
    )


def test_nobody_watches_it(table) -> None:
    assert_problem(table.get("/v1/model/monitor"), 409, "model_reads_table")


def test_facts_are_kept_and_wait_and_the_account_says_why(table) -> None:
    got = table.put("/v1/accounts/a", {"started_at": "2025-01-01T00:00:00Z", "mrr": 10})
    assert (got.status_code, got.json["rescored"], got.json["left_to_next_run"]) == (201, 0, 1)
    assert_problem(table.get("/v1/accounts/a/health"), 409, "model_reads_table")
    assert_problem(table.get("/v1/accounts/nobody/health"), 404, "unknown_account")


def test_the_model_lists_its_own_columns(table) -> None:
    got = table.get("/v1/model").json
    assert got["source"] == "table"
    assert [(c["name"], c["type"]) for c in got["features"]] == [
        ("Contract", "text"), ("Charge", "number"), ("Paperless", "boolean"), ("Last/login", "date"),
    ]  # fmt: skip
    assert set(got["terms"]) == {"churn"}
    assert table.get("/readyz").status_code == 200


def test_a_run_refuses_it_before_it_begins(table) -> None:
    with pytest.raises(TableModel, match="reads its columns, not a history"):
        score_store(table.engine, model(), NOW, who="test", clock=lambda: NOW)
    assert_problem(table.get("/v1/risk-lists/silent"), 404, "no_list_yet")
