"""The ServiceNow incident log: one incident per number, and nothing that the future wrote on its first row."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.history import History
from models.imports.run import read_folder
from models.imports.summary import Summary
from tests.imports.shared import shared_data
from tests.imports.sources import FOLDER

SAMPLE = FOLDER / "servicenow" / "sample"

#: Columns that hold the end of the story on every event row.
PROPHETIC = ("resolved_at", "closed_at", "closed_code", "resolved_by")


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2016, 3, day, hour, minute, tzinfo=UTC)


@cache
def sample() -> tuple[dict[str, pl.DataFrame], Summary]:
    return read_folder(SAMPLE, "servicenow")


def incident(number: str) -> dict[str, Any]:
    return sample()[0]["interactions"].row(by_predicate=pl.col("interaction_id") == number, named=True)


def test_an_incident_is_what_its_events_say() -> None:
    """INC1: first filed under Category 5, raised to priority 2 on 2 March, reopened on 8 March."""
    row = incident("INC1")
    assert (row["account_id"], row["channel"], row["category"], row["kind"]) == (
        "Caller A",
        "phone",
        "Category 5",
        "problem",
    )
    assert row["opened_at"] == at(1, 8)
    assert row["first_response_at"] == at(1, 9)
    assert row["escalated_at"] == at(2, 9)
    assert row["reopened_at"] == at(8, 10)
    assert row["resolved_at"] == at(20, 10)
    assert (row["reopens"], row["transfers"], row["outcome"]) == (1, 3, "resolved")
    assert (row["recorded_at"], row["updated_at"]) == (at(1, 8, 5), at(25, 10))


def test_an_incident_without_resolved_at_was_resolved_when_its_state_became_so() -> None:
    assert incident("INC2")["resolved_at"] == at(15, 12)


def test_an_open_incident_is_open() -> None:
    row = incident("INC3")
    assert (row["resolved_at"], row["outcome"], row["category"]) == (None, None, None)


def test_accounts_are_the_callers_from_their_first_logged_contact() -> None:
    rows = sample()[0]["accounts"].select("account_id", "region", "started_at", "recorded_at").rows()
    assert rows == [("Caller A", "Location 1", at(1, 8), at(1, 8, 5)), ("Caller B", "Location 3", at(3, 11), at(3, 11))]


def test_every_event_row_is_accounted_for() -> None:
    for table in sample()[1].tables.values():
        assert table.read == 12 == table.accepted + table.rejected + table.folded
        assert table.problems["line"].to_list() == [13]


@pytest.mark.parametrize(
    ("moment", "visible"),
    [
        (at(1, 8, 5), {"first_response_at": None, "resolved_at": None, "outcome": None, "reopens": None}),
        (at(7), {"first_response_at": at(1, 9), "escalated_at": at(2, 9), "reopened_at": None, "resolved_at": None}),
        (at(10), {"reopened_at": at(8, 10), "resolved_at": None, "outcome": None, "reopens": None, "transfers": None}),
        (at(21), {"resolved_at": at(20, 10), "outcome": "resolved", "reopens": 1, "transfers": 3}),
    ],
)
def test_values_appear_when_they_happen(moment: datetime, visible: dict[str, Any]) -> None:
    known = History.from_frames(sample()[0]).known_at(moment)
    row = known.interactions.row(by_predicate=pl.col("interaction_id") == "INC1", named=True)
    assert {name: row[name] for name in visible} == visible


def test_the_sample_does_not_leak(tmp_path: Path) -> None:
    with (SAMPLE / "incident_events.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    for moment in (at(1, 12), at(4), at(8, 12), at(16), at(21)):
        _assert_nothing_from_the_future(records, sample()[0], moment, tmp_path)


@pytest.mark.parametrize("moment", [datetime(2016, 3, 5, 12, tzinfo=UTC), datetime(2016, 4, 15, tzinfo=UTC),
                                    datetime(2016, 5, 10, tzinfo=UTC)])  # fmt: skip
def test_the_real_log_does_not_leak(moment: datetime, tmp_path: Path) -> None:
    """61,043 events with the end of each story on every row: as of a moment, the whole file shows nothing but what
    the rows logged before that moment show, with everything prophetic struck from them."""
    folder = shared_data("servicenow_incident_log")
    frames, summary = read_folder(folder, "servicenow")
    assert [table.accepted for table in summary.tables.values()] == [2347, 10662]
    assert summary.rejected == 0
    (path,) = folder.glob("*.csv.gz")
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        _assert_nothing_from_the_future(list(csv.DictReader(file)), frames, moment, tmp_path)


def _assert_nothing_from_the_future(
    records: list[dict[str, str]], frames: dict[str, pl.DataFrame], moment: datetime, folder: Path
) -> None:
    """Compare the whole import, asked as of `moment`, with an import of what had been logged by then."""
    (folder / "incidents.csv").unlink(missing_ok=True)
    with (folder / "incidents.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(_logged_by(records, moment))
    honest, _ = read_folder(folder, "servicenow")
    whole = History.from_frames(frames).known_at(moment)
    for table, key in (("accounts", "account_id"), ("interactions", "interaction_id")):
        seen, logged = whole.frame(table), History.from_frames(honest).frame(table)
        assert set(seen[key]) == set(logged[key])
        both = seen.join(logged, on=key, suffix="_logged")
        for name in seen.columns:
            if name == key:
                continue
            invented = both.filter(pl.col(name).is_not_null() & pl.col(name).ne_missing(pl.col(f"{name}_logged")))
            assert invented.is_empty(), (table, name, invented.select(key, name, f"{name}_logged").row(0))


def _logged_by(records: list[dict[str, str]], moment: datetime) -> Iterator[dict[str, str]]:
    for record in records:
        logged = _time(record["sys_updated_at"])
        if logged is None or logged >= moment:
            continue
        late = {name for name in PROPHETIC[:2] if (_time(record[name]) or moment) >= moment}
        struck = set(PROPHETIC) if "resolved_at" in late else late
        yield {name: "?" if name in struck else cell for name, cell in record.items()}


def _time(cell: str) -> datetime | None:
    try:
        return datetime.strptime(cell, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)
    except ValueError:
        return None
