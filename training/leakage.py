"""Before anything is fitted: did any row know its future? Derived again, by other means than the code it checks.

The folds come from positions in arrays; here each fold's moments are Python datetimes and its families are found
by walking `parent_id`:

    fold tested from 2025-12-08, learnt up to 2025-08-18
    2025-08-18 + 14 d + 90 d = 2025-11-30 <= 2025-12-08       holds, eight days to spare

The matrix comes from one pass over everything; here a few rows are computed again, each from a history out of which
everything later than its own moment has been cut, and compared bit for bit. Beyond that a column is suspicious that
alone separates those who left from those who stayed (AUC > 0.9: service data reach 0.8 together), or whose name
says it was written afterwards.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.errors import LeakageError
from models.features import FEATURES
from models.history import TABLES, History, happened_at
from models.labels import DEFAULTS, LabelParams
from training.folds import Folds
from training.sample import Vector

#: A column that ranks this well alone knows the answer.
SUSPICIOUS_AUC = 0.9
#: With fewer accounts that left, a high AUC may be chance.
LEAST_EVENTS = 10
#: Rows the AUCs are measured on: every exit, and stays at random.
AUC_ROWS = 20_000
#: Moments whose rows are computed again.
MOMENTS = 4
#: Columns of a finding that are spelled out.
SHOWN = 5

#: Words in a column's name that say it was written after the decision.
AFTERWARDS = frozenset(
    (
        *("label", "outcome", "status", "churn", "churned", "churner", "lost", "left", "future"),
        *("cancel", "canceled", "cancelled", "cancellation", "exit", "exited", "end", "ended", "ending"),
        *("notice", "terminated", "termination", "final", "invoice", "notes"),
    )
)

#: Names that say so only as a whole ("first_response_vs_target" is innocent).
ANSWERS = frozenset(("y", "target", "class", "response"))

#: Times of each table that must lie before the moment a history is known at.
_PAST = {
    "accounts": ("started_at", "onboarded_at", "notice_at", "ended_at"),
    "interactions": ("opened_at", "first_response_at", "resolved_at", "reopened_at", "escalated_at"),
    "surveys": ("sent_at", "responded_at"),
    "contracts": ("effective_at",),
    "outreach": ("at", "engaged_at"),
    "measures": ("at",),
}

Recompute = Callable[[History, pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, with its numbers, and what to do about it."""

    what: str
    way_out: str


def check(
    history: History,
    matrix: pl.DataFrame,
    folds: Folds,
    params: LabelParams = DEFAULTS,
    *,
    recompute: Recompute,
    features: Sequence[str] = FEATURES.names,
    allowed: Collection[str] = (),
    sample: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Raise `LeakageError` with every finding, numbered, or return what was checked as plain values.

    matrix     the training rows: account_id, as_of, the features, decided_at, y_churn and y_silent
    folds      positions in those rows
    recompute  (history, pairs) -> the features of the pairs, with the baselines the matrix was computed with
    features   the columns a model may see
    allowed    columns the user has vouched for: neither their name nor their AUC is held against them
    sample     rows computed again
    """
    watched = [name for name in features if name in matrix.columns and name not in allowed]
    aucs, unmeasured = single_aucs(matrix, watched, seed)
    findings = [
        *fold_findings(matrix, folds, history.accounts, params),
        *label_findings(matrix, params),
        *name_findings(watched),
        *auc_findings(aucs),
    ]
    compared, differences = recomputed(history, matrix, features, recompute, sample, seed)
    findings += differences
    if findings:
        raise LeakageError(_told(findings))
    highest = max(aucs, key=lambda name: aucs[name], default=None)
    return {
        "folds": len(folds),
        "purge_days": folds.purge / timedelta(days=1),
        "rows_recomputed": compared,
        "columns_compared": len([name for name in features if name in matrix.columns]),
        "columns_ranked_alone": len(aucs),
        "highest_single_auc": None if highest is None else {"column": highest, "auc": aucs[highest]},
        "not_checked": unmeasured,
        "allowed": sorted(allowed),
    }


def _told(findings: Sequence[Finding]) -> str:
    lines = [f"  {k}. {f.what} {f.way_out}" for k, f in enumerate(findings, 1)]
    return "\n".join([f"Training would have seen the future in {len(findings)} ways; nothing was fitted.", *lines])


# ------------------------------------------------------------------------------------------------ folds


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
                    f"{name} learns from {last:%Y-%m-%d}, whose labels reach {over:.1f} days into its test.",
                    f"Purge at least {reach.days} days.",
                )
            )
        shared = _family(later["account_id"].unique(), neighbours) & set(learnt["account_id"].unique())
        if shared:
            findings.append(
                Finding(
                    f"{name} learns from {len(shared)} accounts it is tested on, such as {min(shared)!r}.",
                    "Cut the folds by families.",
                )
            )
        np.add.at(tested, fold.test, 1)
    if twice := int((tested > 1).sum()):
        findings.append(Finding(f"{twice} rows are tested more than once.", "Cut disjoint test sets."))
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
            f"{wrong.height} labels contradict the decision's date, such as that of {account!r} at {at:%Y-%m-%d}.",
            f"A 1 means a decision {begin} to {end} days after the snapshot, a 0 none by then.",
        )
    ]


# ----------------------------------------------------------------------------------------------- columns


def name_findings(names: Sequence[str]) -> list[Finding]:
    """Columns whose name says they were written after the decision. Our own features have been read already."""
    return [
        Finding(
            f"The column {name!r} sounds as if it were written after the decision.",
            "Leave it out, or allow it by name if it is known before the snapshot.",
        )
        for name in names
        if name not in FEATURES.names
        and (name.lower() in ANSWERS or AFTERWARDS & set(re.split(r"[^a-z]+", name.lower())))
    ]


def auc_findings(aucs: dict[str, float]) -> list[Finding]:
    """Columns that know the answer."""
    return [
        Finding(
            f"The column {name!r} alone ranks those who left with an AUC of {auc:.3f}; above "
            f"{SUSPICIOUS_AUC} it knows the answer.",
            "Leave it out, or allow it by name if it is known before the snapshot.",
        )
        for name, auc in aucs.items()
        if auc > SUSPICIOUS_AUC
    ]


def single_aucs(matrix: pl.DataFrame, names: Sequence[str], seed: int = 0) -> tuple[dict[str, float], dict[str, str]]:
    """The best AUC each column reaches alone on any target, in either direction; and what could not be measured.

    An unknown value is tried as the lowest, as the highest, and as all that matters. Texts are ranked by the exit
    rate of their value among the *other* half of the accounts, so that an id does not look like an answer.
    """
    aucs: dict[str, float] = {}
    unmeasured: dict[str, str] = {}
    for target in ("y_churn", "y_silent"):
        if target not in matrix.columns:
            continue
        rows = matrix.filter(pl.col(target).is_not_null())
        events = rows.filter(pl.col(target) == 1)["account_id"].n_unique()
        if events < LEAST_EVENTS:
            unmeasured[target] = f"{events} accounts left; {LEAST_EVENTS} are needed to rank by single columns."
            continue
        rows = _thinned(rows, target, seed)
        y = rows[target].cast(pl.Float64).to_numpy()
        for name in names:
            best = max(_auc(y, score) for score in _scores(rows, name, y))
            aucs[name] = max(aucs.get(name, 0.0), best)
    return aucs, unmeasured


def _thinned(rows: pl.DataFrame, target: str, seed: int) -> pl.DataFrame:
    left, stayed = rows.filter(pl.col(target) == 1), rows.filter(pl.col(target) == 0)
    left = left.sample(min(left.height, AUC_ROWS // 2), seed=seed)
    return pl.concat([left, stayed.sample(min(stayed.height, AUC_ROWS - left.height), seed=seed)])


def _scores(rows: pl.DataFrame, name: str, y: Vector) -> Iterator[Vector]:
    column = rows[name]
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean or column.dtype.is_temporal()):
        yield _rates(rows["account_id"], column, y)
        return
    values = column.to_physical().cast(pl.Float64).fill_nan(None)
    if values.null_count():
        yield values.is_null().cast(pl.Float64).to_numpy()
        yield values.fill_null(-np.inf).to_numpy()
    yield values.fill_null(np.inf).to_numpy()


def _rates(accounts: pl.Series, values: pl.Series, y: Vector) -> Vector:
    half = (accounts.rank("dense") % 2).to_numpy()
    texts, codes = np.unique(values.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)
    score = np.zeros(len(y))
    for this in (0, 1):
        other = half != this
        seen = np.bincount(codes[other], minlength=len(texts))
        left = np.bincount(codes[other], weights=y[other], minlength=len(texts))
        base = y[other].mean() if other.any() else 0.0
        score[~other] = ((left + base) / (seen + 1))[codes[~other]]
    return score


def _auc(y: Vector, score: Vector) -> float:
    """The AUC in whichever direction is better."""
    ranks = pl.Series(score).rank("average").to_numpy()
    n = y.sum()
    auc = (ranks @ y - n * (n + 1) / 2) / (n * (len(y) - n))
    return float(max(auc, 1 - auc)) if 0 < n < len(y) else 0.5


# --------------------------------------------------------------------------------------------- the matrix


def recomputed(
    history: History,
    matrix: pl.DataFrame,
    features: Sequence[str],
    recompute: Recompute,
    sample: int,
    seed: int,
) -> tuple[int, list[Finding]]:
    """How many rows were computed again from their own past alone, and where the matrix says something else."""
    findings: list[Finding] = []
    names = [name for name in features if name in matrix.columns]
    compared = 0
    for t, rows in _sampled(matrix, sample, seed):
        past = history.known_at(t)
        findings += later_than(past, t)
        again = recompute(_cut(past, t), rows.select("account_id", "as_of"))
        order = rows.select("account_id").join(again, on="account_id", how="left", maintain_order="left")
        differing = [name for name in names if not _identical(rows[name], order[name])]
        compared += rows.height
        if differing:
            findings.append(_difference(rows, order, differing, t))
    return compared, findings


def _sampled(matrix: pl.DataFrame, sample: int, seed: int) -> Iterator[tuple[datetime, pl.DataFrame]]:
    generator = np.random.default_rng(seed)
    times = matrix["as_of"].unique().sort().to_list()
    chosen = sorted(generator.choice(len(times), min(MOMENTS, len(times), sample), replace=False))
    for k, position in enumerate(chosen):
        share = sample // len(chosen) + (k < sample % len(chosen))
        rows = matrix.filter(pl.col("as_of") == times[position])
        yield times[position], rows.sample(min(share, rows.height), seed=seed).sort("account_id")


def _cut(past: History, t: datetime) -> History:
    """The history without any row that began at `t` or later, or was recorded later: cut again, by plain filters."""
    frames: dict[str, Any] = {}
    for name, table in TABLES.items():
        before = (happened_at(table) < t).fill_null(value=True) & (pl.col("recorded_at") <= t).fill_null(value=True)
        frames[name] = past.frame(name).filter(before)
    return replace(past, **frames)


def later_than(past: History, t: datetime) -> list[Finding]:
    """Times in what is said to be the past of `t` that are not."""
    late = {
        f"{name}.{column}": count
        for name, columns in _PAST.items()
        for column in columns
        if (count := past.frame(name).filter(pl.col(column) >= t).height)
    }
    return [
        Finding(
            f"What was known at {t:%Y-%m-%d} holds {count} values of {column} that had not happened.",
            "Do not train with this version; report it with the table's columns.",
        )
        for column, count in late.items()
    ]


def _identical(one: pl.Series, other: pl.Series) -> bool:
    """Whether two columns agree in every bit; unknown agrees with unknown only."""
    if one.dtype != other.dtype or not one.is_null().equals(other.is_null()):
        return False
    if not one.dtype.is_float():
        return one.equals(other, null_equal=True, check_names=False)
    first, second = (series.cast(pl.Float64).fill_null(0.0).to_numpy().view(np.uint64) for series in (one, other))
    return bool(np.array_equal(first, second))


def _difference(rows: pl.DataFrame, again: pl.DataFrame, names: Sequence[str], t: datetime) -> Finding:
    name = names[0]
    row = next(k for k in range(rows.height) if not _identical(rows[name][k : k + 1], again[name][k : k + 1]))
    more = f" ({', '.join(names[1:SHOWN])}{', ...' if len(names) > SHOWN else ''} differ, too)" if names[1:] else ""
    return Finding(
        f"{name} of {rows['account_id'][row]!r} at {t:%Y-%m-%d} is {rows[name][row]!r} in the training matrix and "
        f"{again[name][row]!r} from its own past alone{more}.",
        "The column uses something that was not known then: leave it out or correct it.",
    )
