"""Deliveries: claimed by one worker at a time, finished or put off, listed and sent again.

A claim is a lease: the delivery is due again when it runs out, so that what a worker that died held is taken over.

    12:00:00  claimed by worker 1, due again at 12:01:00
    12:00:07  worker 1 is killed; whether the receiver got it, nobody knows
    12:01:00  claimed by worker 2, and sent again under the same id
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.clock import isoformat
from models.errors import ContractError, UnknownWebhook
from models.store.audit import By, audit
from models.store.engine import writing
from models.store.tables import webhook_deliveries, webhook_endpoints, webhook_events
from models.store.webhooks import get_webhook, signing_secrets

STATUSES = ("pending", "delivered", "failed", "superseded")
#: How long a worker may take to send one message; longer than `models.webhooks.send.TIMEOUT` by far.
LEASE = timedelta(seconds=90)
#: Attempts kept in a delivery's log.
_KEPT_ATTEMPTS = 30
#: Deliveries sent again by one request.
MOST_REPLAYED = 1_000


@dataclass(frozen=True)
class Claim:
    """A delivery that is ours to send until `due_at`; `attempt` counts from 1."""

    delivery_no: int
    endpoint_id: str
    url: str
    format: str
    secrets: tuple[str, ...]
    message_id: str
    type: str
    at: datetime
    data: dict[str, Any]
    attempt: int
    due_at: datetime


@dataclass(frozen=True)
class Delivery:
    """One event for one receiver as the log shows it."""

    delivery_no: int
    message_id: str
    type: str
    account_id: str | None
    status: str
    attempts: int
    due_at: datetime | None
    created_at: datetime
    finished_at: datetime | None
    last_status: int | None
    last_error: str | None
    log: list[list[Any]]


def busy_endpoints(conn: Connection, now: datetime) -> list[str]:
    """The receivers that something is due for now."""
    due = sa.exists().where(
        webhook_deliveries.c.endpoint_id == webhook_endpoints.c.endpoint_id,
        webhook_deliveries.c.status == "pending",
        webhook_deliveries.c.due_at <= now,
    )
    query = sa.select(webhook_endpoints.c.endpoint_id).where(_open(now), due)
    return list(conn.scalars(query))


def claim(engine: Engine, endpoint_id: str, now: datetime, lease: timedelta = LEASE) -> Claim | None:
    """Take the delivery that has been due longest at a receiver; None where there is none, or it is paused or off."""
    columns = webhook_deliveries.c
    due = (
        sa.select(columns.delivery_no)
        .where(columns.endpoint_id == endpoint_id, columns.status == "pending", columns.due_at <= now)
        .where(sa.exists().where(webhook_endpoints.c.endpoint_id == endpoint_id, _open(now)))
        .order_by(columns.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with writing(engine) as conn:
        number = conn.scalar(due)
        if number is None:
            return None
        mine = columns.delivery_no == number
        taken = {"attempts": columns.attempts + 1, "due_at": now + lease}
        conn.execute(webhook_deliveries.update().where(mine).values(taken))
        joined = webhook_deliveries.join(webhook_events, webhook_events.c.event_no == columns.event_no).join(
            webhook_endpoints, webhook_endpoints.c.endpoint_id == columns.endpoint_id
        )
        row = conn.execute(
            sa.select(
                *(columns.delivery_no, columns.endpoint_id, columns.attempts, columns.due_at),
                *(webhook_endpoints.c.url, webhook_endpoints.c.format, webhook_endpoints.c.secrets),
                *(webhook_events.c.message_id, webhook_events.c.type, webhook_events.c.at, webhook_events.c.data),
            )
            .select_from(joined)
            .where(mine)
        ).one()
    secrets = tuple(signing_secrets(row.secrets, now))
    return Claim(
        *(row.delivery_no, row.endpoint_id, row.url, row.format, secrets),
        *(row.message_id, row.type, row.at, row.data, row.attempts, row.due_at),
    )


def _open(now: datetime) -> sa.ColumnElement[bool]:
    """Whether a receiver takes anything at a moment."""
    paused = webhook_endpoints.c.paused_until
    return webhook_endpoints.c.enabled & (paused.is_(None) | (paused <= now))


def delivered(engine: Engine, held: Claim, status: int, now: datetime) -> None:
    """The receiver has taken it."""
    done = {"status": "delivered", "due_at": None, "finished_at": now, "last_status": status, "last_error": None}
    with writing(engine) as conn:
        _finish(conn, held, done, [isoformat(now), status, None], ours=False)
        theirs = webhook_endpoints.c.endpoint_id == held.endpoint_id
        failing = webhook_endpoints.c.failing_since.is_not(None)
        conn.execute(webhook_endpoints.update().where(theirs, failing).values(failing_since=None))


def put_off(
    engine: Engine,
    held: Claim,
    status: int | None,
    error: str,
    now: datetime,
    *,
    again_at: datetime | None,
    pause_until: datetime | None = None,
    gone: bool = False,
) -> None:
    """The receiver has not taken it: due again at `again_at` (None: that was the last attempt). `pause_until`: until
    when it wants nothing at all; `gone`: it wants nothing any more, so it is switched off."""
    values = {"last_status": status, "last_error": error, "due_at": again_at}
    if again_at is None:
        values |= {"status": "failed", "finished_at": now}
    with writing(engine) as conn:
        _finish(conn, held, values, [isoformat(now), status, error], ours=True)
        theirs, columns = webhook_endpoints.c.endpoint_id == held.endpoint_id, webhook_endpoints.c
        first = sa.func.coalesce(columns.failing_since, sa.literal(now, columns.failing_since.type))
        change: dict[str, Any] = {"failing_since": first}
        if pause_until is not None:
            # Messages that were under way together are refused together; the longest wish holds.
            longer = columns.paused_until > pause_until
            until = sa.literal(pause_until, columns.paused_until.type)
            change["paused_until"] = sa.case((longer, columns.paused_until), else_=until)
        conn.execute(webhook_endpoints.update().where(theirs).values(change))
        if gone:
            _switch_off(conn, held.endpoint_id, now)


def _switch_off(conn: Connection, endpoint_id: str, now: datetime) -> None:
    """It answered 410. Of several messages that were under way together the first one does it."""
    on = (webhook_endpoints.c.endpoint_id == endpoint_id) & webhook_endpoints.c.enabled
    off = {"enabled": False, "disabled_at": now, "disabled_why": "gone"}
    if conn.execute(webhook_endpoints.update().where(on).values(off)).rowcount:
        audit(conn, By("service", now), "webhook.disabled", endpoint_id, why="it answered 410")


def _finish(conn: Connection, held: Claim, values: dict[str, Any], line: list[Any], *, ours: bool) -> None:
    """Write down what became of a claim; with `ours` only while nobody has taken it over."""
    columns = webhook_deliveries.c
    mine = columns.delivery_no == held.delivery_no
    row = conn.execute(sa.select(columns.log, columns.attempts, columns.due_at).where(mine)).one_or_none()
    if row is None:
        return  # erased meanwhile
    log = [*row.log, line][-_KEPT_ATTEMPTS:]
    if ours and (row.due_at != held.due_at or row.attempts != held.attempt):
        values = {}
    conn.execute(webhook_deliveries.update().where(mine).values(values | {"log": log}))


def deliveries(
    conn: Connection, endpoint_id: str, limit: int, status: str | None = None, before: int | None = None
) -> list[Delivery]:
    """A receiver's deliveries, latest first; `before`: those older than that number. Raises `UnknownWebhook`."""
    get_webhook(conn, endpoint_id)
    columns = webhook_deliveries.c
    names = [name for name in Delivery.__dataclass_fields__ if name not in ("message_id", "type")]
    query = (
        sa.select(webhook_events.c.message_id, webhook_events.c.type, *(columns[name] for name in names))
        .join(webhook_events, webhook_events.c.event_no == columns.event_no)
        .where(columns.endpoint_id == endpoint_id)
    )
    if status is not None:
        query = query.where(columns.status == status)
    if before is not None:
        query = query.where(columns.delivery_no < before)
    rows = conn.execute(query.order_by(columns.delivery_no.desc()).limit(limit))
    return [Delivery(**{name: row._mapping[name] for name in Delivery.__dataclass_fields__}) for row in rows]


def replay(
    target: Engine | Connection,
    endpoint_id: str,
    now: datetime,
    *,
    numbers: Sequence[int] = (),
    since: datetime | None = None,
) -> int:
    """Send deliveries again under their old ids: those named, or every failed one made since a moment (up to
    `MOST_REPLAYED`, oldest first); gives how many. Raises `UnknownWebhook`, also for a delivery that is not there,
    and `ContractError` for one that was superseded or is due anyway."""
    columns = webhook_deliveries.c
    theirs = columns.endpoint_id == endpoint_id
    with writing(target) as conn:
        get_webhook(conn, endpoint_id)
        if numbers:
            named = sa.select(columns.delivery_no, columns.status).where(theirs, columns.delivery_no.in_(numbers))
            found = {row.delivery_no: row.status for row in conn.execute(named)}
            _refuse(found, numbers)
            wanted = list(found)
        else:
            failed = sa.select(columns.delivery_no).where(
                theirs, columns.status == "failed", columns.created_at >= since
            )
            wanted = list(conn.scalars(failed.order_by(columns.delivery_no).limit(MOST_REPLAYED)).all())
        # Anew, with all its attempts before it.
        fresh = {"status": "pending", "attempts": 0, "due_at": now, "finished_at": None}
        conn.execute(webhook_deliveries.update().where(columns.delivery_no.in_(wanted)).values(fresh))
    return len(wanted)


def _refuse(found: dict[int, str], numbers: Sequence[int]) -> None:
    missing = sorted(set(numbers) - set(found))
    if missing:
        raise UnknownWebhook(f"There is no delivery {missing[0]} of this webhook.")
    for number, status in found.items():
        if status not in ("delivered", "failed"):
            what = "is on its way already" if status == "pending" else "was superseded by a later one; replay that"
            raise ContractError(f"Delivery {number} {what}.")
