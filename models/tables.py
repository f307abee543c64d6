"""Cells of a wide table to what a model reads: by file, column at a time, or one row of a request.

    form      a file's cell                 a request's value         what the scorecard reads
    number    29.85 (comma if declared)     29.85                     29.85
    boolean   true, 1, yes, false, 0, no    true, 1, "yes"            1.0
    text      Fiber optic                   "Fiber optic"             Fiber optic
    date      2026-01-05                    "2026-01-05"              days from there to the row's moment: 56.0

An empty cell, NA, null, and what is declared besides are unknown. Both ways give the same numbers (tested). A date
without a time is its midnight, UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, NamedTuple

import polars as pl

from models.clock import INSTANT
from models.columns import Column as ContractColumn
from models.columns import Type
from models.imports.convert import FALSE, NULLS, TRUE, Converted, Reading, convert
from models.schema import Column, Form, Schema

DAY = timedelta(days=1)
_TYPES: dict[Form, Type] = {"number": Type.NUMBER, "boolean": Type.BOOLEAN, "text": Type.TEXT, "date": Type.TIME}


@dataclass(frozen=True)
class Prepared:
    """Columns ready for a scorecard, and which cells could not be read: (column, where, reason)."""

    frame: pl.DataFrame
    problems: list[tuple[str, pl.Series, str]]


def prepare(schema: Schema, raw: pl.DataFrame, moments: pl.Series) -> Prepared:
    """The model's columns of a table's raw cells (text, or the types Parquet brought). `moments` (n,) are instants.

    A cell that cannot be read is unknown and among the problems. Raises nothing for columns beside the model's.
    """
    columns, problems = [], []
    for column in schema.columns:
        read = cells(column, raw[column.name])
        problems += [(column.name, where, reason) for where, reason in read.problems]
        columns.append(_ready(column, read.values, moments).alias(column.name))
    return Prepared(pl.DataFrame(columns), problems)


def cells(column: Column, raw: pl.Series) -> Converted:
    """A column's cells as numbers, booleans, texts or instants."""
    reading = Reading("UTC", column.formats, frozenset(text.lower() for text in column.nulls), column.decimal)
    return convert(ContractColumn(column.name, _TYPES[column.form], ""), raw, reading)


def _ready(column: Column, values: pl.Series, moments: pl.Series) -> pl.Series:
    if column.form == "date":
        return days_before(values, moments)
    if column.form == "text":
        return values.str.strip_chars()
    return values.cast(pl.Float64)


def days_before(instants: pl.Series, moments: pl.Series) -> pl.Series:
    """Days from each instant to its moment; below zero where it lies ahead."""
    return (moments.cast(INSTANT) - instants).dt.total_microseconds() / (DAY // timedelta(microseconds=1))


class Wrong(NamedTuple):
    """A value of a request that cannot be read."""

    column: str
    code: str
    message: str


def read_row(schema: Schema, given: Mapping[str, Any], moment: datetime) -> tuple[dict[str, Any], list[Wrong]]:
    """The model's columns of one row as JSON gives it; absent and null are unknown. `given` holds known names only."""
    row: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for name, value in given.items():
        try:
            row[name] = None if value is None else _READ[schema[name].form](value, schema[name], moment)
        except ValueError as error:
            wrong.append(Wrong(name, "invalid", str(error)))
    return row, wrong


def _number(value: Any, _column: Column, _moment: datetime) -> float:
    if type(value) in (int, float):
        try:
            if isfinite(value):
                return float(value)
        except OverflowError:
            pass
    raise ValueError("must be a finite number")


def _boolean(value: Any, _column: Column, _moment: datetime) -> float | None:
    if type(value) in (bool, int, float) and value in (0, 1):
        return float(value)
    if type(value) is str:
        text = value.strip().lower()
        if text in TRUE or text in FALSE:
            return float(text in TRUE)
        if text in NULLS:
            return None
    raise ValueError("must be true or false (or 1, 0, yes, no)")


def _text(value: Any, column: Column, _moment: datetime) -> str | None:
    if type(value) in (int, float) and isfinite(value):
        value = str(int(value)) if value == int(value) else repr(value)
    if type(value) is not str:
        raise ValueError("must be text")
    told: str = value.strip()
    return None if told.lower() in NULLS or told.lower() in {text.lower() for text in column.nulls} else told


def _date(value: Any, column: Column, moment: datetime) -> float | None:
    if type(value) is not str:
        raise ValueError("must be a date as text, such as 2026-03-02")
    read = cells(column, pl.Series([value]))
    if read.problems:
        raise ValueError(read.problems[0][1])
    return days_before(read.values, pl.Series([moment], dtype=INSTANT))[0]  # type: ignore[no-any-return]


_READ = {"number": _number, "boolean": _boolean, "text": _text, "date": _date}
