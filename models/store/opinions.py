"""Sentiment: how managers feel about their accounts, every view that was given kept."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from models.store import bulk
from models.store.books import EVERYBODY, Book, inside
from models.store.tables import sentiments
from models.store.types import schema

_COLUMNS = sentiments.c


@dataclass(frozen=True)
class Sentiment:
    """A manager's view of an account at a moment, from 1 to 5 (docs/api.md). `set_by`: the key it came with."""

    account_id: str
    at: datetime
    sentiment: int
    who: str
    note: str | None
    set_by: str


def put_sentiment(conn: Connection, given: Sentiment) -> bool:
    """Keep a view; one of the same account and moment is replaced. Gives whether it is the account's first."""
    first = sentiment(conn, given.account_id) is None
    make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    insert = make(sentiments).values(vars(given))
    conn.execute(insert.on_conflict_do_update(index_elements=["account_id", "at"], set_=vars(given)))
    return first


def sentiment(conn: Connection, account_id: str) -> Sentiment | None:
    """The latest view of an account, if there is any."""
    columns = (_COLUMNS[name] for name in Sentiment.__dataclass_fields__)
    query = sa.select(*columns).where(_COLUMNS.account_id == account_id).order_by(_COLUMNS.at.desc()).limit(1)
    row = conn.execute(query).one_or_none()
    return None if row is None else Sentiment(*row)


def latest_since(conn: Connection, since: datetime, book: Book = EVERYBODY) -> pl.DataFrame:
    """The latest view of each account that is not older than `since`: the columns of `Sentiment`."""
    query = sa.select(*sentiments.columns).where(_COLUMNS.at >= since, *inside(book, _COLUMNS.account_id))
    found = bulk.select(conn, query, schema(sentiments))
    return found.sort("account_id", "at").unique("account_id", keep="last", maintain_order=True)
