"""Receivers of events: made, changed, removed; what was sent to them, and sending it again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from flask import Response

from api import cursors
from api import webhook_schemas as schemas
from api.auth import by, needs
from api.bodies import answer, instant, invalid, json_body, linked, nothing, page_size, query, refuse_unknown
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.idempotency import keep_without
from api.service import the_service
from models.clock import isoformat
from models.store import deliveries as log
from models.store import webhooks as store
from models.store.audit import audit
from models.store.deliveries import MOST_REPLAYED, STATUSES, Delivery
from models.store.engine import writing
from models.store.webhooks import LONGEST_COOLDOWN, OVERLAP, USUAL_COOLDOWN, Webhook, Wish
from models.webhooks.events import EVENTS

resource = Resource("webhooks", "Webhooks: events sent to others")

LIMIT, MOST = 50, 500
_WISHES = tuple(schemas.WebhookBody().fields)
_LARGEST = 2**62


@resource.route("/v1/webhooks")
@needs("admin")
@operation(gives={200: (schemas.Webhooks, "Every receiver, oldest first")}, scope="admin")
def get_webhooks() -> Response:
    """The receivers of events, without their secrets. There are fifty at most."""
    with the_service().store.connection() as conn:
        found = store.list_webhooks(conn)
    return answer({"webhooks": [_line(webhook) for webhook in found]})


@resource.route("/v1/webhooks", methods=["POST"])
@needs("admin")
@operation(
    gives={201: (schemas.WebhookSecret, "Made; the secret is shown this once")},
    refuses=("address_refused", "invalid_data"),
    takes=schemas.WebhookBody,
    scope="admin",
    makes=True,
)
def post_webhooks() -> Response:
    """Have events sent to an address. The secret that signs them is in this answer and nowhere else."""
    service = the_service()
    wish = _wish(json_body())
    with writing(service.store.engine) as conn:
        made, secret = store.create_webhook(conn, wish, service.settings.webhook_allow, service.clock())
        audit(conn, by(), "webhook.created", made.endpoint_id, **made.audited())
    response = _shown_once(made, secret, 201)
    response.headers["Location"] = f"/v1/webhooks/{made.endpoint_id}"
    return response


@resource.route("/v1/webhooks/<webhook_id>")
@needs("admin")
@operation(gives={200: (schemas.WebhookLine, "The receiver")}, refuses=("unknown_webhook",), scope="admin")
def get_webhook(webhook_id: str) -> Response:
    """One receiver, without its secrets."""
    with the_service().store.connection() as conn:
        return answer(_line(store.get_webhook(conn, webhook_id)))


@resource.route("/v1/webhooks/<webhook_id>", methods=["PUT"])
@needs("admin")
@operation(
    gives={200: (schemas.WebhookLine, "As wished")},
    refuses=("unknown_webhook", "address_refused", "invalid_data"),
    takes=schemas.WebhookBody,
    scope="admin",
)
def put_webhook(webhook_id: str) -> Response:
    """Put a receiver as wished; what the body leaves out goes back to its default. Switched on again, it gets what was
    waiting for it."""
    service = the_service()
    wish = _wish(json_body())
    allowed, now = service.settings.webhook_allow, service.clock()
    with writing(service.store.engine) as conn:
        changed = store.change_webhook(conn, webhook_id, wish, allowed, now)
        audit(conn, by(), "webhook.changed", webhook_id, **changed.audited())
    return answer(_line(changed))


@resource.route("/v1/webhooks/<webhook_id>", methods=["DELETE"])
@needs("admin")
@operation(
    gives={204: (None, "Removed, with everything that was or would be sent to it")},
    refuses=("unknown_webhook",),
    scope="admin",
)
def delete_webhook(webhook_id: str) -> Response:
    """Remove a receiver and its log."""
    with writing(the_service().store.engine) as conn:
        store.delete_webhook(conn, webhook_id)
        audit(conn, by(), "webhook.deleted", webhook_id)
    return nothing()


@resource.route("/v1/webhooks/<webhook_id>/rotate", methods=["POST"])
@needs("admin")
@operation(
    gives={200: (schemas.WebhookSecret, "The new secret, shown this once")},
    refuses=("unknown_webhook",),
    takes=schemas.RotateBody,
    scope="admin",
)
def rotate_webhook(webhook_id: str) -> Response:
    """Make a new secret. Until the overlap is over, messages are signed with the old ones, too."""
    service = the_service()
    body = json_body()
    refuse_unknown(body, ("overlap_seconds",))
    overlap = timedelta(seconds=_seconds(body, "overlap_seconds", OVERLAP))
    with writing(service.store.engine) as conn:
        changed, secret = store.rotate_secret(conn, webhook_id, service.clock(), overlap)
        audit(conn, by(), "webhook.rotated", webhook_id)
    return _shown_once(changed, secret, 200)


@resource.route("/v1/webhooks/<webhook_id>/deliveries")
@needs("admin")
@operation(
    gives={200: (schemas.Deliveries, "A page of the log, latest first")},
    refuses=("unknown_webhook", "invalid_cursor"),
    query=schemas.DeliveriesQuery,
    scope="admin",
)
def get_deliveries(webhook_id: str) -> Response:
    """What was sent to a receiver, what is waiting, and what came of every attempt; kept for thirty days."""
    asked = query("status", "limit", "cursor")
    limit, status = page_size(asked, LIMIT, MOST), asked.get("status")
    if status is not None and status not in STATUSES:
        error = FieldError("status", "invalid", f"is one of {', '.join(STATUSES)}")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    before = None
    if "cursor" in asked:
        (before,) = cursors.read(asked["cursor"], int)
        if not 0 < before < _LARGEST:
            raise cursors.bad("is not one of ours")
    with the_service().store.connection() as conn:
        found = log.deliveries(conn, webhook_id, limit + 1, status, before)
    more, found = len(found) > limit, found[:limit]
    cursor = cursors.write(found[-1].delivery_no) if more else None
    kept = {"limit": limit, **({"status": status} if status else {}), "cursor": cursor}
    following = None if cursor is None else f"/v1/webhooks/{webhook_id}/deliveries?{urlencode(kept)}"
    lines = [_delivery(one) for one in found]
    return linked(answer({"deliveries": lines, "next_cursor": cursor, "next": following}), following)


@resource.route("/v1/webhooks/<webhook_id>/replay", methods=["POST"])
@needs("admin")
@operation(
    gives={200: (schemas.Replayed, "They will be sent again")},
    refuses=("unknown_webhook", "invalid_data"),
    takes=schemas.ReplayBody,
    scope="admin",
)
def replay_deliveries(webhook_id: str) -> Response:
    """Send deliveries again, under the ids they had: those named, or the failed ones since a moment (1,000 at once,
    oldest first)."""
    service = the_service()
    numbers, since = _replayed(json_body())
    engine, now = service.store.engine, service.clock()
    return answer({"replayed": log.replay(engine, webhook_id, now, numbers=numbers, since=since)})


def _shown_once(webhook: Webhook, secret: str, status: int) -> Response:
    return keep_without(answer(_line(webhook) | {"secret": secret}, status), _line(webhook) | {"secret": None})


def _line(webhook: Webhook) -> dict[str, Any]:
    times = {name: getattr(webhook, name) for name in ("disabled_at", "paused_until", "failing_since", "created_at")}
    return {
        "webhook_id": webhook.endpoint_id,
        "url": webhook.url,
        "events": list(webhook.events),
        "description": webhook.description,
        "format": webhook.format,
        "cooldown_seconds": int(webhook.cooldown.total_seconds()),
        "enabled": webhook.enabled,
        "disabled_why": webhook.disabled_why,
        **{name: _time(moment) for name, moment in times.items()},
        "secrets_until": [_time(moment) for moment in webhook.secrets_until],
    }


def _delivery(one: Delivery) -> dict[str, Any]:
    times = {name: _time(getattr(one, name)) for name in ("created_at", "due_at", "finished_at")}
    attempts = [{"at": at, "status": status, "error": error} for at, status, error in one.log]
    said = {name: getattr(one, name) for name in ("message_id", "type", "account_id", "status")}
    return {"delivery": one.delivery_no, **said, **times, "attempts": attempts}


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else isoformat(moment)


def _wish(body: Mapping[str, Any]) -> Wish:
    """What is wished for. Raises `Problem` 422 for members of a wrong kind; the core judges their values."""
    refuse_unknown(dict(body), _WISHES)
    errors = [FieldError(f"/{name}", "required", "is required") for name in ("url", "events") if name not in body]
    for name, kind, noun in (("url", str, "text"), ("format", str, "text"), ("enabled", bool, "true or false")):
        if name in body and type(body[name]) is not kind:
            errors.append(FieldError(f"/{name}", "invalid", f"must be {noun}"))
    if not isinstance(body.get("description"), str | None):
        errors.append(FieldError("/description", "invalid", "must be text"))
    events = body.get("events", ["list.published"])
    if not isinstance(events, list) or not events or any(type(e) is not str or e not in EVENTS for e in events):
        errors.append(FieldError("/events", "invalid", f"must be a list out of {', '.join(EVENTS)}"))
    if errors:
        raise invalid("The webhook does not fit; see errors.", *errors)
    return Wish(
        url=body["url"],
        events=tuple(events),
        description=body.get("description"),
        format=body.get("format", "standard"),
        cooldown=timedelta(seconds=_seconds(body, "cooldown_seconds", USUAL_COOLDOWN)),
        enabled=body.get("enabled", True),
    )


def _seconds(body: Mapping[str, Any], name: str, usual: timedelta) -> int:
    longest = int(LONGEST_COOLDOWN.total_seconds())
    value = body.get(name, int(usual.total_seconds()))
    if type(value) is not int or not 0 <= value <= longest:
        error = FieldError(f"/{name}", "invalid", f"must be a whole number from 0 to {longest}")
        raise invalid("A span of time does not fit; see errors.", error)
    return value


def _replayed(body: Mapping[str, Any]) -> tuple[tuple[int, ...], datetime | None]:
    """The deliveries named, or since when."""
    refuse_unknown(dict(body), ("deliveries", "failed_since"))
    if len(body) != 1:
        error = FieldError("", "invalid", "must have either deliveries or failed_since")
        raise invalid("Say which deliveries, or since when.", error)
    if "failed_since" in body:
        since, why = instant(body["failed_since"])
        if since is None:
            raise invalid("The moment does not fit.", FieldError("/failed_since", "invalid", why))
        return (), since
    numbers = body["deliveries"]
    fits = isinstance(numbers, list) and 0 < len(numbers) <= MOST_REPLAYED
    if not fits or any(type(number) is not int or not 0 < number < _LARGEST for number in numbers):
        error = FieldError("/deliveries", "invalid", f"must be a list of 1 to {MOST_REPLAYED:,} numbers of deliveries")
        raise invalid("The deliveries do not fit.", error)
    return tuple(numbers), None
