"""The audit log: who changed what, for those who run the service."""

from typing import Any
from urllib.parse import urlencode

from flask import Response

from api import admin_schemas as schemas
from api import cursors
from api.auth import needs
from api.bodies import answer, linked, page_size, query
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.service import the_service
from models import registry
from models.clock import isoformat
from models.store.audit import Line

resource = Resource("audit", "The audit log")

LIMIT, MOST = 50, 500
_LONGEST = 512
_LARGEST = 2**62


@resource.route("/v1/audit")
@needs("admin")
@operation(
    gives={200: (schemas.AuditPage, "A page of the log, newest first")},
    refuses=("invalid_cursor",),
    query=schemas.AuditQuery,
    scope="admin",
)
def get_audit() -> Response:
    """Every change of a key, the settings, the model in service or an override: who, when, what; newest first.

    The log only grows, so pages fit together. `next` is the address of the following page, null on the last one.
    """
    service = the_service()
    asked = query("limit", "cursor", "action", "subject")
    limit, before = page_size(asked, LIMIT, MOST), None
    if "cursor" in asked:
        (before,) = cursors.read(asked["cursor"], int)
        if not 0 < before < _LARGEST:
            raise cursors.bad("is not one of ours")
    filters = {name: _text(name, asked[name]) for name in ("action", "subject") if name in asked}
    # The model's pointer is a file with a history of its own, which others may have changed.
    service.store.catch_up(registry.events(service.settings.artifacts))
    lines = service.store.audit_lines(limit + 1, before, **filters)
    more, lines = len(lines) > limit, lines[:limit]
    cursor = cursors.write(lines[-1].entry_id) if more else None
    following = cursor and f"/v1/audit?{urlencode(filters | {'limit': str(limit), 'cursor': cursor})}"
    body = {"next_cursor": cursor, "next": following, "entries": [_entry(line) for line in lines]}
    return linked(answer(body), following)


def _text(name: str, given: str) -> str:
    if "\0" in given or len(given) > _LONGEST:
        error = FieldError(name, "invalid", f"must be text of at most {_LONGEST} characters")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    return given


def _entry(line: Line) -> dict[str, Any]:
    return {**vars(line), "at": isoformat(line.at)}
