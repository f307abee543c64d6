"""What was said of an account over time, and why it changed: the score history and the change ledger."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response

from api import change_schemas as schemas
from api import cursors, payloads
from api.auth import needs
from api.bodies import answer, instant, linked, page_size, query
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.health import target_in
from api.service import Service, the_service
from api.serving import Served
from models.clock import isoformat
from models.health import points
from models.history import History
from models.ledger import PARTS, Floats, Said, ledger
from models.reasons import Subject
from models.scorecard import Target
from models.store.scores import StoredScore

resource = Resource("changes", "Score history and the change ledger")

LIMIT, MOST = 50, 500
#: What the parts mean, said to people.
MEANING = {
    "corrected": "what is stored of these days has been corrected since",
    "late": "told only later, though it had happened before",
    "time": "time alone: old events fade, the renewal comes nearer",
    "behaviour": "what happened in between",
    "model": "another model",
}
#: Amounts that belong to no feature.
OTHERS = {
    "base": "what the models say of everybody",
    "reference": "the risk that fifty points stand for",
    "": "all features together",
}


@resource.route("/v1/accounts/<ident:account_id>/scores")
@needs("read")
@operation(
    gives={200: (schemas.ScoreHistory, "A page of the account's scores, latest first")},
    refuses=(404, 422),
    query=schemas.HistoryQuery,
    scope="read",
)
def get_scores(account_id: str) -> Response:
    """Every score the account ever got: what was said, as of when, by which model; latest first.

    New scores come before the first page, so that a cursor goes on where it stopped.
    """
    asked = query("limit", "cursor")
    limit, before = page_size(asked, LIMIT, MOST), None
    if "cursor" in asked:
        moment, model_id = cursors.read(asked["cursor"], str, str)
        as_of, _ = instant(moment)
        if as_of is None or "\0" in model_id:
            raise cursors.bad("is not one of ours")
        before = as_of, model_id
    found = the_service().store.scores_of(account_id, limit + 1, before)
    more, found = len(found) > limit, found[:limit]
    cursor = cursors.write(isoformat(found[-1].values["as_of"]), found[-1].values["model_id"]) if more else None
    address = f"/v1/accounts/{quote(account_id, safe='')}/scores"
    following = None if cursor is None else f"{address}?{urlencode({'limit': limit, 'cursor': cursor})}"
    lines = [_score(score.values) for score in found]
    body = {"account_id": account_id, "scores": lines, "next_cursor": cursor, "next": following}
    return linked(answer(body), following)


def _score(values: Mapping[str, Any]) -> dict[str, Any]:
    line = payloads.given(values)
    del line["account_id"]
    return line


@resource.route("/v1/accounts/<ident:account_id>/changes")
@needs("read")
@operation(
    gives={200: (schemas.Changes, "The difference of two scores as an exact sum")},
    refuses=(404, 409, 422),
    query=schemas.ChangesQuery,
    scope="read",
)
def get_changes(account_id: str) -> Response:
    """Why the score changed between two moments: what happened in between, what time alone did, what was told late,
    what was corrected, and what another model did. The parts add up to the change.

    Each side is the score that had been given as of the moment or last before it. 409 `not_scored_then` where there was
    none, `model_not_stored` where the artefact that made it is gone.
    """
    service = the_service()
    asked = query("from", "to", "target")
    target = target_in(asked.get("target", "churn"), "target")
    moments = _moments(asked, service.clock())
    held, said = service.store.said(account_id, moments)
    first, last = (_found(account_id, score, at) for score, at in zip(said, moments, strict=True))
    return answer(_line(account_id, target, held, *(_side(service, score) for score in (first, last))))


def _moments(asked: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    errors = [] if "from" in asked else [FieldError("from", "required", "is required")]
    found: dict[str, datetime] = {"to": now}
    for name in ("from", "to"):
        if name in asked:
            moment, why = instant(asked[name])
            if moment is None:
                errors.append(FieldError(name, "invalid", why))
            else:
                found[name] = moment
    if not errors and found["from"] > found["to"]:
        errors.append(FieldError("from", "invalid", "lies after `to`"))
    if errors:
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", errors)
    return found["from"], found["to"]


def _found(account_id: str, score: StoredScore | None, at: datetime) -> StoredScore:
    if score is None:
        raise Problem(409, "not_scored_then", f"Account {account_id!r} had no score by {isoformat(at)}.")
    return score


class _Side:
    """A score as it was given, and the model that gave it."""

    def __init__(self, served: Served, score: StoredScore) -> None:
        self.served, self.score, self.values = served, score, score.values
        self.said = Said(served.model, score.values["as_of"])

    def corrected(self, target: Target, today: Floats, terms: Mapping[str, Floats]) -> dict[str, float]:
        """What is said today of that moment less what was said then, by term; as one where features were not kept."""
        if not self.score.features:
            return {"": float(today[0]) - self.values[f"log_odds_{target}"]}
        then = self.served.rows.contributions(target, self.score.features)
        names = self.served.rows.cards[target].names
        return {name: float(terms[name][0]) - amount for name, amount in zip(names, then, strict=True)}

    def subjects(self, target: Target) -> dict[str, Subject]:
        """What each term is about."""
        rows = self.served.rows
        return dict(zip(rows.cards[target].names, rows.tellers[target].subjects, strict=True))

    def line(self, target: Target) -> dict[str, Any]:
        """How the side is told."""
        names = ("health", "health_unclipped", "band", "p_churn", "p_silent")
        return {
            "as_of": isoformat(self.values["as_of"]),
            "computed_at": isoformat(self.values["computed_at"]),
            "model": payloads.model_line(self.served),
            **{name: self.values[name] for name in names},
            "log_odds": self.values[f"log_odds_{target}"],
        }


def _side(service: Service, score: StoredScore) -> _Side:
    model_id = score.values["model_id"]
    served = service.serving.by_id(model_id)
    if served is None:
        why = (
            f"The artefact {model_id} that made the score of {isoformat(score.values['as_of'])} is not stored any more."
        )
        raise Problem(409, "model_not_stored", why)
    return _Side(served, score)


def _line(account_id: str, target: Target, held: History, first: _Side, last: _Side) -> dict[str, Any]:
    found = ledger(held, [account_id], first.said, last.said, target)
    begun = first.corrected(target, found.first, found.first_terms)
    ended = last.corrected(target, found.last, found.last_terms)
    corrected = {name: begun.get(name, 0.0) - ended.get(name, 0.0) for name in dict.fromkeys((*begun, *ended))}
    amounts = {"corrected": corrected}
    amounts |= {part: {name: float(amount[0]) for name, amount in found.amounts[part].items()} for part in PARTS}
    about = first.subjects(target) | last.subjects(target)
    parts = [_part(part, amounts[part], about) for part in MEANING]
    if target == "churn":
        _add_reference(parts[-1], first, last)
    return {
        "account_id": account_id,
        "target": target,
        "from": first.line(target),
        "to": last.line(target),
        "log_odds": last.values[f"log_odds_{target}"] - first.values[f"log_odds_{target}"],
        "points": sum(part["points"] for part in parts),
        "parts": parts,
    }


def _part(part: str, amounts: Mapping[str, float], about: Mapping[str, Subject]) -> dict[str, Any]:
    lines = [_reason(name, amount, about) for name, amount in amounts.items() if amount]
    lines.sort(key=lambda line: -abs(line["log_odds"]))
    total = sum(amounts.values())
    return {
        "part": part,
        "meaning": MEANING[part],
        "log_odds": total,
        "points": points(total),
        "features": lines,
    }


def _reason(name: str, amount: float, about: Mapping[str, Subject]) -> dict[str, Any]:
    subject = about.get(name)
    return {
        "feature": name,
        "label": OTHERS[name] if subject is None else subject.label,
        "component": None if subject is None else subject.component,
        "log_odds": amount,
        "points": points(amount),
    }


def _add_reference(part: dict[str, Any], first: _Side, last: _Side) -> None:
    """Fifty points stand for another risk in another model: points that no log-odds account for."""
    moved = points(first.served.model.health.reference - last.served.model.health.reference)
    if moved:
        line = {"feature": "reference", "label": OTHERS["reference"], "component": None}
        part["features"].append({**line, "log_odds": 0.0, "points": moved})
        part["points"] += moved
