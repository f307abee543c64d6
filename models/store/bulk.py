"""Frames into and out of the database, a column at a time where the driver allows it.

PostgreSQL speaks CSV through COPY, which Polars reads and writes natively: no Python object per value. Nulls,
empty strings and every bit of a float survive (NULL is `\\N` unquoted on the way in and an unquoted empty field
on the way out; floats are printed shortest-exact on both sides; blobs travel as hexadecimal). SQLite takes and
gives tuples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.clock import INSTANT
from models.errors import ContractError
from models.store import types
from models.store.engine import unusable

Schema = Mapping[str, pl.DataType]

#: Rows fetched from SQLite between two conversions to columns.
_FETCH = 50_000


def append(conn: Connection, table: sa.Table, frame: pl.DataFrame) -> None:
    """Insert the frame's rows; columns are matched by name and the table's others are left to their default.

    Raises `ContractError` for text that holds a NUL character, which no database keeps.
    """
    if frame.is_empty():
        return
    raw = _raw(frame)
    if conn.dialect.name == "postgresql":
        _copy_in(conn, table, raw)
    else:
        marks = ", ".join("?" * raw.width)
        statement = f"INSERT INTO {_target(conn, table, raw.columns)} VALUES ({marks})"  # noqa: S608 - our own names
        conn.exec_driver_sql(statement, raw.rows())


def select(
    conn: Connection,
    query: sa.Select[Any],
    schema: Schema | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """The query's rows as a frame; unknown is null.

    `schema`: the names and types of the query's columns in order; None: as the query has them, which takes
    a little longer to find out than a small query takes to run.
    """
    schema = schema or {column.name: types.dtype(column) for column in query.selected_columns}
    # The driver's own cursor: its tuples hold plain integers where SQLAlchemy would make a datetime of each.
    cursor: Any = conn.execute(query, parameters or {}).cursor
    parts = [_columns(rows, schema) for rows in _batches(cursor, _FETCH)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def select_many(conn: Connection, query: sa.Select[Any], schema: Schema) -> pl.DataFrame:
    """The same for many rows: slower to begin than `select`, faster by the row in PostgreSQL."""
    many = _copy_out if conn.dialect.name == "postgresql" else select
    return many(conn, query, schema)


@contextmanager
def _copying(conn: Connection, statement: str, parameters: Mapping[str, Any] | None = None) -> Iterator[Any]:
    """psycopg's own COPY, in SQLAlchemy's transaction and with its errors in the store's words."""
    if not conn.in_transaction():
        conn.begin()
    cursor: Any = conn.connection.cursor()
    try:
        with cursor, cursor.copy(statement, parameters) as copy:
            yield copy
    except conn.dialect.loaded_dbapi.OperationalError as error:
        raise unusable(error) from error


def _raw(frame: pl.DataFrame) -> pl.DataFrame:
    """Values as the driver takes them: instants as integers, NaN (which means nothing in the contract) as null."""
    _refuse_nul(frame)
    instants = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    return frame.with_columns(pl.col(instants).cast(INSTANT).cast(pl.Int64), pl.col(pl.Float64).fill_nan(None))


def _refuse_nul(frame: pl.DataFrame) -> None:
    found = frame.select(pl.col(pl.String).str.contains("\0", literal=True).any())
    if found.width and any(found.row(0)):
        name = next(name for name, bad in zip(found.columns, found.row(0), strict=True) if bad)
        raise ContractError(f"Column {name!r} holds a NUL character, which cannot be stored; remove it.")


def _target(conn: Connection, table: sa.Table, columns: Sequence[str]) -> str:
    quote = conn.dialect.identifier_preparer.quote
    return f"{quote(table.name)} ({', '.join(map(quote, columns))})"


def _copy_in(conn: Connection, table: sa.Table, raw: pl.DataFrame) -> None:
    blobs = [name for name, dtype in raw.schema.items() if dtype == pl.Binary]
    hexadecimal = (pl.lit("\\x") + pl.col(name).bin.encode("hex") for name in blobs)
    text = raw.with_columns(**dict(zip(blobs, hexadecimal, strict=True))).write_csv(
        include_header=False, quote_style="non_numeric", null_value="\\N"
    )
    statement = f"COPY {_target(conn, table, raw.columns)} FROM STDIN (FORMAT csv, NULL '\\N')"
    with _copying(conn, statement) as copy:
        copy.write(text)


def _copy_out(conn: Connection, query: sa.Select[Any], schema: Schema) -> pl.DataFrame:
    numeric = query.with_only_columns(
        *(
            sa.cast(column, sa.Integer).label(name) if dtype == pl.Boolean else column
            for (name, dtype), column in zip(schema.items(), query.selected_columns, strict=True)
        ),
        maintain_column_froms=True,
    )
    compiled = numeric.compile(dialect=conn.dialect, compile_kwargs={"render_postcompile": True})
    values = {
        name: types.to_micros(value) if isinstance(value, datetime) else value
        for name, value in compiled.construct_params().items()
    }
    with _copying(conn, f"COPY ({compiled}) TO STDOUT (FORMAT csv)", values) as copy:
        text = b"".join(bytes(block) for block in copy)
    integers = {name: pl.Int64() for name, dtype in schema.items() if dtype in (INSTANT, pl.Boolean)}
    blobs = {name: pl.String() for name, dtype in schema.items() if dtype == pl.Binary}
    wire = dict(schema) | integers | blobs
    frame = pl.read_csv(text, has_header=False, schema=wire, raise_if_empty=False)
    bits = {name: pl.col(name).str.slice(len("\\x")).str.decode("hex") for name in blobs}
    return frame.with_columns(**bits).cast({name: schema[name] for name in integers})


def _batches(rows: Iterable[tuple[Any, ...]], size: int) -> Iterable[list[tuple[Any, ...]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def _columns(rows: list[tuple[Any, ...]], schema: Schema) -> pl.DataFrame:
    values = zip(*rows, strict=True)
    return pl.DataFrame(
        [_series(name, dtype, column) for (name, dtype), column in zip(schema.items(), values, strict=True)]
    )


def _series(name: str, dtype: pl.DataType, values: tuple[Any, ...]) -> pl.Series:
    if dtype == pl.Boolean:  # SQLite has 0 and 1
        return pl.Series(name, values).cast(dtype)
    if dtype == INSTANT:
        return pl.Series(name, values, pl.Int64()).cast(INSTANT)
    return pl.Series(name, values, dtype)
