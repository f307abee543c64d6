"""Who was erased, remembered without saying who: a keyed hash per account or person.

    digest(key, "account", "acme")      5f0c...: the same whenever acme comes back, and nothing else

Writers ask here before they keep a row, so that an account that was erased does not come back by the next import, and a
scoring run that began before it writes nothing about it. Whoever holds the database can tell whether an id he already
knows was erased; he cannot list ids.
"""

import secrets
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from typing import Any, Literal

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.store.among import among, wanted
from models.store.tables import erasure_key, erasures

Kind = Literal["account", "contact"]
#: For more ids than this everything that is remembered is read, which is less than looking each up.
MANY = 500
_ERASED, _SHOWN = "erased-", 20


def digest(key: str, kind: Kind, ident: str) -> str:
    """The hash an id is remembered by: keyed BLAKE2b, as a write of thousands of rows asks for thousands of them."""
    named = f"{kind}\0{ident}".encode("utf-8", "surrogatepass")
    return blake2b(named, key=bytes.fromhex(key), digest_size=32).hexdigest()


def pseudonym(key: str, kind: Kind, ident: str) -> str:
    """What stands for the id where something must: in lists, so that they still count."""
    return f"{_ERASED}{digest(key, kind, ident)[:_SHOWN]}"


def pseudonyms() -> sa.Select[Any]:
    """Those of everybody who was erased."""
    return sa.select(sa.literal(_ERASED) + sa.func.substr(erasures.c.hash, 1, _SHOWN))


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


def without(conn: Connection, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows (with account_id) as they may be kept: those of erased accounts left out, and of erased persons who stand
    as accounts of their own; erased parents and other persons unnamed."""
    key = the_key(conn)
    if conn.scalar(sa.select(erasures.c.erasure_id).limit(1)) is None:
        return rows
    gone = _erased(conn, key, "account", _ids(rows, "account_id"))
    if gone:
        rows = rows.filter(~pl.col("account_id").is_in(gone))
    if "parent_id" in rows.columns:
        rows = _unnamed(rows, "parent_id", _erased(conn, key, "account", _ids(rows, "parent_id")))
    if "contact_id" in rows.columns:
        persons = _erased(conn, key, "contact", _ids(rows, "contact_id"))
        if persons:
            # Without a company he would stand under his own id as an account.
            alone = pl.col("contact_id").is_in(persons) & (pl.col("contact_id") == pl.col("account_id"))
            rows = rows.filter(~alone.fill_null(value=False))
        rows = _unnamed(rows, "contact_id", persons, "comment")
    return rows


def _ids(rows: pl.DataFrame, column: str) -> list[str]:
    return rows[column].drop_nulls().unique().to_list()


def erased_among(conn: Connection, kind: Kind, idents: Iterable[str]) -> frozenset[str]:
    """Those of the ids that were erased and not let in again."""
    return frozenset(_erased(conn, the_key(conn), kind, idents))


def _erased(conn: Connection, key: str, kind: Kind, idents: Iterable[str]) -> list[str]:
    """Those of the ids that were erased and not let in again."""
    hashes = {digest(key, kind, ident): ident for ident in idents}
    if not hashes:
        return []
    if len(hashes) > MANY:
        return [hashes[found] for found in conn.scalars(_IN_FORCE, {"kind": kind}) if found in hashes]
    found_few = conn.scalars(_few(conn.dialect.name), {"kind": kind, **wanted(conn, list(hashes))})
    return [hashes[found] for found in found_few]


_IN_FORCE = sa.select(erasures.c.hash).where(erasures.c.lifted_at.is_(None), erasures.c.kind == sa.bindparam("kind"))


@cache
def _few(dialect: str) -> sa.Select[Any]:
    """Built once: building it takes longer than running it."""
    return _IN_FORCE.where(among(dialect, erasures.c.hash))


def _unnamed(rows: pl.DataFrame, column: str, gone: list[str], *also: str) -> pl.DataFrame:
    """Rows in which ids that are gone are unknown, and what else would tell."""
    if not gone:
        return rows
    kept = ~pl.col(column).is_in(gone).fill_null(value=False)
    private = [name for name in (column, *also) if name in rows.columns]
    return rows.with_columns(pl.when(kept).then(pl.col(name)).alias(name) for name in private)


def last(conn: Connection) -> int:
    """The number of the latest erasure; 0 before the first."""
    return int(conn.scalar(sa.select(sa.func.max(erasures.c.erasure_id))) or 0)
