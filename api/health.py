"""An account's health: what a CRM shows beside its name."""

from typing import Any

from flask import Response

from api import payloads
from api import score_schemas as schemas
from api.auth import needs, the_book
from api.bodies import answer_text, chosen_fields, encode, query, with_member
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.opinions import override_line
from api.service import Service, the_service
from models.errors import NotScored
from models.scorecard import Target
from models.scoring import FRESH_DAYS
from models.store.access import NotScoredBecause
from models.store.scores import StoredScore

resource = Resource("health", "Health of one account")

TARGETS: tuple[Target, ...] = ("churn", "silent")
MEMBERS = tuple(schemas.Health().fields)


@resource.route("/v1/accounts/<ident:account_id>/health")
@needs("read")
@operation(
    gives={200: (schemas.Health, "The account's latest score with all its reasons")},
    refuses=(404, 409, 422),
    query=schemas.HealthFieldsQuery,
    scope="read",
)
def get_health(account_id: str) -> Response:
    """The latest score of an account with its reasons.

    409 says why there is none: `account_is_test`, `account_not_started`, `account_ended`, `account_leaving`,
    `account_unpaid` or `not_scored_yet`; `model_reads_table` where the model in service will never score it.
    """
    service = the_service()
    asked = query("target", "fields")
    target = target_in(asked.get("target", "churn"), "target")
    fields = chosen_fields(asked.get("fields"), MEMBERS)
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


def health_text(service: Service, score: StoredScore, target: Target, fields: frozenset[str] | None = None) -> str:
    """The answer for one stored score, as JSON: all of it, or the members asked for."""
    values = score.values
    served = service.serving.by_id(values["model_id"])
    line = payloads.given(values)
    if fields is None or "override" in fields:
        line["override"] = override_line(service.store.override(values["account_id"], service.clock()))
    line["data"] = payloads.freshness(
        service.freshness.now(), service.clock(), FRESH_DAYS, service.freshness.quiet_since()
    )
    if the_book().restricted:
        # When anybody's last contact came is about everybody.
        names = ("interactions_recorded_until", "surveys_recorded_until", "contacts_quiet_since")
        line["data"] |= dict.fromkeys(names)
    if served is None:
        missing = f"The artefact {values['model_id']} that made this score is not stored any more."
        return encode(_only(line | {"horizon": None, "explanation": None, "explanation_missing": missing}, fields))
    line |= payloads.horizon(served.model)
    if fields is not None and "explanation" not in fields:
        return encode(_only(line, fields))
    contributions = served.rows.contributions(target, score.features)
    explanation = payloads.explanation(served, target, contributions, values[f"log_odds_{target}"], score.features)
    line = _only(line, fields)
    return with_member(encode(line), "explanation", explanation) if line else f'{{"explanation":{explanation}}}'


def _only(line: dict[str, Any], fields: frozenset[str] | None) -> dict[str, Any]:
    return line if fields is None else {name: value for name, value in line.items() if name in fields}
