"""An account's health: what a CRM shows beside its name."""

from flask import Response

from api import score_schemas as schemas
from api.auth import needs
from api.bodies import answer_text, chosen_fields, query
from api.codes import NO_SCORE
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.health_text import health_text
from api.health_then import PARAMETERS, then_text
from api.service import Service, the_service
from models.errors import NotScored
from models.scorecard import Target
from models.store.access import NotScoredBecause
from models.store.scores import StoredScore

resource = Resource("health", "Health of one account")

TARGETS: tuple[Target, ...] = ("churn", "silent")
MEMBERS = tuple(schemas.Health().fields)
#: Told of earlier moments only.
OF_THEN = ("known_at", "said")


@resource.route("/v1/accounts/<ident:account_id>/health")
@needs("read")
@operation(
    gives={
        200: (
            {"anyOf": [schemas.Health, schemas.HealthPart]},
            "The latest score with its reasons, or what was asked for of it",
        )
    },
    refuses=(*NO_SCORE, "model_reads_table", "model_unavailable"),
    query=schemas.HealthAskedQuery,
    scope="read",
)
def get_health(account_id: str) -> Response:
    """The latest score of an account with its reasons.

    409 says why there is none: `account_is_test`, `account_not_started`, `account_ended`, `account_leaving`,
    `account_unpaid` or `not_scored_yet`; `model_reads_table` where the model in service will never score it.

    With `as_of` or `known_at` the score is made anew, as of then and with what was known then, and told with what was
    said then (`said`).
    """
    service = the_service()
    asked = query("target", "fields", *PARAMETERS)
    target = target_in(asked.get("target", "churn"), "target")
    of_then = any(name in asked for name in PARAMETERS)
    known = MEMBERS if of_then else tuple(name for name in MEMBERS if name not in OF_THEN)
    fields = chosen_fields(asked.get("fields"), known)
    if of_then:
        try:
            return answer_text(then_text(service, account_id, asked, target, fields))
        except NotScoredBecause as error:
            raise not_scored(error) from None
    return answer_text(health_text(service, latest(service, account_id), target, fields))


def latest(service: Service, account_id: str) -> StoredScore:
    """The account's latest score. Raises `UnknownAccount`, and `Problem` 409 that says why it has none."""
    try:
        return service.store.latest(account_id)
    except NotScored:
        why = service.store.why_not_scored(account_id, service.clock(), service.serving.label())
        if isinstance(why, NotScoredBecause) and why.standing == "waiting":
            # No run will ever score it while a model of a table is in service.
            service.serving.require_history()
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
