"""How values lie in the database, and how they look in frames.

An instant is a BIGINT: microseconds since 1970, UTC, in both databases. Every microsecond survives, order and
ranges are integer order and ranges, an index entry costs eight bytes, and a column of a million of them
becomes a Polars column without making a million `datetime` objects (docs/store.md has the measurement).

Text is compared byte by byte in both databases (`COLLATE "C"` in PostgreSQL, BINARY in SQLite), so ranges of
ids and ties by account id come out in the same order everywhere, in Python and Polars too.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Dialect

from models.clock import INSTANT
from models.columns import Type
from models.errors import NaiveTime

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly. Raises `NaiveTime` for a moment without an offset."""
    if moment.tzinfo is None:
        raise NaiveTime(f"{moment.isoformat()} has no offset; the store keeps instants only.")
    return (moment - EPOCH) // MICROSECOND


def from_micros(micros: int) -> datetime:
    """The instant, UTC, that lies this many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Instant(sa.types.TypeDecorator[datetime]):
    """A `datetime` with an offset, kept as BIGINT microseconds UTC."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_micros(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_micros(value)


TEXT = sa.Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
#: SQLite numbers rows by itself only under the exact name INTEGER.
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SQL_TYPES: dict[Type, sa.types.TypeEngine[Any]] = {
    Type.ID: TEXT,
    Type.TEXT: TEXT,
    Type.NUMBER: sa.Double(),
    Type.INTEGER: sa.BigInteger(),
    Type.BOOLEAN: sa.Boolean(),
    Type.TIME: Instant(),
}

_DTYPES: tuple[tuple[type[sa.types.TypeEngine[Any]], pl.DataType], ...] = (
    (Instant, INSTANT),
    (sa.Boolean, pl.Boolean()),
    (sa.Double, pl.Float64()),
    (sa.Integer, pl.Int64()),
    (sa.LargeBinary, pl.Binary()),
    (sa.Text, pl.String()),
)


def dtype(column: sa.ColumnElement[Any]) -> pl.DataType:
    """The Polars type of a column of the store."""
    return next(found for kind, found in _DTYPES if isinstance(column.type, kind))


def schema(table: sa.Table) -> dict[str, pl.DataType]:
    """Column name -> Polars type, in table order."""
    return {column.name: dtype(column) for column in table.columns}
