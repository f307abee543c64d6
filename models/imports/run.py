"""An import from end to end: find the files, check every row, write what is accepted, say what happened.

A dry run is the same call without a sink: the same checks, the same summary, nothing written. With a sink, rows
are handed over in batches; the sink commits each, so that after a crash every acknowledged batch is there and
running the import again completes it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import polars as pl

from models.accounts import ACCOUNTS
from models.imports.apply import Applied, apply, look_up, zones
from models.imports.check import CLOCK_SKEW, REJECTED, Checked, check, in_order
from models.imports.convert import as_text
from models.imports.files import Found, find
from models.imports.mapping import load
from models.imports.read import FILE, Raw, read
from models.imports.schedules import Calendars, of_files
from models.imports.source import Lookup, Mapping, Source, TableMapping
from models.imports.summary import Summary, TableSummary
from models.imports.timeline import account_warnings, lives, orphans, warnings
from models.imports.times import check_zone
from models.imports.versions import latest, stamp

#: Rows handed to the sink at a time; each batch is one transaction.
BATCH = 20_000

#: Tables no history can do without.
REQUIRED = ("accounts", "interactions")

#: Called with a table's name and how many of its rows are written, after each batch.
Progress = Callable[[str, int], None]


class Counts(Protocol):
    """What became of a batch."""

    @property
    def inserted(self) -> int: ...
    @property
    def updated(self) -> int: ...
    @property
    def unchanged(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def erased(self) -> int: ...


class Sink(Protocol):
    """Where accepted rows go. `write` has committed when it returns; a column the frame lacks is left alone."""

    def write(self, table_name: str, frame: pl.DataFrame) -> Counts: ...


def run(
    path: Path,
    mapping: str | Path | Mapping = "contract",
    *,
    sink: Sink | None = None,
    timezone: str | None = None,
    delay: timedelta | None = None,
    known: pl.DataFrame | None = None,
    progress: Progress | None = None,
    batch: int = BATCH,
    present: datetime | None = None,
) -> Summary:
    """Import a file or a folder; without a `sink`, check only (a dry run).

    `timezone` and `delay`, where given, overrule the mapping's. `known` describes the accounts the store already
    holds (account_id, started_at, ended_at), so that their rows are no orphans. What happened more than a day after
    `present` (where given) is rejected. Raises `ContractError` before
    the first row is written where the files as a whole cannot be used.
    """
    declared = _declared(mapping, timezone, delay)
    summary = Summary(declared.name, written=sink is not None, meanings=declared.meanings)
    for done in _tables(path, declared, (), known, present):
        summary.tables[done.summary.table] = done.summary
        if sink is not None:
            _write(sink, done, progress, batch)
    return summary


def read_folder(
    path: Path,
    mapping: str | Path | Mapping = "contract",
    *,
    timezone: str | None = None,
    delay: timedelta | None = None,
    present: datetime | None = None,
) -> tuple[dict[str, pl.DataFrame], Summary]:
    """The checked tables of a folder in contract schema, for a history without a store; and the summary.

    Raises `ContractError` where accounts or interactions are missing, and as `run` does.
    """
    declared = _declared(mapping, timezone, delay)
    summary = Summary(declared.name, meanings=declared.meanings)
    frames: dict[str, pl.DataFrame] = {}
    for done in _tables(path, declared, REQUIRED, None, present):
        summary.tables[done.summary.table] = done.summary
        frames[done.summary.table] = done.frame
    return frames, summary


def _declared(mapping: str | Path | Mapping, timezone: str | None, delay: timedelta | None) -> Mapping:
    """The mapping, with what the caller declares above what it declares."""
    declared = mapping if isinstance(mapping, Mapping) else load(mapping)

    def overruled(source: Source) -> Source:
        zone = source.timezone if timezone is None else check_zone(timezone)
        return replace(source, timezone=zone, delay=source.delay if delay is None else delay)

    def looked_up(lookup: Lookup) -> Lookup:
        inner = tuple(map(looked_up, lookup.lookups))
        return replace(lookup, source=overruled(lookup.source), lookups=inner)

    def settled(table: TableMapping) -> TableMapping:
        return replace(
            table,
            source=overruled(table.source),
            lookups=tuple(map(looked_up, table.lookups)),
            hours=table.hours and replace(table.hours, lookup=looked_up(table.hours.lookup)),
            otherwise=table.otherwise and settled(table.otherwise),
        )

    return replace(declared, tables={name: settled(table) for name, table in declared.tables.items()})


@dataclass(frozen=True)
class _Done:
    """A checked table: its rows in contract schema plus `FILE`, the columns each file fills, and the account."""

    rows: pl.DataFrame
    filled: dict[str, tuple[str, ...]]
    summary: TableSummary

    @property
    def frame(self) -> pl.DataFrame:
        """The rows in contract schema."""
        return self.rows.drop(FILE)

    def parts(self) -> Iterator[pl.DataFrame]:
        """The rows with only the columns that their files fill."""
        for columns in dict.fromkeys(self.filled.values()):
            files = [file for file, filled in self.filled.items() if filled == columns]
            yield self.rows.filter(pl.col(FILE).cast(pl.String).is_in(files)).select(columns)


def _tables(
    path: Path, mapping: Mapping, require: Iterable[str], known: pl.DataFrame | None, present: datetime | None = None
) -> Iterator[_Done]:
    """Each table that has files, accounts first."""
    accounts = ACCOUNTS.empty()
    for found in find(path, mapping, require).values():
        done = _table(found, None if present is None else present + CLOCK_SKEW)
        if found.mapping.table is ACCOUNTS:
            accounts = done.frame
            done.summary.test_accounts = int(accounts["is_test"].sum() or 0)
            done.summary.warnings = account_warnings(accounts)
        else:
            lived = lives(accounts, known)
            done.summary.warnings = warnings(done.frame, found.mapping.table, lived)
            done.summary.orphan_rows, done.summary.orphan_accounts = orphans(done.frame, lived)
        yield done


def _table(found: Found, until: datetime | None) -> _Done:
    """Read, map, check and deduplicate one table, file by file: only one is in memory as it stands. Nothing can have
    happened after `until`."""
    mapping, table = found.mapping, found.mapping.table
    summary = TableSummary(table.name, unknown_columns=found.unknown, absent_columns=found.absent)
    summary.files = tuple(file.name for file in found.files)
    problems: list[pl.DataFrame] = []
    lookups = _looked_up(found, mapping.lookups, "", summary, problems)
    calendars = _calendars(found, summary, problems)
    frames: list[pl.DataFrame] = []
    filled: dict[str, tuple[str, ...]] = {}
    for raw in _raws(found):
        applied = apply(raw, mapping, lookups, calendars)
        checked = check(applied.raw, table, applied.readings, until)
        _count(summary, raw, applied, checked)
        problems += [applied.problems, checked.problems]
        frames.append(checked.frame)
        columns = tuple(name for name in table.names if name in applied.raw.frame.columns or name == "recorded_at")
        filled |= dict.fromkeys(raw.frame[FILE].cast(pl.String).unique().to_list(), columns)
    rows, summary.duplicates, summary.superseded = latest(pl.concat(frames), table)
    summary.accepted = rows.height
    summary.happened_until = rows.select(pl.max_horizontal(pl.col(name).max() for name in table.happened)).item()
    summary.problems = in_order(pl.concat([pl.DataFrame(schema=REJECTED), *problems]))
    return _Done(stamp(rows.select(*table.names, FILE), table, mapping.source.delay), filled, summary)


def _looked_up(
    found: Found, lookups: tuple[Lookup, ...], within: str, summary: TableSummary, problems: list[pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """Name -> one row per key, of every lookup whose files are there; what cannot be used is counted and listed."""
    done: dict[str, pl.DataFrame] = {}
    for lookup in lookups:
        files = found.lookups[within + lookup.name]
        if files:
            inner = _looked_up(found, lookup.lookups, f"{within}{lookup.name}.", summary, problems)
            selected = look_up(lookup, _read(files, lookup.source), found.mapping.table, inner)
            summary.unusable += selected.refused
            problems.append(selected.problems)
            done[lookup.name] = selected.frame
    return done


def _calendars(found: Found, summary: TableSummary, problems: list[pl.DataFrame]) -> Calendars | None:
    """The schedules of business hours, where the mapping names some and their files are there."""
    hours = found.mapping.hours
    files = found.lookups.get("business_hours")
    if hours is None or not files:
        return None
    schedules = _read(files, hours.lookup.source).frame
    free = found.lookups.get("business_hours.holidays")
    holidays = _read(free, hours.lookup.source).frame if free else None
    made = of_files(hours, schedules, zones(schedules, hours), holidays, found.mapping.table.name)
    summary.unusable += made.problems.height
    problems.append(made.problems)
    return made


def _raws(found: Found) -> Iterator[Raw]:
    """The table's files one after the other; together where rows of one may belong to rows of another."""
    mapping = found.mapping
    if mapping.rows.last_row_per or mapping.rows.running:
        yield _read(found.files, mapping.source)
        return
    for file in found.files:
        yield _read((file,), mapping.source)


def _count(summary: TableSummary, raw: Raw, applied: Applied, checked: Checked) -> None:
    summary.read += raw.records
    summary.nameless_columns = tuple(sorted({*summary.nameless_columns, *raw.nameless}))
    summary.rejected += checked.rejected + applied.refused
    summary.blank += checked.blank
    summary.set_aside += applied.set_aside
    summary.folded += applied.folded
    summary.unscheduled += applied.counted.unscheduled
    for name, parts in applied.counted.took.items():
        summary.business_hours.setdefault(name, []).extend(parts)
    summary.clamped += checked.clamped
    summary.dst_gaps += checked.gaps
    summary.dst_folds += checked.folds


def _read(files: tuple[Path, ...], source: Source) -> Raw:
    """All files of a table as one. Columns whose types differ between files (CSV beside Parquet) become text."""
    raws = [read(file, source.encoding, source.delimiter) for file in files]
    if len(raws) == 1:
        return raws[0]
    names = tuple(dict.fromkeys(name for raw in raws for name in raw.names))
    types = {name: {raw.frame.schema[name] for raw in raws if name in raw.frame.columns} for name in names}
    mixed = [name for name in names if len(types[name]) > 1]
    frames = [
        raw.frame.with_columns(as_text(raw.frame[name]).alias(name) for name in mixed if name in raw.frame.columns)
        for raw in raws
    ]
    broken = tuple(record for raw in raws for record in raw.broken)
    nameless = tuple(sorted({number for raw in raws for number in raw.nameless}))
    return Raw(pl.concat(frames, how="diagonal"), names, broken, nameless)


def _write(sink: Sink, done: _Done, progress: Progress | None, batch: int) -> None:
    summary = done.summary
    summary.inserted = summary.updated = summary.unchanged = summary.stale = summary.erased = 0
    for part in (rows for frame in done.parts() for rows in frame.iter_slices(batch)):
        counts = sink.write(summary.table, part)
        summary.inserted += counts.inserted
        summary.updated += counts.updated
        summary.unchanged += counts.unchanged
        summary.stale += counts.stale
        summary.erased += counts.erased
        if progress is not None:
            progress(summary.table, summary.inserted + summary.updated + summary.unchanged + summary.stale)
