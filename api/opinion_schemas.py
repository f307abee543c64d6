"""The shapes of what managers say of accounts, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said
from models.health import BANDS

_TEXT = validate.Length(1, 2000)


class OverrideBody(ma.Schema):
    """PUT /v1/accounts/{account_id}/override."""

    band = fields.String(required=True, validate=validate.OneOf(BANDS), metadata=said("what the manager holds it for"))
    owner = fields.String(required=True, validate=_TEXT, metadata=said("who answers for it"))
    reason = fields.String(required=True, validate=_TEXT)
    expires_at = fields.DateTime(
        required=True, metadata=said("when it ends by itself: in the future, at most 366 days ahead")
    )


class Override(OverrideBody):
    """A manager's band for an account, beside the model's."""

    set_at = fields.DateTime(required=True)


class OverrideAnswer(ma.Schema):
    """The override that holds now."""

    account_id = fields.String(required=True)
    override = fields.Nested(Override, required=True, allow_none=True)


class SentimentBody(ma.Schema):
    """PUT /v1/accounts/{account_id}/sentiment."""

    sentiment = fields.Integer(
        required=True,
        validate=validate.Range(1, 5),
        metadata=said("1: we are losing them, 2: worried, 3: neither, 4: content, 5: would recommend us"),
    )
    who = fields.String(required=True, validate=_TEXT, metadata=said("whose view it is"))
    note = fields.String(allow_none=True, validate=_TEXT)
    at = fields.DateTime(allow_none=True, metadata=said("when it was held; now unless given, never in the future"))


class Sentiment(ma.Schema):
    """A manager's view of an account."""

    sentiment = fields.Integer(required=True)
    who = fields.String(required=True)
    note = fields.String(required=True, allow_none=True)
    at = fields.DateTime(required=True)


class SentimentAnswer(ma.Schema):
    """A view: the latest one, or the one that was just kept."""

    account_id = fields.String(required=True)
    sentiment = fields.Nested(Sentiment, required=True, allow_none=True, metadata=said("null: nobody gave one"))
