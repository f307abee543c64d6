"""Surveys in: survey invitations and answers, in batches."""

from flask import Response

from api import schemas
from api.auth import needs
from api.batches import MOST_ITEMS
from api.contract import Resource, operation
from api.service import the_service
from api.streams import post_rows
from models.surveys import SURVEYS

resource = Resource("surveys", "Surveys")


@resource.route("/v1/surveys", methods=["POST"])
@needs("write")
@operation(
    gives={
        200: (schemas.BatchAnswer, "Every item was accepted"),
        207: (schemas.BatchAnswer, "Some items were rejected; the others are stored"),
    },
    takes=schemas.batch_of(schemas.Survey, MOST_ITEMS, "SurveyBatch"),
    streams=schemas.Survey,
    scope="write",
)
def post_surveys() -> Response:
    """Store up to 10,000 survey invitations and answers; sending them again changes nothing.

    As application/x-ndjson, a line each, as many as one likes; answered line by line.
    """
    return post_rows(the_service(), SURVEYS)
