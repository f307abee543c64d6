"""The one door to the past: rows and values that had not happened, or were not known, are not there."""

from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import ContractError
from models.history import ENGAGE_DAYS, TABLES, History
from tests.core.histories import NOW, STRANGER, Drawn, Row, frame, histories, moments, properties

DAY = timedelta(days=1)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def contact(**values) -> Row:
    return {"interaction_id": "i1", "account_id": "ann", "opened_at": days_ago(30), **values}


def one(table: str, history: History) -> Row:
    """The only row of a table."""
    (row,) = history.frame(table).to_dicts()
    return row


def same(left: History, right: History) -> None:
    for name, table in TABLES.items():
        order = [*table.key, *(column for column in table.names if column not in table.key)]
        assert_frame_equal(left.frame(name).sort(order), right.frame(name).sort(order), check_exact=True)


# --- the rules again, row by row, in another arithmetic ------------------------------------------------


def expected_rows(name: str, rows: list[Row], at: datetime, delay: timedelta) -> list[Row]:
    """What of a table's (unique, complete) rows is known at `at`."""
    return [_masked(name, row, at, delay) for row in rows if _row_known(name, row, at)]


def _row_known(name: str, row: Row, at: datetime) -> bool:
    happened = next((row[column] for column in TABLES[name].happened if row[column] is not None), None)
    recorded = row["recorded_at"]
    if name == "accounts":
        return (happened is None or happened < at) and (recorded is None or recorded <= at)
    return happened < at and recorded <= at


def _masked(name: str, row: Row, at: datetime, delay: timedelta) -> Row:
    def known(when: datetime | None) -> bool:
        return when is not None and when < at and when + delay <= at

    def hidden(condition: bool, *columns: str) -> Row:
        return {} if condition else dict.fromkeys(columns)

    def own(*columns: str) -> Row:
        return {column: None for column in columns if not known(row[column])}

    if name == "accounts":
        return row | own("onboarded_at", "notice_at") | hidden(known(row["ended_at"]), "ended_at", "end_reason")
    if name == "interactions":
        closed, counted = _closed(row), _counted(row)
        return (
            row
            | own("first_response_at", "resolved_at", "reopened_at", "updated_at")
            | hidden(known(row["escalated_at"]), "escalated_at", "escalation")
            | hidden(known(closed), "outcome", "abandoned")
            | hidden(known(counted), "reopens", "transfers", "customer_replies", "wait_seconds", "handle_seconds")
        )
    if name == "surveys":
        return row | hidden(known(row["responded_at"]), "responded_at", "score", "comment")
    if name == "outreach":
        settled = row["engaged_at"] or row["at"] + timedelta(days=ENGAGE_DAYS)
        return row | own("engaged_at") | hidden(known(settled), "outcome")
    return row


def _closed(row: Row) -> datetime | None:
    if row["resolved_at"] is not None:
        return row["resolved_at"]
    return (row["updated_at"] or row["opened_at"]) if row["outcome"] or row["abandoned"] else None


def _counted(row: Row) -> datetime | None:
    resolved, reopened, updated = row["resolved_at"], row["reopened_at"], row["updated_at"]
    if resolved is not None and reopened is not None and reopened > resolved:
        return updated and max(updated, reopened)
    return _closed(row) or updated


@properties
@given(histories(), moments())
def test_known_at_keeps_what_had_happened_and_was_known_and_nothing_else(drawn: Drawn, at: datetime):
    history = drawn.history()
    known = history.known_at(at)
    for name in TABLES:
        rows = expected_rows(name, history.frame(name).to_dicts(), at, drawn.delay)
        assert_frame_equal(known.frame(name), frame(name, rows))


@properties
@given(histories(), moments())
def test_asking_twice_is_asking_once(drawn: Drawn, at: datetime):
    known = drawn.history().known_at(at)
    same(known.known_at(at), known)


@properties
@given(histories(), moments(), st.integers(0, 120))
def test_what_was_known_earlier_can_be_asked_of_what_was_known_later(drawn: Drawn, at: datetime, days: int):
    history, earlier = drawn.history(), at - timedelta(days=days)
    same(history.known_at(at).known_at(earlier), history.known_at(earlier))


@properties
@given(histories())
def test_in_the_end_everything_is_known(drawn: Drawn):
    history = drawn.history()
    same(history.known_at(NOW + 3650 * DAY), history_of_pointless_values_dropped(history))


def history_of_pointless_values_dropped(history: History) -> History:
    """Without values that can never be known, because nothing says when they came to be."""
    distant = NOW + 3650 * DAY
    frames = {
        name: frame(name, expected_rows(name, history.frame(name).to_dicts(), distant, history.delay))
        for name in TABLES
    }
    return replace(history, **frames)


# --- worked cases --------------------------------------------------------------------------------------


def test_a_ticket_reopened_in_march_is_closed_in_february_and_nothing_tells_of_the_reopening():
    rows = [
        contact(
            opened_at=days_ago(60),
            resolved_at=days_ago(50),
            reopened_at=days_ago(10),
            reopens=1,
            transfers=2,
            outcome="unresolved",
            updated_at=days_ago(10),
        )
    ]
    history = Drawn({"interactions": rows}).history()
    then = one("interactions", history.known_at(days_ago(20)))
    assert (then["resolved_at"], then["reopened_at"], then["updated_at"]) == (days_ago(50), None, None)
    # The totals are those of the last change: how many transfers there were before it, nobody wrote down.
    assert (then["reopens"], then["transfers"]) == (None, None)
    now = one("interactions", history.known_at(NOW))
    assert (now["reopened_at"], now["reopens"], now["transfers"]) == (days_ago(10), 1, 2)


def test_an_outcome_without_a_resolution_time_is_known_from_the_last_change():
    history = Drawn({"interactions": [contact(outcome="auto_closed", updated_at=days_ago(5))]}).history()
    assert one("interactions", history.known_at(days_ago(6)))["outcome"] is None
    assert one("interactions", history.known_at(days_ago(4)))["outcome"] == "auto_closed"


def test_an_outcome_without_any_later_time_is_known_from_the_opening():
    history = Drawn({"interactions": [contact(outcome="abandoned")]}).history()
    assert one("interactions", history.known_at(days_ago(29)))["outcome"] == "abandoned"


def test_a_row_recorded_late_is_unknown_until_then():
    history = Drawn({"interactions": [contact(recorded_at=days_ago(9))]}).history()
    assert history.known_at(days_ago(9) - timedelta(microseconds=1)).interactions.is_empty()
    assert history.known_at(days_ago(9)).interactions.height == 1


def test_what_happens_at_the_very_moment_has_not_happened_yet():
    history = Drawn({"interactions": [contact()]}).history()
    assert history.known_at(days_ago(30)).interactions.is_empty()
    assert history.known_at(days_ago(30) + timedelta(microseconds=1)).interactions.height == 1


def test_a_source_with_a_delay_tells_of_rows_and_values_later():
    rows = [contact(resolved_at=days_ago(10))]
    history = Drawn({"interactions": rows}, delay=2 * DAY).history()
    assert one("interactions", history)["recorded_at"] == days_ago(28)
    assert one("interactions", history.known_at(days_ago(9)))["resolved_at"] is None
    assert one("interactions", history.known_at(days_ago(8)))["resolved_at"] == days_ago(10)


def test_an_answer_without_an_invitation_is_there_once_it_was_given():
    row = {"survey_id": "s", "account_id": "ann", "instrument": "csat", "responded_at": days_ago(3), "score": 4.0}
    history = Drawn({"surveys": [row]}).history()
    assert history.known_at(days_ago(3)).surveys.is_empty()
    assert one("surveys", history.known_at(days_ago(2)))["score"] == 4.0


# --- building a history --------------------------------------------------------------------------------


def test_the_newest_version_wins_and_the_first_arrival_stays():
    older = contact(category="old", updated_at=days_ago(9), recorded_at=days_ago(20))
    newer = contact(category="new", updated_at=days_ago(2), recorded_at=days_ago(1))
    for rows in ([older, newer], [newer, older]):
        row = one("interactions", Drawn({"interactions": rows}).history())
        assert (row["category"], row["recorded_at"], row["updated_at"]) == ("new", days_ago(20), days_ago(2))


def test_a_dated_version_is_newer_than_an_undated_one():
    dated, undated = contact(category="dated", updated_at=days_ago(9)), contact(category="undated")
    for rows in ([dated, undated], [undated, dated]):
        assert one("interactions", Drawn({"interactions": rows}).history())["category"] == "dated"


def test_missing_tables_are_empty_and_missing_columns_unknown():
    history = History.from_frames({"accounts": pl.DataFrame({"account_id": ["ann"]})})
    assert history.accounts.schema == TABLES["accounts"].schema
    assert one("accounts", history)["mrr"] is None
    assert all(history.frame(name).is_empty() for name in TABLES if name != "accounts")


def test_what_unknown_means_by_default():
    tables = {
        "accounts": [{"account_id": "ann", "ended_at": days_ago(3)}],
        "interactions": [contact(escalated_at=days_ago(2))],
    }
    history = Drawn(tables).history()
    account, row = one("accounts", history), one("interactions", history)
    assert (account["segment"], account["is_test"], account["end_reason"]) == ("unknown", False, "voluntary")
    assert (row["direction"], row["escalation"]) == ("inbound", "functional")


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"acounts": pl.DataFrame()}, "No table of the contract is called 'acounts'"),
        ({"accounts": pl.DataFrame({"name": ["Ann"]})}, "lacks the required column 'account_id'"),
        ({"accounts": pl.DataFrame({"account_id": ["a", None]})}, "1 of 2 rows lack 'account_id'"),
        ({"accounts": pl.DataFrame({"account_id": ["a"], "mrr": ["much"]})}, "accounts does not fit the data contract"),
        (
            {"accounts": pl.DataFrame({"account_id": ["a"], "started_at": [datetime(2026, 1, 1)]})},
            "times in accounts.started_at have no offset",
        ),
        (
            {"surveys": pl.DataFrame({"survey_id": ["s"], "account_id": ["a"], "instrument": ["csat"]})},
            "neither 'sent_at' nor 'responded_at'",
        ),
    ],
)
def test_what_breaks_the_contract_is_refused_in_words(tables, said):
    with pytest.raises(ContractError, match=said):
        History.from_frames(tables)


@properties
@given(histories())
def test_orphans_are_the_rows_of_nobody_we_know(drawn: Drawn):
    history = drawn.history()
    described = {row["account_id"] for row in drawn.tables["accounts"]}
    expected = {}
    for name, rows in drawn.tables.items():
        for row in rows:
            if row["account_id"] not in described:
                key = (row["account_id"], name)
                expected[key] = expected.get(key, 0) + 1
    found = {(row["account_id"], row["table"]): row["rows"] for row in history.orphans().to_dicts()}
    assert found == expected
    assert STRANGER not in described


def test_the_last_event_is_the_latest_thing_that_happened_or_became_known():
    tables = {
        "accounts": [{"account_id": "ann", "started_at": days_ago(400)}],
        "interactions": [contact(resolved_at=days_ago(4), recorded_at=days_ago(3))],
    }
    assert Drawn(tables).history().last_event() == days_ago(3)
    assert Drawn({}).history().last_event() is None


# --- since when a source has been watched ----------------------------------------------------------------


def opened(number: int, at: datetime, recorded: datetime) -> Row:
    return contact(interaction_id=f"i{number}", opened_at=at, recorded_at=recorded)


def test_rows_that_arrive_late_and_lie_further_back_are_steps():
    rows = [
        opened(1, days_ago(90), days_ago(90)),
        opened(2, days_ago(300), days_ago(60)),  # imported later
        opened(3, days_ago(80), days_ago(40)),  # late, but no further back
        opened(4, days_ago(200), days_ago(30)),
        opened(5, days_ago(500), days_ago(10)),
    ]
    history = Drawn({"interactions": rows}).history()
    micro = timedelta(microseconds=1)
    assert history.watched("interactions") == [
        (days_ago(90) + micro, days_ago(90)),
        (days_ago(60), days_ago(300)),
        (days_ago(10), days_ago(500)),
    ]
    assert history.known_at(days_ago(20)).watched("interactions") == history.watched("interactions")[:2]


def test_what_is_declared_needs_no_rows():
    history = Drawn({}, observed_from={"interactions": days_ago(700)}).history()
    assert history.watched("interactions") == [(days_ago(700), days_ago(700))]
    assert list(history.watched("surveys")) == []


@properties
@given(histories(), moments())
def test_a_part_remembers_since_when_the_whole_was_watched(drawn: Drawn, at: datetime):
    history = drawn.history()
    part = history.of(["ann"])
    for name in ("interactions", "surveys"):
        assert part.watched(name) == history.watched(name)
        assert part.known_at(at).watched(name) == history.known_at(at).watched(name)
