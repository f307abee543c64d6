"""Scores of single rows, straight from values: what answers a request while the caller waits.

The arithmetic is that of `models.scoring.score_features`, bit for bit (tested); only the frame around it is
missing, because building a frame of fifty columns for one row costs more than scoring it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

import numpy as np
import numpy.typing as npt

from models import health
from models.features import FEATURES
from models.model import COMPONENT_OF, ChurnModel
from models.scorecard import Columns

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]

#: Half-width of an 80 % interval in standard errors, as in `models.scoring`.
_INTERVAL = 1.2815515655446004


@dataclass(frozen=True)
class RowScores:
    """(n,) of each number. `contributions` (n, terms) are those of the churn scorecard; intervals are NaN where the
    model carries no spread."""

    p_churn: Floats
    p_silent: Floats
    p_vocal: Floats
    log_odds_churn: Floats
    log_odds_silent: Floats
    health: Floats
    health_unclipped: Floats
    components: Mapping[str, Floats]
    bands: npt.NDArray[np.object_]
    contributions: Floats
    p_churn_low: Floats
    p_churn_high: Floats
    p_silent_low: Floats
    p_silent_high: Floats


_TEXTS = frozenset(FEATURES.texts)


def columns_of(rows: Sequence[Row], names: Sequence[str] = FEATURES.names) -> Columns:
    """Rows of feature name -> value as the arrays a scorecard reads; absent and None are missing."""
    # float64 makes a missing None a NaN
    return {
        name: np.array([row.get(name) for row in rows], dtype=object if name in _TEXTS else np.float64)
        for name in names
    }


def score_rows(model: ChurnModel, read: Columns, previous: Sequence[str | None] | None = None) -> RowScores:
    """Score the rows of `columns_of`; `previous` are the bands they had before."""
    contributions = model.churn.contributions(read)
    churn, silent = model.churn.total(contributions), model.silent.log_odds(read)
    chances = health.probabilities(churn, silent)
    score = health.health(churn, model.health)
    before = None if previous is None else np.array(previous, dtype=object)
    unknown = np.full(len(churn), np.nan)
    low, high = interval(model.churn.standard_errors(read), churn) or (unknown, unknown)
    silent_low, silent_high = interval(model.silent.standard_errors(read), silent) or (unknown, unknown)
    return RowScores(
        *chances,
        churn,
        silent,
        score,
        health.unclipped_health(churn, model.health),
        health.components(contributions, model.churn.all_terms, COMPONENT_OF),
        health.bands(score, model.health, before),
        contributions,
        low,
        high,
        # Like p_silent itself, its interval never exceeds what is said of leaving at all.
        np.minimum(silent_low, low),
        np.minimum(silent_high, high),
    )


@cache
def quoted() -> tuple[str, ...]:
    """Facts that the features' sentences quote, in order of first use: kept with a score, so that its reasons can be
    told later without computing anything."""
    fields = (
        field
        for feature in FEATURES
        for _, field, _, _ in Formatter().parse(feature.sentence)
        if field and field not in FEATURES.names and field != "renewal"
    )
    return tuple(dict.fromkeys(fields))


def interval(errors: Floats | None, log_odds: Floats) -> tuple[Floats, Floats] | None:
    """80 % interval of the probability; None where the model carries no spread."""
    if errors is None:
        return None
    half = _INTERVAL * errors
    return health.expit(log_odds - half), health.expit(log_odds + half)
