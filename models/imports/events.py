"""Event logs: many rows about one thing, in order, become one row about it.

Worked example, ordered by `at`, one row per `number`:
    number  state     reopen_count  at
    N1      New       0             08:00
    N1      Resolved  0             09:00
    N1      Active    1             10:00
    N1      Closed    1             12:00
A cell takes the last row's value (Closed) unless it says otherwise:
    { from = "at", take = "first", when = { is_not = { state = "New" } } }    09:00
    { from = "at", when = { grew = "reopen_count" } }                         10:00
"""

import polars as pl

from models.imports.convert import known
from models.imports.source import Cell, When

_NUMBER = r"^\s*(-?\d+(?:\.\d+)?)"


def collapse(
    frame: pl.DataFrame, per: str, cells: dict[str, tuple[Cell, pl.Expr]], keep: tuple[str, ...]
) -> pl.DataFrame:
    """One row per value of `per`, in order of first appearance.

    `frame` is sorted: rows of one thing together and in their order. `cells`: name -> what to take, and the
    expression of the cell on each event row. `keep` are columns kept from the last row.
    """
    taken = [_take(cell, value).alias(name) for name, (cell, value) in cells.items()]
    last = [pl.col(name).last() for name in keep]
    return frame.group_by(pl.col(per).alias("\x00per"), maintain_order=True).agg(*taken, *last)


def _take(cell: Cell, value: pl.Expr) -> pl.Expr:
    if cell.take == "count":
        return _counted(cell, value).cast(pl.String)
    if cell.when:
        value = value.filter(holds(cell.when))
    if cell.take == "first":
        return value.first()
    if cell.take in ("min", "max"):
        at = _number(value).arg_min() if cell.take == "min" else _number(value).arg_max()
        return value.get(at, null_on_oob=True)
    return value.last()


def _counted(cell: Cell, value: pl.Expr) -> pl.Expr:
    """How many events; of a column (`from`) how many different cells, as a history tells of one thing many times."""
    if cell.source is None:
        return holds(cell.when).sum() if cell.when else pl.len()
    value = known(value.cast(pl.String), frozenset())
    return (value.filter(holds(cell.when)) if cell.when else value).drop_nulls().n_unique()


def _number(value: pl.Expr) -> pl.Expr:
    """The number a cell begins with: 3 of `3 - Moderate`."""
    return value.cast(pl.String).str.extract(_NUMBER, 1).cast(pl.Float64)


def holds(conditions: tuple[When, ...]) -> pl.Expr:
    """Whether any of the conditions holds on a row, with all that must hold besides."""
    each = (pl.all_horizontal(*(_holds(part).fill_null(False) for part in (one, *one.also))) for one in conditions)
    return pl.any_horizontal(*each)


def _holds(when: When) -> pl.Expr:
    """Whether the condition holds on an event row; before is the row before of the same thing."""
    column = pl.col(when.column)
    if when.kind in ("grew", "fell"):
        change = _number(column) - _number(column.shift(1))
        return change > 0 if when.kind == "grew" else change < 0
    if when.kind == "at_least":
        return _number(column) >= when.bound
    text = column.cast(pl.String).str.strip_chars()
    if when.kind in ("known", "changed"):
        return known(text, frozenset()).is_not_null() if when.kind == "known" else text != text.shift(1)
    inside = text.is_in(list(when.values)).fill_null(False)
    if when.kind == "leaves":
        return ~inside & inside.shift(1).fill_null(False)
    if when.kind in ("becomes", "moves_to"):
        begins = inside & ~inside.shift(1).fill_null(False)
        return begins if when.kind == "becomes" else begins & (text.shift(1) != "")
    return inside if when.kind == "is" else ~inside
