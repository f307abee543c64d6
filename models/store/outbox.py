"""The outbox: events written in the transaction of the change they tell of, and later one delivery per receiver.

    the change commits            its event is there, whatever happens to the process
    the change is rolled back     so is its event
    `distribute`                  one delivery per receiver that wants the type; the cooldown of an account decides when

An event nobody wants at the time is not written at all.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.engine import writing
from models.store.errors import RunInProgress
from models.store.runs import exclusive
from models.store.tables import webhook_deliveries, webhook_endpoints, webhook_events
from models.webhooks.events import STATES, Event

#: Events distributed per transaction.
AT_ONCE = 500
#: Days a finished delivery, and the event it told of, stay in the log.
KEEP_DAYS = 30
#: Rows inserted by one statement.
_PART = 1_000


def wanted(conn: Connection) -> frozenset[str]:
    """The event types that anybody wants now."""
    query = sa.select(webhook_endpoints.c.events).where(webhook_endpoints.c.enabled)
    return frozenset(name for types in conn.scalars(query) for name in types)


def emit(conn: Connection, events: Iterable[Event]) -> int:
    """Write down what has happened, within the connection's transaction; gives how many were wanted."""
    types = wanted(conn)
    rows = [_row(event) for event in events if event.type in types]
    for start in range(0, len(rows), _PART):
        conn.execute(webhook_events.insert(), rows[start : start + _PART])
    return len(rows)


def _row(event: Event) -> dict[str, Any]:
    message_id = f"msg_{secrets.token_hex(16)}"
    return {**vars(event), "data": dict(event.data), "message_id": message_id}


def distribute(engine: Engine, now: datetime) -> int:
    """Make the deliveries of some events that have none yet; gives how many events there were.

    Nothing is left to do where another worker is at it."""
    with engine.connect() as conn:
        if conn.scalar(_WAITING.limit(1)) is None:
            return 0
    try:
        with exclusive(engine, "webhooks-distribute"), writing(engine) as conn:
            return _distribute(conn, now)
    except RunInProgress:
        return 0


_WAITING = (
    sa.select(webhook_events.c.event_no)
    .where(webhook_events.c.distributed_at.is_(None))
    .order_by(webhook_events.c.event_no)
)


def _distribute(conn: Connection, now: datetime) -> int:
    query = sa.select(webhook_events).where(webhook_events.c.distributed_at.is_(None))
    events = conn.execute(query.order_by(webhook_events.c.event_no).limit(AT_ONCE)).all()
    for endpoint in conn.execute(sa.select(webhook_endpoints).where(webhook_endpoints.c.enabled)).all():
        mine = [event for event in events if event.type in endpoint.events]
        rows = _deliveries(conn, endpoint, mine, now)
        if rows:
            conn.execute(webhook_deliveries.insert(), rows)
    done = webhook_events.c.event_no.in_([event.event_no for event in events])
    conn.execute(webhook_events.update().where(done).values(distributed_at=now))
    return len(events)


@dataclass
class _Told:
    """What a receiver knows of one topic of an account: what it was told last and when (state None: it may have been
    told something, nobody knows), what waits to be told (a delivery that is stored, or a row that is about to be), and
    what it has not taken yet and is to get again."""

    state: str | None = None
    at: datetime | None = None
    waiting: int | dict[str, Any] | None = None
    failing: int | None = None


def _deliveries(conn: Connection, endpoint: Any, events: Sequence[Any], now: datetime) -> list[dict[str, Any]]:
    """Rows of deliveries; marks stored ones that these make superfluous."""
    cooldown = timedelta(seconds=endpoint.cooldown_seconds)
    told = _told(conn, endpoint.endpoint_id, events) if cooldown else {}
    rows: list[dict[str, Any]] = []
    superfluous: list[int] = []
    late: list[int] = []
    for event in events:
        row = _delivery(endpoint.endpoint_id, event, now)
        rows.append(row)
        if not cooldown or event.topic is None:
            continue
        known = told.setdefault((event.account_id, event.topic), _Told())
        if isinstance(known.waiting, dict):
            _supersede(known.waiting, now)
        elif known.waiting is not None:
            superfluous.append(known.waiting)
        known.waiting = None
        if known.at is not None and known.state == event.state:
            _supersede(row, now)
            continue
        if known.failing is not None and event.topic in STATES:
            # Sent again after this one it would say how things were. Whether it has arrived all the same nobody knows.
            late.append(known.failing)
            known.failing = known.state = None
        if known.at is not None and known.at + cooldown > now:
            row["due_at"] = known.at + cooldown
            known.waiting = row
        else:
            known.at, known.state = now, event.state
    _mark_superseded(conn, superfluous, _UNTRIED, now)
    _mark_superseded(conn, late, webhook_deliveries.c.status == "pending", now)
    return rows


def _delivery(endpoint_id: str, event: Any, now: datetime) -> dict[str, Any]:
    said = {name: getattr(event, name) for name in ("event_no", "topic", "account_id", "state")}
    plan = {"status": "pending", "attempts": 0, "due_at": now, "created_at": now, "finished_at": None, "log": []}
    return {"endpoint_id": endpoint_id, **said, **plan}


def _supersede(row: dict[str, Any], now: datetime) -> None:
    row |= {"status": "superseded", "due_at": None, "finished_at": now}


def _mark_superseded(conn: Connection, numbers: list[int], still: sa.ColumnElement[bool], now: datetime) -> None:
    if not numbers:
        return
    mine = webhook_deliveries.c.delivery_no.in_(numbers) & still
    ended = {"status": "superseded", "due_at": None, "finished_at": now}
    conn.execute(webhook_deliveries.update().where(mine).values(ended))


#: What has not been tried yet; one that is sent again had been.
_UNTRIED = sa.and_(
    webhook_deliveries.c.status == "pending",
    webhook_deliveries.c.attempts == 0,
    webhook_deliveries.c.last_status.is_(None),
    webhook_deliveries.c.last_error.is_(None),
)


def _told(conn: Connection, endpoint_id: str, events: Sequence[Any]) -> dict[tuple[str | None, str], _Told]:
    """Account and topic -> what the receiver knows, of the accounts these events are about."""
    accounts = sorted({event.account_id for event in events if event.topic is not None})
    columns = webhook_deliveries.c
    # A delivery on its way may arrive, so it counts as told; of one that was overtaken nobody knows whether it did.
    tried = columns.status.in_(("pending", "superseded")) & (columns.attempts > 0)
    sent = (columns.status == "delivered") | tried
    found: dict[tuple[str | None, str], _Told] = {}
    for condition in (sent, _UNTRIED):
        last = (
            sa.select(sa.func.max(columns.delivery_no))
            .where(columns.endpoint_id == endpoint_id, columns.account_id.in_(accounts), columns.topic.is_not(None))
            .where(condition)
            .group_by(columns.account_id, columns.topic)
        )
        for row in conn.execute(sa.select(webhook_deliveries).where(columns.delivery_no.in_(last))):
            known = found.setdefault((row.account_id, row.topic), _Told())
            if condition is _UNTRIED:
                known.waiting = row.delivery_no
            elif row.status == "superseded":
                known.at = row.created_at
            else:
                known.state, known.at = row.state, row.finished_at or row.created_at
                known.failing = row.delivery_no if row.status == "pending" else None
    return found


def forget_account(conn: Connection, account_id: str) -> int:
    """Delete every event about an account and its deliveries, sent or not; gives how many events there were."""
    mine = webhook_events.c.account_id == account_id
    conn.execute(webhook_deliveries.delete().where(webhook_deliveries.c.event_no.in_(_numbers(mine))))
    return conn.execute(webhook_events.delete().where(mine)).rowcount


def _numbers(which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    return sa.select(webhook_events.c.event_no).where(which)


def prune(engine: Engine, now: datetime) -> int:
    """Delete some events that were distributed `KEEP_DAYS` ago and have nothing left to send, with their deliveries;
    gives how many."""
    old = webhook_events.c.distributed_at < now - timedelta(days=KEEP_DAYS)
    unfinished = sa.exists().where(
        webhook_deliveries.c.event_no == webhook_events.c.event_no,
        webhook_deliveries.c.status == "pending",
    )
    query = sa.select(webhook_events.c.event_no).where(old, ~unfinished).order_by(webhook_events.c.distributed_at)
    with writing(engine) as conn:
        numbers = conn.scalars(query.limit(AT_ONCE)).all()
        if numbers:
            conn.execute(webhook_deliveries.delete().where(webhook_deliveries.c.event_no.in_(numbers)))
            conn.execute(webhook_events.delete().where(webhook_events.c.event_no.in_(numbers)))
    return len(numbers)
