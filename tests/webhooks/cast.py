"""Receivers in the store, and what has happened to accounts."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.store.engine import writing
from models.store.outbox import emit
from models.store.tables import webhook_deliveries, webhook_events
from models.store.webhooks import Wish, create_webhook
from models.webhooks.events import EVENTS, Event, band_changed
from tests.webhooks.receiver import LOOPBACK

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NONE = timedelta(0)


class Clock:
    """A present that tests move."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def subscribe(engine: Engine, url: str = "https://example.com/", cooldown: timedelta = NONE, **wish) -> tuple[str, str]:
    """A receiver of everything; its id and secret."""
    made, secret = create_webhook(
        engine, Wish(url, wish.pop("events", tuple(EVENTS)), cooldown=cooldown, **wish), LOOPBACK, NOW
    )
    return made.endpoint_id, secret


def happen(engine: Engine, *events: Event) -> None:
    with writing(engine) as conn:
        emit(conn, events)


def moved(account_id: str, was: str, band: str, at: datetime = NOW) -> Event:
    return band_changed(account_id, at, was, band, 20.0, 70.0, "m", at)


def outbox(engine: Engine) -> list[sa.Row]:
    with engine.connect() as conn:
        return list(conn.execute(sa.select(webhook_events).order_by(webhook_events.c.event_no)))


def log(engine: Engine) -> list[sa.Row]:
    """Every delivery, with its event."""
    joined = webhook_deliveries.join(webhook_events, webhook_events.c.event_no == webhook_deliveries.c.event_no)
    names = [webhook_events.c.type, webhook_events.c.message_id, webhook_events.c.data]
    query = sa.select(webhook_deliveries, *names).select_from(joined)
    with engine.connect() as conn:
        return list(conn.execute(query.order_by(webhook_deliveries.c.delivery_no)))
