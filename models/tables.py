"""Cells of a wide table to what a model reads: by file, column at a time, or one row of a request.

    form      a file's cell                 a request's value         what the scorecard reads
    number    29.85 (comma if declared)     29.85                     29.85
    boolean   true, 1, yes, false, 0, no    true, 1, "yes"            1.0
    text      Fiber optic                   "Fiber optic"             Fiber optic
    date      2026-01-05                    "2026-01-05"              days from there to the row's moment: 56.0

An empty cell, NA, null, and what is declared besides are unknown, in files and in requests. Both ways give the same
numbers (tested). A date without a time is its midnight, UTC.
"""

import re
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
    if column.thousands and raw.dtype == pl.String:
        raw = joined(raw, column.thousands, column.decimal)
    return convert(ContractColumn(column.name, _TYPES[column.form], ""), raw, reading)


def joined(raw: pl.Series, thousands: str, decimal: str) -> pl.Series:
    """Text cells without what parts the thousands, where it parts threes; all others as they are."""
    text = raw.str.strip_chars().str.replace_all("[\u00a0\u202f]", " ").str.replace_all("\u2019", "'", literal=True)
    parted = text.str.contains(rf"^[+-]?\d{{1,3}}({re.escape(thousands)}\d{{3}})+({re.escape(decimal)}\d*)?$")
    return text.str.replace_all(thousands, "", literal=True).zip_with(parted.fill_null(value=False), raw)


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
            unknown = value is None or _declared_unknown(value, schema[name])
            row[name] = None if unknown else _READ[schema[name].form](value, schema[name], moment)
        except ValueError as error:
            wrong.append(Wrong(name, "invalid", str(error)))
    return row, wrong


def _declared_unknown(value: Any, column: Column) -> bool:
    """Whether a file's cell that says the same would be unknown."""
    if type(value) in (int, float):
        return bool(column.nulls) and _written(value) in {text.strip() for text in column.nulls}
    if type(value) is not str:
        return False
    told = value.strip().lower()
    return told in NULLS or told in {text.strip().lower() for text in column.nulls}


def _written(value: float) -> str:
    """A number as a cell writes it."""
    return str(int(value)) if type(value) is int or (isfinite(value) and value == int(value)) else repr(value)


def _number(value: Any, _column: Column, _moment: datetime) -> float:
    if type(value) in (int, float):
        try:
            if isfinite(value):
                return float(value)
        except OverflowError:
            pass
    raise ValueError("must be a finite number")


def _boolean(value: Any, _column: Column, _moment: datetime) -> float:
    if type(value) in (bool, int, float) and value in (0, 1):
        return float(value)
    if type(value) is str:
        text = value.strip().lower()
        if text in TRUE or text in FALSE:
            return float(text in TRUE)
    raise ValueError("must be true or false (or 1, 0, yes, no)")


def _text(value: Any, _column: Column, _moment: datetime) -> str:
    if type(value) is int or (type(value) is float and isfinite(value)):
        value = _written(value)
    if type(value) is not str:
        raise ValueError("must be text")
    told: str = value.strip()
    return told


def _date(value: Any, column: Column, moment: datetime) -> float | None:
    if type(value) is not str:
        raise ValueError("must be a date as text, such as 2026-03-02")
    read = cells(column, pl.Series([value]))
    if read.problems:
        raise ValueError(read.problems[0][1])
    return days_before(read.values, pl.Series([moment], dtype=INSTANT))[0]  # type: ignore[no-any-return]


_READ = {"number": _number, "boolean": _boolean, "text": _text, "date": _date}
