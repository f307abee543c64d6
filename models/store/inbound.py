"""Messages that came in by the live doors: kept as they came, claimed by one worker at a time, kept with their error.

A claim is a lease, as of webhook deliveries: what a worker that died held is taken over when it runs out.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.store.engine import writing
from models.store.tables import inbound_messages

STATUSES = ("pending", "done", "failed")
LEASE = timedelta(minutes=5)
#: Messages about one subject that are read together, the latest; more are never told of one ticket.
MOST_TOGETHER = 2_000
MOST_REPLAYED = 1_000
#: A message that was taken up so often and never came to an end, not even to a failure, ended the workers that read it.
MOST_ATTEMPTS = 5
_LONGEST_ERROR = 500


@dataclass(frozen=True)
class Message:
    """A message as it is kept."""

    message_no: int
    door: str
    received_at: datetime
    subject: str | None
    status: str
    attempts: int
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class Claim:
    """A message that is ours to read for a while."""

    message_no: int
    door: str
    body: str


def keep(engine: Engine, door: str, body: bytes, now: datetime) -> bool:
    """Keep a message; gives whether it is new. The same bytes from the same door are one message."""
    row = {"door": door, "digest": sha256(body).hexdigest(), "received_at": now, "status": "pending", "attempts": 0}
    with writing(engine) as conn:
        make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
        # What is no text cannot be read later either; NUL no database takes.
        text = body.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        insert = make(inbound_messages).values(**row, due_at=now, body=text)
        kept = insert.on_conflict_do_nothing(index_elements=["door", "digest"]).returning(inbound_messages.c.message_no)
        return conn.execute(kept).scalar() is not None


def claim(engine: Engine, now: datetime, lease: timedelta = LEASE) -> Claim | None:
    """Take the message that has been waiting longest; None where there is none. One that outlived `MOST_ATTEMPTS`
    claims has failed."""
    columns = inbound_messages.c
    waiting = (
        sa.select(columns.message_no, columns.door, columns.body)
        .where(columns.status == "pending", columns.due_at <= now)
        .order_by(columns.due_at, columns.message_no)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with writing(engine) as conn:
        _give_up(conn, now)
        row = conn.execute(waiting).one_or_none()
        if row is None:
            return None
        taken = {"due_at": now + lease, "attempts": columns.attempts + 1}
        conn.execute(inbound_messages.update().where(columns.message_no == row.message_no).values(taken))
    return Claim(row.message_no, row.door, row.body)


def _give_up(conn: Connection, now: datetime) -> None:
    """What no worker survives is kept for somebody to look at, and the others get their turn."""
    columns = inbound_messages.c
    hopeless = (columns.status == "pending") & (columns.due_at <= now) & (columns.attempts >= MOST_ATTEMPTS)
    why = f"It was taken up {MOST_ATTEMPTS} times, and each time the worker ended before it did."
    failed = {"status": "failed", "due_at": None, "finished_at": now, "error": why}
    conn.execute(inbound_messages.update().where(hopeless).values(failed))


def name_subject(engine: Engine, held: Claim, subject: str) -> None:
    """Remember what a message is about, so that it is found with the others."""
    with writing(engine) as conn:
        mine = inbound_messages.c.message_no == held.message_no
        conn.execute(inbound_messages.update().where(mine).values(subject=subject))


def about(conn: Connection, door: str, subjects: Collection[str]) -> list[str]:
    """The bodies of all messages of a door about some subjects, oldest first; the latest `MOST_TOGETHER` of them."""
    columns = inbound_messages.c
    query = sa.select(columns.body).where(columns.door == door, columns.subject.in_(sorted(subjects)))
    return list(conn.scalars(query.order_by(columns.message_no.desc()).limit(MOST_TOGETHER)))[::-1]


def last_about(conn: Connection, door: str, subjects: Collection[str]) -> int | None:
    """The latest message of a door about some subjects."""
    columns = inbound_messages.c
    mine = (columns.door == door) & columns.subject.in_(sorted(subjects))
    latest: int | None = conn.scalar(sa.select(sa.func.max(columns.message_no)).where(mine))
    return latest


def finish(engine: Engine, held: Claim, body: str, now: datetime) -> None:
    """It was read; `body` without what need not be kept."""
    done = {"status": "done", "due_at": None, "finished_at": now, "error": None, "body": body}
    _end(engine, held, done)


def fail(engine: Engine, held: Claim, error: str, now: datetime) -> None:
    """It cannot be read: kept as it came, with the reason."""
    _end(engine, held, {"status": "failed", "due_at": None, "finished_at": now, "error": error[:_LONGEST_ERROR]})


def forget(engine: Engine, held: Claim) -> None:
    """Delete a message: it is about somebody who was erased."""
    with writing(engine) as conn:
        conn.execute(inbound_messages.delete().where(inbound_messages.c.message_no == held.message_no))


def _end(engine: Engine, held: Claim, values: dict[str, Any]) -> None:
    with writing(engine) as conn:
        conn.execute(inbound_messages.update().where(inbound_messages.c.message_no == held.message_no).values(values))


def messages(conn: Connection, limit: int, status: str | None = None, before: int | None = None) -> list[Message]:
    """What came in, latest first; `before`: older than that number."""
    columns = inbound_messages.c
    query = sa.select(*(columns[name] for name in Message.__dataclass_fields__))
    if status is not None:
        query = query.where(columns.status == status)
    if before is not None:
        query = query.where(columns.message_no < before)
    return [Message(**row._mapping) for row in conn.execute(query.order_by(columns.message_no.desc()).limit(limit))]


def replay(
    target: Engine | Connection, now: datetime, numbers: Sequence[int] = (), failed_since: datetime | None = None
) -> int:
    """Read messages again: those named, or the failed ones received since a moment (`MOST_REPLAYED` at once, oldest
    first); gives how many. Raises `ContractError` for a number that is not there."""
    columns = inbound_messages.c
    with writing(target) as conn:
        if numbers:
            named = sa.select(columns.message_no).where(columns.message_no.in_(numbers))
            wanted = list(conn.scalars(named))
            missing = sorted(set(numbers) - set(wanted))
            if missing:
                raise ContractError(f"There is no message {missing[0]}.")
        else:
            failed = sa.select(columns.message_no).where(
                columns.status == "failed", columns.received_at >= failed_since
            )
            wanted = list(conn.scalars(failed.order_by(columns.message_no).limit(MOST_REPLAYED)))
        again = {"status": "pending", "due_at": now, "finished_at": None, "attempts": 0}
        conn.execute(inbound_messages.update().where(columns.message_no.in_(wanted)).values(again))
    return len(wanted)
