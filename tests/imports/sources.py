"""The folders of sources that come with Ebbtide: what their sample becomes, as their `expected.toml` writes it.

`python -m tests.imports.sources NAME` prints what a sample becomes now: check every value against the sample's rows by
hand before it is kept as what is expected.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from models.history import TABLES
from models.imports.mapping import load
from models.imports.run import run
from models.imports.summary import Summary

FOLDER = Path(__file__).parents[2] / "models" / "imports" / "sources"

#: Zones of samples whose files do not name theirs.
ZONES = {"qualtrics": "America/Denver"}

Rows = dict[str, dict[str, dict[str, Any]]]


class Kept:
    """A sink that keeps what it is given."""

    inserted = updated = unchanged = stale = erased = 0

    def __init__(self) -> None:
        self.frames: dict[str, list[pl.DataFrame]] = {}

    def write(self, table_name: str, frame: pl.DataFrame) -> "Kept":
        self.frames.setdefault(table_name, []).append(frame)
        return self


def made(name: str) -> tuple[Rows, Summary]:
    """Table -> key -> the known values of the row that the source's sample becomes; and the summary."""
    kept = Kept()
    summary = run(FOLDER / name / "sample", load(name), sink=kept, timezone=ZONES.get(name))
    rows: Rows = {}
    for table, frames in kept.frames.items():
        for row in (row for frame in frames for row in frame.iter_rows(named=True)):
            key = " ".join(_plain(row[column]) for column in TABLES[table].key)
            rows.setdefault(table, {})[key] = {name: value for name, value in row.items() if value is not None}
    return rows, summary


def refused(summary: Summary) -> list[str]:
    """The rows that were rejected, and why."""
    return [f"{p['file']} line {p['line']}: {p['column']} {p['reason']}" for p in summary.problems.to_dicts()]


def _plain(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def written(name: str) -> str:
    """The same as the text of an `expected.toml`."""
    rows, summary = made(name)
    lines = ["rejected = [" + ", ".join(f'"{line}"' for line in refused(summary)) + "]", ""]
    for table, each in rows.items():
        for key, row in each.items():
            lines += [f'[{table}."{key}"]', *(f"{column} = {_toml(value)}" for column, value in row.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(written(sys.argv[1]))
