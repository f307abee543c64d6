"""Histories out of the store, whole, for some accounts, or chunk by chunk of the portfolio."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.history import TABLES, History
from models.store import bulk
from models.store.tables import CONTRACT
from models.store.types import TEXT

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
    condition = None if account_ids is None else list(account_ids)
    frames = {name: bulk.select(conn, _about(conn, name, condition)) for name in TABLES}
    return History.from_frames(frames, delay, observed_from)


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
    for low, high in _ranges(conn, chunk_accounts):
        frames = {name: bulk.select(conn, _between(name, low, high)) for name in TABLES}
        yield History.from_frames(frames, delay, observed_from)


def observed_from(conn: Connection, as_of: datetime) -> dict[str, datetime]:
    """Since when each table's source has been watched, as known at `as_of`: its earliest row known by then.

    A table without such a row is absent.
    """
    found = {name: _first_known(conn, name, as_of) for name in TABLES}
    return {name: moment for name, moment in found.items() if moment is not None}


def freshness(conn: Connection) -> dict[str, Freshness]:
    """Per contract table, how far its rows reach. Reads the ends of two indexes per table."""
    return {name: Freshness(_latest(conn, name, "recorded_at"), _latest_happened(conn, name)) for name in TABLES}


def _columns(name: str) -> list[sa.Column[Any]]:
    unread = UNREAD.get(name, frozenset())
    return [column for column in CONTRACT[name].columns if column.name not in unread]


def _about(conn: Connection, name: str, account_ids: list[str] | None) -> sa.Select[Any]:
    query = sa.select(*_columns(name))
    if account_ids is None:
        return query
    # One parameter however many accounts: no limit on parameters, no statement per number of them.
    if conn.dialect.name == "postgresql":
        wanted = sa.select(sa.cast(sa.func.json_array_elements_text(sa.cast(json.dumps(account_ids), sa.JSON)), TEXT))
    else:
        wanted = sa.select(sa.func.json_each(json.dumps(account_ids)).table_valued("value").c.value)
    return query.where(CONTRACT[name].c.account_id.in_(wanted))


def _between(name: str, low: str | None, high: str | None) -> sa.Select[Any]:
    query = sa.select(*_columns(name))
    account_id = CONTRACT[name].c.account_id
    if low is not None:
        query = query.where(account_id >= low)
    if high is not None:
        query = query.where(account_id < high)
    return query


def _ranges(conn: Connection, chunk_accounts: int) -> list[tuple[str | None, str | None]]:
    """Half-open ranges of account ids that cover every text, with at most `chunk_accounts` described accounts."""
    accounts = CONTRACT["accounts"]
    number = sa.func.row_number().over(order_by=accounts.c.account_id).label("number")
    numbered = sa.select(accounts.c.account_id, number).subquery()
    firsts = sa.select(numbered.c.account_id).where(numbered.c.number % chunk_accounts == 1)
    edges = conn.scalars(firsts.order_by(numbered.c.account_id)).all()[1:]
    return list(zip([None, *edges], [*edges, None], strict=True))


def _first_known(conn: Connection, name: str, as_of: datetime) -> datetime | None:
    """The earliest happened-at among rows known by as_of: the index is walked from its start to the first hit."""
    stored = CONTRACT[name]
    found = []
    earlier: list[sa.ColumnElement[bool]] = []
    for happened in TABLES[name].happened:
        column = stored.c[happened]
        query = (
            sa.select(column).where(*earlier, column < as_of, stored.c.recorded_at <= as_of).order_by(column).limit(1)
        )
        found.append(conn.scalar(query))
        earlier.append(column.is_(None))
    return min((moment for moment in found if moment is not None), default=None)


def _latest(conn: Connection, name: str, column: str) -> datetime | None:
    moment: datetime | None = conn.scalar(sa.select(sa.func.max(CONTRACT[name].c[column])))
    return moment


def _latest_happened(conn: Connection, name: str) -> datetime | None:
    found = [_latest(conn, name, happened) for happened in TABLES[name].happened]
    return max((moment for moment in found if moment is not None), default=None)
