"""The live doors: helpdesks send their events here, signed; what came in is kept first and read by a worker."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import marshmallow as ma
from flask import Response, request
from marshmallow import fields, validate

from api import cursors, transport
from api.auth import needs
from api.bodies import answer, instant, invalid, json_body, linked, page_size, query, refuse_unknown
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.schemas import said
from api.service import the_service
from models.clock import isoformat
from models.imports.live.doors import DOORS
from models.store import inbound
from models.store.inbound import MOST_REPLAYED, STATUSES, Message

resource = Resource("inbound", "Live doors: events of helpdesks")

#: Bytes of a message; helpdesks send a few thousand.
MOST_BYTES = 1024 * 1024
LIMIT, MOST = 50, 500
_LARGEST = 2**62


class Received(ma.Schema):
    """A message was taken."""

    status = fields.String(
        required=True, validate=validate.OneOf(["kept", "known"]), metadata=said("`known`: it had come before")
    )


class MessageLine(ma.Schema):
    """A message that came in; what it says stays in the store."""

    message = fields.Integer(required=True, metadata=said("its number"))
    door = fields.String(required=True, validate=validate.OneOf(list(DOORS)))
    received_at = fields.DateTime(required=True)
    subject = fields.String(required=True, allow_none=True, metadata=said("such as ticket:70; null: not read yet"))
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    attempts = fields.Integer(
        required=True, metadata=said("how often a worker has taken it up since it came in or was asked for again")
    )
    finished_at = fields.DateTime(required=True, allow_none=True)
    error = fields.String(required=True, allow_none=True, metadata=said("why it could not be read"))


class Inbox(ma.Schema):
    """A page of what came in, latest first."""

    messages = fields.List(fields.Nested(MessageLine), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True)


class InboxQuery(ma.Schema):
    """Which messages."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    limit = fields.Integer(validate=validate.Range(1, MOST))
    cursor = fields.String()


class ReadAgain(ma.Schema):
    """What to read again: `messages` by number, or with `failed_since` every failed one received since then."""

    messages = fields.List(fields.Integer(validate=validate.Range(1)), validate=validate.Length(1, MOST_REPLAYED))
    failed_since = fields.DateTime()


class ReadAgainAnswer(ma.Schema):
    """How many will be read again."""

    replayed = fields.Integer(required=True)


_REFUSES = ("not_genuine", "door_closed", "too_large", "store_unavailable")


#: Signed byte for byte, so it is looked at as it comes.
_MESSAGE = {"type": "object", "description": "as the helpdesk sends it, up to 1 MiB"}


def _signature(name: str, meaning: str) -> dict[str, Any]:
    return {"in": "header", "name": name, "required": True, "description": meaning, "schema": {"type": "string"}}


@resource.route("/v1/inbound/zendesk", methods=["POST"])
@operation(
    gives={200: (Received, "Kept; a worker reads it")},
    refuses=_REFUSES,
    raw=_MESSAGE,
    parameters=(
        _signature("X-Zendesk-Webhook-Signature", "base64 of HMAC-SHA256 over timestamp and body"),
        _signature("X-Zendesk-Webhook-Signature-Timestamp", "when it was signed, at most five minutes ago"),
    ),
)
def receive_zendesk() -> Response:
    """An event of Zendesk, signed with the webhook's secret. Not for keys: the signature says who sends it."""
    return _receive("zendesk")


@resource.route("/v1/inbound/intercom", methods=["POST"])
@operation(
    gives={200: (Received, "Kept; a worker reads it")},
    refuses=_REFUSES,
    raw=_MESSAGE,
    parameters=(_signature("X-Hub-Signature", "`sha1=` and hex of HMAC-SHA1 over the body"),),
)
def receive_intercom() -> Response:
    """A notification of Intercom, signed with the app's client secret."""
    return _receive("intercom")


def _receive(door: str) -> Response:
    service = the_service()
    secrets: tuple[str, ...] = getattr(service.settings, f"{door}_secrets")
    if not secrets:
        raise Problem(404, "door_closed", f"This door is closed; EBBTIDE_{door.upper()}_SECRETS opens it.")
    body = _raw()
    now = service.clock()
    DOORS[door].verify(request.headers, body, secrets, now)
    return answer({"status": "kept" if inbound.keep(service.store.engine, door, body, now) else "known"})


def _raw() -> bytes:
    """The body byte for byte as it came: that is what was signed."""
    too_large = Problem(413, "too_large", f"A message has at most {MOST_BYTES:,} bytes.")
    if (request.content_length or 0) > MOST_BYTES:
        raise too_large
    body = bytearray()
    for block in transport.blocks():
        body += block
        if len(body) > MOST_BYTES:
            raise too_large
    return bytes(body)


@resource.route("/v1/inbound")
@needs("admin")
@operation(
    gives={200: (Inbox, "A page of what came in, latest first")},
    refuses=("invalid_cursor",),
    query=InboxQuery,
    scope="admin",
)
def get_inbound() -> Response:
    """What came in by the live doors, what is waiting, and what could not be read and why."""
    asked = query("status", "limit", "cursor")
    limit, status, before = page_size(asked, LIMIT, MOST), asked.get("status"), None
    if status is not None and status not in STATUSES:
        error = FieldError("status", "invalid", f"is one of {', '.join(STATUSES)}")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    if "cursor" in asked:
        (before,) = cursors.read(asked["cursor"], int)
        if not 0 < before < _LARGEST:
            raise cursors.bad("is not one of ours")
    with the_service().store.connection() as conn:
        found = inbound.messages(conn, limit + 1, status, before)
    more, found = len(found) > limit, found[:limit]
    cursor = cursors.write(found[-1].message_no) if more else None
    kept = {"limit": limit, **({"status": status} if status else {}), "cursor": cursor}
    following = None if cursor is None else f"/v1/inbound?{urlencode(kept)}"
    body = {"messages": [_line(one) for one in found], "next_cursor": cursor, "next": following}
    return linked(answer(body), following)


@resource.route("/v1/inbound/replay", methods=["POST"])
@needs("admin")
@operation(
    gives={200: (ReadAgainAnswer, "They will be read again")}, takes=ReadAgain, refuses=("invalid_data",), scope="admin"
)
def replay_inbound() -> Response:
    """Read messages again: those named, or the failed ones since a moment (1,000 at once, oldest first)."""
    service, body = the_service(), json_body()
    refuse_unknown(body, ("messages", "failed_since"))
    if len(body) != 1:
        error = FieldError("", "invalid", "must have either messages or failed_since")
        raise invalid("Say which messages, or since when.", error)
    numbers, since = _numbers(body), _since(body)
    return answer({"replayed": inbound.replay(service.store.engine, service.clock(), numbers, since)})


def _numbers(body: dict[str, Any]) -> tuple[int, ...]:
    numbers = body.get("messages", [1])
    fits = isinstance(numbers, list) and 0 < len(numbers) <= MOST_REPLAYED
    if not fits or any(type(number) is not int or not 0 < number < _LARGEST for number in numbers):
        error = FieldError("/messages", "invalid", f"must be a list of 1 to {MOST_REPLAYED:,} numbers of messages")
        raise invalid("The messages do not fit.", error)
    return tuple(numbers) if "messages" in body else ()


def _since(body: dict[str, Any]) -> datetime | None:
    if "failed_since" not in body:
        return None
    since, why = instant(body["failed_since"])
    if since is None:
        raise invalid("The moment does not fit.", FieldError("/failed_since", "invalid", why))
    return since


def _line(one: Message) -> dict[str, Any]:
    return {
        "message": one.message_no,
        "door": one.door,
        "received_at": isoformat(one.received_at),
        "subject": one.subject,
        "status": one.status,
        "attempts": one.attempts,
        "finished_at": None if one.finished_at is None else isoformat(one.finished_at),
        "error": one.error,
    }
