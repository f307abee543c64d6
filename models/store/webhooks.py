"""Receivers of events: made, changed, given a new secret.

A secret signs messages, so unlike an API key it cannot be kept as a hash: it lies in the database as it is, and is
shown once. Whoever can read the table can forge messages to that one receiver, and nothing else.
"""

import secrets as random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError, UnknownWebhook
from models.store.engine import writing
from models.store.tables import webhook_deliveries, webhook_endpoints
from models.store.types import from_micros, to_micros
from models.webhooks.events import check_types
from models.webhooks.guard import Network, check_url
from models.webhooks.signing import key_of, new_secret

FORMATS = ("standard", "slack")
#: Receivers at once.
MOST = 50
#: How long an old secret still signs after a new one was made, unless said otherwise.
OVERLAP = timedelta(hours=24)
LONGEST_COOLDOWN = timedelta(days=7)
USUAL_COOLDOWN = timedelta(hours=1)
#: Secrets that sign at once.
MOST_SECRETS = 5
_LONGEST_TEXT = 500


@dataclass(frozen=True)
class Webhook:
    """A receiver without its secrets. `secrets_until`: when each secret ends, newest first; None: not planned."""

    endpoint_id: str
    url: str
    description: str | None
    events: tuple[str, ...]
    format: str
    cooldown: timedelta
    enabled: bool
    disabled_at: datetime | None
    disabled_why: str | None
    paused_until: datetime | None
    failing_since: datetime | None
    created_at: datetime
    secrets_until: tuple[datetime | None, ...]

    def audited(self) -> dict[str, Any]:
        """What the audit log says of it. Only the host of its address: path and query may be a secret, as Slack's
        are, and nothing is ever deleted there."""
        return {
            "host": urlsplit(self.url).netloc,
            "events": list(self.events),
            "format": self.format,
            "cooldown_seconds": int(self.cooldown.total_seconds()),
            "enabled": self.enabled,
        }


@dataclass(frozen=True)
class Wish:
    """What somebody wants of a receiver. Raises `ContractError` or `AddressRefused` when checked."""

    url: str
    events: tuple[str, ...]
    description: str | None = None
    format: str = "standard"
    cooldown: timedelta = USUAL_COOLDOWN
    enabled: bool = True

    def checked(self, allowed: Sequence[Network]) -> "Wish":
        """The same, understood."""
        check_url(self.url, allowed)
        if self.format not in FORMATS:
            raise ContractError(f"A webhook's format is {' or '.join(FORMATS)}, not {str(self.format)[:80]!r}.")
        if not timedelta(0) <= self.cooldown <= LONGEST_COOLDOWN:
            raise ContractError("A webhook's cooldown lies between 0 and 604,800 seconds (seven days).")
        if self.description is not None and len(self.description) > _LONGEST_TEXT:
            raise ContractError(f"A webhook's description has at most {_LONGEST_TEXT} characters.")
        check_types(self.events)
        return self

    def columns(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            "url": self.url,
            "description": self.description,
            "events": list(check_types(self.events)),
            "format": self.format,
            "cooldown_seconds": int(self.cooldown.total_seconds()),
            "enabled": self.enabled,
        }


def create_webhook(
    target: Engine | Connection, wish: Wish, allowed: Sequence[Network], now: datetime, secret: str | None = None
) -> tuple[Webhook, str]:
    """Make a receiver; gives it and its secret, which is never shown again. Raises `ContractError` and
    `AddressRefused`."""
    columns, secret = wish.checked(allowed).columns(), secret or new_secret()
    key_of(secret)
    row = {"endpoint_id": f"we_{random.token_hex(8)}", "secrets": [[secret, None]], "created_at": now, **columns}
    with writing(target) as conn:
        if (conn.scalar(sa.select(sa.func.count()).select_from(webhook_endpoints)) or 0) >= MOST:
            raise ContractError(f"There are {MOST} webhooks already; delete one first.")
        conn.execute(webhook_endpoints.insert().values(row))
        return get_webhook(conn, row["endpoint_id"]), secret


def get_webhook(conn: Connection, endpoint_id: str) -> Webhook:
    """A receiver. Raises `UnknownWebhook`."""
    return _webhook(_row(conn, endpoint_id))


def list_webhooks(conn: Connection) -> list[Webhook]:
    """All receivers, oldest first."""
    query = sa.select(webhook_endpoints).order_by(webhook_endpoints.c.created_at, webhook_endpoints.c.endpoint_id)
    return [_webhook(row) for row in conn.execute(query.limit(MOST))]


def change_webhook(
    target: Engine | Connection, endpoint_id: str, wish: Wish, allowed: Sequence[Network], now: datetime
) -> Webhook:
    """Put a receiver as wished. Enabling one again sends what was waiting. Errors as for `create_webhook`, and
    `UnknownWebhook`."""
    columns = wish.checked(allowed).columns()
    ended = {"disabled_at": now, "disabled_why": "by an administrator"}
    fresh = {"disabled_at": None, "disabled_why": None, "paused_until": None, "failing_since": None}
    with writing(target) as conn:
        before = _row(conn, endpoint_id)
        state = (fresh if wish.enabled else ended) if before.enabled != wish.enabled else {}
        mine = webhook_endpoints.c.endpoint_id == endpoint_id
        conn.execute(webhook_endpoints.update().where(mine).values(columns | state))
        return get_webhook(conn, endpoint_id)


def delete_webhook(target: Engine | Connection, endpoint_id: str) -> None:
    """Remove a receiver and everything that was or would be sent to it. Raises `UnknownWebhook`."""
    with writing(target) as conn:
        _row(conn, endpoint_id)
        conn.execute(webhook_deliveries.delete().where(webhook_deliveries.c.endpoint_id == endpoint_id))
        conn.execute(webhook_endpoints.delete().where(webhook_endpoints.c.endpoint_id == endpoint_id))


def rotate_secret(
    target: Engine | Connection, endpoint_id: str, now: datetime, overlap: timedelta = OVERLAP
) -> tuple[Webhook, str]:
    """Give a receiver a new secret, shown once; the ones before go on signing, too, for as long as `overlap`. Raises
    `UnknownWebhook`."""
    secret = new_secret()
    with writing(target) as conn:
        ends = to_micros(now + overlap)
        old = [[was, ends if end is None else min(end, ends)] for was, end in _row(conn, endpoint_id).secrets]
        kept = [[was, end] for was, end in old if end > to_micros(now)][: MOST_SECRETS - 1]
        mine = webhook_endpoints.c.endpoint_id == endpoint_id
        conn.execute(webhook_endpoints.update().where(mine).values(secrets=[[secret, None], *kept]))
        return get_webhook(conn, endpoint_id), secret


def signing_secrets(stored: Sequence[Sequence[Any]], now: datetime) -> list[str]:
    """The secrets that sign at a moment, newest first."""
    return [secret for secret, end in stored if end is None or end > to_micros(now)]


def _row(conn: Connection, endpoint_id: str) -> Any:
    query = sa.select(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id)
    row = conn.execute(query).one_or_none()
    if row is None:
        raise UnknownWebhook(f"There is no webhook {endpoint_id!r}.")
    return row


def _webhook(row: Any) -> Webhook:
    values = {name: row._mapping[name] for name in Webhook.__dataclass_fields__ if name in row._mapping}
    ends = tuple(None if end is None else from_micros(end) for _, end in row.secrets)
    cooldown = timedelta(seconds=row.cooldown_seconds)
    return Webhook(**values | {"events": tuple(row.events), "cooldown": cooldown, "secrets_until": ends})
