"""Rows of JSON against a table of the contract, by the rules that files are checked with, columns at a time.

JSON has types where a file has text, so a member of the wrong kind is refused before the common rules apply:

    {"interaction_id": 7, ...}            must be text
    {"reopens": "2", ...}                 read as in a file: 2
    {"opened_at": "2026-03-02T08:00"}     has no offset; ...   (the common rules)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from models.columns import Column, Table, Type
from models.imports.check import check
from models.imports.convert import convert
from models.imports.read import FILE, LINE, Raw
from models.surveys import INSTRUMENTS, SURVEYS

_LARGEST = 2**63 - 1
_TEXTUAL = (Type.ID, Type.TEXT, Type.TIME)
_NOUNS = {Type.BOOLEAN: "true or false", Type.NUMBER: "a number", Type.INTEGER: "a whole number"}


@dataclass(frozen=True)
class Fault:
    """What is wrong with a cell; `column` is empty where it is the row as a whole."""

    row: int
    column: str
    code: str
    message: str


@dataclass(frozen=True)
class Rows:
    """Accepted rows (contract columns), the number of each among those given, the faults of the others in order, and
    the members that were passed over because the contract has no such column."""

    frame: pl.DataFrame
    numbers: pl.Series
    faults: list[Fault]
    unknown: list[str]


def check_rows(table: Table, rows: Sequence[Any], latest: datetime | None = None) -> Rows:
    """Check rows (dicts) of a table; absent and null members are unknown. A bad row never stops a good one.

    What happened later than `latest` is refused.
    """
    faults = [Fault(i, "", "invalid", "must be an object") for i, row in enumerate(rows) if type(row) is not dict]
    wrong = {fault.row for fault in faults}
    numbers = [i for i in range(len(rows)) if i not in wrong] if wrong else list(range(len(rows)))
    given = [rows[i] for i in numbers] if wrong else rows
    names = set().union(*given)
    columns = [_series(column, given, numbers, faults) for column in table.columns if column.name in names]
    if table is SURVEYS:
        columns = _whole_scales(columns, numbers, faults)
    places = [pl.Series(FILE, [""] * len(numbers), pl.Categorical), pl.Series(LINE, numbers, pl.Int64)]
    checked = check(Raw(pl.DataFrame([*columns, *places]), tuple(sorted(names))), table, latest=latest)
    bad = {fault.row for fault in faults}
    faults += [fault for fault in _problems(checked.problems) if fault.row not in bad]
    faults += _blank(checked.frame[LINE], faults, numbers, table)
    frame = checked.frame if not bad else checked.frame.filter(~pl.col(LINE).is_in(sorted(bad)))
    unknown = sorted(str(name) for name in names - set(table.names))
    return Rows(frame.select(table.names), frame[LINE], sorted(faults, key=lambda fault: fault.row), unknown)


def _whole_scales(columns: list[pl.Series], numbers: list[int], faults: list[Fault]) -> list[pl.Series]:
    """Of an instrument nobody knows, one end of the scale says nothing about a score: both, or neither."""
    cells = {column.name: column for column in columns}
    if not {"scale_min", "scale_max"} & set(cells):
        return columns
    nothing = pl.Series([None] * len(numbers), dtype=pl.Float64)
    low, high = (
        convert(SURVEYS[name], cells[name]).values if name in cells else nothing for name in ("scale_min", "scale_max")
    )
    instrument = cells.get("instrument", nothing.cast(pl.String))
    half = (low.is_null() != high.is_null()) & ~instrument.is_in(list(INSTRUMENTS)).fill_null(value=False)
    if not half.any():
        return columns
    for number, lacks_low in zip(pl.Series(numbers).filter(half), low.is_null().filter(half), strict=True):
        lacking = "scale_min" if lacks_low else "scale_max"
        faults.append(Fault(number, lacking, "required", "is required: this instrument has no usual scale"))
    whole = pl.Series([None] * len(numbers), dtype=pl.Float64)
    return [
        column.zip_with(~half, whole.cast(column.dtype)) if column.name in ("scale_min", "scale_max") else column
        for column in columns
    ]


def _problems(problems: pl.DataFrame) -> list[Fault]:
    return [
        Fault(line, column, "required" if reason == "is required" else "invalid", reason)
        for line, column, reason in problems.select("line", "column", "reason").iter_rows()
    ]


def _blank(accepted: pl.Series, faults: list[Fault], numbers: list[int], table: Table) -> list[Fault]:
    """Rows without a single known value: a file may end in such lines, a caller means something by them."""
    if len(accepted) == len(numbers):
        return []
    told = {fault.row for fault in faults} | set(accepted)
    return [Fault(i, table.key[0], "required", "is required") for i in numbers if i not in told]


def _series(column: Column, rows: Sequence[dict[str, Any]], numbers: list[int], faults: list[Fault]) -> pl.Series:
    """The column's cells in a type the common rules read; cells of a wrong kind are faults, and null."""
    name = column.name
    cells = [row.get(name) for row in rows]
    kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {str}:
        return pl.Series(name, cells, pl.String)
    if column.type in _TEXTUAL:
        return pl.Series(name, _only(cells, str, "must be text", name, numbers, faults), pl.String)
    if column.type is Type.BOOLEAN and kinds == {bool}:
        return pl.Series(name, cells, pl.Boolean)
    if kinds <= {int, float} and column.type is not Type.BOOLEAN:
        return _numbers(name, cells, numbers, faults)
    return _mixed(column, cells, numbers, faults)


def _only(cells: list[Any], kind: type, reason: str, name: str, numbers: list[int], faults: list[Fault]) -> list[Any]:
    kept = []
    for number, cell in zip(numbers, cells, strict=True):
        fits = cell is None or type(cell) is kind
        if not fits:
            faults.append(Fault(number, name, "invalid", reason))
        kept.append(cell if fits else None)
    return kept


def _numbers(name: str, cells: list[Any], numbers: list[int], faults: list[Fault]) -> pl.Series:
    for i, cell in enumerate(cells):
        if type(cell) is int and abs(cell) > _LARGEST:
            faults.append(Fault(numbers[i], name, "invalid", "is too large"))
            cells[i] = None
    whole = all(type(cell) is not float for cell in cells)
    return pl.Series(name, cells, pl.Int64 if whole else pl.Float64, strict=False)


def _mixed(column: Column, cells: list[Any], numbers: list[int], faults: list[Fault]) -> pl.Series:
    """Cells of several kinds as text, which the common rules read as they read a file."""
    kinds = (bool, str, int) if column.type is Type.BOOLEAN else (int, float, str)
    for i, cell in enumerate(cells):
        if cell is None or type(cell) is str:
            continue
        if type(cell) in kinds:
            cells[i] = str(cell).lower() if type(cell) is bool else repr(cell)
        else:
            faults.append(Fault(numbers[i], column.name, "invalid", f"must be {_NOUNS[column.type]}"))
            cells[i] = None
    return pl.Series(column.name, cells, pl.String)
