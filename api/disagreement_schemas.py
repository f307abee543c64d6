"""The shapes of disagreements, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.opinion_schemas import Override, Sentiment
from api.schemas import said
from api.score_schemas import BriefReason
from models.disagreement import DIRECTIONS, SOURCES, TERMS
from models.health import BANDS


class DisagreementQuery(ma.Schema):
    """Which disagreements."""

    owner = fields.String()
    segment = fields.String()
    against = fields.String(validate=validate.OneOf(SOURCES), metadata=said("both unless given"))
    direction = fields.String(validate=validate.OneOf(DIRECTIONS), metadata=said("both unless given"))
    limit = fields.Integer(load_default=50, validate=validate.Range(1, 200))


class ContractTerms(ma.Schema):
    """How the contract changed."""

    term = fields.String(required=True, validate=validate.OneOf(TERMS))
    before = fields.Float(required=True)
    after = fields.Float(required=True)


class Disagreement(ma.Schema):
    """An account that the model and somebody else see differently."""

    account_id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    owner = fields.String(required=True, allow_none=True)
    segment = fields.String(required=True, allow_none=True)
    region = fields.String(required=True, allow_none=True)
    mrr = fields.Float(required=True, allow_none=True)
    currency = fields.String(required=True, allow_none=True)
    health = fields.Float(required=True)
    band = fields.String(required=True, validate=validate.OneOf(BANDS))
    p_churn = fields.Float(required=True)
    p_silent = fields.Float(required=True)
    scored_as_of = fields.DateTime(required=True)
    against = fields.String(required=True, validate=validate.OneOf(SOURCES))
    direction = fields.String(required=True, validate=validate.OneOf(DIRECTIONS))
    says = fields.Float(required=True, metadata=said("what the other side says, on the scale of health"))
    gap = fields.Float(required=True, metadata=said("health less `says`"))
    sentiment = fields.Nested(Sentiment, required=True, allow_none=True)
    terms = fields.Nested(ContractTerms, required=True, allow_none=True)
    override = fields.Nested(Override, required=True, allow_none=True)
    reasons = fields.List(
        fields.Nested(BriefReason),
        required=True,
        allow_none=True,
        metadata=said("the strongest for the model's side; null where its artefact is no longer stored"),
    )


class Disagreements(ma.Schema):
    """GET /v1/risk-lists/disagreement."""

    as_of = fields.DateTime(required=True)
    least_gap = fields.Float(required=True, metadata=said("in points of health"))
    within_days = fields.Integer(required=True, metadata=said("how long views and changes of terms count"))
    count = fields.Integer(required=True, metadata=said("in all, of which the first are told"))
    entries = fields.List(fields.Nested(Disagreement), required=True)
