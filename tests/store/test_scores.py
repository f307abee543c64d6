"""Scores: what was served can be read again, and the latest one is the latest."""

from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Engine

from models.errors import ContractError, NotScored
from models.store.runs import finish_run, runs, start_run
from models.store.scores import (
    SCORE_SCHEMA,
    forget_scores,
    latest,
    latest_bands,
    read_scores,
    save_scores,
    score_history,
)
from models.store.tables import scores as table
from models.store.upsert import upsert
from tests.store.cast import DAY, HOUR, T, features, rows, scores


def test_a_score_comes_back_as_it_was_served(store: Engine) -> None:
    frame = scores(["alice", "bob"], band="at_risk", quiet=None, mrr=None, health=31.25, health_change_28d=-6.5)
    save_scores(store, frame, features(["alice", "bob"]), computed_at=T + HOUR, run_id=7)
    with store.connect() as conn:
        found = latest(conn, "bob")
    expected = frame.row(1, named=True) | {"run_id": 7, "computed_at": T + HOUR}
    assert found.values == expected
    assert found.features == {"contacts_90d": 1.0, "csat": None, "segment": "smb"}


def test_features_belong_to_their_account_whatever_the_order(store: Engine) -> None:
    save_scores(store, scores(["b", "a"]), features(["a", "b"]), computed_at=T)
    with store.connect() as conn:
        assert [latest(conn, who).features["contacts_90d"] for who in "ab"] == [0.0, 1.0]


def test_a_score_may_come_without_features(store: Engine) -> None:
    save_scores(store, scores(["alice"]), None, computed_at=T)
    with store.connect() as conn:
        assert latest(conn, "alice").features == {}


def test_what_a_clock_that_was_ahead_has_said_gives_way_once_it_is_right(store: Engine) -> None:
    ahead = T + 400 * DAY
    for as_of, made in ((T, T), (ahead, ahead), (T + HOUR, T + HOUR), (T, T + 2 * HOUR)):
        save_scores(store, scores(["alice"], as_of), None, computed_at=made)
    with store.connect() as conn:
        assert latest(conn, "alice").values["as_of"] == T + HOUR
    a_little = T + HOUR * 5
    save_scores(store, scores(["alice"], a_little), None, computed_at=a_little)
    save_scores(store, scores(["alice"], T + HOUR * 4), None, computed_at=T + HOUR * 4)
    with store.connect() as conn:
        assert latest(conn, "alice").values["as_of"] == a_little, "clocks of several machines differ"


def test_an_account_without_a_score_is_said_to_have_none(store: Engine) -> None:
    with store.connect() as conn, pytest.raises(NotScored, match="'alice' has no score yet"):
        latest(conn, "alice")


def test_the_latest_score_is_that_of_the_latest_moment(store: Engine) -> None:
    for days in (1, 3, 2):
        save_scores(store, scores(["alice"], T + days * DAY, health=10.0 * days), None, computed_at=T + 9 * DAY)
    with store.connect() as conn:
        assert latest(conn, "alice").values["health"] == 30.0
        assert [s.values["health"] for s in score_history(conn, "alice")] == [30.0, 20.0, 10.0]
        assert len(score_history(conn, "alice", limit=2)) == 2


def test_of_one_moment_the_score_computed_last_counts(store: Engine) -> None:
    for hours, model in ((2, "m-2"), (1, "m-1")):
        save_scores(store, scores(["alice"], model_id=model), None, computed_at=T + hours * HOUR)
    with store.connect() as conn:
        assert latest(conn, "alice").values["model_id"] == "m-2"
        assert len(score_history(conn, "alice")) == 2


def test_scoring_the_same_again_replaces(store: Engine) -> None:
    for hours, health in ((1, 40.0), (2, 50.0)):
        save_scores(store, scores(["alice"], health=health), None, computed_at=T + hours * HOUR)
    with store.connect() as conn:
        assert [s.values["health"] for s in score_history(conn, "alice")] == [50.0]
        assert latest(conn, "alice").values["health"] == 50.0


def test_the_pointer_carries_the_band_and_health_of_its_score(store: Engine) -> None:
    save_scores(store, scores(["a", "b"], band="watch", health=50.0), None, computed_at=T)
    save_scores(store, scores(["b", "c"], T + DAY, band="critical", health=9.0), None, computed_at=T + DAY)
    with store.connect() as conn:
        bands = latest_bands(conn).sort("account_id")
        some = latest_bands(conn, "b", "c")
    assert bands.select("account_id", "health", "band").rows() == [
        ("a", 50.0, "watch"),
        ("b", 9.0, "critical"),
        ("c", 9.0, "critical"),
    ]
    assert some["account_id"].to_list() == ["b"]


def test_the_scores_of_a_moment_can_be_read_as_frames(store: Engine) -> None:
    who = ["alice", "bob", "charlie"]
    save_scores(store, scores(who[:2]), features(who[:2]), computed_at=T)
    save_scores(store, scores(who[2:]), None, computed_at=T)
    save_scores(store, scores(who, T + DAY), None, computed_at=T)
    with store.connect() as conn:
        found, came_from = read_scores(conn, T, "m-1")
        nothing, _ = read_scores(conn, T, "m-2")
    assert_frame_equal(found.select(*SCORE_SCHEMA), scores(who))
    assert_frame_equal(came_from[:2], features(who[:2]))
    assert came_from.row(2) == ("charlie", T, None, None, None)
    assert nothing.is_empty()


def test_many_scores_go_in_by_batches(store: Engine) -> None:
    who = [f"a{i:05d}" for i in range(20_001)]
    save_scores(store, scores(who), features(who), computed_at=T)
    with store.connect() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(table)) == 20_001
        assert latest(conn, who[-1]).features["contacts_90d"] == 20_000.0


def test_old_scores_are_forgotten_but_never_the_latest(store: Engine) -> None:
    upsert(store, "accounts", rows("accounts", {"account_id": "a"}, {"account_id": "b"}))
    for days in range(4):
        save_scores(store, scores(["a", "gone"], T + days * DAY), None, computed_at=T)
    save_scores(store, scores(["b"]), None, computed_at=T)
    assert forget_scores(store, T + 2 * DAY, at_once=1) == 4
    with store.connect() as conn:
        kept = {who: [s.values["as_of"] for s in score_history(conn, who)] for who in ("a", "b", "gone")}
        assert latest(conn, "b").values["as_of"] == T
    assert kept == {"a": [T + 3 * DAY, T + 2 * DAY], "b": [T], "gone": [T + 3 * DAY, T + 2 * DAY]}
    assert forget_scores(store, T + 2 * DAY) == 0


def test_a_missing_column_is_named(sqlite_store: Engine) -> None:
    with pytest.raises(ContractError, match="lack the column 'health'"):
        save_scores(sqlite_store, scores(["a"]).drop("health"), None, computed_at=T)


def test_more_columns_than_needed_do_no_harm(sqlite_store: Engine) -> None:
    save_scores(sqlite_store, scores(["a"]).with_columns(pl.lit("x").alias("name")), None, computed_at=T)


def test_runs_are_remembered(store: Engine) -> None:
    first = start_run(store, T, "m-1", T)
    second = start_run(store, T + DAY, "m-1", T + DAY)
    finish_run(store, second, T + DAY + timedelta(minutes=3), "done", {"scored": 5})
    with store.connect() as conn:
        newest, oldest = runs(conn)
    assert (oldest["run_id"], oldest["status"], oldest["finished_at"]) == (first, "abandoned", None)
    assert (newest["run_id"], newest["status"], newest["summary"]) == (second, "done", {"scored": 5})
