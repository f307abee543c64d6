"""Rows of somebody who has a book: what of them he may write, decided in the transaction that writes them.

    A-7 is in the book, and stays                               upserted
    B-3 is not, whether it is somebody else's or nobody's       not_there
    A-7 with an owner who is not in the book                    leaves
    A-7 below B-3                                               no_parent

Nobody can move an account out of the book between the look and the write: in SQLite one writes at a time, and in
PostgreSQL the rows that were looked at are locked. A parent that he cannot see stays as it is.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.among import among, wanted
from models.store.books import Book, held
from models.store.engine import writing
from models.store.tables import BOOK, CONTRACT
from models.store.upsert import upsert_rows

#: What becomes of a row that he may not write.
NOT_THERE, LEAVES, NO_PARENT = "not_there", "leaves", "no_parent"

_accounts = CONTRACT["accounts"]


def upsert_within(
    target: Engine | Connection, table_name: str, frame: pl.DataFrame, book: Book, at: datetime | None = None
) -> pl.Series:
    """`upsert_rows` of those rows that the book allows; what became of each, refused ones included.

    Rows are whole: accounts have an owner, a segment and a parent, be they unknown.
    """
    if not book.restricted:
        return upsert_rows(target, table_name, frame, at=at)
    with writing(target) as conn:
        why = _refused(conn, book, table_name, frame)
        mine = frame.filter(why.is_null())
        if table_name == _accounts.name:
            mine = _below_the_same(conn, book, mine)
        done = iter(upsert_rows(conn, table_name, mine, at=at)) if mine.height else iter(())
    return pl.Series("outcome", [next(done) if refused is None else refused for refused in why], dtype=pl.String)


def hidden_parents(conn: Connection, book: Book, account_ids: Collection[str]) -> dict[str, str]:
    """Account id -> its parent, of those of the accounts that have one outside the book."""
    mine = sa.select(_accounts.c.account_id, _accounts.c.parent_id).where(
        among(conn.dialect.name, _accounts.c.account_id), _accounts.c.parent_id.is_not(None)
    )
    parents = {row.account_id: row.parent_id for row in conn.execute(mine, wanted(conn, account_ids))}
    there = held(conn, book, set(parents.values()))
    return {account_id: parent for account_id, parent in parents.items() if parent not in there}


def _refused(conn: Connection, book: Book, table_name: str, frame: pl.DataFrame) -> pl.Series:
    """Why each row is refused; null where it is not."""
    described = table_name == _accounts.name
    told = frame.select("account_id", *((*BOOK, "parent_id") if described else ())).to_dicts()
    there = held(
        conn, book, {row[name] for row in told for name in ("account_id", "parent_id") if row.get(name)}, keep=True
    )
    return pl.Series([_outside(book, there, row, described=described) for row in told], dtype=pl.String)


def _outside(book: Book, there: set[str], row: Mapping[str, Any], *, described: bool) -> str | None:
    if row["account_id"] not in there:
        return NOT_THERE
    if not described:
        return None
    if not book.takes(row["owner"], row["segment"]):
        return LEAVES
    return NO_PARENT if row["parent_id"] is not None and row["parent_id"] not in there else None


def _below_the_same(conn: Connection, book: Book, rows: pl.DataFrame) -> pl.DataFrame:
    hidden = hidden_parents(conn, book, rows["account_id"].unique().to_list())
    kept = pl.col("account_id").replace_strict(hidden, default=None, return_dtype=pl.String)
    return rows.with_columns(pl.coalesce("parent_id", kept).alias("parent_id"))
