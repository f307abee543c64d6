"""What the additive form costs: a black box, fitted for comparison only and never served.

Histogram gradient boosting, in which any number of features may act together, learns from the same rows in one account
group per block and predicts the same tested rows. What it gains over the model that is served is the price of tables
that a person can read; where the interval holds zero, none could be shown.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from models.features import Feature
from models.health import expit
from training.cross import OutOfFold
from training.folds import Fold, Folds
from training.metrics import paired
from training.sample import Sample

Floats = npt.NDArray[np.float64]

#: How both rank: the served predictions are calibrated and the black box is not, so their levels are not compared.
_COMPARED = ("auc", "top_decile_lift")
_SETTINGS: dict[str, Any] = {
    "max_iter": 60,
    "learning_rate": 0.1,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 200,
    "l2_regularization": 10.0,
    "max_bins": 64,
    "early_stopping": False,
}


def cost_of(
    made: OutOfFold, matrix: pl.DataFrame, folds: Folds, features: Sequence[Feature], seed: int
) -> dict[str, Any]:
    """How much better a black box is than the served predictions on the same rows, with paired intervals by account
    (positive: the black box is better)."""
    x = _values(matrix, features)
    y = matrix[f"y_{made.target}"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    asked = [fold for fold in folds if fold.group == fold.block % folds.groups]
    z = np.full(matrix.height, np.nan)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for fold, found in zip(asked, pool.map(lambda fold: _boosted(x, y, fold, seed), asked), strict=True):
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


def _boosted(x: Floats, y: Floats, fold: Fold, seed: int) -> Floats:
    """(tests,) log-odds of the tested rows; NaN where the fold has nothing to learn from."""
    train = fold.train[~np.isnan(y[fold.train])]
    if not 0 < y[train].sum() < len(train):
        return np.full(len(fold.test), np.nan)
    # The folds are learnt side by side: threads inside one would only wait for each other, at thrice the work.
    with threadpool_limits(limits=1, user_api="openmp"):
        booster = HistGradientBoostingClassifier(**_SETTINGS, random_state=seed).fit(x[train], y[train])
        found: Floats = booster.decision_function(x[fold.test])
    return found


def _values(matrix: pl.DataFrame, features: Sequence[Feature]) -> Floats:
    """(n, features) numbers, NaN where unknown; texts by their rank; a column nobody knows is left out."""
    columns = []
    for feature in features:
        values = matrix[feature.name]
        numbers = values.rank("dense") if feature.categorical else values
        columns.append(numbers.cast(pl.Float64).fill_null(np.nan).to_numpy())
    found = np.column_stack(columns)
    return found[:, ~np.isnan(found).all(axis=0)]
