"""The shape of a look at the model in service, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said
from models.monitor.findings import KINDS, SEVERITIES


class Finding(ma.Schema):
    """One thing that changed."""

    kind = fields.String(required=True, validate=validate.OneOf(list(KINDS)))
    severity = fields.String(required=True, validate=validate.OneOf(SEVERITIES))
    subject = fields.String(required=True, metadata=said("the feature, source or target it is about"))
    sentence = fields.String(required=True)
    action = fields.String(required=True, metadata=said("what to do"))
    numbers = fields.Dict(required=True, metadata=said("the figures behind the sentence"))
    since = fields.DateTime(
        required=True, allow_none=True, metadata=said("the first look of the unbroken run that shows it; null: unknown")
    )


class Observed(ma.Schema):
    """Observed against expected exits."""

    target = fields.String(required=True, validate=validate.OneOf(["churn", "silent"]))
    span = fields.String(
        required=True, validate=validate.OneOf(["all", "latest"]), metadata=said("all since training, or the latest")
    )
    since = fields.DateTime(required=True, metadata=said("first snapshot"))
    until = fields.DateTime(required=True, metadata=said("last snapshot"))
    rows = fields.Integer(required=True)
    accounts = fields.Integer(required=True)
    observed = fields.Float(required=True, metadata=said("snapshots followed by an exit"))
    expected = fields.Float(required=True, metadata=said("sum of the probabilities"))
    exits = fields.Integer(required=True, metadata=said("accounts that left"))
    ratio = fields.Float(required=True, allow_none=True, metadata=said("observed over expected; null: none expected"))
    low = fields.Float(required=True, allow_none=True, metadata=said("95 % interval"))
    high = fields.Float(required=True, allow_none=True, metadata=said("95 % interval"))
    z = fields.Float(required=True, allow_none=True)
    chance = fields.Float(
        required=True, allow_none=True, metadata=said("of a ratio as far from 1 if the model is right")
    )
    auc = fields.Float(required=True, allow_none=True, metadata=said("null: nobody left, or everybody"))


class Estimated(ma.Schema):
    """What the scores promise if the probabilities are right."""

    accounts = fields.Integer(required=True)
    exits = fields.Float(required=True)
    auc = fields.Float(required=True, allow_none=True)
    lift = fields.Float(required=True, allow_none=True, metadata=said("of the highest tenth"))
    auc_at_training = fields.Float(required=True, allow_none=True)


_ESTIMATED: type[ma.Schema] = ma.Schema.from_dict(
    {target: fields.Nested(Estimated, required=True) for target in ("churn", "silent")}, name="EstimatedByTarget"
)
_PREDICTIONS: type[ma.Schema] = ma.Schema.from_dict(
    {kind: fields.Integer(required=True) for kind in ("stored", "rescored")}, name="Predictions"
)


class Monitor(ma.Schema):
    """GET /v1/model/monitor."""

    model_id = fields.String(required=True)
    as_of = fields.DateTime(required=True, metadata=said("what was known then was looked at"))
    computed_at = fields.DateTime(required=True)
    age_seconds = fields.Float(required=True, metadata=said("since it was computed"))
    accounts = fields.Integer(required=True, metadata=said("customers looked at"))
    reference = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=said("when the model's normal was measured; null: never, see `no_reference`"),
    )
    worst = fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf([*SEVERITIES, None]),
        metadata=said("the gravest finding; null: nothing was found"),
    )
    findings = fields.List(fields.Nested(Finding), required=True, metadata=said("the gravest first"))
    observed = fields.List(fields.Nested(Observed), required=True, metadata=said("empty until outcomes are known"))
    estimated = fields.Nested(_ESTIMATED, required=True)
    predictions = fields.Nested(
        _PREDICTIONS, required=True, metadata=said("rows of the past whose scores were stored then, or made again")
    )
