"""How a table of the data contract is declared: columns with a type, a meaning and a rule.

One declaration serves the CSV reader, the API schemas, the store's tables and the documentation,
so they cannot disagree.
"""

from dataclasses import dataclass
from enum import StrEnum

import polars as pl

from models.clock import INSTANT


class Type(StrEnum):
    """What a cell holds. `ID`: opaque text of 1-128 characters, compared exactly."""

    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TIME = "time"


DTYPES: dict[Type, pl.DataType] = {
    Type.ID: pl.String(),
    Type.TEXT: pl.String(),
    Type.NUMBER: pl.Float64(),
    Type.INTEGER: pl.Int64(),
    Type.BOOLEAN: pl.Boolean(),
    Type.TIME: INSTANT,
}


@dataclass(frozen=True)
class Column:
    """One column of the contract. `minimum` is inclusive; `choices`, when given, are the only values."""

    name: str
    type: Type
    meaning: str
    required: bool = False
    minimum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One table of the contract.

    `key` identifies a row for upserts; `happened` names the column (or, in order, columns) that says when
    the row came to be; rows without any of them are refused.
    """

    name: str
    key: tuple[str, ...]
    happened: tuple[str, ...]
    columns: tuple[Column, ...]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in contract order."""
        return tuple(column.name for column in self.columns)

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Column name -> Polars type, in contract order."""
        return {column.name: DTYPES[column.type] for column in self.columns}

    def empty(self) -> pl.DataFrame:
        """The table with no rows."""
        return pl.DataFrame(schema=self.schema)


def ident(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Type.ID, meaning, required)


def text(name: str, meaning: str, *choices: str, required: bool = False) -> Column:
    return Column(name, Type.TEXT, meaning, required, choices=choices)


def number(name: str, meaning: str, minimum: float | None = None, *, required: bool = False) -> Column:
    return Column(name, Type.NUMBER, meaning, required, minimum)


def integer(name: str, meaning: str, minimum: float | None = 0) -> Column:
    return Column(name, Type.INTEGER, meaning, minimum=minimum)


def boolean(name: str, meaning: str) -> Column:
    return Column(name, Type.BOOLEAN, meaning)


def time(name: str, meaning: str, *, required: bool = False) -> Column:
    return Column(name, Type.TIME, meaning, required)


RECORDED = time(
    "recorded_at",
    "known-at: when this system or the source's log first held the row; null: the happened-at plus the source's delay",
)
UPDATED = time("updated_at", "last change")
