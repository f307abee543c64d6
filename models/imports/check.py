"""A frame of raw cells against a table of the contract: what is accepted, and why the rest is not.

Worked example, a file of three interactions:
    line 2  i1,a1,2026-03-02T08:00:00Z     accepted
    line 3  i2,,2026-03-02T09:00:00Z       rejected: account_id is required
    line 4  i3,a1,yesterday                rejected: opened_at `yesterday` is not an ISO 8601 time
One bad row never stops a good one. A row with two bad cells is one rejected row with two problems.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from models.columns import Column, Table, Type
from models.imports.convert import PLAIN, Reading, add_durations, as_text, convert, typed_nulls
from models.imports.read import FILE, LINE, Raw
from models.surveys import INSTRUMENTS

#: A problem of a rejected row. `column` and `value` are empty where the record as a whole is no row.
REJECTED: dict[str, pl.DataType] = {
    "table": pl.String(),
    "file": pl.String(),
    "line": pl.Int64(),
    "column": pl.String(),
    "value": pl.String(),
    "reason": pl.String(),
}

#: Longest value shown of a rejected cell, characters.
VALUE_LENGTH = 80

#: Columns whose cells are shown to nobody: what customers wrote in confidence.
PRIVATE = frozenset({"comment"})

#: Clocks of two systems may disagree by this much; more is a mistake in the data.
CLOCK_SKEW = timedelta(hours=24)

# Table -> the time nothing of the row precedes, and the times that must not.
_STARTS = {
    "interactions": ("opened_at", ("first_response_at", "resolved_at", "reopened_at", "escalated_at")),
    "surveys": ("sent_at", ("responded_at",)),
    "outreach": ("at", ("engaged_at",)),
}


# Table -> times that cannot lie ahead. Accounts and contracts may have plans.
_PAST = {
    "interactions": (
        *("opened_at", "first_response_at", "resolved_at", "reopened_at", "escalated_at"),
        *("recorded_at", "updated_at"),
    ),
    "surveys": ("sent_at", "responded_at", "recorded_at"),
    "outreach": ("at", "engaged_at", "recorded_at"),
    "measures": ("at", "recorded_at"),
}


@dataclass(frozen=True)
class Checked:
    """Accepted rows in contract schema plus `FILE` and `LINE`, in file order; and `problems` (`REJECTED`).

    `rejected` counts rows, `blank` rows without a single filled cell (neither accepted nor rejected),
    `clamped` times set to the start of their row, `gaps` and `folds` local times in the odd hours.
    """

    frame: pl.DataFrame
    problems: pl.DataFrame
    rejected: int = 0
    blank: int = 0
    clamped: int = 0
    gaps: int = 0
    folds: int = 0


class _Problems:
    """Collects which rows have which problem."""

    def __init__(self, table: str, places: pl.DataFrame) -> None:
        self.table, self.places = table, places
        self.found: list[pl.DataFrame] = []
        self.columns: dict[str, pl.Series] = {}
        self.bad = pl.Series([False]).new_from_index(0, places.height)

    def add(self, mask: pl.Series, column: str, values: pl.Series | None, reason: str) -> None:
        mask = mask.fill_null(False)
        if not mask.any():
            return
        self.bad = self.bad | mask
        self.columns[column] = self.columns.get(column, mask) | mask
        shown = pl.lit("") if values is None or column in PRIVATE else as_text(values.filter(mask)).alias("value")
        self.found.append(rejections(self.places.filter(mask), self.table, column, shown, reason))

    def among(self, column: str) -> pl.Series:
        """Rows that already have a problem in this column."""
        return self.columns.get(column, pl.Series([False]).new_from_index(0, self.places.height))

    def frame(self) -> pl.DataFrame:
        return in_order(pl.concat([pl.DataFrame(schema=REJECTED), *self.found]))


def rejections(places: pl.DataFrame, table: str, column: str, value: pl.Expr | pl.Series, reason: str) -> pl.DataFrame:
    """Problems (`REJECTED`) of the rows at `places` (columns `FILE` and `LINE`)."""
    cut = value if isinstance(value, pl.Expr) else pl.lit(value)
    return places.select(
        table=pl.lit(table),
        file=pl.col(FILE).cast(pl.String),
        line=pl.col(LINE),
        column=pl.lit(column),
        value=cut.fill_null("").str.slice(0, VALUE_LENGTH),
        reason=pl.lit(reason),
    )


def in_order(problems: pl.DataFrame) -> pl.DataFrame:
    """Problems by file and line; those of one row in the order they were found."""
    return problems.sort("file", "line", maintain_order=True)


def check(
    raw: Raw, table: Table, readings: Mapping[str, Reading] | None = None, latest: datetime | None = None
) -> Checked:
    """Convert and validate every row of a file whose columns carry contract names.

    Columns the file lacks are null; columns the contract lacks are ignored here (the caller names them).
    `readings` says per column how the source writes it; others are read plainly. What has happened later than
    `latest`, where given, is refused: one contact of the year 2199 would make a dead source look alive.
    """
    full = _without_blank(raw.frame, table)
    places = full.select(FILE, LINE)
    problems = _Problems(table.name, places)
    values: dict[str, pl.Series] = {}
    gaps = folds = 0
    for column in table.columns:
        if column.name in full.columns:
            reading = (readings or {}).get(column.name, PLAIN)
            cells, gap, fold = _column(column, full, reading, problems)
            gaps, folds = gaps + gap, folds + fold
        else:
            cells = typed_nulls(column, full.height)
        if column.required:
            missing = cells.is_null() & ~problems.among(column.name)
            problems.add(missing, column.name, None, "is required")
        values[column.name] = cells.alias(column.name)
    frame = pl.DataFrame(list(values.values())).hstack(places)
    _check_survey(frame, full, table, problems)
    if latest is not None and table.name in _PAST:
        for name in _PAST[table.name]:
            problems.add(frame[name] > latest, name, full.get_column(name, default=None), "lies in the future")
    frame, clamped = _check_order(frame, full, table, problems)
    broken = broken_records(raw, table)
    return Checked(
        frame.filter(~problems.bad),
        in_order(pl.concat([problems.frame(), broken])),
        rejected=int(problems.bad.sum()) + len(raw.broken),
        blank=raw.frame.height - full.height,
        clamped=int(clamped.filter(~problems.bad).sum()),
        gaps=gaps,
        folds=folds,
    )


def _without_blank(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Drop rows of empty cells only, as spreadsheets leave them below the data."""
    key = next((name for name in table.key if name in frame.columns), None)
    if key is None:
        return frame
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.String]
    others = [name for name in frame.columns if name not in (*texts, FILE, LINE)]
    empty = pl.all_horizontal(
        *(pl.col(name).str.strip_chars().fill_null("") == "" for name in texts),
        *(pl.col(name).is_null() for name in others),
    )
    suspects = frame.filter(pl.col(key).is_null() | (pl.col(key).cast(pl.String).str.strip_chars() == ""))
    if suspects.is_empty():
        return frame
    return frame.join(suspects.filter(empty), on=[FILE, LINE], how="anti", maintain_order="left")


def _column(column: Column, frame: pl.DataFrame, reading: Reading, problems: _Problems) -> tuple[pl.Series, int, int]:
    cells = frame[column.name]
    done = convert(column, cells, reading)
    for mask, reason in done.problems:
        problems.add(mask, column.name, cells, reason)
    for name in reading.also:
        other = convert(column, frame[name], reading)
        for mask, reason in other.problems:
            problems.add(mask, column.name, frame[name], reason)
        earliest = pl.DataFrame([done.values.alias("a"), other.values.alias("b")]).min_horizontal()
        done = replace(done, values=earliest, gaps=done.gaps + other.gaps, folds=done.folds + other.folds)
    if reading.plus is None:
        return done.values, done.gaps, done.folds
    extra = frame[reading.plus]
    durations = convert(Column(column.name, Type.NUMBER, "", minimum=0), extra, reading)
    for mask, reason in durations.problems:
        problems.add(mask, column.name, extra, reason)
    return add_durations(done.values, durations.values, reading.plus_seconds), done.gaps, done.folds


def _check_survey(frame: pl.DataFrame, cells: pl.DataFrame, table: Table, problems: _Problems) -> None:
    if table.name != "surveys":
        return
    sent, responded, score = (frame[name] for name in ("sent_at", "responded_at", "score"))
    known = problems.among("sent_at") | problems.among("responded_at")
    untimed = sent.is_null() & responded.is_null() & ~known
    problems.add(untimed, "sent_at", None, "is required unless responded_at is given")
    problems.add(score.is_not_null() & responded.is_null() & ~known & ~untimed, "score", score, "has no responded_at")
    bounds = frame.select(
        low=pl.col("scale_min").fill_null(_default_scale("scale_min")),
        high=pl.col("scale_max").fill_null(_default_scale("scale_max")),
    )
    problems.add(bounds["low"] >= bounds["high"], "scale_min", frame["scale_min"], "is not below scale_max")
    outside = (score < bounds["low"]) | (score > bounds["high"])
    shown = bounds.with_columns(
        reason=pl.format(
            "is outside its scale {} to {}",
            pl.col("low").cast(pl.String).fill_null("?"),
            pl.col("high").cast(pl.String).fill_null("?"),
        )
    )["reason"]
    for reason in shown.filter(outside.fill_null(False)).unique(maintain_order=True).to_list():
        problems.add(
            outside & (shown == reason), "score", cells["score"], reason.replace(".0 ", " ").removesuffix(".0")
        )


def _default_scale(bound: str) -> pl.Expr:
    names = pl.col("instrument")
    scales = {name: getattr(instrument, bound) for name, instrument in INSTRUMENTS.items()}
    return names.replace_strict(list(scales), list(scales.values()), default=None, return_dtype=pl.Float64)


def _check_order(
    frame: pl.DataFrame, cells: pl.DataFrame, table: Table, problems: _Problems
) -> tuple[pl.DataFrame, pl.Series]:
    """Refuse negative durations; those within clock skew end where they start. Also: clamped cells per row."""
    clamped = pl.Series([0]).new_from_index(0, frame.height)
    if table.name not in _STARTS:
        return frame, clamped
    start, followers = _STARTS[table.name]
    for name in followers:
        early = (frame[name] < frame[start]).fill_null(False)
        if not early.any():
            continue
        skewed = early & (frame[name] >= frame[start] - CLOCK_SKEW)
        problems.add(early & ~skewed, name, cells[name], f"precedes {start} by more than 24 hours")
        clamped = clamped + skewed.cast(pl.Int64)
        frame = frame.with_columns(frame[name].zip_with(~early, frame[start]).alias(name))
    return frame, clamped


def broken_records(raw: Raw, table: Table) -> pl.DataFrame:
    """Problems (`REJECTED`) of the records that are no rows. Of tables with private columns only the first field
    is shown, as nobody can tell which of the others is which."""
    private = PRIVATE.intersection(table.names)
    rows = [
        (table.name, b.file, b.line, "", (_first_field(b.value) if private else b.value)[:VALUE_LENGTH], b.reason)
        for b in raw.broken
    ]
    return pl.DataFrame(rows, schema=REJECTED, orient="row")


def _first_field(record: str) -> str:
    return re.split(r"[,;\t|\n]", record, maxsplit=1)[0]
