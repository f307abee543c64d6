"""Out-of-fold predictions, made the way production would have made them.

Each block of test moments is predicted by fits on earlier, purged moments and other accounts. The freedom tau that
a block's fits use is chosen on the blocks *before* it only, so no reported number has been tuned on itself.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from models.scorecard import Target
from training import fit as fitting
from training.expert import Expert
from training.folds import Fold, Folds

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
_Part = TypeVar("_Part")
_Found = TypeVar("_Found")

#: Used until blocks have been tested, and kept unless another tau is clearly better.
DEFAULT_TAU = 0.05
#: A tau that is better than the default by less than this many standard errors counts as a tie.
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
    rows: Rows
    y: Floats
    fitted: Floats
    expert: Floats
    contract: Floats
    base: Floats
    chosen: Chosen


def out_of_fold(frame: pl.DataFrame, folds: Folds, target: Target, expert: Expert, taus: Sequence[float]) -> OutOfFold:
    """Predict every tested row of `frame` (features, labels) by the fitted scorecard, the expert's recalibrated one, the
    contract terms alone and the base rate, each fitted on the fold's training rows."""
    material = fitting.Material.of(frame, target, expert)
    contract = fitting.Material.of(frame, target, expert, fitting.CONTRACT_TERMS)
    place = np.full(frame.height, -1)
    place[material.rows] = np.arange(len(material.rows))
    cut = [(fold, *(_labelled(place, part) for part in (fold.train, fold.test))) for fold in folds]
    cut = [(fold, train, test) for fold, train, test in cut if len(test)]
    chosen = choose_tau(material, cut, folds.groups, taus)
    parts = _together(
        lambda part: _predictions(material, contract, part[1], part[2], chosen.by_block[part[0].block]), cut
    )
    where = np.concatenate([test for _, _, test in cut])
    order = np.argsort(where)
    stacked = [np.concatenate([found[k] for found in parts])[order] for k in range(4)]
    where = where[order]
    return OutOfFold(target, material.rows[where], material.y[where], *stacked, chosen)


def _together(work: Callable[[_Part], _Found], parts: Sequence[_Part]) -> list[_Found]:
    """Do the work on all parts, as many at a time as there are cores; each uses one."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


def _labelled(place: Rows, positions: Rows) -> Rows:
    """Positions in the frame as positions in the material; unlabelled rows drop out."""
    found = place[positions]
    return found[found >= 0]


def _predictions(
    material: fitting.Material, contract: fitting.Material, train: Rows, test: Rows, tau: float
) -> list[Floats]:
    prepared, terms = material.prepare(train), contract.prepare(train)
    recalibrated, fitted = fitting.path(prepared, (0.0, tau))
    alone = fitting.path(terms, (0.0, max(tau, DEFAULT_TAU)))[-1]
    rate = float(np.clip(prepared.y.mean(), 1e-6, 1 - 1e-6))
    return [
        prepared.predict(fitted, test),
        prepared.predict(recalibrated, test),
        terms.predict(alone, test),
        np.full(len(test), np.log(rate / (1 - rate))),
    ]


def choose_tau(
    material: fitting.Material, cut: Sequence[tuple[Fold, Rows, Rows]], groups: int, taus: Sequence[float]
) -> Chosen:
    """Compare taus by log loss on one account group per block; the default is kept where it ties with the best (by the
    standard error of their difference, rows of one account taken together)."""
    compared = [part for part in cut if part[0].group == part[0].block % groups]
    losses = _together(lambda part: _losses(material, part[1], part[2], taus), compared)
    scored = {
        fold.block: (material.accounts[test], found) for (fold, _, test), found in zip(compared, losses, strict=True)
    }
    by_block = {}
    for block in sorted({fold.block for fold, _, _ in cut}):
        before = [found for b, found in scored.items() if b < block]
        by_block[block] = _best(before, taus) if before else min(DEFAULT_TAU, max(taus))
    every = list(scored.values())
    means = np.concatenate(losses).mean(axis=0)
    return Chosen(by_block, _best(every, taus), dict(zip(taus, means.tolist(), strict=True)))


def _losses(material: fitting.Material, train: Rows, test: Rows, taus: Sequence[float]) -> Floats:
    """(n, taus) log loss of every tested row."""
    prepared = material.prepare(train)
    y = material.y[test]
    log_odds = [prepared.predict(found, test) for found in fitting.path(prepared, taus)]
    return np.column_stack([np.logaddexp(0.0, z) - y * z for z in log_odds])


def _best(scored: Sequence[tuple[Rows, Floats]], taus: Sequence[float]) -> float:
    losses = np.concatenate([part for _, part in scored])
    accounts = np.concatenate([who for who, _ in scored])
    best = int(losses.mean(axis=0).argmin())
    if DEFAULT_TAU not in taus:
        return taus[best]
    worse = losses[:, taus.index(DEFAULT_TAU)] - losses[:, best]
    # Rows of one account are not independent: sums by account are.
    sums = np.bincount(accounts, weights=worse)
    tied = worse.sum() <= TIE_ERRORS * np.sqrt((sums**2).sum())
    return DEFAULT_TAU if tied else taus[best]
