"""The model in service."""

from typing import Any

from flask import Response

from api import monitor_schemas
from api import score_schemas as schemas
from api.auth import needs, the_book
from api.bodies import answer
from api.contract import Resource, operation
from api.errors import Problem
from api.service import the_service
from api.serving import Served
from models.clock import isoformat

resource = Resource("model", "The model in service")


@resource.route("/v1/model")
@needs("read", restricted="harmless")
@operation(
    gives={200: (schemas.Model, "The model that scores at this moment")}, refuses=("model_unavailable",), scope="read"
)
def get_model() -> Response:
    """Which model is in service, how it came to be and how well it did."""
    body = describe(the_service().serving.current())
    # How well it did is counted over everybody.
    return answer(body | {"metrics": {}} if the_book().restricted else body)


@resource.route("/v1/model/monitor")
@needs("read")
@operation(
    gives={200: (monitor_schemas.Monitor, "The latest look at the model in service")},
    refuses=("not_monitored_yet", "model_reads_table", "model_unavailable"),
    scope="read",
)
def get_monitor() -> Response:
    """What `ebbtide monitor` found when it last looked at the model in service, and how old that is."""
    service = the_service()
    model = service.serving.current().model
    model.require_history()
    model_id = model.model_id
    found = service.store.last_watch(model_id)
    if found is None:
        raise Problem(
            404, "not_monitored_yet", f"Nobody has looked at model {model_id} yet; run ebbtide monitor after each run."
        )
    age = service.clock() - found.computed_at
    computed = {"computed_at": isoformat(found.computed_at), "age_seconds": max(age.total_seconds(), 0.0)}
    return answer({**found.result, **computed})


def describe(served: Served) -> dict[str, Any]:
    """The model and its features as a caller sees them."""
    model, manifest = served.model, served.manifest
    range_ = manifest.data_range
    used = {name for card in model.cards.values() for name in card.features}
    return {
        "id": model.model_id,
        "status": model.status,
        "phase": model.phase,
        "source": model.columns.source,
        "created_at": manifest.created_at,
        "trained_on": None if range_ is None else {"from": range_[0], "to": range_[1]},
        "p_ref": model.health.p_ref,
        "label": dict(manifest.label),
        "thresholds": dict(manifest.thresholds),
        "metrics": dict(manifest.metrics),
        "versions": dict(manifest.versions),
        "terms": {target: list(card.names) for target, card in model.cards.items()},
        "features": [
            {
                "name": column.name,
                "label": column.label,
                "component": column.component,
                "unit": column.unit,
                "missing": column.missing,
                "type": column.form,
                "used": column.name in used,
            }
            for column in model.columns.columns
        ],
    }
