"""An account's health as of an earlier moment: what would have been said with what was known, and what was said."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api import payloads
from api.auth import the_book
from api.bodies import instant
from api.errors import FieldError, Problem
from api.health_text import health_text
from api.service import Service
from models.clock import isoformat
from models.errors import UnknownAccount
from models.scorecard import Target
from models.standing import standings
from models.store.access import NotScoredBecause
from models.store.scores import StoredScore
from models.store.scoring import kept, to_store
from models.store.then import Then

#: The parameters that make it a question about then.
PARAMETERS = ("as_of", "known_at")


def moments(asked: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """as_of (default: now) and known_at (default: as_of). Raises `Problem` 422 for what is no moment, or to come."""
    found, errors = {}, []
    for name in PARAMETERS:
        if name in asked:
            moment, why = instant(asked[name])
            if moment is None or moment > now:
                errors.append(FieldError(name, "invalid", why or "lies in the future"))
            else:
                found[name] = moment
    if errors:
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", errors)
    as_of = found.get("as_of", now)
    return as_of, found.get("known_at", as_of)


def then_text(
    service: Service,
    account_id: str,
    asked: Mapping[str, str],
    target: Target,
    fields: frozenset[str] | None,
) -> str:
    """The answer, as JSON. By the model whose score was given then, or by the one in service where there is none.

    Raises `UnknownAccount`, and `NotScoredBecause` for an account that was no customer then.
    """
    now = service.clock()
    as_of, known_at = moments(asked, now)
    said = service.store.said_at(account_id, as_of)
    served = None if said is None else service.serving.by_id(said.values["model_id"])
    model = (served or service.serving.current()).model
    settings = service.settings
    quiet = service.store.contacts_quiet(known_at)
    how = {"margin": settings.margin, "currency": settings.currency, "quiet": quiet is not None}
    missing = service.freshness.missing_at(min(as_of, known_at))  # counts every contact of months: kept a while
    then = service.store.score_then(model, account_id, as_of, known_at, missing=missing, **how)
    if then.scored.scores.is_empty():
        raise _why_not(then, account_id, as_of, model.label)
    (values,) = to_store(model, then.scored).to_dicts()
    (features,) = kept(model, then.scored).drop("account_id", "as_of").to_dicts()
    score = StoredScore(values | {"computed_at": now}, features)
    beside = {
        "known_at": isoformat(known_at),
        "said": None if said is None else _said(said),
        "override": None,
        "data": _data(then, None if quiet is None else quiet.since),
    }
    return health_text(service, score, target, fields, beside)


def _why_not(then: Then, account_id: str, as_of: datetime, label: Any) -> Exception:
    found = standings(then.known, [as_of], label)["standing"]
    if not len(found):
        return UnknownAccount(f"There is no account {account_id!r}, or nobody had described it then.")
    return NotScoredBecause(account_id, found[0])


def _said(score: StoredScore) -> dict[str, Any]:
    line = payloads.given(score.values)
    del line["account_id"]
    return line


def _data(then: Then, quiet_since: datetime | None) -> dict[str, Any]:
    until = {f"{name}_recorded_until": at for name, at in then.reached.items()} | {"contacts_quiet_since": quiet_since}
    # When anybody's last contact came is about everybody.
    shown = dict.fromkeys(until) if the_book().restricted else until
    told = {name: None if at is None else isoformat(at) for name, at in shown.items()}
    return told | {"contacts_up_to_date": then.fresh}
