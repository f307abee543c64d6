"""Whose accounts a caller may know of: the book of his API key.

    Book()                                           everybody: most keys
    Book(owners=("ana@example.org",))                Ana's accounts
    Book(owners=("ana@...",), segments=("smb",))     those of Ana's that are smb

An account belongs to the book it is in now (`accounts.owner`, `accounts.segment`), whoever had it when a list was
frozen. To a restricted caller an account outside his book does not exist: each query that answers him about more than
one account takes his book, and what it leaves out is neither counted nor numbered.

    sa.select(scores).where(*inside(book, scores.c.account_id))     of any table with an account id
    held(conn, book, ["A-7", "A-8"])                                which of these are there for him
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.store.among import among, wanted
from models.store.erased import the_key
from models.store.tables import CONTRACT


@dataclass(frozen=True)
class Book:
    """The accounts of these owners and of these segments; an empty one of the two does not restrict."""

    owners: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()

    @property
    def restricted(self) -> bool:
        """Whether anybody is left out."""
        return bool(self.owners or self.segments)

    def takes(self, owner: Any, segment: Any) -> bool:
        """Whether an account of this owner and segment is in the book."""
        return (not self.owners or owner in self.owners) and (not self.segments or segment in self.segments)


EVERYBODY = Book()


def inside(book: Book, account_id: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
    """The conditions of an account id being in the book; none where nobody is left out."""
    if not book.restricted:
        return []
    accounts = CONTRACT["accounts"].c
    return [account_id.in_(sa.select(accounts.account_id).where(*_conditions(book)))]


def held(conn: Connection, book: Book, account_ids: Collection[str], *, keep: bool = False) -> set[str]:
    """Those of the ids that are described accounts in the book: one look-up each, whatever comes of it.

    `keep`: to be asked in a transaction that writes; until its end they stay what they are. (SQLite: as ever, since one
    writes at a time.)
    """
    accounts = CONTRACT["accounts"].c
    mine = sa.select(accounts.account_id).where(among(conn.dialect.name, accounts.account_id), *_conditions(book))
    if keep and conn.dialect.name == "postgresql":
        the_key(conn)  # before any account, as an erasure does: two who wait for each other would wait for ever
        mine = mine.order_by(accounts.account_id).with_for_update(key_share=True)
    return set(conn.scalars(mine, wanted(conn, account_ids)))


def _conditions(book: Book) -> list[sa.ColumnElement[bool]]:
    limits = (("owner", book.owners), ("segment", book.segments))
    return [CONTRACT["accounts"].c[name].in_(values) for name, values in limits if values]
