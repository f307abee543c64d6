"""Measures in: the users' own numbers, in batches."""

from flask import Response

from api import schemas
from api.auth import needs
from api.batches import MOST_ITEMS
from api.contract import Resource, operation
from api.service import the_service
from api.streams import post_rows
from models.accounts import MEASURES

resource = Resource("measures", "The users' own numbers")


@resource.route("/v1/measures", methods=["POST"])
@needs("write", restricted="narrowed")
@operation(
    gives={
        200: (schemas.BatchAnswer, "Every item was accepted"),
        207: (schemas.BatchAnswer, "Some items were rejected; the others are stored"),
    },
    takes=schemas.batch_of(schemas.Measure, MOST_ITEMS, "MeasureBatch"),
    streams=schemas.Measure,
    scope="write",
)
def post_measures() -> Response:
    """Store up to 10,000 values of the users' own measures; sending them again changes nothing.

    As application/x-ndjson, a line each, as many as one likes; answered line by line.

    An item's id in the answer is its account's: account, name and moment together are what makes it one value.
    """
    return post_rows(the_service(), MEASURES)
