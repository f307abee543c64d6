"""How well a column alone ranks those who left, told by other groups' rows.

Rows are dealt into five folds by group. The rate of each value (each bin of a number, each text, unknown) is counted on
four folds and ranks the fifth, so an id that is new in every group ranks nothing, and which direction is the bad one
is learnt like everything else:

    value     others' rows   left     rate     ranks this fold's rows
    closed             80      79      .98     first
    unknown            20      10      .49     second
    open              900      45      .05     last

The AUC is the mean over folds. Its interval (Hanley and McNeil) counts groups, not rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.leakage.codes import Codes, Column, Table, Vector
from training.leakage.findings import Finding
from training.sample import hanley_mcneil

FOLDS = 5
#: Rows of the base rate added to each value's, so that a value seen once does not rank first.
PRIOR_ROWS = 2.0
#: A column that ranks this well alone knows the answer ...
SUSPICIOUS = 0.9
#: ... if it is certainly above what all columns of real service data reach together.
TOGETHER = 0.8
#: With fewer accounts that left (or stayed), a high AUC may be chance.
LEAST = 10


@dataclass(frozen=True)
class Alone:
    """A column's cross-validated AUC and the lower end of its 95 % interval."""

    auc: float
    low: float


def folds(table: Table, seed: int) -> Codes:
    """A fold for every row; a group is in one fold, and those that left are dealt evenly."""
    count = int(table.groups.max(initial=-1)) + 1
    left = np.zeros(count, dtype=bool)
    left[table.groups[table.y > 0]] = True
    shuffled = np.random.default_rng(seed).permutation(count)
    order = shuffled[np.argsort(left[shuffled], kind="stable")]
    fold = np.empty(count, dtype=np.intp)
    fold[order] = np.arange(count) % FOLDS
    return fold[table.groups]


def measured(table: Table, seed: int) -> dict[str, Alone]:
    """Column -> its AUC alone; empty with too few exits (or stays) to tell."""
    if min(table.events, table.others) < LEAST:
        return {}
    fold = folds(table, seed)
    return {column.name: _alone(column, table, fold) for column in table.columns}


def unmeasured(table: Table, label: str) -> dict[str, str]:
    """Why the columns were not ranked alone; empty where they were."""
    if min(table.events, table.others) >= LEAST:
        return {}
    few, who = min((table.events, "left"), (table.others, "stayed"))
    return {label: f"{few} accounts {who}; {LEAST} are needed to rank by single columns."}


def _alone(column: Column, table: Table, fold: Codes) -> Alone:
    auc = cross_validated(column.codes, column.size, table.y, fold)
    if column.exact is not None:
        auc = max(auc, cross_validated(column.exact, int(column.exact.max()) + 1, table.y, fold))
    low, _ = hanley_mcneil(max(auc, 0.5), table.events, table.others)
    return Alone(auc, max(0.0, low) if np.isfinite(low) else 0.0)


def cross_validated(codes: Codes, size: int, y: Vector, fold: Codes) -> float:
    """Mean over folds of the AUC of rates counted on the other folds, each fold weighted by its pairs."""
    cell = fold * size + codes
    rows = np.bincount(cell, minlength=FOLDS * size).reshape(FOLDS, size).astype(np.float64)
    left = np.bincount(cell, weights=y, minlength=FOLDS * size).reshape(FOLDS, size)
    base = y.mean()
    rate = (left.sum(0) - left + PRIOR_ROWS * base) / (rows.sum(0) - rows + PRIOR_ROWS)
    total = pairs = 0.0
    for k in range(FOLDS):
        won, possible = _won(rate[k], left[k], rows[k] - left[k])
        total, pairs = total + won, pairs + possible
    return float(total / pairs) if pairs else 0.5


def _won(rate: Vector, left: Vector, stayed: Vector) -> tuple[float, float]:
    """Pairs ranked rightly (ties count half) and pairs there are, from counts per value."""
    steps, at = np.unique(rate, return_inverse=True)
    gone = np.bincount(at, weights=left, minlength=len(steps))
    here = np.bincount(at, weights=stayed, minlength=len(steps))
    below = np.cumsum(here) - here
    return float(gone @ (below + here / 2)), float(gone.sum() * here.sum())


def findings(alone: dict[str, Alone], who: str = "those who left") -> Iterator[Finding]:
    """Columns that know the answer."""
    for name, found in alone.items():
        if found.auc <= SUSPICIOUS:
            continue
        sure = found.low > TOGETHER
        yield Finding(
            "auc",
            "error" if sure else "warning",
            name,
            f"The column {name!r} alone ranks {who} with an AUC of {found.auc:.3f} (at least "
            f"{found.low:.3f}); above {SUSPICIOUS} it {'knows' if sure else 'may know'} the answer.",
            "Leave it out, or allow it by name if it is known before the snapshot.",
            {"auc": found.auc, "low": found.low},
        )
