"""The shapes of personal data given out and erased, for the OpenAPI document."""

import marshmallow as ma
from marshmallow import fields, validate

from api.schemas import said

_KINDS = validate.OneOf(["account", "contact"])


class PersonalDataQuery(ma.Schema):
    """Which page."""

    limit = fields.Integer(load_default=1000, validate=validate.Range(1, 10_000))
    cursor = fields.String(metadata=said("from `next_cursor`"))


class StoredRow(ma.Schema):
    """A row of the store."""

    table = fields.String(required=True)
    row = fields.Dict(keys=fields.String(), required=True, metadata=said("its columns by name"))


class PersonalData(ma.Schema):
    """GET /v1/accounts/{account_id}/personal-data, and the same of a contact person."""

    kind = fields.String(required=True, validate=_KINDS)
    id = fields.String(required=True)
    entries = fields.List(fields.Nested(StoredRow), required=True)
    next_cursor = fields.String(required=True, allow_none=True)
    next = fields.String(
        required=True, allow_none=True, metadata=said("address of the following page; null on the last")
    )


class TouchedTable(ma.Schema):
    """What was done to a table."""

    table = fields.String(required=True)
    rows = fields.Integer(required=True, metadata=said("rows that were deleted or changed"))
    what = fields.String(required=True, metadata=said("in words"))


class SeenBy(ma.Schema):
    """Whether a stored model learnt from the rows, as far as can be known."""

    model_id = fields.String(required=True)
    seen = fields.String(required=True, validate=validate.OneOf(["no", "possibly", "unknown"]))
    why = fields.String(required=True)


class ErasureReceipt(ma.Schema):
    """DELETE /v1/accounts/{account_id}/personal-data, and the same of a contact person."""

    erasure_id = fields.Integer(required=True)
    kind = fields.String(required=True, validate=_KINDS)
    pseudonym = fields.String(required=True, metadata=said("what stands for the id on lists"))
    erased_at = fields.DateTime(required=True)
    erased_by = fields.String(required=True)
    tables = fields.List(fields.Nested(TouchedTable), required=True)
    scored_by = fields.List(fields.String(), required=True, metadata=said("models whose scores of it were stored"))
    models = fields.List(fields.Nested(SeenBy), required=True, metadata=said("every stored model"))
    not_erased = fields.List(fields.String(), required=True, metadata=said("what an erasure cannot reach"))


class Readmission(ma.Schema):
    """DELETE /v1/accounts/{account_id}/erasure, and the same of a contact person."""

    kind = fields.String(required=True, validate=_KINDS)
    id = fields.String(required=True)
    readmitted_at = fields.DateTime(required=True)
