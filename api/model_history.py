"""Which model was in service when, who decided and why; what was refused, and what was forced."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Response

from api import cursors
from api import score_schemas as schemas
from api.auth import needs
from api.bodies import answer, linked, page_size, query
from api.contract import Resource, operation
from api.service import the_service
from models import registry

resource = Resource("model-history", "The history of the model in service")

LIMIT, MOST = 50, 500


@resource.route("/v1/model/history")
@needs("admin")
@operation(
    gives={200: (schemas.ModelHistory, "A page of the history, newest first")},
    refuses=("invalid_cursor",),
    query=schemas.ModelHistoryQuery,
    scope="admin",
)
def get_model_history() -> Response:
    """Promotions, roll-backs and refused promotions, newest first.

    The history only grows: pages fit together while models change. `next` is the address of the following page, null
    on the last one.
    """
    limit, before = _asked(query("limit", "cursor"))
    events = registry.events(the_service().settings.artifacts)
    end = len(events) if before is None else min(before, len(events))
    start = max(end - limit, 0)
    cursor = cursors.write(start) if start else None
    following = cursor and f"/v1/model/history?{urlencode({'limit': limit, 'cursor': cursor})}"
    served = [event.model_id for event in events if event.action != "refuse"]
    body = {
        "in_service": served[-1] if served else None,
        "next_cursor": cursor,
        "next": following,
        "entries": [_entry(event) for event in reversed(events[start:end])],
    }
    return linked(answer(body), following)


def _entry(event: registry.Change) -> dict[str, Any]:
    return {
        "action": event.action,
        "model_id": event.model_id,
        "previous": event.previous,
        "who": event.who,
        "at": event.when,
        "why": event.why,
        "forced": event.action == "promote" and bool(event.objections),
        "objections": list(event.objections),
    }


def _asked(args: Mapping[str, str]) -> tuple[int, int | None]:
    """How many entries, and those before which place. Raises `Problem` 422 naming what does not fit."""
    limit = page_size(args, LIMIT, MOST)
    if "cursor" not in args:
        return limit, None
    (before,) = cursors.read(args["cursor"], int)
    if before < 1:
        raise cursors.bad("is not one of ours")
    return limit, before
