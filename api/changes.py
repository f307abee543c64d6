"""What was said of an account over time, and why it changed: the score history and the change ledger."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
import polars as pl
from flask import Response

from api import change_schemas as schemas
from api import cursors, payloads
from api.auth import needs
from api.bodies import answer, instant, linked, page_size, query
from api.change_lines import add_reference, part_line
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.health import target_in
from api.service import Service, the_service
from api.serving import Served
from models.changes import PARTS, Given, changes
from models.clock import isoformat
from models.history import History
from models.scorecard import Target
from models.store.missed import Spells
from models.store.scores import StoredScore

resource = Resource("changes", "Score history and the change ledger")

LIMIT, MOST = 50, 500


@resource.route("/v1/accounts/<ident:account_id>/scores")
@needs("read")
@operation(
    gives={200: (schemas.ScoreHistory, "A page of the account's scores, latest first")},
    refuses=("invalid_cursor",),
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
    refuses=("not_scored_then", "model_not_stored", "model_unavailable"),
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
    at = moments(asked, service.clock())
    held, said = service.store.said(account_id, at)
    first, last = (_found(account_id, score, moment) for score, moment in zip(said, at, strict=True))
    return answer(_line(account_id, target, held, *(_side(service, score) for score in (first, last))))


def moments(asked: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """The two moments of a comparison, `to` being now unless given. Raises `Problem` 422."""
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

    def __init__(self, served: Served, score: StoredScore, missing: Spells) -> None:
        self.served, self.score, self.values, self.missing = served, score, score.values, missing

    def given(self, target: Target) -> Given:
        """As the ledger takes it."""
        log_odds = np.array([self.values[f"log_odds_{target}"]])
        features = pl.DataFrame([self.score.features]) if self.score.features else None
        kept = np.array([features is not None])
        return Given(self.served.model, self.values["as_of"], log_odds, features, kept, self.missing)

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
    return _Side(served, score, service.freshness.missing_at(score.values["as_of"]))


def _line(account_id: str, target: Target, held: History, first: _Side, last: _Side) -> dict[str, Any]:
    found = changes(held, [account_id], first.given(target), last.given(target), target)
    about = first.served.subjects(target) | last.served.subjects(target)
    amounts = {part: {name: float(amount[0]) for name, amount in found.amounts[part].items()} for part in PARTS}
    parts = [part_line(part, amounts[part], about) for part in PARTS]
    if found.reference:
        add_reference(parts[-1], found.reference)
    return {
        "account_id": account_id,
        "target": target,
        "from": first.line(target),
        "to": last.line(target),
        "log_odds": last.values[f"log_odds_{target}"] - first.values[f"log_odds_{target}"],
        "points": sum(part["points"] for part in parts),
        "parts": parts,
    }
