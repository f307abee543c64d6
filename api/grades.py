"""The grade of an issued list, once it can be told who left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from flask import Response

from api import list_schemas as schemas
from api.auth import needs, the_book
from api.bodies import answer
from api.contract import Resource, operation
from api.issued import checked
from api.service import Service, the_service
from models.clock import isoformat
from models.grading import CONFIDENCE, grade
from models.labels import OUTCOMES, LabelParams
from models.store.lists import RiskList

resource = Resource("grades", "Grades of issued lists")

#: What counts as left, per target; of `judged` accounts only. Involuntary exits, decisions taken before the horizon
#: began and (for `silent`) voices nobody could hear say nothing about the list.
LEFT = {"silent": ("silent",), "churn": ("silent", "vocal", "unlabelable")}
JUDGED = {"silent": ("stay", "silent", "vocal"), "churn": ("stay", "silent", "vocal", "unlabelable")}


@resource.route("/v1/risk-lists/<int:list_id>/grade")
@needs("read", restricted="narrowed")
@operation(
    gives={200: (schemas.GradeAnswer, "The grade, or when there will be one")},
    refuses=("unknown_list", "model_unavailable"),
    scope="read",
)
def get_grade(list_id: int) -> Response:
    """How many accounts of an issued list left, silently or not, against its pool and against chance.

    Graded once the horizon of the list has passed and exits have had time to be reported; until then `matures_at` says
    when.
    """
    service = the_service()
    found = service.store.issued_list(checked(list_id), the_book())
    params = LabelParams(**found.parameters["label"])
    matures, now = found.as_of + params.settled, service.clock()
    head = {
        "list_id": list_id,
        "as_of": isoformat(found.as_of),
        "model_id": found.model_id,
        "horizon": {
            "from": isoformat(found.as_of + timedelta(days=params.blackout_days)),
            "to": isoformat(found.as_of + params.window),
        },
        "matures_at": isoformat(matures),
    }
    if now < matures:
        return answer(head | {"status": "immature", "grades": None, "outcomes": None, "approached": None})
    return answer(head | {"status": "graded"} | _graded(service, found, params, now))


def _graded(service: Service, found: RiskList, params: LabelParams, now: datetime) -> dict[str, Any]:
    listed, pool, outcome, approached = service.store.became(found, params, now, the_book())
    return {
        "grades": {target: _grade(target, listed, pool, outcome) for target in LEFT},
        "outcomes": {"listed": _counts(listed, outcome), "pool": _counts(pool, outcome)},
        "approached": len(approached),
    }


def _grade(target: str, listed: Sequence[str], pool: Sequence[str], outcome: Mapping[str, str]) -> dict[str, Any]:
    judged, left = JUDGED[target], LEFT[target]
    ours, all_ = ([outcome[a] for a in some if outcome.get(a) in judged] for some in (listed, pool))
    counts = (len(ours), sum(o in left for o in ours), len(all_), sum(o in left for o in all_))
    return asdict(grade(*counts)) | {"confidence": CONFIDENCE}


def _counts(some: Sequence[str], outcome: Mapping[str, str]) -> dict[str, int]:
    seen = Counter(outcome.get(account_id, "unknown") for account_id in some)
    return {name: seen[name] for name in (*OUTCOMES, "unknown")}
