"""RavenStack: an ugly export of five tables, mapped without code."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

import polars as pl

from models.imports.run import read_folder
from models.imports.summary import Summary
from models.imports.timeline import AFTER, BEFORE
from tests.imports.shared import shared_data
from tests.imports.sources import FOLDER

SAMPLE = FOLDER / "ravenstack" / "sample"


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=UTC)


@cache
def sample() -> tuple[dict[str, pl.DataFrame], Summary]:
    return read_folder(SAMPLE, "ravenstack")


def rows(table: str, *names: str) -> list[tuple[Any, ...]]:
    return sample()[0][table].select(*names).rows()


def test_accounts_end_at_their_first_churn_event_that_is_no_reactivation() -> None:
    assert rows("accounts", "account_id", "name", "started_at", "ended_at", "end_reason") == [
        ("A-1", "Alder", at(1, 5), None, None),
        ("A-2", "Birch", at(6, 1), at(9, 1), "voluntary"),
    ]


def test_overlapping_subscriptions_are_added_up() -> None:
    assert rows("contracts", "account_id", "effective_at", "mrr", "seats", "billing", "plan") == [
        ("A-1", at(1, 5), 100.0, 9, "monthly", "Basic"),
        ("A-1", at(3, 1), 150.0, 14, "annual", "Pro"),
        ("A-1", at(5, 1), 50.0, 5, "annual", "Pro"),
        ("A-2", at(6, 1), 300.0, 20, "monthly", "Pro"),
        ("A-2", at(9, 1), 0.0, 0, "monthly", "Pro"),
    ]


def test_accounts_say_nothing_about_revenue_now_because_that_is_the_future_of_then() -> None:
    assert rows("accounts", "mrr", "billing", "seats") == [(None, None, None)] * 2


def test_tickets_and_their_satisfaction_scores() -> None:
    assert rows("interactions", "interaction_id", "opened_at", "first_response_at", "resolved_at", "escalated_at") == [
        ("T-1", at(2, 10), at(2, 10, 1, 14), at(2, 11, 3), None),
        ("T-2", at(2, 10), at(2, 10, 1, 33), at(2, 10, 19), at(2, 10, 19)),
        ("T-3", at(9, 10), at(9, 10, 1, 33), at(9, 10, 19), None),
    ]
    assert rows("surveys", "survey_id", "instrument", "sent_at", "responded_at", "score") == [
        ("T-1-csat", "csat", None, at(2, 11, 3), 4.0),
        ("T-3-csat", "csat", None, at(9, 10, 19), 3.0),
    ]


def test_impossible_timelines_are_counted_and_kept() -> None:
    tables = sample()[1].tables
    assert tables["interactions"].warnings == {BEFORE: 1, AFTER: 1}
    assert tables["interactions"].accepted == 3


def test_the_real_files() -> None:
    """1,077 of the 2,000 tickets predate the signup of their account."""
    frames, summary = read_folder(shared_data("ravenstack"), "ravenstack")
    tables = summary.tables
    assert summary.rejected == 0
    assert {name: table.accepted for name, table in tables.items()} == {
        "accounts": 500, "interactions": 2000, "surveys": 1175, "contracts": 5254,
    }  # fmt: skip
    assert tables["interactions"].warnings[BEFORE] == 1077
    assert frames["accounts"]["ended_at"].is_not_null().sum() == 339
    assert frames["interactions"]["escalated_at"].is_not_null().sum() == 95
    assert frames["contracts"].filter(pl.col("mrr") < 0).is_empty()
