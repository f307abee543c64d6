"""The shapes of the score history and the change ledger, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said
from api.score_schemas import HealthQuery, ModelLine, PastScore
from models.features import COMPONENTS
from models.store.moves import GROUPS


class ScoreHistory(ma.Schema):
    """GET /v1/accounts/{account_id}/scores."""

    account_id = fields.String(required=True)
    scores = fields.List(fields.Nested(PastScore), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(
        required=True, allow_none=True, metadata=said("address of the following page; null on the last")
    )


class HistoryQuery(ma.Schema):
    """Which page."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))
    cursor = fields.String(metadata=said("from `next_cursor`"))


class Side(ma.Schema):
    """One of the two scores that are compared, as it was given."""

    as_of = fields.DateTime(required=True)
    computed_at = fields.DateTime(required=True)
    model = fields.Nested(ModelLine, required=True)
    health = fields.Float(required=True)
    health_unclipped = fields.Float(required=True)
    band = fields.String(required=True)
    p_churn = fields.Float(required=True)
    p_silent = fields.Float(required=True)
    log_odds = fields.Float(required=True, metadata=said("of the target"))


class Amount(ma.Schema):
    """What one feature has to do with a part of the change."""

    feature = fields.String(
        required=True, metadata=said("a term of the model, `base`, `reference`, or empty: all together")
    )
    label = fields.String(required=True)
    component = fields.String(required=True, allow_none=True, validate=validate.OneOf([*COMPONENTS, None]))
    log_odds = fields.Float(required=True, metadata=said("above zero: the risk rose"))
    points = fields.Float(required=True, metadata=said("on the scale of health; below zero: the risk rose"))


class Part(ma.Schema):
    """One reason why the score changed; its features add up to it."""

    part = fields.String(required=True, validate=validate.OneOf(["corrected", "late", "time", "behaviour", "model"]))
    meaning = fields.String(required=True)
    log_odds = fields.Float(required=True)
    points = fields.Float(required=True)
    features = fields.List(fields.Nested(Amount), required=True, metadata=said("strongest first; none that is zero"))


# `from` is a word Python keeps for itself, so these members are declared by name.
_From: type[ma.Schema] = ma.Schema.from_dict({"from": fields.Nested(Side, required=True)}, name="From")
_Since: type[ma.Schema] = ma.Schema.from_dict(
    {"from": fields.DateTime(required=True, metadata=said("the score given as of then, or last before"))}, name="Since"
)


class Changes(_From):  # type: ignore[misc, valid-type]
    """GET /v1/accounts/{account_id}/changes; for `churn`, points is the change of health_unclipped."""

    account_id = fields.String(required=True)
    target = fields.String(required=True, validate=validate.OneOf(["churn", "silent"]))
    to = fields.Nested(Side, required=True)
    log_odds = fields.Float(required=True, metadata=said("`to` less `from`; the parts add up to it, to 1e-9"))
    points = fields.Float(required=True)
    parts = fields.List(fields.Nested(Part), required=True)


class ChangesQuery(_Since, HealthQuery):  # type: ignore[misc, valid-type]
    """Which two moments, and whose change."""

    to = fields.DateTime(metadata=said("now unless given"))


class PortfolioQuery(_Since):  # type: ignore[misc, valid-type]
    """Which two runs, whose accounts, and by what."""

    to = fields.DateTime(metadata=said("now unless given"))
    target = fields.String(load_default="churn", validate=validate.OneOf(["churn", "silent"]))
    by = fields.String(validate=validate.OneOf(GROUPS), metadata=said("as accounts are now; on the whole unless given"))
    owner = fields.String()
    segment = fields.String()


class RunSide(ma.Schema):
    """One of the two runs."""

    as_of = fields.DateTime(required=True)
    run_id = fields.Integer(required=True)
    model_id = fields.String(required=True)


class AccountSum(ma.Schema):
    """So many accounts, and what their scores add up to."""

    accounts = fields.Integer(required=True)
    log_odds = fields.Float(required=True, metadata=said("of the target"))
    points = fields.Float(required=True, metadata=said("unclipped health"))
    mean_health_unclipped = fields.Float(required=True, allow_none=True)


_FromRun: type[ma.Schema] = ma.Schema.from_dict({"from": fields.Nested(RunSide, required=True)}, name="FromRun")


class PortfolioSum(ma.Schema):
    """first + came - went + parts = last, in log_odds; for `churn` in points, too."""

    first = fields.Nested(AccountSum, required=True)
    went = fields.Nested(AccountSum, required=True, metadata=said("in the first run only, as they were scored there"))
    came = fields.Nested(AccountSum, required=True, metadata=said("in the last run only, as they were scored there"))
    last = fields.Nested(AccountSum, required=True)
    log_odds = fields.Float(required=True, metadata=said("`last` less `first`"))
    points = fields.Float(required=True)
    parts = fields.List(
        fields.Nested(Part), required=True, metadata=said("of those in both runs, with the ten strongest features each")
    )


class PortfolioGroup(PortfolioSum):
    """The same of one group."""

    owner = fields.String(allow_none=True)
    segment = fields.String(allow_none=True)
    region = fields.String(allow_none=True)


class PortfolioChanges(PortfolioSum, _FromRun):  # type: ignore[misc, valid-type]
    """GET /v1/portfolio/changes."""

    target = fields.String(required=True, validate=validate.OneOf(["churn", "silent"]))
    by = fields.String(required=True, allow_none=True)
    to = fields.Nested(RunSide, required=True)
    groups = fields.List(fields.Nested(PortfolioGroup), required=True, allow_none=True)
