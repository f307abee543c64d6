"""The shapes of what administrators see: keys and the audit log."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said
from models.store.keys import SCOPES

_LONGEST_NAME = 128


class KeyRequest(ma.Schema):
    """A key to be made."""

    name = fields.String(required=True, validate=validate.Length(1, _LONGEST_NAME), metadata=said("who uses it"))
    scopes = fields.List(fields.String(validate=validate.OneOf(SCOPES)), required=True, validate=validate.Length(1))
    owners = fields.List(
        fields.String(),
        validate=validate.Length(1),
        metadata=said("only these owners' accounts exist for the key; leave it out for everybody's"),
    )
    segments = fields.List(
        fields.String(),
        validate=validate.Length(1),
        metadata=said("only these segments' accounts exist for the key; leave it out for everybody's"),
    )
    expires_at = fields.DateTime(allow_none=True, metadata=said("when it stops working; null: never"))


class RotateRequest(ma.Schema):
    """How a key gets a new secret."""

    overlap_hours = fields.Float(
        load_default=24,
        validate=validate.Range(0, 720),
        metadata=said("for how long the present secret goes on working"),
    )


class Key(ma.Schema):
    """A key, without its secret."""

    key_id = fields.String(required=True)
    name = fields.String(required=True)
    scopes = fields.List(fields.String(), required=True)
    owners = fields.List(fields.String(), required=True, metadata=said("empty: not restricted by owner"))
    segments = fields.List(fields.String(), required=True, metadata=said("empty: not restricted by segment"))
    created_at = fields.DateTime(required=True)
    last_used_at = fields.DateTime(required=True, allow_none=True, metadata=said("to the minute; null: never"))
    expires_at = fields.DateTime(required=True, allow_none=True, metadata=said("null: never"))
    previous_until = fields.DateTime(
        required=True, allow_none=True, metadata=said("until when the secret before the last rotation works")
    )
    revoked_at = fields.DateTime(required=True, allow_none=True)


class NewKey(Key):
    """A key with its secret, which is shown this once."""

    key = fields.String(
        required=True, allow_none=True, metadata=said("null in an answer that is replayed: no secret is kept")
    )


class KeyList(ma.Schema):
    """Every key."""

    keys_ = fields.List(fields.Nested(Key), required=True, data_key="keys")


class AuditQuery(ma.Schema):
    """Which part of the log."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))
    cursor = fields.String(metadata=said("from `next_cursor`, with the same filters"))
    action = fields.String(metadata=said("only these changes: key.created, model.promote, ..."))
    subject = fields.String(metadata=said("only changes of this: a key id, a model id, an account id"))


class AuditLine(ma.Schema):
    """Who changed what."""

    entry_id = fields.Integer(required=True)
    at = fields.DateTime(required=True)
    actor = fields.String(required=True, metadata=said("key:<key id>, cli:<user>, service, or who promoted a model"))
    action = fields.String(required=True)
    subject = fields.String(required=True)
    details = fields.Dict(required=True)
    request_id = fields.String(required=True, allow_none=True, metadata=said("of the request that made the change"))


class AuditPage(ma.Schema):
    """A page of the log."""

    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True, metadata=said("address of the next page; null on the last"))
    entries = fields.List(fields.Nested(AuditLine), required=True)
