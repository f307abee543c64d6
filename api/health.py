"""An account's health: what a CRM shows beside its name."""

from flask import Response

from api import payloads
from api import score_schemas as schemas
from api.auth import needs
from api.bodies import answer_text, encode, query, with_member
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.service import Service, the_service
from models.clock import isoformat
from models.errors import NotScored
from models.scorecard import Target
from models.scoring import FRESH_DAYS
from models.store.access import NotScoredBecause
from models.store.scores import StoredScore

resource = Resource("health", "Health of one account")

TARGETS: tuple[Target, ...] = ("churn", "silent")


@resource.route("/v1/accounts/<ident:account_id>/health")
@needs("read")
@operation(
    gives={200: (schemas.Health, "The account's latest score with all its reasons")},
    refuses=(404, 409, 422),
    query=schemas.HealthQuery,
    scope="read",
)
def get_health(account_id: str) -> Response:
    """The latest score of an account with its reasons.

    409 says why there is none: `account_is_test`, `account_not_started`, `account_ended`, `account_leaving`,
    `account_unpaid` or `not_scored_yet`.
    """
    service = the_service()
    target = target_in(query("target").get("target", "churn"), "target")
    return answer_text(health_text(service, latest(service, account_id), target))


def latest(service: Service, account_id: str) -> StoredScore:
    """The account's latest score. Raises `UnknownAccount`, and `Problem` 409 that says why it has none."""
    try:
        return service.store.latest(account_id)
    except NotScored:
        why = service.store.why_not_scored(account_id, service.clock(), service.serving.label())
    raise not_scored(why) if isinstance(why, NotScoredBecause) else why


CODES = {
    "test": "account_is_test",
    "unknown": "account_not_started",
    "gone": "account_ended",
    "leaving": "account_leaving",
    "unpaid": "account_unpaid",
    "waiting": "not_scored_yet",
}


def not_scored(error: NotScoredBecause) -> Problem:
    """The refusal that says why there is no score."""
    return Problem(409, CODES[error.standing], str(error))


def target_in(text: object, pointer: str) -> Target:
    """Whose reasons are wanted. Raises `Problem` 422."""
    for target in TARGETS:
        if text == target:
            return target
    raise Problem(
        422, "invalid_query", "target is churn or silent.", [FieldError(pointer, "invalid", "is churn or silent")]
    )


def health_text(service: Service, score: StoredScore, target: Target) -> str:
    """The whole answer for one stored score, as JSON."""
    values = score.values
    served = service.serving.by_id(values["model_id"])
    line = payloads.score_line(values)
    line["computed_at"] = isoformat(values["computed_at"])
    line["model"] = {"id": values["model_id"], "status": values["model_status"]}
    line["data"] = payloads.freshness(service.freshness.now(), service.clock(), FRESH_DAYS)
    if served is None:
        missing = f"The artefact {values['model_id']} that made this score is not stored any more."
        return encode(line | {"horizon": None, "explanation": None, "explanation_missing": missing})
    line |= payloads.horizon(served.model)
    contributions = served.rows.contributions(target, score.features)
    explanation = payloads.explanation(served, target, contributions, values[f"log_odds_{target}"], score.features)
    return with_member(encode(line), "explanation", explanation)
