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

from models.features import Feature
from models.scorecard import Target
from training import fitting
from training.expert import Expert
from training.folds import Fold, Folds

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
_Part = TypeVar("_Part")
_Found = TypeVar("_Found")

#: What is tried, the simplest first: the prior-centred logistic, and pairs of features on top of it.
KINDS = ("logistic", "pairs")
#: Used until blocks have been tested, and kept unless another tau is clearly better.
DEFAULT_TAU = 0.05
#: A tau that is better than the default by less than this many standard errors counts as a tie.
TIE_ERRORS = 1.0


@dataclass(frozen=True)
class Chosen:
    """The freedom chosen for each block and, from all blocks, for the final fit; `losses` (tau -> mean log loss)."""

    by_block: Mapping[int, float | None]
    final: float | None
    losses: Mapping[float | None, float]


@dataclass(frozen=True)
class Cut:
    """A fold with the positions of its labelled rows in the material."""

    fold: Fold
    train: Rows
    test: Rows


@dataclass(frozen=True)
class OutOfFold:
    """Predictions of one target: `rows` are positions in the training frame, `block` and `group` where each was tested,
    the rest log-odds (n,) or labels (n,). `kinds`: those of every kind of model that was tried, the simplest first;
    `fitted` are those of the one that is served. `told`: block -> the blocks whose labels were known when it began."""

    target: Target
    rows: Rows
    y: Floats
    kinds: Mapping[str, Floats]
    fitted: Floats
    expert: Floats
    contract: Floats
    base: Floats
    block: Rows
    group: Rows
    told: Mapping[int, tuple[int, ...]]
    chosen: Chosen


def out_of_fold(
    frame: pl.DataFrame,
    folds: Folds,
    target: Target,
    expert: Expert,
    taus: Sequence[float | None],
    features: Sequence[Feature] | None = None,
    challenge: bool = False,
) -> OutOfFold:
    """Predict every tested row of `frame` (features, labels) by the fitted scorecard, with `challenge` also by the one
    with pairs, by the expert's recalibrated one, the contract terms alone and the base rate, each fitted on the fold's
    training rows."""
    material = fitting.Material.of(frame, target, expert, features)
    contract = fitting.Material.of(frame, target, expert, fitting.CONTRACT_TERMS)
    place = np.full(frame.height, -1)
    place[material.rows] = np.arange(len(material.rows))
    cut = [Cut(fold, _labelled(place, fold.train), _labelled(place, fold.test)) for fold in folds]
    cut = [part for part in cut if len(part.test) and len(part.train)]
    chosen = choose_tau(material, cut, folds, taus)
    parts = _together(
        lambda part: _predictions(material, contract, part, chosen.by_block[part.fold.block], challenge), cut
    )
    where = np.concatenate([part.test for part in cut])
    order = np.argsort(where)
    found = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}
    block, group = (
        np.concatenate([np.full(len(part.test), getattr(part.fold, name)) for part in cut])[order]
        for name in ("block", "group")
    )
    where = where[order]
    kinds = {name: found[name] for name in KINDS if name in found}
    rivals = found["expert"], found["contract"], found["base"]
    y, told = material.y[where], _told(cut, folds)
    return OutOfFold(target, material.rows[where], y, kinds, kinds[KINDS[0]], *rivals, block, group, told, chosen)


def _told(cut: Sequence[Cut], folds: Folds) -> dict[int, tuple[int, ...]]:
    """Block -> the blocks whose labels had been told when its own testing began."""
    begins = {part.fold.block: part.fold.test_from for part in cut}
    ends = {part.fold.block: part.fold.test_to for part in cut}
    return {
        block: tuple(sorted(other for other in ends if ends[other] + folds.purge <= begin))
        for block, begin in sorted(begins.items())
    }


def _together(work: Callable[[_Part], _Found], parts: Sequence[_Part]) -> list[_Found]:
    """Do the work on all parts, as many at a time as there are cores; each uses one."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


def _labelled(place: Rows, positions: Rows) -> Rows:
    """Positions in the frame as positions in the material; unlabelled rows drop out."""
    found = place[positions]
    return found[found >= 0]


def _predictions(
    material: fitting.Material, contract: fitting.Material, part: Cut, tau: float | None, challenge: bool
) -> dict[str, Floats]:
    """Log-odds of the tested rows: fitted, with pairs, contract terms alone, expert recalibrated, base rate."""
    test = part.test
    prepared, terms = material.prepare(part.train), contract.prepare(part.train)
    recalibrated, fitted = fitting.path(prepared, (fitting.RECALIBRATED, tau))
    # The rival may move as freely as the model does: not at all where only the expert's score is recalibrated.
    alone = fitting.path(terms, (fitting.RECALIBRATED, tau))[-1]
    rate = float(np.clip(prepared.y.mean(), 1e-6, 1 - 1e-6))
    found = {
        "logistic": prepared.predict(fitted, test),
        "contract": terms.predict(alone, test),
        "expert": prepared.predict(recalibrated, test),
        "base": np.full(len(test), np.log(rate / (1 - rate))),
    }
    if challenge:
        extension = fitting.extended(prepared, fitted)
        found["pairs"] = extension.log_odds(material.binned.rows(test), found["logistic"])
    return found


def choose_tau(material: fitting.Material, cut: Sequence[Cut], folds: Folds, taus: Sequence[float | None]) -> Chosen:
    """Compare taus by log loss on one account group per block; the default is kept where it ties with the best (by the
    standard error of their difference, rows of one account taken together)."""
    compared = [part for part in cut if part.fold.group == part.fold.block % folds.groups]
    if not compared:
        return Chosen({part.fold.block: _default(taus) for part in cut}, _default(taus), {})
    losses = _together(lambda part: _losses(material, part, taus), compared)
    scored = {
        part.fold.block: (material.accounts[part.test], found) for part, found in zip(compared, losses, strict=True)
    }
    by_block = {}
    for block, told in _told(cut, folds).items():
        before = [found for b, found in scored.items() if b in told]
        by_block[block] = _best(before, taus) if before else _default(taus)
    every = list(scored.values())
    means = np.concatenate(losses).mean(axis=0)
    return Chosen(by_block, _best(every, taus), dict(zip(taus, means.tolist(), strict=True)))


def _losses(material: fitting.Material, part: Cut, taus: Sequence[float | None]) -> Floats:
    """(n, taus) log loss of every tested row."""
    prepared = material.prepare(part.train)
    y = material.y[part.test]
    log_odds = [prepared.predict(found, part.test) for found in fitting.path(prepared, taus)]
    return np.column_stack([np.logaddexp(0.0, z) - y * z for z in log_odds])


def _default(taus: Sequence[float | None]) -> float | None:
    return DEFAULT_TAU if DEFAULT_TAU in taus else taus[0]


def _best(scored: Sequence[tuple[Rows, Floats]], taus: Sequence[float | None]) -> float | None:
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
