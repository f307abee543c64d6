"""What machines ask: is it up, can it serve, what did it count."""

from flask import Response

from api import score_schemas as schemas
from api.bodies import answer
from api.contract import Resource, operation
from api.errors import Problem
from api.metrics import CONTENT_TYPE
from api.service import the_service
from models.errors import EbbtideError

resource = Resource("operations", "Operations")


@resource.route("/healthz")
@operation(gives={200: (schemas.Up, "The process answers")})
def healthz() -> Response:
    """Whether the process is up; nothing else is looked at."""
    return answer({"status": "up"})


@resource.route("/readyz")
@operation(gives={200: (schemas.Ready, "The service can serve")}, refuses=("not_ready",))
def readyz() -> Response:
    """Whether the database can be reached, has this version's tables, and a model is in service."""
    service = the_service()
    try:
        service.store.check()
        served = service.serving.current()
    except EbbtideError as error:
        raise Problem(503, "not_ready", str(error)) from None
    return answer({"status": "ready", "model_id": served.model.model_id})


@resource.route("/metrics")
@operation(gives={200: (None, "Counters in the Prometheus text format")}, also={CONTENT_TYPE: {"type": "string"}})
def metrics() -> Response:
    """Counters of all processes of the service."""
    return Response(the_service().metrics.text(), content_type=CONTENT_TYPE)
