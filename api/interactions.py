"""Interactions in: contacts, in batches."""

from flask import Response

from api import schemas
from api.auth import needs
from api.batches import MOST_ITEMS
from api.contract import Resource, operation
from api.service import the_service
from api.streams import post_rows
from models.interactions import INTERACTIONS

resource = Resource("interactions", "Interactions")


@resource.route("/v1/interactions", methods=["POST"])
@needs("write")
@operation(
    gives={
        200: (schemas.BatchAnswer, "Every item was accepted"),
        207: (schemas.BatchAnswer, "Some items were rejected; the others are stored"),
    },
    takes=schemas.batch_of(schemas.Interaction, MOST_ITEMS, "InteractionBatch"),
    streams=schemas.Interaction,
    scope="write",
)
def post_interactions() -> Response:
    """Store up to 10,000 contacts; sending them again changes nothing.

    As application/x-ndjson, a line each, as many as one likes; answered line by line.
    """
    return post_rows(the_service(), INTERACTIONS)
