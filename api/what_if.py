"""What the model would say if a manager pulled the levers a manager has. Nothing is stored."""

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from flask import Response

from api import payloads
from api import what_if_schemas as schemas
from api.auth import needs
from api.bodies import answer, invalid, json_body, refuse_unknown
from api.change_lines import reason_line
from api.codes import NO_SCORE
from api.contract import Resource, operation
from api.errors import FieldError
from api.health import not_scored, target_in
from api.service import the_service
from api.serving import Served
from models import health
from models.clock import isoformat
from models.errors import UnknownAccount
from models.health import points
from models.scorecard import Target
from models.standing import SCORED, standings
from models.store.access import NotScoredBecause
from models.what_if import LEVERS, NoSuchScore, Step, what_if

resource = Resource("what-if", "What-if")

CAUTION = (
    "Accounts whose history looks like this leave this much more or less often. "
    "It does not follow that doing it changes whether this one leaves."
)


@resource.route("/v1/accounts/<ident:account_id>/what-if", methods=["POST"])
@needs("read")
@operation(
    gives={200: (schemas.WhatIfAnswer, "The score as it is and as it would be")},
    refuses=(*NO_SCORE, "model_reads_table", "model_unavailable"),
    takes=schemas.WhatIfBody,
    scope="read",
)
def post_what_if(account_id: str) -> Response:
    """The score if the open escalation were closed, the open contacts answered, or a survey answered, now.

    The history's rows are changed and features computed again. Association, not effect. 409 as for health where the
    account has no score. While the contact feed is quiet it is asked as of the last it told, as scores are.
    """
    service = the_service()
    levers, score, target = _asked(json_body())
    served, now = service.serving.current(), service.clock()
    at = service.freshness.scored_as_of(now)
    held = service.store.known([account_id], at).without(service.freshness.missing())
    if held.accounts.is_empty():
        raise UnknownAccount(f"There is no account {account_id!r}.")
    # While the feed is quiet an account may have begun since, and one that was there may have left.
    for standing in standings(held, sorted({at, now}), served.model.require_history().label)["standing"]:
        if standing not in SCORED:
            raise not_scored(NotScoredBecause(account_id, standing))
    try:
        steps = what_if(served.model, held, account_id, at, levers, score)
    except NoSuchScore as error:
        raise _wrong("survey_score", "invalid", str(error)) from None
    parts = [_part(served, target, before, after) for before, after in pairwise(steps)]
    moved = steps[-1].log_odds[target] - steps[0].log_odds[target]
    return answer(
        {
            "account_id": account_id,
            "as_of": isoformat(at),
            "model": payloads.model_line(served),
            "target": target,
            "reading": "association",
            "caution": CAUTION,
            "now": _standing(served, steps[0], target),
            "then": _standing(served, steps[-1], target),
            "log_odds": moved,
            "points": points(moved),
            "parts": parts,
        }
    )


def _asked(body: Mapping[str, Any]) -> tuple[list[str], float | None, Target]:
    """The levers, the survey's score, and whose parts. Raises `Problem` 422."""
    refuse_unknown(dict(body), ("levers", "survey_score", "target"))
    levers, score = body.get("levers"), body.get("survey_score")
    if not isinstance(levers, list) or not levers:
        raise _wrong("levers", "required", f"must be a list of at least one of {', '.join(LEVERS)}")
    for i, lever in enumerate(levers):
        if type(lever) is not str or lever not in LEVERS or lever in levers[:i]:
            raise _wrong(f"levers/{i}", "invalid", f"is one of {', '.join(LEVERS)}, each once")
    if score is not None and (type(score) not in (int, float) or not math.isfinite(score) or abs(score) > 1e9):
        raise _wrong("survey_score", "invalid", "must be a number")
    if "survey_answered" in levers and score is None:
        raise _wrong("survey_score", "required", "is required: what is the survey answered with?")
    if "survey_answered" not in levers and score is not None:
        raise _wrong("survey_score", "invalid", "belongs to the lever survey_answered, which is not pulled")
    return levers, None if score is None else float(score), target_in(body.get("target", "churn"), "/target")


def _wrong(name: str, code: str, message: str) -> Exception:
    return invalid("The body does not fit; see errors.", FieldError(f"/{name}", code, message))


def _standing(served: Served, step: Step, target: Target) -> dict[str, Any]:
    churn, silent = (np.array([step.log_odds[name]]) for name in ("churn", "silent"))
    chances, params = health.probabilities(churn, silent), served.model.health
    score = float(health.health(churn, params)[0])
    return {
        "log_odds": step.log_odds[target],
        "health": score,
        "health_unclipped": float(health.unclipped_health(churn, params)[0]),
        "band": health.band(score, params),
        "p_churn": float(chances.p_churn[0]),
        "p_silent": float(chances.p_silent[0]),
    }


def _part(served: Served, target: Target, before: Step, after: Step) -> dict[str, Any]:
    names = served.model.card(target).names
    moved = after.contributions[target] - before.contributions[target]
    about = served.subjects(target)
    lines = [reason_line(name, float(amount), about) for name, amount in zip(names, moved, strict=True) if amount]
    total = float(moved.sum())
    return {
        "lever": after.lever,
        "meaning": LEVERS[after.lever],
        "rows": after.rows,
        "log_odds": total,
        "points": points(total),
        "features": sorted(lines, key=lambda line: -abs(line["log_odds"])),
    }
