"""Why scores that were given changed: the change ledger, from what was said to what was said.

`models.ledger` compares what is said *today* of two moments. What had been said may differ from that, where rows were
replaced since; that difference is a part of its own, so the parts add up to the difference of the scores as given:

    given as of 1 March                 -2.0
      corrected                         +0.1     what is stored of these days has been corrected since
      late, time, behaviour, model      +0.7     the ledger
    given as of 1 April                 -1.2
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from models.health import points
from models.history import History
from models.ledger import PARTS as LEDGER
from models.ledger import Floats, Said, ledger
from models.model import ChurnModel, columns
from models.scorecard import Target

#: Every part, in the order in which it is changed.
PARTS = ("corrected", *LEDGER)


@dataclass(frozen=True)
class Given:
    """Scores of some accounts as one model gave them at one moment.

    `log_odds`: (n,) of the target. `features`: n rows, those the scores came from; None or a row whose `kept` is false:
    they were not kept. `missing` as in `models.ledger.Said`.
    """

    model: ChurnModel
    as_of: datetime
    log_odds: Floats
    features: pl.DataFrame | None
    kept: np.typing.NDArray[np.bool_]
    missing: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True)
class Changes:
    """`amounts`: part -> term -> (n,) log-odds; all of them add up to `last - first`. Terms that are no feature: `base`
    (of `model`) and the empty one: all features together, where they were not kept. `reference`: points that belong to
    the part `model` beside its log-odds, since fifty points stand for another risk."""

    account_ids: Sequence[str]
    first: Floats
    last: Floats
    amounts: dict[str, dict[str, Floats]]
    reference: float

    def total(self, part: str) -> Floats:
        """(n,) log-odds of one part."""
        return np.asarray(sum(self.amounts[part].values(), np.zeros(len(self.account_ids))), dtype=np.float64)


def changes(history: History, account_ids: Sequence[str], first: Given, last: Given, target: Target) -> Changes:
    """Compare two scores of the same accounts, by name and in their order in both `Given`.

    `history` is what is known now. An account that today's data no longer know at the first moment has its whole change
    under `corrected`. Raises `ContractError` where the first moment lies after the last.
    """
    there = set(history.known_at(first.as_of).accounts["account_id"])
    rows = np.array([account_id in there for account_id in account_ids], dtype=np.bool_)
    known = [account_id for account_id in account_ids if account_id in there]
    if not known:
        return _none_known(account_ids, first, last, target)
    then, now = (Said(side.model, side.as_of, side.missing) for side in (first, last))
    found = ledger(history, known, then, now, target)

    def spread(amount: Floats) -> Floats:
        whole = np.zeros(len(rows))
        whole[rows] = amount
        return whole

    amounts = {part: {name: spread(amount) for name, amount in found.amounts[part].items()} for part in LEDGER}
    begun = _corrected(first, target, spread(found.first), {n: spread(v) for n, v in found.first_terms.items()})
    ended = _corrected(last, target, spread(found.last), {n: spread(v) for n, v in found.last_terms.items()})
    none = np.zeros(len(rows))
    corrected = {
        name: np.where(rows, begun.get(name, none) - ended.get(name, none), 0.0)
        for name in dict.fromkeys(begun | ended)
    }
    corrected[""] = np.where(rows, corrected.get("", none), last.log_odds - first.log_odds)
    ordered = {"corrected": corrected} | amounts
    return Changes(account_ids, first.log_odds, last.log_odds, ordered, _reference(first, last, target))


def _none_known(account_ids: Sequence[str], first: Given, last: Given, target: Target) -> Changes:
    amounts: dict[str, dict[str, Floats]] = {part: {} for part in PARTS}
    amounts["corrected"] = {"": last.log_odds - first.log_odds}
    return Changes(account_ids, first.log_odds, last.log_odds, amounts, _reference(first, last, target))


def _reference(first: Given, last: Given, target: Target) -> float:
    """Points that no log-odds account for: fifty points stand for another risk in another model."""
    return float(points(first.model.health.reference - last.model.health.reference)) if target == "churn" else 0.0


def _corrected(given: Given, target: Target, today: Floats, terms: dict[str, Floats]) -> dict[str, Floats]:
    """What is said today of that moment less what was said then, by term."""
    whole = {"": np.where(given.kept, 0.0, today - given.log_odds)}
    if given.features is None:
        return whole
    card = given.model.card(target)
    then = card.contributions(columns(given.features, given.model.columns))
    parts = {
        name: np.where(given.kept, terms[name] - amount, 0.0) for name, amount in zip(card.names, then.T, strict=True)
    }
    return parts | whole
