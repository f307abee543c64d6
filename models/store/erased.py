"""Who was erased, remembered without saying who: a keyed hash per account or person.

    digest(key, "account", "acme")      5f0c...: the same whenever acme comes back, and nothing else

Writers ask here before they keep a row, so that an account that was erased does not come back by the next import, and a
scoring run that began before it writes nothing about it. Whoever holds the database can tell whether an id he already
knows was erased; he cannot list ids.
"""

import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.store.among import among, wanted
from models.store.tables import erasure_key, erasures

Kind = Literal["account", "contact"]


def digest(key: str, kind: Kind, ident: str) -> str:
    """The hash an id is remembered by."""
    return hmac.new(key.encode(), f"{kind}\0{ident}".encode("utf-8", "surrogatepass"), sha256).hexdigest()


def pseudonym(key: str, kind: Kind, ident: str) -> str:
    """What stands for the id where something must: in lists, so that they still count."""
    return f"erased-{digest(key, kind, ident)[:20]}"


def the_key(conn: Connection, *, alone: bool = False) -> str:
    """The secret of this store. `alone`: writers who have asked finish first, and new ones wait (PostgreSQL; in SQLite
    one writes at a time)."""
    query = sa.select(erasure_key.c.key)
    if conn.dialect.name == "postgresql":
        query = query.with_for_update(read=not alone)
    found = conn.scalar(query)
    if found is None:  # a store whose tables were not made by migrating
        found = secrets.token_hex(32)
        conn.execute(erasure_key.insert().values(key=found))
    return str(found)


def erased(conn: Connection, kind: Kind, idents: Iterable[str]) -> set[str]:
    """Those of the ids that were erased and not let in again."""
    key, idents = the_key(conn), list(idents)
    if not idents or conn.scalar(sa.select(erasures.c.erasure_id).limit(1)) is None:
        return set()
    hashes = {digest(key, kind, ident): ident for ident in idents}
    gone = sa.select(erasures.c.hash).where(among(conn.dialect.name, erasures.c.hash), erasures.c.lifted_at.is_(None))
    return {hashes[found] for found in conn.scalars(gone, wanted(conn, list(hashes)))}


def without(conn: Connection, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (with account_id) as they may be kept: those of erased accounts left out, erased parents and persons
    unnamed."""
    gone = erased(conn, "account", rows["account_id"].unique().to_list())
    if gone:
        rows = rows.filter(~pl.col("account_id").is_in(list(gone)))
    if "parent_id" in rows.columns:
        parents = erased(conn, "account", rows["parent_id"].drop_nulls().unique().to_list())
        lost = pl.col("parent_id").is_in(list(parents)).fill_null(value=False)
        rows = rows.with_columns(pl.when(~lost).then(pl.col("parent_id")).alias("parent_id")) if parents else rows
    if "contact_id" not in rows.columns:
        return rows
    persons = erased(conn, "contact", rows["contact_id"].drop_nulls().unique().to_list())
    if not persons:
        return rows
    theirs = pl.col("contact_id").is_in(list(persons)).fill_null(value=False)
    private = [name for name in ("comment", "contact_id") if name in rows.columns]
    return rows.with_columns(pl.when(~theirs).then(pl.col(name)).alias(name) for name in private)


def last(conn: Connection) -> int:
    """The number of the latest erasure; 0 before the first."""
    return int(conn.scalar(sa.select(sa.func.max(erasures.c.erasure_id))) or 0)
