"""Scores of rows of features, straight from values: what answers a request while the caller waits.

The numbers are those of `models.scoring.score_features`, bit for bit (tested). Building a frame of fifty columns for
one row costs more than scoring it, so a few rows go through `models.scalar` and many through the scorecard's arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

import numpy as np

from models import health
from models.features import COMPONENTS, FEATURES
from models.health import POINTS_PER_LOG_ODD
from models.model import COMPONENT_OF, ChurnModel
from models.scalar import ScalarCard
from models.scorecard import Columns, Scorecard, Target
from models.telling import Teller

Row = Mapping[str, Any]

#: From so many rows on, arrays are faster than rows one by one.
MANY = 8
#: Half-width of an 80 % interval in standard errors, as in `models.scoring`.
_INTERVAL = 1.2815515655446004
_TEXTS = frozenset(FEATURES.texts)


@dataclass(frozen=True)
class RowScore:
    """One row's score. `contributions` are in log-odds per term and target; intervals are None where the model carries
    no spread."""

    p_churn: float
    p_silent: float
    p_vocal: float
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
        self.cards: dict[Target, Scorecard] = {"churn": model.churn, "silent": model.silent}
        self.tellers: dict[Target, Teller] = {target: Teller(model, target) for target in self.cards}
        self._scalars = {target: ScalarCard(card) for target, card in self.cards.items()}
        self._parts = [
            [(COMPONENT_OF[name], len(term.features)) for name in term.features] for term in model.churn.all_terms
        ]

    def contributions(self, target: Target, row: Row) -> list[float]:
        """Log-odds per term of one row."""
        card = self._scalars[target]
        return card.contributions(card.places(row))

    def score(self, rows: Sequence[Row]) -> list[RowScore]:
        """Score rows of feature name -> value; absent and None are missing."""
        if len(rows) < MANY:
            return self._finished([self._one(row) for row in rows])
        return self._finished(self._many(rows))

    def _one(self, row: Row) -> "_Added":
        found, totals, errors = {}, {}, {}
        for target, card in self._scalars.items():
            places = card.places(row)
            found[target] = card.contributions(places)
            totals[target] = card.total(found[target])
            errors[target] = card.standard_error(places)
        return _Added(found, totals, errors)

    def _many(self, rows: Sequence[Row]) -> list["_Added"]:
        names = dict.fromkeys((*self.model.churn.features, *self.model.silent.features))
        read = columns_of(rows, tuple(names))
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
        churn, silent = (np.array([one.totals[target] for one in added]) for target in self.cards)
        chances = [values.tolist() for values in health.probabilities(churn, silent)]
        params = self.model.health
        clipped, unclipped = health.health(churn, params), health.unclipped_health(churn, params).tolist()
        lines = zip(added, *chances, clipped.tolist(), unclipped, health.bands(clipped, params).tolist(), strict=True)
        return [self._score(*line) for line in lines]

    def _score(
        self,
        added: "_Added",
        p_churn: float,
        p_silent: float,
        p_vocal: float,
        clipped: float,
        unclipped: float,
        band: str,
    ) -> RowScore:
        churn = _interval(added.totals["churn"], added.errors["churn"])
        silent = _interval(added.totals["silent"], added.errors["silent"])
        if churn is not None and silent is not None:
            # Like p_silent itself, its interval never exceeds what is said of leaving at all.
            silent = min(silent[0], churn[0]), min(silent[1], churn[1])
        return RowScore(
            p_churn,
            p_silent,
            p_vocal,
            added.totals,
            clipped,
            unclipped,
            band,
            self._components(added.contributions["churn"]),
            added.contributions,
            churn,
            silent,
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


def columns_of(rows: Sequence[Row], names: Sequence[str] = FEATURES.names) -> Columns:
    """Rows of feature name -> value as the arrays a scorecard reads; absent and None are missing."""
    # float64 makes a missing None a NaN
    return {
        name: np.array([row.get(name) for row in rows], dtype=object if name in _TEXTS else np.float64)
        for name in names
    }


@cache
def quoted() -> tuple[str, ...]:
    """Facts that the features' sentences quote, in order of first use: kept with a score, so that its reasons can be
    told later without computing anything."""
    fields = (field for feature in FEATURES for _, field, _, _ in Formatter().parse(feature.sentence))
    known = (*FEATURES.names, "renewal")
    return tuple(dict.fromkeys(field for field in fields if field and field not in known))


def _interval(log_odds: float, error: float | None) -> tuple[float, float] | None:
    """80 % interval of the probability."""
    if error is None:
        return None
    half = _INTERVAL * error
    low, high = health.expit(np.array([log_odds - half, log_odds + half])).tolist()
    return low, high
