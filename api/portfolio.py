"""Why the portfolio's health changed: the change ledger added up, and who came and who went."""

from datetime import datetime
from typing import Any

from flask import Response

from api import change_schemas as schemas
from api.auth import needs, the_book
from api.bodies import answer, query
from api.change_lines import add_reference, part_line
from api.changes import moments
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.health import target_in
from api.service import Service, the_service
from api.serving import Served
from models.changes import PARTS
from models.clock import isoformat
from models.reasons import Subject
from models.store.books import Book
from models.store.moves import GROUPS, Run
from models.tally import Sum, Tally

resource = Resource("portfolio", "The portfolio's change ledger")

#: Accounts compared within one request: a few seconds' work.
MOST = 5_000
#: Features told of each part.
FEATURES = 10
_TEXT = 512


@resource.route("/v1/portfolio/changes")
@needs("read", restricted="narrowed")
@operation(
    gives={200: (schemas.PortfolioChanges, "The difference of two runs as an exact sum")},
    refuses=("not_scored_then", "model_not_stored", "too_many_accounts", "model_unavailable"),
    query=schemas.PortfolioQuery,
    scope="read",
)
def get_portfolio_changes() -> Response:
    """Why the scores of a portfolio changed between two runs: who came, who went, and the parts of the change ledger
    added up over those who stayed; on the whole or by owner, segment or region. Everything adds up.

    Up to 5,000 accounts a request; narrow a larger portfolio by `owner` or `segment` (422 `too_many_accounts`).
    """
    service = the_service()
    asked = query("from", "to", "target", "by", "owner", "segment")
    target = target_in(asked.get("target", "churn"), "target")
    first_at, last_at = moments(asked, service.clock())
    by = asked.get("by")
    if by is not None and by not in GROUPS:
        raise _wrong("by", f"is one of {', '.join(GROUPS)}")
    for name in ("owner", "segment"):
        if "\0" in asked.get(name, "") or len(asked.get(name, "")) > _TEXT:
            raise _wrong(name, f"must be text of at most {_TEXT} characters")
    chosen = Book(*((asked[name],) if name in asked else () for name in ("owner", "segment")))
    first, last = (_run(service, moment) for moment in (first_at, last_at))
    ids = service.store.members((the_book(), chosen), (first[0], last[0]), MOST + 1)
    if len(ids) > MOST:
        why = f"More than {MOST:,} accounts are too many for one request; narrow them by owner or segment."
        raise Problem(422, "too_many_accounts", why)
    found = service.store.tallies(ids, *((run, served.model) for run, served in (first, last)), target=target, by=by)
    about = first[1].subjects(target) | last[1].subjects(target)
    head = {"target": target, "by": by, "from": _side(*first), "to": _side(*last)}
    total = _line(found.whole, about)
    told = None if by is None else [{by: name} | _line(group, about) for name, group in found.groups.items()]
    return answer(head | total | {"groups": told})


def _wrong(name: str, message: str) -> Problem:
    return Problem(422, "invalid_query", "The query does not fit; see errors.", [FieldError(name, "invalid", message)])


def _run(service: Service, moment: datetime) -> tuple[Run, Served]:
    run = service.store.run_by(moment)
    if run is None:
        raise Problem(409, "not_scored_then", f"No run had been made by {isoformat(moment)}.")
    served = service.serving.by_id(run.model_id)
    if served is None:
        why = f"The artefact {run.model_id} that made the run of {isoformat(run.as_of)} is not stored any more."
        raise Problem(409, "model_not_stored", why)
    return run, served


def _side(run: Run, served: Served) -> dict[str, Any]:
    return {"as_of": isoformat(run.as_of), "run_id": run.run_id, "model_id": served.model.model_id}


def _line(found: Tally, about: dict[str, Subject]) -> dict[str, Any]:
    parts = [part_line(part, found.amounts[part], about, FEATURES) for part in PARTS]
    if found.reference:
        add_reference(parts[-1], found.reference)
    return {
        "first": _sum(found.first),
        "went": _sum(found.went),
        "came": _sum(found.came),
        "last": _sum(found.last),
        "log_odds": found.last.log_odds - found.first.log_odds,
        "points": found.last.points - found.first.points,
        "parts": parts,
    }


def _sum(some: Sum) -> dict[str, Any]:
    mean = some.points / some.accounts if some.accounts else None
    return {**vars(some), "mean_health_unclipped": mean}
