"""What the additive form costs: a black box, fitted for comparison only and never served.

Histogram gradient boosting, in which any number of features may act together, learns from the same rows in one account
group per block and predicts the same tested rows. What it gains over the model that is served is the price of tables
that a person can read; where the interval holds zero, none could be shown.

A rival that knows less, or is set up badly, would flatter the tables. So it is told what the model is (the expert's
score, the directions in which a risk may move) and held back as rare exits need it: small trees, small steps, a third
of the columns at each split. AUC of leaving silently where three or six simulated populations of 600 are put together
(its settings were chosen looking at these):

                                           3, default   3, default   3, strong   6, default
    leaves of 12, steps of .1, told less      .772         .831        .813         .813
    as it is here                             .799         .840        .833         .832
    the model without pairs, with them     .799, .800   .823, .837  .823, .811   .822, .827
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from models.features import Feature
from models.health import expit
from models.scorecard import Target
from training.cross import OutOfFold
from training.expert import Expert
from training.fitting import log_odds_of
from training.folds import Fold, Folds
from training.metrics import paired
from training.sample import Sample

Floats = npt.NDArray[np.float64]

#: How both rank: the served predictions are calibrated and the black box is not, so their levels are not compared.
_COMPARED = ("auc", "top_decile_lift")
_SETTINGS: dict[str, Any] = {
    "max_iter": 120,
    "learning_rate": 0.05,
    "max_leaf_nodes": 6,
    "max_features": 0.3,
    "min_samples_leaf": 200,
    "l2_regularization": 10.0,
    "early_stopping": False,
}


def cost_of(
    made: OutOfFold, matrix: pl.DataFrame, folds: Folds, expert: Expert, features: Sequence[Feature], seed: int
) -> dict[str, Any]:
    """How much better a black box is than the served predictions on the same rows, with paired intervals by account
    (positive: the black box is better)."""
    told = _told(matrix, made.target, expert, features)
    y = matrix[f"y_{made.target}"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    asked = [fold for fold in folds if fold.group == fold.block % folds.groups]
    z = np.full(matrix.height, np.nan)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for fold, found in zip(asked, pool.map(lambda fold: _boosted(told, y, fold, seed), asked), strict=True):
            z[fold.test] = found
    tested = ~np.isnan(z[made.rows])
    if not tested.any() or not 0 < made.y[tested].sum() < tested.sum():
        return {"rows": 0}
    rows = matrix[made.rows].select("account_id", "as_of")
    rows = rows.with_columns(
        pl.Series("y", made.y), pl.Series("served", expit(made.fitted)), pl.Series("box", expit(z[made.rows]))
    ).filter(pl.Series(tested))
    gain = paired(Sample.of(rows, p="box"), Sample.of(rows, p="served"), _COMPARED, seed=seed)
    return {
        "black_box": "histogram gradient boosting",
        "rows": rows.height,
        "gain": {name: found.to_plain() for name, found in gain.items()},
    }


class _Told(NamedTuple):
    """(n, d) numbers, NaN where unknown, and how the risk may move with each: 1 up, -1 down, 0 freely."""

    columns: Floats
    directions: list[int]


def _told(matrix: pl.DataFrame, target: Target, expert: Expert, features: Sequence[Feature]) -> _Told:
    """The features, texts by their rank, and the expert's score; a column nobody knows is left out."""
    score = log_odds_of(expert.scorecard(target), matrix)
    columns = np.column_stack([*(_numbers(matrix[feature.name], feature) for feature in features), score])
    directions = [*(0 if feature.categorical else feature.direction(target) for feature in features), 1]
    known = np.flatnonzero(~np.isnan(columns).all(axis=0))
    return _Told(columns[:, known], [directions[i] for i in known])


def _numbers(values: pl.Series, feature: Feature) -> Floats:
    ranked = values.rank("dense") if feature.categorical else values
    return ranked.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _boosted(told: _Told, y: Floats, fold: Fold, seed: int) -> Floats:
    """(tests,) log-odds of the tested rows; NaN where the fold has nothing to learn from."""
    train = fold.train[~np.isnan(y[fold.train])]
    if not 0 < y[train].sum() < len(train):
        return np.full(len(fold.test), np.nan)
    # The folds are learnt side by side: threads inside one would only wait for each other, at thrice the work.
    with threadpool_limits(limits=1, user_api="openmp"):
        booster = HistGradientBoostingClassifier(**_SETTINGS, monotonic_cst=told.directions, random_state=seed)
        found: Floats = booster.fit(told.columns[train], y[train]).decision_function(told.columns[fold.test])
    return found
