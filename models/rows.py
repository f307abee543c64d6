"""Scores of rows of features, straight from values: what answers a request while the caller waits.

The numbers are those of `models.scoring.score_features`, bit for bit (tested). Building a frame of fifty columns for
one row costs more than scoring it, so a few rows go through `models.scalar` and many through the scorecard's arrays.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from models import health
from models.features import COMPONENTS
from models.health import BANDS, POINTS_PER_LOG_ODD
from models.model import ChurnModel
from models.reasons import Teller
from models.scalar import Axes, ScalarCard
from models.schema import CATALOGUE, Schema
from models.scorecard import Columns, Scorecard, Target

Row = Mapping[str, Any]

#: From so many rows on, arrays are faster than rows one by one.
MANY = 8
#: Half-width of an 80 % interval in standard errors, as in `models.scoring`.
_INTERVAL = 1.2815515655446004


@dataclass(frozen=True)
class RowScore:
    """One row's score. `contributions` are in log-odds per term and target; intervals are None where the model carries
    no spread, and all of silence where it says nothing of it (a model of a table)."""

    p_churn: float
    p_silent: float | None
    p_vocal: float | None
    log_odds: Mapping[Target, float]
    health: float
    health_unclipped: float
    band: str
    components: Mapping[str, float]
    contributions: Mapping[Target, Sequence[float]]
    p_churn_range: tuple[float, float] | None
    p_silent_range: tuple[float, float] | None


class RowScorer:
    """A model prepared for rows; made once per model and shared by threads."""

    def __init__(self, model: ChurnModel) -> None:
        self.model = model
        self.cards: dict[Target, Scorecard] = model.cards
        self.tellers: dict[Target, Teller] = {target: Teller(model, target) for target in self.cards}
        self._axes = Axes(tuple(self.cards.values()))
        self._scalars = {target: ScalarCard(card, self._axes) for target, card in self.cards.items()}
        component = model.columns.component_of
        self._parts = [
            [(component[name], len(term.features)) for name in term.features] for term in model.churn.all_terms
        ]

    def contributions(self, target: Target, row: Row) -> list[float]:
        """Log-odds per term of one row."""
        return self._scalars[target].contributions(self._axes.places(row))

    def score(self, rows: Sequence[Row]) -> list[RowScore]:
        """Score rows of feature name -> value; absent and None are missing."""
        if len(rows) < MANY:
            return self._finished([self._one(row) for row in rows])
        return self._finished(self._many(rows))

    def _one(self, row: Row) -> "_Added":
        found, totals, errors = {}, {}, {}
        places = self._axes.places(row)
        for target, card in self._scalars.items():
            found[target] = card.contributions(places)
            totals[target] = card.total(found[target])
            errors[target] = card.standard_error(places)
        return _Added(found, totals, errors)

    def _many(self, rows: Sequence[Row]) -> list["_Added"]:
        names = dict.fromkeys(name for card in self.cards.values() for name in card.features)
        read = columns_of(rows, tuple(names), self.model.columns)
        parts = []
        for card in self.cards.values():
            contributions = card.contributions(read)
            spread = card.standard_errors(read)
            errors = [None] * len(rows) if spread is None else spread.tolist()
            parts.append((contributions.tolist(), card.total(contributions).tolist(), errors))
        return [
            _Added(*(dict(zip(self.cards, values, strict=True)) for values in zip(*line, strict=True)))
            for line in zip(*(zip(*part, strict=True) for part in parts), strict=True)
        ]

    def _finished(self, added: Sequence["_Added"]) -> list[RowScore]:
        """All exponentials at once; the rest is arithmetic on a handful of numbers per row."""
        log_odds = [value for one in added for value in one.edges()]
        chances = iter(health.expit(np.array(log_odds)).tolist())
        width = 3 * len(self.cards)
        return [self._score(one, *islice(chances, width)) for one in added]

    def _score(self, added: "_Added", churn: float, low: float, high: float, *quietly: float) -> RowScore:
        params = self.model.health
        unclipped = 50.0 + -POINTS_PER_LOG_ODD * (added.totals["churn"] - params.reference)
        clipped = min(max(unclipped, 0.0), 100.0)
        known = added.errors["churn"] is not None
        # Like p_silent itself, its interval never exceeds what is said of leaving at all.
        silent = tuple(map(min, quietly, (churn, low, high))) if quietly else None
        return RowScore(
            p_churn=churn,
            p_silent=None if silent is None else silent[0],
            p_vocal=None if silent is None else churn - silent[0],
            log_odds=added.totals,
            health=clipped,
            health_unclipped=unclipped,
            band=BANDS[bisect_right(params.edges, clipped)],
            components=self._components(added.contributions["churn"]),
            contributions=added.contributions,
            p_churn_range=(low, high) if known else None,
            p_silent_range=(silent[1], silent[2]) if known and silent is not None else None,
        )

    def _components(self, contributions: Sequence[float]) -> dict[str, float]:
        found: dict[str, float] = dict.fromkeys(COMPONENTS, 0.0)
        for amount, parts in zip(contributions, self._parts, strict=True):
            for name, shares in parts:
                found[name] += -POINTS_PER_LOG_ODD * amount / shares
        return found


@dataclass(frozen=True)
class _Added:
    """Per target: log-odds per term, their total, its standard error."""

    contributions: Mapping[Target, Sequence[float]]
    totals: Mapping[Target, float]
    errors: Mapping[Target, float | None]

    def edges(self) -> list[float]:
        """For churn and for silent: the log-odds, and both ends of their 80 % interval."""
        found = []
        for target, total in self.totals.items():
            half = _INTERVAL * (self.errors[target] or 0.0)
            found += [total, total - half, total + half]
        return found


def columns_of(rows: Sequence[Row], names: Sequence[str] | None = None, schema: Schema = CATALOGUE) -> Columns:
    """Rows of column name -> value as the arrays a scorecard reads; absent and None are missing."""
    texts = schema.texts
    # float64 makes a missing None a NaN
    return {
        name: np.array([row.get(name) for row in rows], dtype=object if name in texts else np.float64)
        for name in (schema.names if names is None else names)
    }
