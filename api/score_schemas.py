"""The shapes of scores, lists and the model, for the OpenAPI document."""

from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from api.opinion_schemas import Override
from api.schemas import (
    FieldProblem,
    OwnAccount,
    OwnContract,
    OwnInteraction,
    OwnMeasure,
    OwnOutreach,
    OwnSurvey,
    part_of,
    said,
)
from models.features import COMPONENTS, FEATURES
from models.health import BANDS, GRADES
from models.imports.convert import ID_LENGTH
from models.schema import FORMS


class ModelLine(ma.Schema):
    """Which model made a score."""

    id = fields.String(required=True)
    status = fields.String(
        required=True, allow_none=True, metadata=said("in words, such as `expert prior, uncalibrated`")
    )


class Reason(ma.Schema):
    """One term's part in a score."""

    feature = fields.String(required=True)
    label = fields.String(required=True)
    component = fields.String(required=True, validate=validate.OneOf(COMPONENTS))
    points = fields.Float(
        required=True,
        metadata=said(
            "on the scale of health: ten double the odds, below zero raises the risk; for `churn` they add up"
        ),
    )
    log_odds = fields.Float(
        required=True, metadata=said("the same in log-odds of the target; above zero raises the risk")
    )
    value = fields.Raw(
        required=True, metadata=said("the account's number or text; null: unknown", type=["number", "string", "null"])
    )
    usual = fields.Float(required=True, allow_none=True, metadata=said("mean of its segment; null: unknown"))
    sentence = fields.String(required=True)


class Explanation(ma.Schema):
    """All reasons for one target; base_log_odds plus their log_odds is log_odds, to 1e-9."""

    target = fields.String(required=True, validate=validate.OneOf(["churn", "silent"]))
    base_log_odds = fields.Float(required=True)
    log_odds = fields.Float(required=True)
    reasons = fields.List(fields.Nested(Reason), required=True)


class Horizon(ma.Schema):
    """The probabilities are of a decision to leave taken between these days after as_of."""

    from_days = fields.Integer(required=True)
    to_days = fields.Integer(required=True)


class Loss(ma.Schema):
    """p_silent x monthly revenue x months x margin."""

    amount = fields.Float(required=True)
    currency = fields.String(required=True, allow_none=True)
    months = fields.Integer(required=True)


def _moving() -> fields.Field[Any]:
    return fields.String(
        required=True,
        allow_none=True,
        validate=validate.OneOf(["up", "down", "steady", None]),
        metadata=said("a change counts from 5 points and 1.64 standard errors; null: was no customer then"),
    )


class Trend(ma.Schema):
    """How the health moved, both moments scored by the same model."""

    moving_28d = _moving()
    health_change_28d = fields.Float(required=True, allow_none=True, metadata=said("points; below zero: got worse"))
    moving_91d = _moving()
    health_change_91d = fields.Float(required=True, allow_none=True, metadata=said("points; below zero: got worse"))


_COMPONENTS: type[ma.Schema] = ma.Schema.from_dict(
    {name: fields.Float(required=True) for name in COMPONENTS},
    name="Components",
)


def _pair(meaning: str, **options: Any) -> fields.Field[Any]:
    return fields.List(fields.Float(), validate=validate.Length(equal=2), metadata=said(meaning), **options)


def _chance(meaning: str, **options: Any) -> fields.Field[Any]:
    return fields.Float(validate=validate.Range(0, 1), metadata=said(meaning), **options)


class RowScore(ma.Schema):
    """What features alone can say."""

    horizon = fields.Nested(
        Horizon, required=True, allow_none=True, metadata=said("null: the model of a table, whose label says it")
    )
    health = fields.Float(
        required=True,
        validate=validate.Range(0, 100),
        metadata=said("0 to 100, high is good; 50 is the reference risk"),
    )
    health_unclipped = fields.Float(required=True, metadata=said("50 plus the components, before it is cut to 0..100"))
    band = fields.String(required=True, validate=validate.OneOf(BANDS))
    p_churn = _chance("probability of leaving by own will within the horizon; high is bad", required=True)
    p_churn_range_80 = _pair("80 % interval; null where the model carries no spread", required=True, allow_none=True)
    p_silent = _chance(
        "probability of leaving without a word; never above p_churn; null: the model of a table knows nothing of it",
        required=True,
        allow_none=True,
    )
    p_silent_range_80 = _pair("80 % interval; null where the model carries no spread", required=True, allow_none=True)
    p_vocal = _chance("p_churn - p_silent; null where p_silent is", required=True, allow_none=True)
    components = fields.Nested(
        _COMPONENTS, required=True, metadata=said("health points; 50 plus their sum is health_unclipped")
    )
    explanation = fields.Nested(Explanation, metadata=said("the reasons asked for"))


class Score(RowScore):
    """An account's score."""

    account_id = fields.String(required=True)
    as_of = fields.DateTime(required=True, metadata=said("what had happened and was known before this moment counts"))
    health_range_80 = _pair("80 % interval; null where the model carries no spread", required=True, allow_none=True)
    trend = fields.Nested(Trend, required=True)
    confidence = fields.String(required=True, validate=validate.OneOf(GRADES), metadata=said("A (most) to D"))
    confidence_reason = fields.String(required=True)
    quiet = fields.Boolean(
        required=True,
        allow_none=True,
        metadata=said("no voiced dissatisfaction within the look-back; null: the voice channels were not watched"),
    )
    expected_revenue_loss = fields.Nested(Loss, required=True, allow_none=True, metadata=said("null: revenue unknown"))
    mrr = fields.Float(required=True, allow_none=True, metadata=said("monthly revenue at as_of"))


class Data(ma.Schema):
    """How far the data reach; newer facts than these nobody has told."""

    interactions_recorded_until = fields.DateTime(required=True, allow_none=True)
    surveys_recorded_until = fields.DateTime(required=True, allow_none=True)
    contacts_up_to_date = fields.Boolean(
        required=True,
        metadata=said("whether a contact became known within 7 days before now, and the contact feed is not quiet"),
    )
    contacts_quiet_since = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=said(
            "no contact has become known since then although many were due by the feed's own rhythm: accounts are "
            "scored as of then, lest its silence be taken for theirs; null: it is alive"
        ),
    )


class PastScore(Score):
    """A score as it was given."""

    class Meta:
        """The account stands once above it; the horizon is its model's, which may no longer be stored."""

        exclude = ("account_id", "horizon")

    computed_at = fields.DateTime(required=True)
    model = fields.Nested(ModelLine, required=True)


class Health(Score):
    """GET /v1/accounts/{account_id}/health."""

    computed_at = fields.DateTime(required=True)
    horizon = fields.Nested(Horizon, required=True, allow_none=True)
    model = fields.Nested(ModelLine, required=True)
    explanation = fields.Nested(
        Explanation,
        required=True,
        allow_none=True,
        metadata=said("null where the model's artefact is no longer stored"),
    )
    explanation_missing = fields.String(metadata=said("why there is no explanation"))
    override = fields.Nested(
        Override, required=True, allow_none=True, metadata=said("a manager's band that holds now, beside the model's")
    )
    data = fields.Nested(Data, required=True)
    known_at = fields.DateTime(metadata=said("of an earlier moment: what became known by then counts"))
    said = fields.Nested(
        PastScore,
        allow_none=True,
        metadata=said("of an earlier moment: the score given by then; null: none"),
    )


HealthPart = part_of(Health, "HealthPart")


class HealthQuery(ma.Schema):
    """What to explain."""

    target = fields.String(
        load_default="churn",
        validate=validate.OneOf(["churn", "silent"]),
        metadata=said("whose reasons: `churn` (they add up to the health) or `silent`"),
    )


class HealthFieldsQuery(HealthQuery):
    """What to explain, and what to leave out."""

    fields = fields.String(  # type: ignore[assignment]
        metadata=said("only these members of the answer, separated by commas")
    )


class HealthAskedQuery(HealthFieldsQuery):
    """What to explain and leave out, and as of when."""

    as_of = fields.DateTime(metadata=said("an earlier moment; now unless given"))
    known_at = fields.DateTime(metadata=said("with what was known then; `as_of` unless given"))


_FEATURE_FIELDS: dict[str, Any] = {
    feature.name: (fields.String if feature.categorical else fields.Float)(
        allow_none=True, metadata=said(f"{feature.label}: {feature.unit}")
    )
    for feature in FEATURES
}


class Features(ma.Schema.from_dict(_FEATURE_FIELDS, name="CatalogueFeatures")):  # type: ignore[misc]
    """By name. Beside the catalogue's a model may read columns of its own, which GET /v1/model lists."""

    class Meta:
        """A model's own columns are no part of this document."""

        unknown = ma.INCLUDE


class ScoreItem(ma.Schema):
    """Exactly one of `features`, `account` (a raw history) and `account_id` (a stored account)."""

    id = fields.String(allow_none=True, validate=validate.Length(max=ID_LENGTH), metadata=said("echoed"))
    features = fields.Nested(Features, metadata=said("by name; absent or null: unknown"))
    account_id = fields.String(validate=validate.Length(1, ID_LENGTH), metadata=said("a stored account, scored now"))
    account = fields.Nested(OwnAccount)
    interactions = fields.List(fields.Nested(OwnInteraction))
    surveys = fields.List(fields.Nested(OwnSurvey))
    contracts = fields.List(fields.Nested(OwnContract))
    outreach = fields.List(fields.Nested(OwnOutreach))
    measures = fields.List(fields.Nested(OwnMeasure))
    as_of = fields.DateTime(
        allow_none=True,
        metadata=said("of a raw history, or of features that hold dates (the model of a table); null: now"),
    )


class ScoreRequest(ma.Schema):
    """POST /v1/scores."""

    items = fields.List(fields.Nested(ScoreItem), required=True, validate=validate.Length(1, 1000))
    reasons = fields.String(
        load_default="top",
        validate=validate.OneOf(["top", "all", "none"]),
        metadata=said("`top`: the three that raise the risk most; `all`: all terms, which add up; `none`"),
    )
    target = fields.String(load_default="churn", validate=validate.OneOf(["churn", "silent"]))
    observed_from = fields.DateTime(
        allow_none=True,
        metadata=said("since when the source of raw histories records contacts; null: since each account started"),
    )


class ScoreResult(ma.Schema):
    """One item: its score, or why there is none. Items sent as features have the members of RowScore only."""

    id = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, validate=validate.OneOf(["scored", "rejected"]))
    score = fields.Dict(metadata=said("RowScore for features, Score otherwise; only where scored"))
    errors = fields.List(fields.Nested(FieldProblem), metadata=said("only where rejected"))


class ScoreAnswer(ma.Schema):
    """Scores in the order of the items."""

    model = fields.Nested(ModelLine, required=True)
    scored = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    errors = fields.List(
        fields.Nested(FieldProblem),
        required=True,
        metadata=said("what is wrong with all rejected items, at most 100; `pointer` says which item"),
    )
    results = fields.List(fields.Nested(ScoreResult), required=True)


class DataRange(ma.Schema):
    """First and last moment of the history a model was fitted on."""

    from_ = fields.String(required=True, data_key="from")
    to = fields.String(required=True)


class FeatureLine(ma.Schema):
    """A feature as POST /v1/scores takes it."""

    name = fields.String(required=True)
    label = fields.String(required=True)
    component = fields.String(required=True)
    unit = fields.String(required=True)
    missing = fields.String(required=True, metadata=said("what no data means"))
    type = fields.String(required=True, validate=validate.OneOf(FORMS))
    used = fields.Boolean(required=True, metadata=said("whether this model reads it"))


_TERMS: type[ma.Schema] = ma.Schema.from_dict(
    {target: fields.List(fields.String(), required=target == "churn") for target in ("churn", "silent")},
    name="Terms",
)


class Model(ma.Schema):
    """GET /v1/model."""

    id = fields.String(required=True)
    status = fields.String(required=True, metadata=said("in words, such as `expert prior, uncalibrated`"))
    phase = fields.String(required=True)
    source = fields.String(
        required=True,
        validate=validate.OneOf(["history", "table"]),
        metadata=said("what it reads: a history, or rows of a table, which only POST /v1/scores with features takes"),
    )
    created_at = fields.DateTime(required=True)
    trained_on = fields.Nested(DataRange, required=True, allow_none=True, metadata=said("null: fitted on no history"))
    p_ref = _chance("the risk whose health is 50", required=True)
    label = fields.Dict(required=True, metadata=said("parameters of what the model predicts, days"))
    thresholds = fields.Dict(required=True, metadata=said("band edges, in health points"))
    metrics = fields.Dict(required=True, metadata=said("the training report"))
    versions = fields.Dict(required=True, metadata=said("of the libraries it was made with"))
    terms = fields.Nested(_TERMS, required=True)
    features = fields.List(fields.Nested(FeatureLine), required=True)


class ModelHistoryQuery(ma.Schema):
    """Which part of the history."""

    limit = fields.Integer(load_default=50, validate=validate.Range(1, 500))
    cursor = fields.String(metadata=said("from `next_cursor`"))


class ModelEvent(ma.Schema):
    """A change of the model in service, or a refused one."""

    action = fields.String(required=True, validate=validate.OneOf(["promote", "rollback", "refuse"]))
    model_id = fields.String(required=True)
    previous = fields.String(required=True, allow_none=True, metadata=said("in service until then; null: none was"))
    who = fields.String(required=True)
    at = fields.DateTime(required=True)
    why = fields.String(required=True)
    forced = fields.Boolean(required=True, metadata=said("put in service although something spoke against it"))
    objections = fields.List(fields.String(), required=True, metadata=said("what spoke against it, in sentences"))


class ModelHistory(ma.Schema):
    """GET /v1/model/history."""

    in_service = fields.String(required=True, allow_none=True, metadata=said("the model in service; null: none"))
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True, metadata=said("address of the next page; null on the last"))
    entries = fields.List(fields.Nested(ModelEvent), required=True)


class Up(ma.Schema):
    """GET /healthz."""

    status = fields.String(required=True)


class Ready(Up):
    """GET /readyz."""

    model_id = fields.String(required=True)


class ListQuery(ma.Schema):
    """Which part of the list."""

    owner = fields.String()
    segment = fields.String()
    region = fields.String()
    band = fields.String(validate=validate.OneOf(BANDS))
    min_mrr = fields.Float(validate=validate.Range(min=0), metadata=said("leaves out unknown revenue"))
    rank_by = fields.String(load_default="expected_loss", validate=validate.OneOf(["expected_loss", "probability"]))
    limit = fields.Integer(validate=validate.Range(1, 500), metadata=said("50 unless given; as CSV: all"))
    cursor = fields.String(metadata=said("from `next_cursor`, with the same filters"))
    fields = fields.String(  # type: ignore[assignment]
        metadata=said("only these members of each entry, separated by commas; not for CSV")
    )


class BriefReason(ma.Schema):
    """A reason as a list keeps it."""

    feature = fields.String(required=True)
    label = fields.String(required=True)
    points = fields.Float(required=True, metadata=said("health points; below zero raises the risk"))
    sentence = fields.String(required=True)


class Entry(ma.Schema):
    """An account on the list."""

    rank = fields.Integer(required=True, metadata=said("in the whole list, by the ranking asked for; 1 comes first"))
    account_id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    owner = fields.String(required=True, allow_none=True)
    segment = fields.String(required=True, allow_none=True)
    region = fields.String(required=True, allow_none=True)
    mrr = fields.Float(required=True, allow_none=True)
    currency = fields.String(required=True, allow_none=True)
    p_silent = _chance("probability of leaving without a word", required=True)
    p_churn = _chance("probability of leaving by own will", required=True)
    expected_revenue_loss = fields.Nested(Loss, required=True, allow_none=True)
    health = fields.Float(required=True, validate=validate.Range(0, 100))
    band = fields.String(required=True, validate=validate.OneOf(BANDS))
    trend = fields.Nested(Trend, required=True)
    confidence = fields.String(required=True, validate=validate.OneOf(GRADES))
    override = fields.Nested(
        Override, required=True, allow_none=True, metadata=said("a manager's band that holds now, beside the model's")
    )
    reasons = fields.List(fields.Nested(BriefReason), required=True, metadata=said("what raises the silent risk most"))


class ListLine(ma.Schema):
    """Which list it is."""

    list_id = fields.Integer(required=True)
    kind = fields.String(
        required=True,
        validate=validate.OneOf(["silent", "issued"]),
        metadata=said("`silent`: published by a run; `issued`: picked from one for a team's week, kept for good"),
    )
    as_of = fields.DateTime(required=True)
    published_at = fields.DateTime(required=True)
    model_id = fields.String(required=True)
    entries = fields.Integer(required=True, metadata=said("in the whole list, before filters"))
    population = fields.Dict(
        required=True,
        metadata=said(
            "accounts in all and by standing, how many were quiet; of an issued list: how many it was picked from "
            "(`pool`), left out since somebody turned to them (`handled`), and what is at stake on it"
        ),
    )
    contacts_quiet_since = fields.DateTime(
        required=True,
        allow_none=True,
        metadata=said("since when the contact feed was quiet when the list was made; null: it was alive"),
    )
    parameters = fields.Dict(metadata=said("of an issued list: what was asked for, and the label's parameters"))


class ListPage(ma.Schema):
    """GET /v1/risk-lists/silent."""

    list = fields.Nested(ListLine, required=True)
    rank_by = fields.String(required=True)
    filters = fields.Dict(required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(required=True, allow_none=True, metadata=said("address of the next page; null on the last"))
    entries = fields.List(fields.Nested(Entry), required=True)


class ListPagePart(ListPage):
    """The same with the members that were asked for."""

    entries = fields.List(fields.Nested(part_of(Entry, "EntryPart")), required=True)
