"""Which rows test which: forward in time where a table says as of when its rows are, by random groups otherwise.

groups    rows of one account, and rows alike in every column, are never on both sides
random    five folds, each about a fifth of the rows; three where rows are many, and the interval is narrow anyway
forward   the later six tenths of the rows in three blocks of time, each by two halves of the groups; a block that
          begins at T learns from rows whose label was known by T: as of T less the horizon, or earlier
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import TooFewLabels

Rows = npt.NDArray[np.intp]

FOLDS, BLOCKS, HALVES = 5, 3, 2
#: From so many rows on there are so many random folds.
MANY_ROWS, FEWER_FOLDS = 20_000, 3
#: The share of the rows, the earliest, that no block tests.
LEARNT_FIRST = 0.4
#: Rows of either outcome that a fold must learn from.
LEAST = 20


@dataclass(frozen=True)
class Fold:
    """Row positions to learn from and to test. Forward in time: which `block` is tested, and the earlier ones whose
    labels had all been `told` when it began."""

    train: Rows
    test: Rows
    block: int = 0
    told: tuple[int, ...] = ()


def folds(y: npt.NDArray[np.float64], groups: Rows, moments: pl.Series, horizon_days: int, seed: int) -> list[Fold]:
    """The folds. Raises `TooFewLabels` where no fold could learn from enough rows of either outcome."""
    timed = is_timed(moments)
    made = _forward(groups, moments, timedelta(days=horizon_days), seed) if timed else _random(groups, seed)
    usable = [fold for fold in made if len(fold.test) and _enough(y[fold.train])]
    if not usable:
        way = (
            f"rows must span well over the horizon of {horizon_days} days (horizon_days in [table])"
            if timed
            else "label more rows"
        )
        raise TooFewLabels(f"No fold has {LEAST} rows of either outcome to learn from; {way}.")
    return usable


def is_timed(moments: pl.Series) -> bool:
    """Whether rows of these moments are tested forward in time."""
    return not moments.has_nulls() and moments.n_unique() > 1


def _enough(y: npt.NDArray[np.float64]) -> bool:
    return bool(min(y.sum(), len(y) - y.sum()) >= LEAST)


def dealt(groups: Rows, parts: int, seed: int) -> Rows:
    """(n,) the part of each row: whole groups in random order, parts of about equal numbers of rows."""
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    reached = np.cumsum(sizes[order]) - sizes[order] / 2
    part = np.empty(len(sizes), dtype=np.intp)
    part[order] = np.minimum((reached * parts / sizes.sum()).astype(np.intp), parts - 1)
    return part[groups]


def _random(groups: Rows, seed: int) -> Iterator[Fold]:
    parts = FOLDS if len(groups) < MANY_ROWS else FEWER_FOLDS
    part = dealt(groups, parts, seed)
    for k in range(parts):
        yield Fold(np.flatnonzero(part != k), np.flatnonzero(part == k))


def _forward(groups: Rows, moments: pl.Series, horizon: timedelta, seed: int) -> Iterator[Fold]:
    at = moments.dt.epoch("us").to_numpy()
    half = dealt(groups, HALVES, seed)
    edges = np.quantile(at, np.linspace(LEARNT_FIRST, 1, BLOCKS + 1), method="higher")
    edges[-1] += 1
    ends: dict[int, int] = {}
    for block, (begin, end) in enumerate(pairwise(edges)):
        tested = (at >= begin) & (at < end)
        if not tested.any():
            continue
        begun, ahead = at[tested].min(), horizon // timedelta(microseconds=1)
        known = at + ahead <= begun
        told = tuple(other for other, last in ends.items() if last + ahead <= begun)
        ends[block] = int(at[tested].max())
        for k in range(HALVES):
            yield Fold(np.flatnonzero(known & (half != k)), np.flatnonzero(tested & (half == k)), block, told)
