"""Why a score changed: the difference of two scores as an exact sum.

A score depends on four things, changed here one after the other, so that the parts add up without a remainder:

    what we said on 1 March, as known on 1 March, by model A           health 61
      late       the same, with what happened before 1 March and was told later         -4
      time       1 April, with nothing new since 1 March: decay, the renewal nearer     -3
      behaviour  1 April, with all that happened in between                             -9
      model      the same by model B                                                    +2
    what we say on 1 April, as known on 1 April, by model B            health 47

Within a part every feature has its own amount. The order matters where features interact with time: what is told late
counts at the first moment, what happened in between at the second.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.clock import INSTANT
from models.errors import ContractError
from models.features import compute
from models.history import TABLES, History, happened_at
from models.model import ChurnModel, columns
from models.scorecard import Scorecard, Target

Floats = npt.NDArray[np.float64]

#: What changes between two scores, in the order in which it is changed.
PARTS = ("late", "time", "behaviour", "model")


@dataclass(frozen=True)
class Said:
    """One side of a comparison: a model, and the moment it looked at with what was known by then. `missing`: the spells
    in which nobody was listening, which it counted as nobody's silence (`models.history.History.without`)."""

    model: ChurnModel
    as_of: datetime
    missing: Sequence[tuple[datetime, datetime]] = ()


@dataclass(frozen=True)
class Ledger:
    """`first`, `last`: (n,) log-odds on either side; `first_terms`, `last_terms`: term -> (n,) what each adds there.

    `amounts`: part -> term -> (n,) log-odds; term `base` (of the part `model` only) is what the models say of
    everybody. Their sum is `last - first`.
    """

    account_ids: Sequence[str]
    target: Target
    first: Floats
    last: Floats
    first_terms: dict[str, Floats]
    last_terms: dict[str, Floats]
    amounts: dict[str, dict[str, Floats]]

    def total(self, part: str) -> Floats:
        """(n,) log-odds of one part."""
        return np.asarray(sum(self.amounts[part].values(), np.zeros(len(self.account_ids))), dtype=np.float64)


def ledger(history: History, account_ids: Sequence[str], first: Said, last: Said, target: Target = "churn") -> Ledger:
    """Compare two scores of the same accounts. Accounts must have been known at the first moment.

    `history` is what is known now; rows that were overwritten since are told as they stand now, so `first` is what is
    said *today* of that day. Raises `ContractError` where the first moment lies after the last, `UnknownAccount` for an
    account nobody described.
    """
    if first.as_of > last.as_of:
        raise ContractError(f"The comparison runs backwards: {first.as_of} lies after {last.as_of}.")
    told = with_late(history, first.as_of, last.as_of)
    card, after = first.model.require_history().card(target), last.model.require_history().card(target)
    heard = history.without(last.missing)
    steps = [
        _contributions(history.without(first.missing), account_ids, first.as_of, first.model, card),
        _contributions(told.without(first.missing), account_ids, first.as_of, first.model, card),
        _contributions(told.known_at(first.as_of).without(last.missing), account_ids, last.as_of, first.model, card),
        _contributions(heard, account_ids, last.as_of, first.model, card),
    ]
    amounts: dict[str, dict[str, Floats]] = {
        part: {name: now[:, i] - then[:, i] for i, name in enumerate(card.names)}
        for part, then, now in zip(PARTS, steps, steps[1:], strict=False)
    }
    ends = _contributions(heard, account_ids, last.as_of, last.model, after)
    amounts["model"] = _other_model(card, steps[-1], after, ends)
    begun, ended = (dict(zip(c.names, found.T, strict=True)) for c, found in ((card, steps[0]), (after, ends)))
    return Ledger(account_ids, target, card.total(steps[0]), after.total(ends), begun, ended, amounts)


def with_late(history: History, first: datetime, last: datetime) -> History:
    """The history known at `last`, in which what happened before `first` had been told at once."""
    known = history.known_at(last)
    frames: dict[str, Any] = {
        name: known.frame(name).with_columns(
            recorded_at=pl.when(happened_at(table) < pl.lit(first, INSTANT))
            .then(pl.min_horizontal("recorded_at", happened_at(table)))
            .otherwise("recorded_at")
        )
        for name, table in TABLES.items()
        if name != "accounts"
    }
    # With the first moment as the only question, values told late are those that had happened by then.
    return replace(known, **frames, delay=timedelta(0))


def _contributions(
    history: History, account_ids: Sequence[str], as_of: datetime, model: ChurnModel, card: Scorecard
) -> Floats:
    pairs = pl.DataFrame({"account_id": list(account_ids)}, schema={"account_id": pl.String})
    asked = pairs.with_columns(as_of=pl.lit(as_of, INSTANT))
    features = compute(history, asked, model.baselines, model.columns.features)
    return card.contributions(columns(features, model.columns))


def _other_model(one: Scorecard, then: Floats, other: Scorecard, now: Floats) -> dict[str, Floats]:
    """What another scorecard says of the same moment, term by term; a term only one of them has counts as a whole."""
    rows = len(then)
    before, after = (dict(zip(c.names, v.T, strict=True)) for c, v in ((one, then), (other, now)))
    none = np.zeros(rows)
    found = {name: after.get(name, none) - before.get(name, none) for name in dict.fromkeys((*one.names, *other.names))}
    return {"base": np.full(rows, other.base - one.base), **found}
