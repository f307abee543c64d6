"""What changed between two issued lists: who is new, who left, who stayed, and why, with the parts of the ledger."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from api.change_lines import part_line
from api.payloads import loss
from api.service import Service
from models.changes import PARTS, Changes, changes
from models.clock import isoformat
from models.history import History
from models.moves import MEANING, Facts, came, left, stayed
from models.reasons import Subject
from models.scorecard import Target
from models.standing import standings
from models.store.issued import Pick
from models.store.lists import RiskList
from models.store.moves import given

TARGET: Target = "silent"
#: Features told of each part.
FEATURES = 3


def changes_since(service: Service, chosen: Pick) -> dict[str, Any]:
    """The comparison of a picked list with the one before it, plain."""
    assert chosen.before is not None
    before, old = chosen.before
    ids = sorted({*old["account_id"], *chosen.entries["account_id"]})
    then, then_features = service.store.given(ids, before.as_of, before.model_id)
    at, at_features = service.store.given(ids, chosen.source.as_of, chosen.source.model_id)
    held = service.store.known(ids, chosen.source.as_of)
    facts = _facts(service, chosen, ids, _rows(then), _rows(at), held)
    parts = _parts(service, before, chosen.source, (then, then_features), (at, at_features), held)
    was, is_on = set(old["account_id"]), set(chosen.entries["account_id"])
    told = _Teller(chosen, facts, parts, _names(old) | _names(chosen.entries))
    return {
        "since": {"list_id": before.list_id, "as_of": isoformat(before.as_of), "model_id": before.model_id},
        "new": [told.line(account_id, "new") for account_id in ids if account_id not in was],
        "left": [told.line(account_id, "left") for account_id in ids if account_id not in is_on],
        "stayed": [told.line(account_id, "stayed") for account_id in ids if account_id in was & is_on],
    }


def _facts(
    service: Service,
    chosen: Pick,
    ids: Sequence[str],
    then: Mapping[str, Any],
    at: Mapping[str, Any],
    held: History,
) -> dict[str, Facts]:
    assert chosen.before is not None
    before, _ = chosen.before
    standing = dict(
        standings(held, [chosen.source.as_of], service.serving.label()).select("account_id", "standing").iter_rows()
    )
    handled, fit = set(chosen.handled), {*chosen.pool, *chosen.handled}
    handled_then = service.store.approached(before.parameters["handled_within_days"], before.created_at)
    place = {account_id: i for i, account_id in enumerate(chosen.pool, 1)}
    return {
        account_id: Facts(
            then=then.get(account_id),
            now=at.get(account_id),
            standing="gone" if account_id in chosen.gone else standing.get(account_id, "unknown"),
            fits=account_id in fit,
            handled=account_id in handled,
            handled_then=account_id in handled_then,
            place=place.get(account_id),
        )
        for account_id in ids
    }


class _Teller:
    """Says why each account moved."""

    def __init__(
        self, chosen: Pick, facts: Mapping[str, Facts], parts: Mapping[str, Any], names: Mapping[str, Any]
    ) -> None:
        self._facts, self._parts, self._names = facts, parts, names
        self._capacity = chosen.order.capacity
        self._by_loss = chosen.order.rank_by == "rank_by_loss"
        values = chosen.entries["expected_revenue_loss" if self._by_loss else "p_silent"]
        full = chosen.entries.height == self._capacity and not values.has_nulls()
        self._least: float | None = float(values.min()) if full else None  # type: ignore[arg-type]

    def line(self, account_id: str, move: str) -> dict[str, Any]:
        """An account's move."""
        facts = self._facts[account_id]
        why = self._why(facts, move)
        return {
            "account_id": account_id,
            "name": self._names[account_id],
            "why": why,
            "sentence": MEANING[why],
            "place": facts.place,
            "then": _side(facts.then),
            "now": _side(facts.now),
            "parts": self._parts.get(account_id),
        }

    def _why(self, facts: Facts, move: str) -> str:
        if move == "left":
            return left(facts, self._by_loss, self._least)
        if move == "new":
            return came(facts, self._by_loss, self._least)
        assert facts.place is not None
        return stayed(facts.place, self._capacity)


def _side(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {
        "p_silent": values["p_silent"],
        "expected_revenue_loss": loss(values["expected_revenue_loss"], values["currency"]),
        "quiet": values["quiet"],
    }


def _rows(scores: pl.DataFrame) -> dict[str, Any]:
    return {row["account_id"]: row for row in scores.to_dicts()}


def _names(entries: pl.DataFrame) -> dict[str, Any]:
    return dict(entries.select("account_id", "name").iter_rows())


def _parts(
    service: Service,
    before: RiskList,
    source: RiskList,
    then: tuple[pl.DataFrame, pl.DataFrame],
    at: tuple[pl.DataFrame, pl.DataFrame],
    held: History,
) -> dict[str, list[dict[str, Any]]]:
    """Account id -> the parts of the change of its silent risk, of those scored both times; none where a model's
    artefact is not stored any more."""
    first, last = service.serving.by_id(before.model_id), service.serving.by_id(source.model_id)
    both = sorted(set(then[0]["account_id"]) & set(at[0]["account_id"]))
    if first is None or last is None or not both:
        return {}
    missing = [service.freshness.missing_at(moment) for moment in (before.as_of, source.as_of)]
    begun = given(first.model, before.as_of, both, TARGET, *then, missing[0])
    ended = given(last.model, source.as_of, both, TARGET, *at, missing[1])
    moved = changes(held, both, begun, ended, TARGET)
    about: dict[str, Subject] = {}
    for served in (first, last):
        about |= served.subjects(TARGET)
    return {account_id: _lines(moved, i, about) for i, account_id in enumerate(both)}


def _lines(moved: Changes, i: int, about: Mapping[str, Subject]) -> list[dict[str, Any]]:
    return [
        part_line(part, {name: float(amount[i]) for name, amount in moved.amounts[part].items()}, about, FEATURES)
        for part in PARTS
    ]
