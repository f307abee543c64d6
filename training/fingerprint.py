"""What a model learnt from, as one number: SHA-256 over the content of tables, whatever the order of their rows.

    content_hash({"accounts": frame, ...})

    per table, by name      the name and the number of rows
    per column, by name     its name, its kind, which values are there, and the values of the rows in their order,
                            after all rows were sorted by all columns
    a value                 numbers as float64 (-0 as 0, every NaN alike), instants as microseconds since 1970 UTC, days
                            since 1970, booleans as bytes, texts as UTF-8 with their lengths

The same content read from CSV, from Parquet or from a database gives the same number, on every machine and with
every version of the libraries.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import polars as pl

from models.errors import ContractError
from models.history import TABLES, History


def history_hash(known: History) -> str:
    """SHA-256, in hexadecimal, of what the contract's tables hold; give what was known at the cutoff."""
    return content_hash({name: known.frame(name) for name in TABLES})


def content_hash(tables: Mapping[str, pl.DataFrame]) -> str:
    """SHA-256, in hexadecimal, of tables; the order of rows and columns does not count.

    Raises `ContractError` for a column of a type that has no values to hash (lists, structures, objects).
    """
    digest = hashlib.sha256()
    for name in sorted(tables):
        frame = tables[name]
        typed = frame.select(_canonical(frame, column) for column in sorted(frame.columns))
        _feed(digest, f"table {name} {typed.height}".encode())
        typed = typed.sort(typed.columns, nulls_last=True)
        for column in typed.iter_columns():
            _feed(digest, f"column {column.name} {_KINDS[column.dtype.base_type()]}".encode())
            _feed(digest, np.packbits(column.is_not_null().to_numpy()).tobytes())
            for part in _values(column):
                _feed(digest, part)
    return digest.hexdigest()


_KINDS: dict[type[pl.DataType], str] = {
    pl.Float64: "number",
    pl.Datetime: "instant",
    pl.Date: "day",
    pl.Boolean: "truth",
    pl.String: "text",
}


def _canonical(frame: pl.DataFrame, name: str) -> pl.Expr:
    """The column in one type per kind."""
    dtype, column = frame.schema[name], pl.col(name)
    if dtype.is_numeric() or dtype == pl.Null:
        number = column.cast(pl.Float64)
        return pl.when(number == 0).then(0.0).otherwise(number).alias(name)
    if isinstance(dtype, pl.Datetime):
        return column.cast(pl.Datetime("us", dtype.time_zone))
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype in (pl.Date, pl.Boolean, pl.String):
        return column
    raise ContractError(f"The column {name!r} holds values of type {dtype}, which a table to learn from cannot have.")


def _values(column: pl.Series) -> list[bytes]:
    """The values as bytes; those that are missing as zeros, which the bits of presence tell from real ones."""
    if column.dtype == pl.String:
        texts = column.fill_null("")
        return [texts.str.len_bytes().cast(pl.Int64).to_numpy().astype("<i8").tobytes(), "".join(texts).encode()]
    if column.dtype == pl.Float64:
        numbers = column.fill_null(0.0).to_numpy()
        return [np.where(np.isnan(numbers), np.nan, numbers).astype("<f8").tobytes()]
    whole = column.cast(pl.Int8) if column.dtype == pl.Boolean else column
    return [whole.to_physical().fill_null(0).to_numpy().astype("<i8").tobytes()]


def _feed(digest: "hashlib._Hash", part: bytes) -> None:
    """Add a part with its length, so that two parts never read as one."""
    digest.update(len(part).to_bytes(8, "little"))
    digest.update(part)
