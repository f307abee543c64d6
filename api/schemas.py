"""The shapes of bodies, for the OpenAPI document. Rows of the contract come from their declarations."""

from copy import deepcopy
from typing import Any

import marshmallow as ma
from marshmallow import fields, validate

from models.accounts import ACCOUNTS, CONTRACTS, MEASURES, OUTREACH
from models.columns import Column, Table, Type
from models.imports.convert import ID_LENGTH
from models.interactions import INTERACTIONS
from models.surveys import SURVEYS


def said(meaning: str, **more: Any) -> dict[str, Any]:
    """The metadata of a field."""
    return {"description": meaning, **more}


def _field(column: Column, *, optional_key: bool = False) -> fields.Field[Any]:
    required = column.required and not optional_key
    options: dict[str, Any] = {
        "required": required,
        "allow_none": not required,
        "metadata": said(column.meaning),
    }
    if column.type is Type.ID:
        # An empty text is no text, as in a file: unknown where an id need not be known.
        return fields.String(validate=validate.Length(1 if column.required else None, ID_LENGTH), **options)
    if column.type is Type.TIME:
        return fields.DateTime(**options)
    if column.type is Type.BOOLEAN:
        return fields.Boolean(**options)
    if column.type is Type.TEXT:
        choices = [*column.choices, *([None] if options["allow_none"] else [])]
        return fields.String(validate=validate.OneOf(choices) if column.choices else None, **options)
    kind = fields.Integer if column.type is Type.INTEGER else fields.Float
    least = None if column.minimum is None else validate.Range(min=column.minimum)
    return kind(validate=least, **options)


def row_schema(table: Table, name: str, *optional: str) -> type[ma.Schema]:
    """A row of a contract table; the columns in `optional` may be left out although the table needs them."""
    declared = {column.name: _field(column, optional_key=column.name in optional) for column in table.columns}
    schema: type[ma.Schema] = ma.Schema.from_dict(declared, name=name)
    return schema


def part_of(schema: type[ma.Schema], name: str) -> type[ma.Schema]:
    """The same of which some members were asked for (`fields=`)."""
    declared = deepcopy(schema._declared_fields)
    for field in declared.values():
        field.required = False
    part: type[ma.Schema] = ma.Schema.from_dict(declared, name=name)
    return part


Account = row_schema(ACCOUNTS, "Account")
AccountBody = row_schema(ACCOUNTS, "AccountBody", "account_id")
Interaction = row_schema(INTERACTIONS, "Interaction")
Survey = row_schema(SURVEYS, "Survey")
Measure = row_schema(MEASURES, "Measure")
# Within one account's history its id goes without saying.
OwnAccount = row_schema(ACCOUNTS, "OwnAccount", "account_id")
OwnInteraction = row_schema(INTERACTIONS, "OwnInteraction", "account_id")
OwnSurvey = row_schema(SURVEYS, "OwnSurvey", "account_id")
OwnContract = row_schema(CONTRACTS, "OwnContract", "account_id")
OwnOutreach = row_schema(OUTREACH, "OwnOutreach", "account_id")
OwnMeasure = row_schema(MEASURES, "OwnMeasure", "account_id")


class FieldProblem(ma.Schema):
    """One value that does not fit."""

    pointer = fields.String(required=True, metadata=said("where in the body (RFC 6901), or the query parameter's name"))
    code = fields.String(required=True, metadata=said("for programs"))
    message = fields.String(required=True, metadata=said("for people"))


class Problem(ma.Schema):
    """Every refusal, on every route (RFC 9457)."""

    type = fields.String(required=True, metadata=said("always about:blank: `code` says more"))
    title = fields.String(required=True, metadata=said("the status in words"))
    status = fields.Integer(required=True)
    code = fields.String(required=True, metadata=said("for programs; never changes its meaning"))
    detail = fields.String(required=True, metadata=said("one sentence a person can act on"))
    request_id = fields.String(required=True, metadata=said("also in the header X-Request-Id and in the log"))
    errors = fields.List(fields.Nested(FieldProblem), required=True)


def batch_of(row: type[ma.Schema], most: int, name: str) -> type[ma.Schema]:
    """A body of up to `most` rows."""
    items = fields.List(fields.Nested(row), required=True, validate=validate.Length(1, most))
    schema: type[ma.Schema] = ma.Schema.from_dict({"items": items}, name=name)
    return schema


class RowResult(ma.Schema):
    """What became of one item of a batch."""

    id = fields.String(
        required=True, allow_none=True, metadata=said("the item's own id; null where it has no usable one")
    )
    status = fields.String(required=True, validate=validate.OneOf(["created", "updated", "unchanged", "rejected"]))
    note = fields.String(metadata=said("why an item changed nothing although it differs: a newer version is stored"))
    errors = fields.List(fields.Nested(FieldProblem), metadata=said("only where rejected"))


class Rescored(ma.Schema):
    """How the write reached the scores."""

    rescored = fields.Integer(required=True, metadata=said("touched accounts scored before this answer"))
    queued = fields.Integer(required=True, metadata=said("touched accounts that will be scored within moments"))
    left_to_next_run = fields.Integer(
        required=True, metadata=said("touched accounts whose scores wait for the next run")
    )


class BatchAnswer(Rescored):
    """What became of a batch, item by item in their order."""

    created = fields.Integer(required=True)
    updated = fields.Integer(required=True)
    unchanged = fields.Integer(required=True)
    rejected = fields.Integer(required=True)
    unknown_fields = fields.List(
        fields.String(), required=True, metadata=said("members of items that were passed over")
    )
    errors = fields.List(
        fields.Nested(FieldProblem),
        required=True,
        metadata=said("what is wrong with all rejected items, at most 100; `pointer` says which item"),
    )
    results = fields.List(fields.Nested(RowResult), required=True)


class StreamLine(RowResult):
    """What became of a line of a stream; the last line has only the summary."""

    line = fields.Integer(required=True, metadata=said("its number, from 1; blank lines count and are not answered"))


class AccountAnswer(Rescored):
    """What became of one account."""

    id = fields.String(required=True)
    status = fields.String(required=True, validate=validate.OneOf(["created", "updated", "unchanged"]))
    note = fields.String()
    unknown_fields = fields.List(fields.String(), required=True)
