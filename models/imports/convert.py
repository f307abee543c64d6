"""One column of raw cells to its contract type, with a reason for every cell that cannot be.

Nothing is guessed: `1,234` is not a number (a thousands separator, or a decimal comma nobody declared),
`03/04/2026` is not a time (two readings), and an empty cell is unknown, never zero.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl

from models.columns import DTYPES, Column, Type
from models.imports.times import Times, bound, read_local, read_times

#: Cells that mean unknown in every source, in any case.
NULLS = frozenset({"", "na", "null"})

TRUE = frozenset({"true", "1", "yes"})
FALSE = frozenset({"false", "0", "no"})

ID_LENGTH = 128

NAIVE = "has no offset; declare the time zone of the source"
NO_TIME = "is not an ISO 8601 time"
OUTSIDE = "lies outside the years 1900 to 2199; leave the cell empty for unknown or never"


@dataclass(frozen=True)
class Reading:
    """How a source writes the cells of a column.

    `timezone`: IANA zone of times without offset; None refuses them. `formats`: the only time formats, or
    none for ISO 8601. `nulls`: lower-case cells that mean unknown besides `NULLS`. `decimal`: `.` or `,`.
    `scale`: the contract's unit per source unit (3600 for hours -> seconds).
    `plus`: a frame column of durations to add to a time, in units of `plus_seconds`. `also`: frame columns of other
    times, the earliest of which counts.
    """

    timezone: str | None = None
    formats: tuple[str, ...] = ()
    nulls: frozenset[str] = frozenset()
    decimal: str = "."
    scale: float = 1.0
    plus: str | None = None
    plus_seconds: float = 1.0
    also: tuple[str, ...] = ()


PLAIN = Reading()


@dataclass(frozen=True)
class Converted:
    """Typed values (null where unknown or refused), problems as (which cells, reason), DST counts."""

    values: pl.Series
    problems: list[tuple[pl.Series, str]] = field(default_factory=list)
    gaps: int = 0
    folds: int = 0


def convert(column: Column, cells: pl.Series, reading: Reading = PLAIN) -> Converted:
    """Read a column of cells (text, or the types Parquet brought). Same length and order out."""
    if column.type is Type.TIME:
        return _times(cells, reading)
    if column.type is Type.NUMBER:
        return _numbers(column, cells, reading)
    if column.type is Type.INTEGER:
        return _integers(column, cells, reading)
    if column.type is Type.BOOLEAN:
        return _booleans(cells, reading)
    return _texts(column, cells, reading)


def as_text(cells: pl.Series) -> pl.Series:
    """Cells as text, as `text_of` writes them."""
    return cells if cells.dtype == pl.String else cells.to_frame("c").select(text_of(pl.col("c"), cells.dtype))["c"]


def text_of(cell: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """A cell as text: times as ISO 8601, whole floats (what a data frame makes of integers with gaps) without
    `.0`."""
    if dtype == pl.String:
        return cell
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            return cell.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")
        return cell.dt.convert_time_zone("UTC").dt.to_string("%Y-%m-%dT%H:%M:%S%.6fZ")
    if dtype.is_float():
        whole = cell.is_finite() & (cell == cell.floor()) & (cell.abs() < 2**53)
        return pl.when(whole).then(cell.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(cell.cast(pl.String))
    return cell.cast(pl.String)


def known(cell: pl.Expr, nulls: frozenset[str]) -> pl.Expr:
    """A text cell, or null where it means unknown: empty, NA, null, or declared, in any case, spaces around."""
    return pl.when(~cell.str.strip_chars().str.to_lowercase().is_in(sorted(NULLS | nulls))).then(cell)


def blank_nulls(cells: pl.Series, nulls: frozenset[str]) -> pl.Series:
    """The same text cells with `known` applied."""
    return cells.to_frame("c").select(known(pl.col("c"), nulls))["c"]


def _declared_unknown(cells: pl.Series, reading: Reading) -> pl.Series:
    """Typed cells, null where their text (of a midnight, its date) is declared to mean unknown."""
    if not reading.nulls:
        return cells
    text = as_text(cells).str.replace(r"T00:00:00\.000000Z?$", "")
    return cells.zip_with(blank_nulls(text, reading.nulls).is_not_null(), _nulls(cells.dtype, len(cells)))


def _nulls(dtype: pl.DataType, length: int) -> pl.Series:
    return pl.Series([None], dtype=dtype).new_from_index(0, length)


def _trimmed(cells: pl.Series, reading: Reading) -> pl.Series:
    return blank_nulls(as_text(cells), reading.nulls).str.strip_chars()


def _texts(column: Column, cells: pl.Series, reading: Reading) -> Converted:
    """Ids and texts are kept as they are, spaces included: they are compared exactly."""
    values = blank_nulls(as_text(cells), reading.nulls)
    problems = [(values.str.contains("\x00", literal=True), "holds a NUL character")]
    if column.type is Type.ID:
        problems.append((values.str.len_chars() > ID_LENGTH, f"is longer than {ID_LENGTH} characters"))
    if column.choices:
        reason = f"is not one of {', '.join(column.choices)}"
        problems.append((~values.is_in(column.choices), reason))
    if column.name == "currency":
        problems.append((~values.str.contains(r"^[A-Z]{3}$"), "is not an ISO 4217 code such as EUR"))
    return _converted(values, problems)


def _times(cells: pl.Series, reading: Reading) -> Converted:
    times = _read_times(cells, reading)
    reason = f"is not written as {' or '.join(reading.formats)}" if reading.formats else NO_TIME
    problems = [(times.naive, NAIVE), (times.bad, reason), (bound(times.instants), OUTSIDE)]
    return _converted(times.instants, problems, times.gaps, times.folds)


def _read_times(cells: pl.Series, reading: Reading) -> Times:
    if isinstance(cells.dtype, pl.Datetime | pl.Date):
        cells = _declared_unknown(cells, reading)
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone is not None:
        nowhere = pl.Series([False]).new_from_index(0, len(cells))
        return Times(cells.dt.convert_time_zone("UTC").dt.cast_time_unit("us"), nowhere, nowhere)
    if isinstance(cells.dtype, pl.Datetime | pl.Date):
        return read_local(cells, reading.timezone)
    return read_times(_trimmed(cells, reading), reading.formats, reading.timezone)


#: No price, duration or count of anybody's customers is larger; what is would only break the sums it enters.
LARGEST = 1e12


def _numbers(column: Column, cells: pl.Series, reading: Reading) -> Converted:
    if cells.dtype.is_numeric():
        values, unread = _declared_unknown(cells, reading).cast(pl.Float64).fill_nan(None), None
    else:
        text = _trimmed(cells, reading)
        values = _parse_number(text, reading.decimal)
        unread = text.is_not_null() & values.is_null()
    values = values * reading.scale if reading.scale != 1 else values
    problems = [] if unread is None else [(unread, "is not a number (thousands separators are not guessed)")]
    problems.append((~values.is_finite(), "is not a finite number"))
    return _converted(values, problems + _minimum(column, values))


def _parse_number(text: pl.Series, decimal: str) -> pl.Series:
    if decimal == ",":
        dots = text.str.contains(".", literal=True).fill_null(False)
        text = text.zip_with(~dots, _nulls(pl.String(), len(text))).str.replace(",", ".", literal=True)
    # NaN is no number either: a column of text that says so is a mistake somebody should hear of
    return text.cast(pl.Float64, strict=False).fill_nan(None)


def _integers(column: Column, cells: pl.Series, reading: Reading) -> Converted:
    if cells.dtype.is_integer() and reading.scale == 1:
        cells = _declared_unknown(cells, reading)
        values = cells.cast(pl.Int64, strict=False)
        return _converted(values, [(cells.is_not_null() & values.is_null(), "is too large"), *_minimum(column, values)])
    numbers = _numbers(Column(column.name, Type.NUMBER, column.meaning), cells, reading)
    whole = (numbers.values == numbers.values.floor()) & (numbers.values.abs() < 2**53)
    values = numbers.values.zip_with(whole.fill_null(False), _nulls(pl.Float64(), len(cells))).cast(pl.Int64)
    problems = [*numbers.problems, (~whole, "is not a whole number")]
    return _converted(values, problems + _minimum(column, values))


def _minimum(column: Column, values: pl.Series) -> list[tuple[pl.Series, str]]:
    too_large = (values.abs() > LARGEST, f"is too large; the most is {LARGEST:g}")
    if column.minimum is None:
        return [too_large]
    return [(values < column.minimum, f"is below {column.minimum:g}"), too_large]


def _booleans(cells: pl.Series, reading: Reading) -> Converted:
    if cells.dtype == pl.Boolean:
        return Converted(cells)
    text = _trimmed(cells, reading).str.to_lowercase()
    values = text.is_in(sorted(TRUE)).zip_with(text.is_in(sorted(TRUE | FALSE)), _nulls(pl.Boolean(), len(text)))
    return _converted(values, [(text.is_not_null() & values.is_null(), "is not true or false (or 1, 0, yes, no)")])


def _converted(values: pl.Series, problems: list[tuple[pl.Series, str]], gaps: int = 0, folds: int = 0) -> Converted:
    """Keep the problems that occur; a cell has the first of its problems only, and no value."""
    kept: list[tuple[pl.Series, str]] = []
    for where, reason in problems:
        mask = where.fill_null(False)
        for earlier, _ in kept:
            mask = mask & ~earlier
        if mask.any():
            kept.append((mask, reason))
    for mask, _ in kept:
        values = values.zip_with(~mask, _nulls(values.dtype, len(values)))
    return Converted(values, kept, gaps, folds)


def add_durations(instants: pl.Series, durations: pl.Series, seconds: float) -> pl.Series:
    """Instants plus durations given in units of `seconds`; unknown where either is."""
    return instants + (durations * seconds * timedelta(seconds=1).total_seconds() * 1e6).round().cast(pl.Duration("us"))


def typed_nulls(column: Column, length: int) -> pl.Series:
    """A column nobody filled."""
    return _nulls(DTYPES[column.type], length).alias(column.name)
