"""What an import did, as values: for people in lines, for machines as plain data.

For every table the rows add up, so that none can vanish without a word:
    read = accepted + rejected + duplicates + superseded + blank + set_aside + folded
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from models.clock import isoformat
from models.imports.check import REJECTED
from models.imports.hours import Floats

_TUPLES = ("files", "unknown_columns", "absent_columns", "nameless_columns")

#: Rejected rows shown to people; the data has them all.
SHOWN = 20


def _took(parts: list[tuple[Floats, Floats]]) -> dict[str, Any]:
    """How long it took the rows that have both ends; medians in minutes, null without any."""
    business, minutes = (np.concatenate([np.empty(0), *(part[i] for part in parts)]) for i in (0, 1))
    middle = [round(float(np.median(values)), 3) if len(values) else None for values in (business, minutes)]
    return {"rows": len(business), "median_business_minutes": middle[0], "median_minutes": middle[1]}


@dataclass
class TableSummary:
    """One table's account. All counts are rows unless said otherwise.

    `rejected` rows have their problems in `problems` (one row per problem, columns of `REJECTED`).
    `duplicates` are exact copies, `superseded` older versions of a row in the same import, `blank` rows without
    a filled cell, `set_aside` rows a mapping did not want, `folded` event rows that became part of another row.
    `unusable` rows of looked-up files, which are not counted as read, have problems too.
    `nameless_columns`: columns whose header is empty, by number from 1; nothing can ask for them.
    `business_hours`: name -> (business minutes, minutes of any kind) of the rows that have both ends; `unscheduled`
    targets in business minutes had no schedule and are unknown.
    `clamped` counts times set to the start of their row, `dst_gaps` and `dst_folds` local times in odd hours.
    `happened_until` is the latest thing the accepted rows tell of.
    `inserted`, `updated`, `unchanged`, `stale` (the store holds a newer version) and `erased` (of an account that
    was erased and is kept out) are what the store said; None where nothing was written.
    """

    table: str
    files: tuple[str, ...] = ()
    read: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    superseded: int = 0
    blank: int = 0
    set_aside: int = 0
    folded: int = 0
    unusable: int = 0
    clamped: int = 0
    dst_gaps: int = 0
    dst_folds: int = 0
    unknown_columns: tuple[str, ...] = ()
    absent_columns: tuple[str, ...] = ()
    nameless_columns: tuple[int, ...] = ()
    unscheduled: int = 0
    business_hours: dict[str, list[tuple[Floats, Floats]]] = field(default_factory=dict)
    orphan_rows: int = 0
    orphan_accounts: int = 0
    test_accounts: int = 0
    happened_until: datetime | None = None
    warnings: dict[str, int] = field(default_factory=dict)
    problems: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTED))
    inserted: int | None = None
    updated: int | None = None
    unchanged: int | None = None
    stale: int | None = None
    erased: int | None = None

    def to_plain(self, shown: int | None = None) -> dict[str, Any]:
        """The same as JSON-able values, with at most `shown` problems (None: all)."""
        plain = {name: value for name, value in self.__dict__.items() if name != "problems"}
        plain |= {name: list(plain[name]) for name in _TUPLES}
        plain["happened_until"] = None if self.happened_until is None else isoformat(self.happened_until)
        return plain | {
            "warnings": dict(self.warnings),
            "business_hours": {name: _took(parts) for name, parts in self.business_hours.items()},
            "problems": self.problems.head(self.problems.height if shown is None else shown).to_dicts(),
        }

    def lines(self, shown: int = SHOWN) -> list[str]:
        """The account in sentences, rejected rows last."""
        lines = [f"{self.table}: {self.accepted:,} accepted of {self.read:,} read ({', '.join(self.files)})"]
        if self.inserted is not None:
            lines.append(f"  {self.inserted:,} new, {self.updated:,} updated, {self.unchanged:,} unchanged")
        if self.stale:
            lines.append(f"  {self.stale:,} older than what the store holds, left alone")
        if self.erased:
            lines.append(f"  {self.erased:,} of accounts that were erased, kept out")
        lines += [f"  {what}: {count:,}" for what, count in self._notes() if count]
        for name, parts in self.business_hours.items():
            took = _took(parts)
            if took["rows"]:
                said = (
                    f"{took['median_business_minutes']:,g} business minutes ({took['median_minutes']:,g} of any kind)"
                )
                lines.append(f"  {name.replace('_', ' ')}, median of {took['rows']:,}: {said}")
        if self.unknown_columns:
            lines.append(f"  columns kept out: {', '.join(self.unknown_columns)}")
        if self.nameless_columns:
            lines.append(
                f"  columns without a name, kept out: {', '.join(f'number {n}' for n in self.nameless_columns)}"
            )
        if self.absent_columns:
            lines.append(f"  columns the mapping names and the file lacks: {', '.join(self.absent_columns)}")
        return lines + self._rejected_lines(shown)

    def _notes(self) -> list[tuple[str, int]]:
        return [
            ("exact duplicates dropped", self.duplicates),
            ("older versions superseded", self.superseded),
            ("blank rows skipped", self.blank),
            ("rows set aside by the mapping", self.set_aside),
            ("event rows folded into others", max(self.folded, 0)),
            ("more rows than read: one per change of what runs together", max(-self.folded, 0)),
            ("rows of looked-up files that could not be used", self.unusable),
            ("targets in business hours without a schedule, left unknown", self.unscheduled),
            ("times within clock skew moved to the start of their row", self.clamped),
            ("local times in the hour that daylight saving skips, moved forward", self.dst_gaps),
            ("local times in the hour that daylight saving repeats, read as the first", self.dst_folds),
            ("rows of accounts nobody has described", self.orphan_rows),
            ("accounts nobody has described", self.orphan_accounts),
            ("test accounts, kept out of scores and training", self.test_accounts),
            *((f"impossible timeline, {what}", count) for what, count in self.warnings.items()),
        ]

    def _rejected_lines(self, shown: int) -> list[str]:
        if self.problems.is_empty():
            return []
        lines = [f"  rejected: {self.rejected:,}"] if self.rejected else []
        for row in self.problems.head(shown).iter_rows(named=True):
            what = f"{row['column']} " if row["column"] else ""
            value = f"{row['value']!r} " if row["value"] else ""
            lines.append(f"    {row['file']} line {row['line']}: {what}{value}{row['reason']}")
        more = self.problems.height - shown
        return [*lines, f"    and {more:,} more problems"] if more > 0 else lines


@dataclass
class Summary:
    """What an import did: per table, in import order. `written` is false for a dry run; `meanings`: how the source's
    words were understood."""

    source: str
    tables: dict[str, TableSummary] = field(default_factory=dict)
    written: bool = False
    meanings: dict[str, str] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """Rejected rows of all tables."""
        return sum(table.rejected for table in self.tables.values())

    @property
    def problems(self) -> pl.DataFrame:
        """Problems of all tables (`REJECTED`)."""
        return pl.concat([pl.DataFrame(schema=REJECTED), *(t.problems for t in self.tables.values())])

    def lines(self, shown: int = SHOWN) -> list[str]:
        """The whole account in sentences; at most `shown` problems per table."""
        head = f"source {self.source}" + ("" if self.written else ": checked, nothing written")
        head_lines = [head, *(f"  {word} = {meaning}" for word, meaning in self.meanings.items())]
        return [*head_lines, *(line for table in self.tables.values() for line in table.lines(shown))]

    def to_plain(self, shown: int | None = None) -> dict[str, Any]:
        """The same as JSON-able values, with at most `shown` problems per table (None: all)."""
        tables = {name: table.to_plain(shown) for name, table in self.tables.items()}
        return {"source": self.source, "written": self.written, "meanings": dict(self.meanings),
                "rejected": self.rejected, "tables": tables}  # fmt: skip
