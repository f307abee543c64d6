"""A run over the store: everybody scored, the list published at once, and nothing mixed with anything."""

import threading
from datetime import timedelta

import polars as pl
import pytest

from models.errors import ContractError
from models.history import History
from models.lists import quiet_entries, ranked
from models.loading import load_model
from models.schema import CATALOGUE
from models.scoring import score_history
from models.store import runs, scoring
from models.store.access import NotScoredBecause, Store
from models.store.errors import RunInProgress
from models.store.lists import current, frame
from models.store.scores import latest, latest_bands, read_scores
from models.store.upsert import upsert
from tests.http.cast import NOW, accounts, day, history, interactions, model, surveys, tell_story

EUR = {"currency": "EUR"}


@pytest.fixture
def made():
    return model(model_id="m1")


@pytest.fixture
def filled(store):
    for name, rows in (("accounts", accounts()), ("interactions", interactions()), ("surveys", surveys())):
        upsert(store, name, rows)
    return store


def score(engine, made, as_of=NOW, **options):
    return scoring.score_store(engine, made, as_of, who="test", **{"clock": lambda: as_of, **EUR, **options})


def test_a_run_is_the_scoring_of_the_history(filled, made):
    told = []
    done = score(filled, made, chunk_accounts=4, progress=lambda n, total: told.append((n, total)))
    expected = score_history(made, history(), NOW, fresh=True, currency="EUR")
    assert done.standings == {
        "test": 1, "unknown": 1, "gone": 1, "leaving": 1, "unpaid": 0, "undated": 1, "young": 1, "eligible": 6,
    }  # fmt: skip
    assert (done.accounts, done.scored) == (12, 8)
    assert told == [(4, 12), (8, 12), (12, 12)]
    with filled.connect() as conn:
        found, features = read_scores(conn, NOW, "m1")
        kept = current(conn)
        listed = frame(conn, kept.list_id)
    assert (
        found.drop("run_id", "computed_at")
        .sort("account_id")
        .equals(scoring.to_store(made, expected).select(found.drop("run_id", "computed_at").columns).sort("account_id"))
    )
    names = [*made.fingerprints, *CATALOGUE.quoted]
    assert (
        features.select("account_id", *names)
        .sort("account_id")
        .equals(expected.features.select("account_id", *names).sort("account_id"))
    )
    entries = ranked(quiet_entries(made, expected))
    assert listed["account_id"].to_list() == entries["account_id"].to_list()
    assert listed["reasons"].to_list() == entries["reasons"].to_list()
    assert kept.population["quiet"] == done.listed == entries.height
    assert kept.parameters["who"] == "test"


def test_chunks_make_no_difference(filled, made):
    score(filled, made, chunk_accounts=1)
    with filled.connect() as conn:
        one = frame(conn, current(conn).list_id).drop("list_id")
    score(filled, made, as_of=NOW, chunk_accounts=100)
    with filled.connect() as conn:
        assert frame(conn, current(conn).list_id).drop("list_id").equals(one)


def test_rescoring_gives_what_a_run_gives(filled, made):
    score(filled, made)
    with filled.connect() as conn:
        before = {name: latest(conn, name) for name in ("slipping", "vocal", "young")}
    done = scoring.rescore(filled, made, [*before, *before, "nobody"], NOW, computed_at=day(-1), **EUR)
    assert done == 3
    with filled.connect() as conn:
        for name, was in before.items():
            now = latest(conn, name)
            assert now.values | {"run_id": None, "computed_at": None} == was.values | {
                "run_id": None, "computed_at": None,
            }  # fmt: skip
            assert now.features == was.features
            assert (was.values["run_id"], now.values["run_id"]) == (1, None)


def test_rescoring_nobody(filled, made):
    assert scoring.rescore(filled, made, [], NOW, computed_at=NOW) == 0
    assert scoring.rescore(filled, made, ["nobody"], NOW, computed_at=NOW) == 0


def test_who_is_scored_no_longer_loses_the_score(filled, made):
    score(filled, made)
    upsert(filled, "accounts", accounts().filter(account_id="healthy").with_columns(ended_at=pl.lit(day(-1))))
    score(filled, made, day(-2))
    with filled.connect() as conn:
        assert "healthy" not in latest_bands(conn)["account_id"]
        assert latest_bands(conn).height == 7
    why = Store(filled).why_not_scored("healthy", day(-2), made.label)
    assert isinstance(why, NotScoredBecause)
    assert why.standing == "gone"


def test_a_run_about_the_past_leaves_later_scores_alone(filled, made):
    score(filled, made)
    score(filled, made, day(40), clock=lambda: NOW)
    with filled.connect() as conn:
        assert latest(conn, "slipping").values["as_of"] == NOW
        assert current(conn).as_of == day(40), "who asks for a list of then gets it"


def test_a_score_made_during_a_run_stays(filled, made):
    """Facts that arrive while the run is at work are newer than the run."""
    later = NOW + timedelta(seconds=30)

    def arrive(done: int, total: int) -> None:
        scoring.rescore(filled, made, ["slipping"], later, computed_at=later, **EUR)

    score(filled, made, progress=arrive)
    with filled.connect() as conn:
        assert latest(conn, "slipping").values["as_of"] == later
        assert latest(conn, "vocal").values["as_of"] == NOW


def test_the_store_is_read_as_it_was_when_the_run_began(filled, made):
    """Half of the portfolio must not be older than the other half."""

    def leave(done: int, total: int) -> None:
        gone = accounts().with_columns(ended_at=pl.lit(day(1)))
        upsert(filled, "accounts", gone)

    done = score(filled, made, chunk_accounts=3, progress=leave)
    assert done.standings["gone"] == 1


def test_two_runs_do_not_mix(filled, made):
    inside, go_on = threading.Event(), threading.Event()
    outcome = []

    def pause(done: int, total: int) -> None:
        inside.set()
        assert go_on.wait(20)

    thread = threading.Thread(target=lambda: outcome.append(score(filled, made, progress=pause)))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(RunInProgress):
        score(filled, made)
    go_on.set()
    thread.join(20)
    assert outcome[0].scored == 8
    assert score(filled, made).list_id > outcome[0].list_id


def test_a_run_that_fails_leaves_the_old_list(filled, made):
    first = score(filled, made)

    def fail(done: int, total: int) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        score(filled, made, day(-1), progress=fail)
    with filled.connect() as conn:
        assert current(conn).list_id == first.list_id
        assert [run["status"] for run in runs.runs(conn)] == ["failed", "done"]


def test_a_moment_before_every_customer_publishes_nothing(store, made):
    upsert(store, "accounts", accounts().filter(pl.col("started_at").is_not_null()))
    first = score(store, made)
    with pytest.raises(ContractError, match=r"No account had begun, or was known, by .* choose a later moment"):
        score(store, made, NOW - timedelta(days=10_000))
    with store.connect() as conn:
        assert current(conn).list_id == first.list_id
        assert [run["status"] for run in runs.runs(conn)] == ["failed", "done"]


def test_bands_do_not_flap(filled, made):
    """A run hands each account its band before, so three points of hysteresis hold from run to run."""
    score(filled, made)
    with filled.connect() as conn:
        before = dict(latest_bands(conn).select("account_id", "band").iter_rows())
    expected = score_history(made, history(), day(-20), fresh=False, currency="EUR", previous_bands=before)
    score(filled, made, day(-20))
    with filled.connect() as conn:
        after = dict(latest_bands(conn).select("account_id", "band").iter_rows())
    assert after == dict(expected.scores.select("account_id", "band").iter_rows())


def test_an_empty_store(store, made):
    done = score(store, made)
    assert (done.accounts, done.scored, done.listed) == (0, 0, 0)
    with store.connect() as conn:
        assert current(conn).entries == 0


def test_a_stale_source_lowers_confidence(filled, made):
    score(filled, made, day(-60))
    fresh = score_history(made, history(), day(-60), fresh=True, currency="EUR")
    grades = dict(fresh.scores.select("account_id", "confidence").iter_rows())
    with filled.connect() as conn:
        assert latest(conn, "slipping").values["confidence"] > grades["slipping"]


def test_the_cast_tells_its_story(sqlite_store, model_store):
    root, model_id = model_store
    done = tell_story(sqlite_store, root, model_id)
    assert load_model(root, model_id)[0].model_id == done.model_id
    assert isinstance(history(), History)
