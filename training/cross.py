"""Out-of-fold predictions, made the way production would have made them.

Each block of test moments is predicted by fits on earlier, purged moments and other accounts. The freedom tau that
a block's fits use is chosen on the blocks *before* it only, so no reported number has been tuned on itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.scorecard import Target
from training import fit as fitting
from training.expert import Expert
from training.folds import Fold, Folds

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], None]

#: Used until a block has been tested.
FIRST_TAU = 0.05
#: A smaller tau that is worse by less than this many standard errors counts as a tie.
TIE_ERRORS = 0.5


@dataclass(frozen=True)
class Chosen:
    """The freedom chosen for each block and, from all blocks, for the final fit; `losses` (tau -> mean log loss)."""

    by_block: Mapping[int, float]
    final: float
    losses: Mapping[float, float]


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one target: `rows` are positions in the training frame, the rest log-odds (n,) or labels (n,)."""

    target: Target
    rows: npt.NDArray[np.intp]
    y: Floats
    fitted: Floats
    expert: Floats
    contract: Floats
    base: Floats
    chosen: Chosen


def out_of_fold(rows: pl.DataFrame, folds: Folds, target: Target, expert: Expert, taus: Sequence[float]) -> OutOfFold:
    """Predict every tested row of `rows` (features, labels) by the fitted scorecard, the expert's recalibrated one, the
    contract terms alone and the base rate, each fitted on the fold's training rows."""
    labelled = rows[f"y_{target}"].is_not_null().to_numpy()
    chosen = choose_tau(rows, folds, labelled, target, expert, taus)
    parts: list[tuple[npt.NDArray[np.intp], list[Floats]]] = []
    for fold in folds:
        test = fold.test[labelled[fold.test]]
        if len(test):
            parts.append((test, _predictions(rows, fold, test, target, expert, chosen.by_block[fold.block])))
    where = np.concatenate([test for test, _ in parts])
    order = np.argsort(where)
    stacked = [np.concatenate([found[k] for _, found in parts])[order] for k in range(4)]
    where = where[order]
    y = rows[f"y_{target}"].cast(pl.Float64).to_numpy()[where]
    return OutOfFold(target, where, y, *stacked, chosen)


def _predictions(
    rows: pl.DataFrame, fold: Fold, test: npt.NDArray[np.intp], target: Target, expert: Expert, tau: float
) -> list[Floats]:
    train, tested = rows[fold.train], rows[test]
    prepared = fitting.prepare(train, target, expert)
    contract = fitting.prepare(train, target, expert, fitting.CONTRACT_TERMS)
    recalibrated, fitted = fitting.path(prepared, (0.0, tau))
    alone = fitting.path(contract, (0.0, max(tau, FIRST_TAU)))[-1]
    rate = float(np.clip(prepared.y.mean(), 1e-6, 1 - 1e-6))
    return [
        fitting.predict(prepared, fitted, tested),
        fitting.predict(prepared, recalibrated, tested),
        fitting.predict(contract, alone, tested),
        np.full(len(test), np.log(rate / (1 - rate))),
    ]


def choose_tau(
    rows: pl.DataFrame,
    folds: Folds,
    labelled: npt.NDArray[np.bool_],
    target: Target,
    expert: Expert,
    taus: Sequence[float],
) -> Chosen:
    """Compare taus by log loss on one account group per block; what ties with the best (by the standard error
    of their difference, accounts resampled) yields to the smallest tau."""
    scored: dict[int, tuple[list[str], npt.NDArray[np.float64]]] = {}
    for fold in folds:
        test = fold.test[labelled[fold.test]]
        if fold.group == fold.block % folds.groups and len(test):
            scored[fold.block] = (rows["account_id"][test].to_list(), _losses(rows, fold, test, target, expert, taus))
    by_block = {}
    blocks = sorted({fold.block for fold in folds})
    for block in blocks:
        before = [scored[b] for b in blocks if b < block and b in scored]
        by_block[block] = _simplest(before, taus) if before else min(FIRST_TAU, max(taus))
    every = list(scored.values())
    means = np.concatenate([losses for _, losses in every]).mean(axis=0) if every else np.full(len(taus), np.nan)
    final = _simplest(every, taus) if every else min(FIRST_TAU, max(taus))
    return Chosen(by_block, final, dict(zip(taus, means.tolist(), strict=True)))


def _losses(
    rows: pl.DataFrame,
    fold: Fold,
    test: npt.NDArray[np.intp],
    target: Target,
    expert: Expert,
    taus: Sequence[float],
) -> Floats:
    """(n, taus) log loss of every tested row."""
    prepared = fitting.prepare(rows[fold.train], target, expert)
    tested = rows[test]
    y = tested[f"y_{target}"].cast(pl.Float64).to_numpy()
    log_odds = [fitting.predict(prepared, found, tested) for found in fitting.path(prepared, taus)]
    return np.column_stack([np.logaddexp(0.0, z) - y * z for z in log_odds])


def _simplest(scored: Sequence[tuple[list[str], Floats]], taus: Sequence[float]) -> float:
    losses = np.concatenate([part for _, part in scored])
    _, codes = np.unique([name for names, _ in scored for name in names], return_inverse=True)
    best = int(losses.mean(axis=0).argmin())
    for k, tau in enumerate(taus):
        worse = losses[:, k] - losses[:, best]
        # Rows of one account are not independent: sums by account are.
        sums = np.bincount(codes, weights=worse)
        if worse.sum() <= TIE_ERRORS * np.sqrt((sums**2).sum()):
            return tau
    return taus[best]
