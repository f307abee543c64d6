"""A quick model: how well all columns rank together, with and without the suspects.

Boosted shallow trees on the columns' codes, cross-validated by group. It is no model to use: it only says what the
suspects are worth before minutes are spent on the real fit.
"""

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from training.leakage.alone import LEAST, folds
from training.leakage.codes import Codes, Column, Table, Vector
from training.leakage.findings import Finding
from training.sample import hanley_mcneil

NAME = "a quick model (boosted shallow trees, three folds by group)"
#: Rows it looks at: enough to know an AUC to .01.
ROWS = 10_000
FOLDS = 3
ROUNDS = 60
#: The trees' bins; further codes of a text share the last one.
CODES = 255
#: Beyond this, real data about customers have not been seen to go; simulated and usage-heavy tables reach .92.
TOO_GOOD = 0.93
#: Beyond this nothing but the answer goes.
IMPOSSIBLE = 0.98


def auc(table: Table, names: Collection[str], seed: int) -> float | None:
    """The quick model's AUC with these columns; None with too few exits, stays or columns to fit."""
    used = [column for column in table.columns if column.name in names]
    if not used or min(table.events, table.others) < LEAST:
        return None
    rows = _thinned(table, seed)
    x = np.column_stack([_ordered(column)[rows] for column in used])
    fold = folds(table, seed)[rows] % FOLDS
    return _cross_validated(x, table.y[rows], fold, seed)


def _thinned(table: Table, seed: int) -> Codes:
    """Rows to look at: whole groups at random until there are enough."""
    if len(table.y) <= ROWS:
        return np.arange(len(table.y))
    order = np.random.default_rng(seed).permutation(int(table.groups.max()) + 1)
    place = order[table.groups]
    return np.sort(np.argsort(place, kind="stable")[:ROWS])


def _ordered(column: Column) -> Vector:
    """Codes a tree can split: unknown first; a text with many values keeps its most frequent ones."""
    return np.minimum(column.codes, CODES - 1).astype(np.float64)


def _cross_validated(x: Vector, y: Vector, fold: Codes, seed: int) -> float | None:
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - a second to import, used by fits only
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415

    total = weight = 0.0
    # After the imports, or the limit would not reach their threads; on few rows threads only wait for one another.
    with threadpool_limits(limits=1):
        for k in range(FOLDS):
            learnt, tested = fold != k, fold == k
            pairs = float(y[tested].sum() * (1 - y[tested]).sum())
            if not pairs or not 0 < y[learnt].sum() < learnt.sum():
                continue
            trees = HistGradientBoostingClassifier(
                max_iter=ROUNDS, max_leaf_nodes=8, random_state=seed, early_stopping=False
            )
            scores = trees.fit(x[learnt], y[learnt]).predict_proba(x[tested])[:, 1]
            total, weight = total + pairs * float(roc_auc_score(y[tested], scores)), weight + pairs
    return total / weight if weight else None


def twice(table: Table, suspects: Collection[str], seed: int) -> dict[str, Any]:
    """The AUC with all columns and without the suspects: {model, with, without, suspects}."""
    names = [column.name for column in table.columns]
    everything = auc(table, names, seed)
    if everything is None:
        return {}
    measured: dict[str, Any] = {"model": NAME, "with": everything}
    if suspects:
        rest = auc(table, [name for name in names if name not in suspects], seed)
        measured |= {"without": 0.5 if rest is None else rest, "suspects": sorted(suspects)}
    return measured


def innocent(table: Table, twice: dict[str, Any], stopped: Collection[str], seed: int) -> float | None:
    """The AUC with the columns that would not be stopped, from what was measured already where that says it."""
    if not stopped:
        return twice.get("with")
    if set(stopped) == set(twice.get("suspects", ())):
        return float(twice["without"])
    return auc(table, [column.name for column in table.columns if column.name not in stopped], seed)


def findings(table: Table, value: float | None) -> Iterator[Finding]:
    """Whether the columns nobody holds anything against are together too good to be true."""
    if value is None or value <= TOO_GOOD:
        return
    low, _ = hanley_mcneil(value, table.events, table.others)
    impossible = low > IMPOSSIBLE
    yield Finding(
        "overall",
        "error" if impossible else "warning",
        None,
        f"{NAME.capitalize()} reaches an AUC of {value:.3f} with the columns nothing else is held against; above "
        f"{TOO_GOOD} that is too good to be true.",
        "Ask of each strong column when its value was written; give the moment of each row if the table has it.",
        {"auc": value, "low": low},
    )
