"""A score as the health of an account is told: with its reasons, its model and how far the data reach."""

from typing import Any

from api import payloads
from api.auth import the_book
from api.bodies import encode, with_member
from api.opinions import override_line
from api.service import Service
from models.scorecard import Target
from models.scoring import FRESH_DAYS
from models.store.scores import StoredScore


def health_text(
    service: Service,
    score: StoredScore,
    target: Target,
    fields: frozenset[str] | None = None,
    beside: dict[str, Any] | None = None,
) -> str:
    """The answer for one score, as JSON: all of it, or the members asked for. `beside`: what is told with it; None:
    what holds now."""
    values = score.values
    served = service.serving.by_id(values["model_id"])
    line = payloads.given(values)
    line |= _now(service, values["account_id"], fields) if beside is None else beside
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


def _now(service: Service, account_id: str, fields: frozenset[str] | None) -> dict[str, Any]:
    """What holds now: the override, and how far the data reach."""
    now = service.clock()
    data = payloads.freshness(service.freshness.now(), now, FRESH_DAYS, service.freshness.quiet_since())
    if the_book().restricted:
        # When anybody's last contact came is about everybody.
        data |= dict.fromkeys(("interactions_recorded_until", "surveys_recorded_until", "contacts_quiet_since"))
    if fields is not None and "override" not in fields:
        return {"data": data}
    return {"override": override_line(service.store.override(account_id, now)), "data": data}


def _only(line: dict[str, Any], fields: frozenset[str] | None) -> dict[str, Any]:
    return line if fields is None else {name: value for name, value in line.items() if name in fields}
