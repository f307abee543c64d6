"""Duplicates in one import: exact copies are counted, of versions the newest stands, whatever the order."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.columns import Table
from models.history import TABLES
from models.imports.versions import latest, stamp
from tests.imports.frames import frames

INTERACTIONS = TABLES["interactions"]
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def rows(*changes: dict[str, object], table: Table = INTERACTIONS) -> pl.DataFrame:
    base = {"interaction_id": "i1", "account_id": "a1", "opened_at": MARCH}
    return pl.DataFrame([base | change for change in changes], schema=table.schema)


def test_exact_copies_are_counted() -> None:
    frame, duplicates, superseded = latest(rows({}, {}, {}), INTERACTIONS)
    assert (frame.height, duplicates, superseded) == (1, 2, 0)


def test_the_newest_version_wins_wherever_it_stands() -> None:
    new, old = {"updated_at": MARCH + timedelta(days=2), "category": "new"}, {"updated_at": MARCH, "category": "old"}
    for order in ([new, old], [old, new]):
        frame, duplicates, superseded = latest(rows(*order), INTERACTIONS)
        assert (frame["category"].to_list(), duplicates, superseded) == (["new"], 0, 1)


def test_a_version_without_a_date_is_the_oldest_and_on_a_tie_the_later_row_wins() -> None:
    frame, *_ = latest(rows({"updated_at": MARCH, "category": "dated"}, {"category": "undated"}), INTERACTIONS)
    assert frame["category"].to_list() == ["dated"]
    frame, *_ = latest(rows({"category": "first"}, {"category": "second"}), INTERACTIONS)
    assert frame["category"].to_list() == ["second"]


def test_the_first_arrival_stays_with_the_row() -> None:
    early, late = MARCH + timedelta(hours=1), MARCH + timedelta(hours=2)
    frame, *_ = latest(rows({"recorded_at": early, "category": "x"}, {"recorded_at": late}), INTERACTIONS)
    assert frame["recorded_at"].to_list() == [early]


def test_a_table_without_versions_keeps_the_later_row() -> None:
    surveys = TABLES["surveys"]
    base = {"survey_id": "s1", "account_id": "a1", "instrument": "csat", "sent_at": MARCH}
    frame = pl.DataFrame([base | {"comment": "a"}, base | {"comment": "b"}], schema=surveys.schema)
    assert latest(frame, surveys)[0]["comment"].to_list() == ["b"]


def test_unknown_arrivals_are_stamped_with_what_happened_plus_the_delay() -> None:
    frame = stamp(rows({}, {"recorded_at": MARCH}), INTERACTIONS, timedelta(hours=24))
    assert frame["recorded_at"].to_list() == [MARCH + timedelta(hours=24), MARCH]


def test_a_survey_without_invitation_is_known_when_it_was_answered() -> None:
    surveys = TABLES["surveys"]
    row = {"survey_id": "s1", "account_id": "a1", "instrument": "csat", "responded_at": MARCH}
    assert stamp(pl.DataFrame([row], schema=surveys.schema), surveys, timedelta(0))["recorded_at"].item() == MARCH


@given(frame=frames(INTERACTIONS), data=st.data())
@settings(max_examples=50, deadline=None)
def test_copies_in_any_number_change_nothing(frame: pl.DataFrame, data: st.DataObject) -> None:
    """Append copies of any rows: the same frame comes out, and every copy is counted."""
    copies = data.draw(st.lists(st.integers(0, frame.height - 1), max_size=6))
    done, duplicates, superseded = latest(pl.concat([frame, frame[copies]]), INTERACTIONS)
    assert_frame_equal(done, frame)
    assert (duplicates, superseded) == (len(copies), 0)
