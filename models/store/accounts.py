"""One account as it is stored, and storing it on condition that it is still what the caller saw.

    reads A-7, tag x                                 another caller stores A-7, tag y
    stores A-7 if it is x                            refused: it is y

The look and the write are one transaction, and writers of one account who set conditions take turns.

A parent may be an account outside the caller's book, which is not there for him: he sees none, and his writing leaves
it as it is (`models.store.narrowed`).
"""

from collections.abc import Callable
from datetime import datetime
from hashlib import blake2b
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ChangedMeanwhile, UnknownAccount
from models.store.books import EVERYBODY, Book, held
from models.store.engine import one_at_a_time, writing
from models.store.erased import the_key
from models.store.narrowed import upsert_within
from models.store.tables import CONTRACT

#: Whether to go on, given the stored account's tag; None: there is no such account.
Condition = Callable[[str | None], bool]

_accounts = CONTRACT["accounts"]


def get_account(conn: Connection, account_id: str, book: Book = EVERYBODY) -> tuple[dict[str, Any], str]:
    """The account in the contract's columns, and its tag, as a caller with this book sees it. Raises
    `UnknownAccount`."""
    row = _row(conn, account_id)
    if row is None:
        raise UnknownAccount(f"There is no account {account_id!r}.")
    seen = _seen(conn, row, book)
    return seen, _tag(seen)


def put_account(
    engine: Engine, frame: pl.DataFrame, condition: Condition | None, at: datetime | None, book: Book = EVERYBODY
) -> tuple[pl.Series, str | None]:
    """Upsert one account; gives what became of it and the tag of what is stored now (None: it was kept out).

    Raises `ChangedMeanwhile` where the condition does not hold, and `UnknownAccount` for one outside the book; nothing
    is written then.
    """
    account_id = str(frame["account_id"][0])
    with writing(engine) as conn:
        if condition is not None:
            one_at_a_time(conn, f"account {account_id}")
        if book.restricted and not held(conn, book, [account_id], keep=True):
            raise UnknownAccount(f"There is no account {account_id!r}.")
        if condition is not None:
            the_key(conn)  # before any account; see `models.store.books.held`
            before = _row(conn, account_id, lock=True)
            if not condition(None if before is None else _tag(_seen(conn, before, book))):
                raise ChangedMeanwhile(
                    f"Account {account_id!r} is not what the request's condition says; read it again, then decide."
                )
        outcomes = upsert_within(conn, "accounts", frame, book, at)
        after = _row(conn, account_id)
        tag = None if after is None else _tag(_seen(conn, after, book))
    return outcomes, tag


def _seen(conn: Connection, row: dict[str, Any], book: Book) -> dict[str, Any]:
    parent = row["parent_id"]
    if not book.restricted or parent is None or parent in held(conn, book, [parent]):
        return row
    return row | {"parent_id": None}


def _row(conn: Connection, account_id: str, *, lock: bool = False) -> dict[str, Any] | None:
    query = sa.select(_accounts).where(_accounts.c.account_id == account_id)
    row = conn.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else dict(row._mapping)


def _tag(row: dict[str, Any]) -> str:
    return blake2b(repr(sorted(row.items())).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
