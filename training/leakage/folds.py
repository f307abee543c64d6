"""Whether the folds and the labels keep their promise, derived again by other means than the code that made them.

The folds come from positions in arrays; here each fold's moments are Python datetimes and its families are found by
walking `parent_id`:

    fold tested from 2025-12-08, learnt up to 2025-08-18
    2025-08-18 + 14 d + 90 d = 2025-11-30 <= 2025-12-08       holds, eight days to spare
"""

from collections import defaultdict, deque
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from models.labels import LabelParams
from training.folds import Folds
from training.leakage.findings import Finding


def fold_findings(matrix: pl.DataFrame, folds: Folds, accounts: pl.DataFrame, params: LabelParams) -> list[Finding]:
    """Time, families and coverage of every fold, by dates and by walking from parent to child."""
    findings: list[Finding] = []
    neighbours = _neighbours(accounts)
    tested = np.zeros(matrix.height, dtype=np.intp)
    reach = timedelta(days=params.blackout_days) + timedelta(days=params.horizon_days)
    for fold in folds:
        name = f"Fold (block {fold.block}, group {fold.group})"
        learnt, later = matrix[fold.train], matrix[fold.test]
        last, first = _latest(learnt), _earliest(later)
        if last is not None and first is not None and last + reach > first:
            over = (last + reach - first) / timedelta(days=1)
            findings.append(
                Finding(
                    "folds",
                    "error",
                    None,
                    f"{name} learns from {last:%Y-%m-%d}, whose labels reach {over:.1f} days into its test.",
                    f"Purge at least {reach.days} days.",
                    {"days": over},
                )
            )
        shared = _family(later["account_id"].unique(), neighbours) & set(learnt["account_id"].unique())
        if shared:
            findings.append(
                Finding(
                    "folds",
                    "error",
                    None,
                    f"{name} learns from {len(shared)} accounts it is tested on, such as {min(shared)!r}.",
                    "Cut the folds by families.",
                    {"accounts": float(len(shared))},
                )
            )
        np.add.at(tested, fold.test, 1)
    if twice := int((tested > 1).sum()):
        what = f"{twice} rows are tested more than once."
        findings.append(Finding("folds", "error", None, what, "Cut disjoint test sets.", {"rows": float(twice)}))
    return findings


def _latest(rows: pl.DataFrame) -> datetime | None:
    return max(rows["as_of"].unique().to_list(), default=None)


def _earliest(rows: pl.DataFrame) -> datetime | None:
    return min(rows["as_of"].unique().to_list(), default=None)


def _neighbours(accounts: pl.DataFrame) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for child, parent in accounts.select("account_id", "parent_id").drop_nulls().iter_rows():
        found[child].add(parent)
        found[parent].add(child)
    return found


def _family(members: pl.Series, neighbours: dict[str, set[str]]) -> set[str]:
    """The accounts and everybody above, below and beside them."""
    seen = set(members)
    waiting = deque(seen & neighbours.keys())
    while waiting:
        new = neighbours[waiting.popleft()] - seen
        seen |= new
        waiting.extend(new)
    return seen


def label_findings(matrix: pl.DataFrame, params: LabelParams) -> list[Finding]:
    """Whether each label agrees with its row's own dates: an exit in the horizon for a 1, none by then for a 0."""
    if not {"decided_at", "y_churn"} <= set(matrix.columns):
        return []
    days = (pl.col("decided_at") - pl.col("as_of")) / timedelta(days=1)
    begin, end = params.blackout_days, params.blackout_days + params.horizon_days
    outside = ((days <= begin) | (days > end)).fill_null(value=True)
    wrong = matrix.filter(
        ((pl.col("y_churn") == 1) & outside) | ((pl.col("y_churn") == 0) & (days <= end).fill_null(value=False))
    )
    if not wrong.height:
        return []
    account, at = wrong.select("account_id", "as_of").row(0)
    return [
        Finding(
            "labels",
            "error",
            None,
            f"{wrong.height} labels contradict the decision's date, such as that of {account!r} at {at:%Y-%m-%d}.",
            f"A 1 means a decision {begin} to {end} days after the snapshot, a 0 none by then.",
            {"rows": float(wrong.height)},
        )
    ]
