"""The shapes of webhooks, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said
from models.store.deliveries import MOST_REPLAYED, STATUSES
from models.store.webhooks import FORMATS, LONGEST_COOLDOWN
from models.webhooks.events import EVENTS
from models.webhooks.guard import LONGEST

_TYPES = fields.List(
    fields.String(validate=validate.OneOf(list(EVENTS))),
    required=True,
    validate=validate.Length(1),
    metadata=said("which events it gets"),
)
_SECONDS = validate.Range(0, int(LONGEST_COOLDOWN.total_seconds()))


class WebhookBody(ma.Schema):
    """A receiver as wished."""

    url = fields.String(
        required=True,
        validate=validate.Length(1, LONGEST),
        metadata=said("https://host/path on the public internet, or within EBBTIDE_WEBHOOK_ALLOW"),
    )
    events = _TYPES
    description = fields.String(allow_none=True, validate=validate.Length(0, 500))
    format = fields.String(
        validate=validate.OneOf(FORMATS), metadata=said("standard (default), or slack: a line of text")
    )
    cooldown_seconds = fields.Integer(
        validate=_SECONDS,
        metadata=said("events of one topic about one account are at least so far apart; default 3600, 0: every event"),
    )
    enabled = fields.Boolean(metadata=said("default true"))


class WebhookLine(ma.Schema):
    """A receiver; never its secrets."""

    webhook_id = fields.String(required=True)
    url = fields.String(required=True)
    events = fields.List(fields.String(), required=True)
    description = fields.String(required=True, allow_none=True)
    format = fields.String(required=True, validate=validate.OneOf(FORMATS))
    cooldown_seconds = fields.Integer(required=True)
    enabled = fields.Boolean(required=True)
    disabled_at = fields.DateTime(required=True, allow_none=True)
    disabled_why = fields.String(required=True, allow_none=True, metadata=said("`gone`: it answered 410"))
    paused_until = fields.DateTime(required=True, allow_none=True, metadata=said("it asked us to wait until then"))
    failing_since = fields.DateTime(
        required=True, allow_none=True, metadata=said("the first failure since it last took a message; null: fine")
    )
    created_at = fields.DateTime(required=True)
    secrets_until = fields.List(
        fields.DateTime(allow_none=True),
        required=True,
        metadata=said("when each secret ends, newest first; null: not planned"),
    )


class WebhookSecret(WebhookLine):
    """A receiver, and the secret that was just made for it: shown here and never again."""

    secret = fields.String(
        required=True,
        allow_none=True,
        metadata=said("whsec_ and base64; the receiver checks signatures with it; null in an answer that is replayed"),
    )


class Webhooks(ma.Schema):
    """Every receiver, oldest first."""

    webhooks = fields.List(fields.Nested(WebhookLine), required=True)


class RotateBody(ma.Schema):
    """How a secret is replaced."""

    overlap_seconds = fields.Integer(
        validate=_SECONDS, metadata=said("how long the secrets before go on signing, too; default 86400")
    )


class ReplayBody(ma.Schema):
    """What to send again: `deliveries` by number, or with `failed_since` every failed one made since then."""

    deliveries = fields.List(fields.Integer(validate=validate.Range(1)), validate=validate.Length(1, MOST_REPLAYED))
    failed_since = fields.DateTime()


class Replayed(ma.Schema):
    """How many deliveries will be sent again."""

    replayed = fields.Integer(required=True)


class DeliveriesQuery(ma.Schema):
    """Which deliveries."""

    status = fields.String(validate=validate.OneOf(STATUSES))
    limit = fields.Integer(validate=validate.Range(1, 500))
    cursor = fields.String()


class Attempt(ma.Schema):
    """One attempt to send a message."""

    at = fields.DateTime(required=True)
    status = fields.Integer(required=True, allow_none=True, metadata=said("what it answered; null: nothing"))
    error = fields.String(required=True, allow_none=True)


class DeliveryLine(ma.Schema):
    """One event for one receiver."""

    delivery = fields.Integer(required=True, metadata=said("its number"))
    message_id = fields.String(required=True, metadata=said("the header webhook-id; the same in every attempt"))
    type = fields.String(required=True)
    account_id = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(STATUSES))
    created_at = fields.DateTime(required=True)
    due_at = fields.DateTime(required=True, allow_none=True, metadata=said("the next attempt; null: finished"))
    finished_at = fields.DateTime(required=True, allow_none=True)
    attempts = fields.List(fields.Nested(Attempt), required=True, metadata=said("the latest thirty, oldest first"))


class Deliveries(ma.Schema):
    """A page of deliveries, latest first."""

    deliveries = fields.List(fields.Nested(DeliveryLine), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True)
