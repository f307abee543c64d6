"""The shapes of issued lists, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.change_schemas import Part
from api.schemas import part_of, said
from api.score_schemas import Entry, ListLine, ListPage, Loss
from models.health import BANDS
from models.moves import MEANING


class IssueRequest(ma.Schema):
    """POST /v1/risk-lists: how many, out of whom, and which list came before."""

    capacity = fields.Integer(
        required=True, validate=validate.Range(1, 500), metadata=said("how many accounts fit the team's week")
    )
    since = fields.Integer(
        allow_none=True,
        validate=validate.Range(min=1),
        metadata=said("the list issued before: its accounts stay until they are clearly out, and `changes` is told"),
    )
    buffer = fields.Integer(
        validate=validate.Range(0, 499),
        metadata=said("places on either side of the capacity within which nobody comes or leaves; a quarter of it"),
    )
    handled_within_days = fields.Integer(
        load_default=28,
        validate=validate.Range(0, 365),
        metadata=said("leave out accounts with outreach within so many days before now; 0: nobody"),
    )
    rank_by = fields.String(load_default="expected_loss", validate=validate.OneOf(["expected_loss", "probability"]))
    owner = fields.String(allow_none=True)
    segment = fields.String(allow_none=True)
    region = fields.String(allow_none=True)
    band = fields.String(allow_none=True, validate=validate.OneOf([*BANDS, None]))
    min_mrr = fields.Float(allow_none=True, validate=validate.Range(min=0), metadata=said("leaves out unknown revenue"))


class KeptEntry(Entry):
    """An account on a list that was kept."""

    place = fields.Integer(
        metadata=said("of an issued list: its place among those it was picked from; beyond the capacity: held")
    )


class KeptListPage(ListPage):
    """GET /v1/risk-lists/{list_id}."""

    entries = fields.List(fields.Nested(KeptEntry), required=True)


class KeptListPagePart(ListPage):
    """The same with the members that were asked for."""

    entries = fields.List(fields.Nested(part_of(KeptEntry, "KeptEntryPart")), required=True)


class Then(ma.Schema):
    """An account's risk behind one of two lists."""

    p_silent = fields.Float(required=True)
    expected_revenue_loss = fields.Nested(Loss, required=True, allow_none=True)
    quiet = fields.Boolean(required=True, allow_none=True)


class Move(ma.Schema):
    """An account that is on either of two lists."""

    account_id = fields.String(required=True)
    name = fields.String(required=True, allow_none=True)
    why = fields.String(required=True, validate=validate.OneOf(list(MEANING)))
    sentence = fields.String(required=True)
    place = fields.Integer(required=True, allow_none=True, metadata=said("now; null: could not be picked"))
    then = fields.Nested(Then, required=True, allow_none=True, metadata=said("null: had no score"))
    now = fields.Nested(Then, required=True, allow_none=True, metadata=said("null: has no score"))
    parts = fields.List(
        fields.Nested(Part),
        required=True,
        allow_none=True,
        metadata=said("why the log-odds of `p_silent` changed, as an exact sum, each with its strongest features"),
    )


class Since(ma.Schema):
    """The list before."""

    list_id = fields.Integer(required=True)
    as_of = fields.DateTime(required=True)
    model_id = fields.String(required=True)


class ListChanges(ma.Schema):
    """What changed between two issued lists."""

    since = fields.Nested(Since, required=True)
    new = fields.List(fields.Nested(Move), required=True)
    left = fields.List(fields.Nested(Move), required=True)
    stayed = fields.List(fields.Nested(Move), required=True)


class ListChangesAnswer(ma.Schema):
    """GET /v1/risk-lists/{list_id}/changes."""

    list_id = fields.Integer(required=True)
    changes = fields.Nested(ListChanges, required=True, allow_none=True)


class IssuedList(ma.Schema):
    """A list as it is issued."""

    list = fields.Nested(ListLine, required=True)
    changes = fields.Nested(
        ListChanges, required=True, allow_none=True, metadata=said("null where it was issued without `since`")
    )
    entries = fields.List(fields.Nested(KeptEntry), required=True)


class Grade(ma.Schema):
    """How a list did, against its pool and against chance."""

    listed = fields.Integer(required=True, metadata=said("accounts of the list whose outcome says something"))
    left = fields.Integer(required=True)
    pool = fields.Integer(required=True, metadata=said("the same of all it was picked from, itself included"))
    pool_left = fields.Integer(required=True)
    rate = fields.Float(required=True, allow_none=True, metadata=said("left / listed"))
    rate_low = fields.Float(required=True, allow_none=True, metadata=said("Clopper and Pearson's interval"))
    rate_high = fields.Float(required=True, allow_none=True)
    base_rate = fields.Float(required=True, allow_none=True, metadata=said("pool_left / pool"))
    lift = fields.Float(required=True, allow_none=True, metadata=said("rate / base_rate"))
    expected = fields.Float(
        required=True, allow_none=True, metadata=said("exits a blind draw of as many accounts holds on average")
    )
    chance_low = fields.Integer(
        required=True, allow_none=True, metadata=said("exits in the middle 95 % of blind draws (hypergeometric)")
    )
    chance_high = fields.Integer(required=True, allow_none=True)
    chance = fields.Float(
        required=True, allow_none=True, metadata=said("share of blind draws with as many exits as the list, or more")
    )
    confidence = fields.Float(required=True)


_GRADES: type[ma.Schema] = ma.Schema.from_dict(
    {target: fields.Nested(Grade, required=True) for target in ("silent", "churn")}, name="Grades"
)
_SPAN: type[ma.Schema] = ma.Schema.from_dict(
    {edge: fields.DateTime(required=True) for edge in ("from", "to")}, name="Span"
)


class Outcomes(ma.Schema):
    """Accounts by outcome."""

    listed = fields.Dict(required=True, values=fields.Integer())
    pool = fields.Dict(required=True, values=fields.Integer())


class GradeAnswer(ma.Schema):
    """GET /v1/risk-lists/{list_id}/grade."""

    list_id = fields.Integer(required=True)
    as_of = fields.DateTime(required=True)
    model_id = fields.String(required=True)
    horizon = fields.Nested(_SPAN, required=True, metadata=said("when a decision to leave had to be taken to count"))
    matures_at = fields.DateTime(required=True, metadata=said("from then on the list is graded"))
    status = fields.String(required=True, validate=validate.OneOf(["immature", "graded"]))
    grades = fields.Nested(_GRADES, required=True, allow_none=True, metadata=said("null until it matures"))
    outcomes = fields.Nested(Outcomes, required=True, allow_none=True)
    approached = fields.Integer(
        required=True,
        allow_none=True,
        metadata=said("accounts of the list somebody turned to before the horizon ended"),
    )
