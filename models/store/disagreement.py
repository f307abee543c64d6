"""Disagreements among the accounts somebody has a view of, and those whose terms changed: never the whole portfolio.

Both begin at a range of an index (views by when they were held, contracts by when they took effect), so the cost is
that of the views and changes of the last 90 days, however many accounts there are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.disagreement import TERMS, VIEW_DAYS, by_sentiment, by_terms, gaps
from models.store import bulk, opinions
from models.store.among import among, wanted
from models.store.books import Book, inside
from models.store.scores import StoredScore, latest_of
from models.store.tables import CONTRACT, latest_scores

_SHOWN = ("account_id", "name", "owner", "segment", "region", "mrr", "currency")


@dataclass(frozen=True)
class Found:
    """`count` disagreements in all, and the first of them: rows of account, view and gap, and the scores behind."""

    count: int
    rows: list[dict[str, Any]]
    scores: dict[str, StoredScore]


def disagreements(
    conn: Connection,
    now: datetime,
    limit: int,
    books: tuple[Book, ...],
    source: str | None = None,
    direction: str | None = None,
) -> Found:
    """The widest disagreements among the accounts that are in all the books; `source`, `direction`: only those."""
    since = now - timedelta(days=VIEW_DAYS)
    views = opinions.latest_since(conn, since, books[0])
    said = [] if source == "commercial" else [by_sentiment(views)]
    said += [] if source == "sentiment" else [by_terms(_terms(conn, since, now, books[0]))]
    told = pl.concat(said, how="diagonal")
    ids = _within(conn, told["account_id"].unique().to_list(), books)
    mine = latest_scores.c
    asked = sa.select(mine.account_id, mine.health).where(among(conn.dialect.name, mine.account_id))
    found = gaps(told, bulk.select(conn, asked, None, wanted(conn, ids)))
    if direction is not None:
        found = found.filter(pl.col("direction") == direction)
    first = found.head(limit)
    accounts = CONTRACT["accounts"].c
    shown = sa.select(*(accounts[name] for name in _SHOWN)).where(among(conn.dialect.name, accounts.account_id))
    page = first["account_id"].unique().to_list()
    named = first.join(
        bulk.select(conn, shown, None, wanted(conn, page)), on="account_id", how="left", maintain_order="left"
    )
    held = views.select("account_id", "sentiment", "who", "note", "at")
    rows = named.join(held, on="account_id", how="left", maintain_order="left").to_dicts()
    return Found(found.height, rows, latest_of(conn, page))


def _within(conn: Connection, ids: list[str], books: tuple[Book, ...]) -> list[str]:
    """Those of the accounts that are in all the books."""
    if not any(book.restricted for book in books):
        return ids
    account_id = CONTRACT["accounts"].c.account_id
    both = [condition for book in books for condition in inside(book, account_id)]
    query = sa.select(account_id).where(among(conn.dialect.name, account_id), *both)
    return list(conn.scalars(query, wanted(conn, ids)))


def _terms(conn: Connection, since: datetime, now: datetime, book: Book) -> pl.DataFrame:
    """The terms before and after the changes since a moment: account_id, <term>_before, <term>_after."""
    contracts = CONTRACT["contracts"].c
    mine = inside(book, contracts.account_id)
    lately = sa.select(contracts.account_id).distinct()
    lately = lately.where(contracts.effective_at > since, contracts.effective_at <= now, *mine)
    ids = list(conn.scalars(lately))
    columns = (contracts.account_id, contracts.effective_at, *(contracts[name] for name in TERMS))
    query = sa.select(*columns).where(among(conn.dialect.name, contracts.account_id), contracts.effective_at <= now)
    rows = bulk.select(conn, query, None, wanted(conn, ids)).sort("account_id", "effective_at")
    before = pl.col("effective_at") <= since
    return rows.group_by("account_id", maintain_order=True).agg(
        *(pl.col(name).filter(before).drop_nulls().last().alias(f"{name}_before") for name in TERMS),
        *(pl.col(name).filter(~before).drop_nulls().last().alias(f"{name}_after") for name in TERMS),
    )
