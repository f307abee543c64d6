"""Answers to writes, kept under the caller's Idempotency-Key so that asking twice changes things once.

    claim     nobody has the key                        Claim: go on, and `finish` or `release`
              the same request is being worked on       None: wait, or tell the caller to
              the same request was answered             Kept: give that answer again
              another request had the key               KeyReused
              a process died working on it              Claim, after `LEASE`: writes are upserts, so again is safe
    finish    keeps the answer                          release   forgets the claim: nothing was done

One statement claims, so that of many processes one gets it, in SQLite and in PostgreSQL.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from models.errors import KeyReused
from models.store.engine import writing
from models.store.tables import idempotent_answers as table

#: Longer than a request may take before its process is ended.
LEASE = timedelta(seconds=150)
#: Rows deleted per transaction.
SWEPT_AT_ONCE = 5_000


@dataclass(frozen=True)
class Asked:
    """A write as its caller may repeat it: whose, under which key, and what it asks for (a digest)."""

    key_id: str
    idempotency_key: str
    fingerprint: str


@dataclass(frozen=True)
class Claim:
    """The right to do what was asked; it is known by when it was given."""

    asked: Asked
    started_at: datetime


@dataclass(frozen=True)
class Kept:
    """An answer that was given before."""

    status: int
    headers: dict[str, str]
    body: bytes


def claim(engine: Engine, asked: Asked, now: datetime) -> Claim | Kept | None:
    """Take the right to do what was asked; see the module. Raises `KeyReused`."""
    given = vars(asked) | {"started_at": now, "kept_until": now + LEASE}
    with writing(engine) as conn:
        insert = _insert(conn).values(**given, status=None, headers=None, body=None)
        free = table.c.kept_until <= now
        fresh = {name: insert.excluded[name] for name in _STATE}
        taken = insert.on_conflict_do_update(index_elements=["key_id", "idempotency_key"], set_=fresh, where=free)
        if conn.execute(taken.returning(table.c.key_id)).one_or_none() is not None:
            return Claim(asked, now)
        row = conn.execute(sa.select(table).where(_mine(asked))).one_or_none()
    if row is None:  # released in between
        return None
    if row.fingerprint != asked.fingerprint:
        raise KeyReused("This Idempotency-Key was used for another request; use a new one for each.")
    return None if row.status is None else Kept(row.status, dict(row.headers), zlib.decompress(row.body))


def finish(
    engine: Engine, claimed: Claim, status: int, headers: Mapping[str, str], body: bytes, kept_until: datetime
) -> None:
    """Keep the answer to what was claimed, unless somebody else has taken it over meanwhile."""
    answer = {"status": status, "headers": dict(headers), "body": zlib.compress(body, 1), "kept_until": kept_until}
    with writing(engine) as conn:
        conn.execute(table.update().where(*_held(claimed)).values(**answer))


def release(engine: Engine, claimed: Claim) -> None:
    """Forget a claim: nothing was done that an answer would speak of."""
    with writing(engine) as conn:
        conn.execute(table.delete().where(*_held(claimed)))


def sweep(engine: Engine, now: datetime, at_once: int = SWEPT_AT_ONCE) -> int:
    """Delete what is kept no longer; gives how many rows."""
    swept = 0
    while True:
        old = sa.select(*_KEY).where(table.c.kept_until <= now).limit(at_once)
        with writing(engine) as conn:
            found = conn.execute(table.delete().where(sa.tuple_(*_KEY).in_(old))).rowcount
        swept += found
        if found < at_once:
            return swept


def counts(conn: Connection) -> dict[str, int]:
    """Answers kept, by API key."""
    query = sa.select(table.c.key_id, sa.func.count()).group_by(table.c.key_id)
    return {str(key_id): int(number) for key_id, number in conn.execute(query)}


_KEY = (table.c.key_id, table.c.idempotency_key)
_STATE = ("fingerprint", "started_at", "kept_until", "status", "headers", "body")


def _mine(asked: Asked) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.key_id == asked.key_id, table.c.idempotency_key == asked.idempotency_key)


def _held(claimed: Claim) -> tuple[sa.ColumnElement[bool], ...]:
    return (_mine(claimed.asked), table.c.started_at == claimed.started_at, table.c.status.is_(None))


def _insert(conn: Connection) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if conn.dialect.name == "postgresql" else sqlite.insert(table)
