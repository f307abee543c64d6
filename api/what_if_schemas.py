"""The shapes of what-if questions, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.change_schemas import Amount
from api.schemas import said
from api.score_schemas import ModelLine
from models.health import BANDS
from models.what_if import LEVERS


class WhatIfBody(ma.Schema):
    """Which levers are pulled, one after the other."""

    levers = fields.List(
        fields.String(validate=validate.OneOf(list(LEVERS))),
        required=True,
        validate=validate.Length(1, len(LEVERS)),
        metadata=said("each once"),
    )
    survey_score = fields.Float(
        allow_none=True, metadata=said("for `survey_answered`: on the scale of that survey; needed by that lever")
    )
    target = fields.String(load_default="churn", validate=validate.OneOf(["churn", "silent"]))


class Standing(ma.Schema):
    """What the model says of a history."""

    log_odds = fields.Float(required=True, metadata=said("of the target"))
    health = fields.Float(required=True)
    health_unclipped = fields.Float(required=True)
    band = fields.String(required=True, validate=validate.OneOf(BANDS), metadata=said("without hysteresis"))
    p_churn = fields.Float(required=True)
    p_silent = fields.Float(required=True)


class LeverPart(ma.Schema):
    """What one lever changed; its features add up to it."""

    lever = fields.String(required=True, validate=validate.OneOf(list(LEVERS)))
    meaning = fields.String(required=True)
    rows = fields.List(fields.String(), required=True, metadata=said("ids of the changed rows; empty: none to change"))
    log_odds = fields.Float(required=True)
    points = fields.Float(required=True)
    features = fields.List(fields.Nested(Amount), required=True)


class WhatIfAnswer(ma.Schema):
    """POST /v1/accounts/{account_id}/what-if; nothing of it is stored."""

    account_id = fields.String(required=True)
    as_of = fields.DateTime(required=True)
    model = fields.Nested(ModelLine, required=True)
    target = fields.String(required=True, validate=validate.OneOf(["churn", "silent"]))
    reading = fields.String(required=True, validate=validate.Equal("association"))
    caution = fields.String(required=True)
    now = fields.Nested(Standing, required=True)
    then = fields.Nested(Standing, required=True)
    log_odds = fields.Float(required=True, metadata=said("`then` less `now`; the parts add up to it"))
    points = fields.Float(required=True)
    parts = fields.List(fields.Nested(LeverPart), required=True)
