"""Histories out of the store, whole, for some accounts, or chunk by chunk of the portfolio."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.history import TABLES, History
from models.store import bulk
from models.store.among import among, wanted
from models.store.tables import CONTRACT

#: Columns that stay in the store: no feature, label or report reads them.
UNREAD = {"surveys": frozenset({"comment"})}

CHUNK_ACCOUNTS = 100_000


@dataclass(frozen=True)
class Freshness:
    """How far a table reaches: the latest `recorded_at` and the latest happened-at; None while it is empty."""

    recorded_at: datetime | None
    happened_at: datetime | None


def read_history(
    conn: Connection,
    account_ids: Sequence[str] | None = None,
    *,
    delay: timedelta = timedelta(0),
    observed_from: Mapping[str, datetime] | None = None,
) -> History:
    """Everything stored about these accounts (None: about everybody, orphans included).

    For some of many accounts give the portfolio's `observed_from`; see `History`. Survey comments stay in the
    store: the column is there and null.
    """
    if account_ids is None:
        return read_range(conn, None, None, delay=delay, observed_from=observed_from)
    dialect, ids = conn.dialect.name, wanted(conn, account_ids)
    frames = {name: bulk.select(conn, _about(dialect, name), _schema(name), ids) for name in TABLES}
    return _history(frames, delay, observed_from)


def read_range(
    conn: Connection,
    low: str | None,
    high: str | None,
    *,
    delay: timedelta = timedelta(0),
    observed_from: Mapping[str, datetime] | None = None,
) -> History:
    """Everything stored about account ids from `low` up to but without `high`; None: without end."""
    frames = {name: bulk.select_many(conn, _between(name, low, high), _schema(name)) for name in TABLES}
    return _history(frames, delay, observed_from)


def read_histories(
    conn: Connection,
    chunk_accounts: int = CHUNK_ACCOUNTS,
    *,
    delay: timedelta = timedelta(0),
    observed_from: Mapping[str, datetime] | None = None,
) -> Iterator[History]:
    """The whole store in parts of `chunk_accounts` accounts, in order of account id.

    Every stored row is in exactly one part, rows of orphans in that of their neighbours. To see one moment
    while others write, read inside `models.store.engine.reading`.
    """
    for low, high in account_ranges(conn, chunk_accounts):
        yield read_range(conn, low, high, delay=delay, observed_from=observed_from)


def account_ranges(conn: Connection, chunk_accounts: int = CHUNK_ACCOUNTS) -> list[tuple[str | None, str | None]]:
    """Half-open ranges of account ids that together cover every id, each with `chunk_accounts` accounts at most."""
    accounts = CONTRACT["accounts"]
    number = sa.func.row_number().over(order_by=accounts.c.account_id).label("number")
    numbered = sa.select(accounts.c.account_id, number).subquery()
    firsts = sa.select(numbered.c.account_id).where((numbered.c.number - 1) % chunk_accounts == 0)
    edges = conn.scalars(firsts.order_by(numbered.c.account_id)).all()[1:]
    return list(zip([None, *edges], [*edges, None], strict=True))


def observed_from(conn: Connection, as_of: datetime) -> dict[str, datetime]:
    """Since when each table's source has been watched, as known at `as_of`: its earliest row known by then.

    A table without such a row is absent.
    """
    found = {name: _first_known(conn, name, as_of) for name in TABLES}
    return {name: moment for name, moment in found.items() if moment is not None}


def freshness(conn: Connection) -> dict[str, Freshness]:
    """Per contract table, how far its rows reach. Reads the ends of two indexes per table."""
    return {name: Freshness(_latest(conn, name, "recorded_at"), _latest_happened(conn, name)) for name in TABLES}


def _history(
    frames: Mapping[str, pl.DataFrame], delay: timedelta, observed_from: Mapping[str, datetime] | None
) -> History:
    # Most accounts have no outreach, no measures: an absent table is cheaper than an empty one.
    return History.from_frames({name: frame for name, frame in frames.items() if frame.height}, delay, observed_from)


@cache
def _schema(name: str) -> dict[str, pl.DataType]:
    """The columns read, in table order."""
    unread = UNREAD.get(name, frozenset())
    return {column: dtype for column, dtype in TABLES[name].schema.items() if column not in unread}


def _read(name: str) -> sa.Select[Any]:
    return sa.select(*(CONTRACT[name].c[column] for column in _schema(name)))


@cache
def _about(dialect: str, name: str) -> sa.Select[Any]:
    return _read(name).where(among(dialect, CONTRACT[name].c.account_id))


def _between(name: str, low: str | None, high: str | None) -> sa.Select[Any]:
    return _read(name).where(*within(CONTRACT[name].c.account_id, low, high))


def within(account_id: sa.Column[Any], low: str | None, high: str | None) -> list[sa.ColumnElement[bool]]:
    """The conditions of an id being in [low, high); None: without end."""
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if low is not None:
        conditions.append(account_id >= low)
    if high is not None:
        conditions.append(account_id < high)
    return conditions


def _first_known(conn: Connection, name: str, as_of: datetime) -> datetime | None:
    found = [conn.scalar(query) for query in _first_known_queries(name, as_of)]
    return min((moment for moment in found if moment is not None), default=None)


def _first_known_queries(name: str, as_of: datetime) -> list[sa.Select[Any]]:
    """The earliest happened-at among rows known by as_of, per column that may say it.

    Each walks an index in order of that column up to the first hit.
    """
    stored = CONTRACT[name].c
    queries = []
    columns = [stored[happened] for happened in TABLES[name].happened]
    for i, column in enumerate(columns):
        absent = (other.is_(None) for other in columns[:i])
        known = sa.select(column).where(*absent, column < as_of, stored.recorded_at <= as_of)
        # PostgreSQL does not see that an absent column leaves the order alone unless it is part of it.
        queries.append(known.order_by(*columns[: i + 1]).limit(1))
    return queries


def _latest(conn: Connection, name: str, column: str) -> datetime | None:
    moment: datetime | None = conn.scalar(sa.select(sa.func.max(CONTRACT[name].c[column])))
    return moment


def _latest_happened(conn: Connection, name: str) -> datetime | None:
    found = [_latest(conn, name, happened) for happened in TABLES[name].happened]
    return max((moment for moment in found if moment is not None), default=None)
