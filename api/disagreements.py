"""Where the model and somebody else disagree: managers' own sentiment, and what the contract did."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from api import disagreement_schemas as schemas
from api.auth import needs, the_book
from api.bodies import answer, page_size, query
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.opinions import override_line
from api.payloads import brief_reasons
from api.service import Service, the_service
from models.clock import isoformat
from models.disagreement import DIRECTIONS, LEAST, SOURCES, VIEW_DAYS
from models.store.books import Book
from models.store.scores import StoredScore

resource = Resource("disagreements", "Disagreements")

LIMIT, MOST = 50, 200
_TEXT = 512
_NAMES = ("account_id", "name", "owner", "segment", "region", "mrr", "currency")


@resource.route("/v1/risk-lists/disagreement")
@needs("read", restricted="narrowed")
@operation(
    gives={200: (schemas.Disagreements, "The widest disagreements")},
    refuses=("model_unavailable",),
    query=schemas.DisagreementQuery,
    scope="read",
)
def get_disagreements() -> Response:
    """Accounts that the model and somebody else see differently, both ways, the widest gap first.

    Against the manager's own sentiment and against what the contract did in the last 90 days. Both may be right: the
    reasons are those of the model's side.
    """
    service = the_service()
    asked = query("owner", "segment", "against", "direction", "limit")
    limit = page_size(asked, LIMIT, MOST)
    for name, choices in (("against", SOURCES), ("direction", DIRECTIONS)):
        if name in asked and asked[name] not in choices:
            raise _wrong(name, f"is one of {', '.join(choices)}")
    for name in ("owner", "segment"):
        if "\0" in asked.get(name, "") or len(asked.get(name, "")) > _TEXT:
            raise _wrong(name, f"must be text of at most {_TEXT} characters")
    chosen = Book(*((asked[name],) if name in asked else () for name in ("owner", "segment")))
    now = service.clock()
    only = {"source": asked.get("against"), "direction": asked.get("direction")}
    found = service.store.disagreements(now, limit, (the_book(), chosen), **only)
    held = service.store.overrides_of([row["account_id"] for row in found.rows], now)
    entries = [
        _entry(service, row, found.scores[row["account_id"]]) | {"override": override_line(held.get(row["account_id"]))}
        for row in found.rows
    ]
    head = {"as_of": isoformat(now), "least_gap": LEAST, "within_days": VIEW_DAYS, "count": found.count}
    return answer(head | {"entries": entries})


def _wrong(name: str, message: str) -> Problem:
    return Problem(422, "invalid_query", "The query does not fit; see errors.", [FieldError(name, "invalid", message)])


def _entry(service: Service, row: Mapping[str, Any], score: StoredScore) -> dict[str, Any]:
    values = score.values
    against = row["source"]
    worried = row["direction"] == DIRECTIONS[0]
    return {
        **{name: row[name] for name in _NAMES},
        "health": values["health"],
        "band": values["band"],
        "p_churn": values["p_churn"],
        "p_silent": values["p_silent"],
        "scored_as_of": isoformat(values["as_of"]),
        "against": against,
        "direction": row["direction"],
        "says": row["says"],
        "gap": row["gap"],
        "sentiment": _view(row) if against == "sentiment" else None,
        "terms": {name: row[name] for name in ("term", "before", "after")} if against == "commercial" else None,
        "reasons": brief_reasons(service.serving.by_id(values["model_id"]), score.features, harmful=worried),
    }


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("sentiment", "who", "note")} | {"at": isoformat(row["at"])}
