"""Pairs of features on top of a fitted scorecard: what one says depends on where the other stands.

    log-odds = a + b * logistic(x) + sum over pairs of grid[bin of one][bin of the other],    cells ~ N(0, tau^2)

Silence weighs more where a renewal is in sight than where a contract runs for another year: a sum of single tables
cannot say that, a grid can. Pairs are found the way explainable boosting finds them (FAST): one step of the fit for
every pair of features, keeping those whose cells explain most of what the scorecard leaves unexplained, beyond what
the two features explain alone. The chosen grids are then fitted together, drawn to zero, each moving only the declared
way along each of its features: a sum of tables that move one way moves that way too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features import Feature
from models.health import expit
from models.scorecard import GridTerm, Scorecard, Target
from training import logistic
from training.design import Block, Layout

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]

#: How many pairs a challenger may have, and how free their cells are. Chosen on seeds that no reported number uses.
PAIRS, TAU = 20, 0.2
#: Rows' worth of curvature by which a cell's evidence is shrunk while pairs are looked for.
_SHRINK = 10.0
#: Pairs are looked for among all rows that left and so many of the others, which then count for those left out:
#: neighbouring snapshots of an account say the same.
_LOOKED_AT = 12_000


@dataclass(frozen=True)
class Axis:
    """The bins of one feature: `places` are edges or categories; after them the bin of missing (and of other texts)."""

    feature: Feature
    places: tuple[Any, ...]

    @property
    def width(self) -> int:
        """How many bins there are."""
        return len(self.places) + 2

    @property
    def ordered(self) -> int:
        """How many of them, from the first on, rise with the value."""
        return 1 if self.feature.categorical else len(self.places) + 1

    def codes(self, values: pl.Series) -> Rows:
        """(n,) bins of the values."""
        unknown = values.is_null().to_numpy()
        if self.feature.categorical:
            known = {text: code for code, text in enumerate(self.places)}
            found = values.replace_strict(known, default=len(self.places) + 1, return_dtype=pl.Int64).to_numpy()
            return np.where(unknown, len(self.places), found).astype(np.intp)
        x = values.cast(pl.Float64).fill_null(0.0).to_numpy()
        return np.where(unknown, len(self.places) + 1, np.searchsorted(np.array(self.places), x, "right"))


def _axis(block: Block) -> Axis:
    """A feature by its declared knots, or the texts it is known to have."""
    knots = block.feature.basis.knots
    # A line is level below its first knot, so a bin begins at the second.
    edges = knots[1:] if block.feature.basis.kind == "line" else knots
    return Axis(block.feature, block.categories if block.feature.categorical else edges)


@dataclass(frozen=True)
class Binned:
    """Rows by their bins: `codes` (axes, n) and the `axes` they belong to."""

    axes: tuple[Axis, ...]
    codes: Rows

    @classmethod
    def of(cls, rows: pl.DataFrame, layout: Layout) -> "Binned":
        """The bins of the rows' features; one that cannot be cut has none."""
        found = tuple(axis for axis in map(_axis, layout.blocks) if axis.places)
        return cls(found, np.array([axis.codes(rows[axis.feature.name]) for axis in found]).reshape(len(found), -1))

    def rows(self, part: Rows | slice) -> "Binned":
        """Some of the rows."""
        return Binned(self.axes, self.codes[:, part])

    def cells(self, pairs: "Pairs", score: Floats) -> logistic.Cells:
        """The rows' places in the grids of some pairs."""
        codes, start = [], 0
        for i, j in pairs.chosen:
            width = self.axes[j].width
            codes.append(start + self.codes[i] * width + self.codes[j])
            start += self.axes[i].width * width
        return logistic.Cells(score, np.array(codes, dtype=np.intp).reshape(len(codes), len(score)), start)


@dataclass(frozen=True)
class Pairs:
    """Positions of the chosen axes, two and two, with what their directions ask of the cells (m, 1 + cells)."""

    axes: tuple[Axis, ...]
    chosen: tuple[tuple[int, int], ...]
    directed: Floats
    target: Target

    def grids(self, beta: Floats) -> tuple[GridTerm, ...]:
        """The cells as tables, level wherever rounding alone went the wrong way."""
        found, start = [], 0
        for i, j in self.chosen:
            one, other = self.axes[i], self.axes[j]
            size = one.width * other.width
            grid = beta[start : start + size].reshape(one.width, other.width)
            grid = _levelled(_levelled(grid, one, self.target).T, other, self.target).T
            places = (one.places, other.places)
            found.append(GridTerm((one.feature.name, other.feature.name), places, tuple(map(tuple, grid.tolist()))))
            start += size
        return tuple(found)


def _levelled(grid: Floats, axis: Axis, target: Target) -> Floats:
    """Along the first dimension never the wrong way; what moved the right way stays as it is."""
    direction, found = axis.feature.direction(target), grid.copy()
    if direction:
        found[: axis.ordered] = direction * np.maximum.accumulate(direction * grid[: axis.ordered], axis=0)
    return found


def find(binned: Binned, log_odds: Floats, y: Floats, target: Target, most: int = PAIRS) -> Pairs:
    """The pairs whose cells explain most of what `log_odds` (n,) leave unexplained of y (n,)."""
    rows, count = _looked_at(y)
    p = expit(log_odds[rows])
    left, bend = count * (y[rows] - p), count * p * (1 - p)
    evidence = _evidence(binned.codes[:, rows], [axis.width for axis in binned.axes], left, bend)
    gains = [
        (float(evidence[i, j] - evidence[i, i] - evidence[j, j]), i, j)
        for i, j in combinations(range(len(binned.axes)), 2)
    ]
    chosen = tuple((i, j) for gain, i, j in sorted(gains, reverse=True)[:most] if gain > 0)
    return Pairs(binned.axes, chosen, _directed(binned.axes, chosen, target), target)


def _looked_at(y: Floats) -> tuple[Rows, Floats]:
    """Positions of the rows that pairs are looked for among, and how many rows each stands for."""
    stayed, left = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    keep = -(-len(stayed) // max(1, len(stayed) // _LOOKED_AT))
    # Drawn, not every so many: rows come account by account, and a step that fits the months would see some only.
    thin = np.sort(np.random.default_rng(0).choice(stayed, keep, replace=False))
    count = np.full(len(thin), len(stayed) / max(1, len(thin)))
    return np.concatenate([left, thin]), np.concatenate([np.ones(len(left)), count])


def _evidence(codes: Rows, widths: Sequence[int], left: Floats, bend: Floats) -> Floats:
    """(axes, axes) how much the cells of two axes explain of what is left; on the diagonal, the bins of one."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    places = np.zeros((codes.shape[1], starts[-1]), dtype=np.float32)
    for row, start in zip(codes, starts[:-1], strict=True):
        places[np.arange(len(row)), start + row] = 1.0
    sums = places.T @ (places * left[:, None].astype(np.float32))
    weights = places.T @ (places * bend[:, None].astype(np.float32))
    cells = sums.astype(np.float64) ** 2 / (weights + _SHRINK)
    found: Floats = np.add.reduceat(np.add.reduceat(cells, starts[:-1], axis=0), starts[:-1], axis=1)
    return found


def _directed(found: tuple[Axis, ...], chosen: Sequence[tuple[int, int]], target: Target) -> Floats:
    """From each bin to the next one up, along either feature that has a direction."""
    steps: list[tuple[int, int, float]] = []
    start = 0
    for i, j in chosen:
        places = start + np.arange(found[i].width * found[j].width).reshape(found[i].width, found[j].width)
        for axis, grid in ((found[i], places), (found[j], places.T)):
            direction = axis.feature.direction(target)
            rising = grid[: axis.ordered]
            if direction:
                pairs = zip(rising[:-1].ravel().tolist(), rising[1:].ravel().tolist(), strict=True)
                steps += [(low, high, direction) for low, high in pairs]
        start += places.size
    rows = np.zeros((1 + len(steps), 1 + start))
    rows[0, 0] = 1.0
    for row, (low, high, way) in zip(rows[1:], steps, strict=True):
        row[1 + low], row[1 + high] = -way, way
    return rows


@dataclass(frozen=True)
class Extension:
    """Pairs fitted on top of some log-odds: `fit` holds a, b and one number per cell."""

    pairs: Pairs
    fit: logistic.Fit

    def log_odds(self, binned: Binned, below: Floats) -> Floats:
        """(n,) log-odds of rows that the scorecard below gives `below` (n,)."""
        theta = np.array([self.fit.a, self.fit.b, *self.fit.beta])
        return binned.cells(self.pairs, below).log_odds(theta)

    def shape(self, binned: Binned, below: Floats, y: Floats) -> logistic.Shape:
        """The curvature around the fit, for refits."""
        asked = _task(self.pairs, binned, below, y)
        return logistic.shape_at(self.fit, asked, np.ones(len(self.fit.beta)))

    def on(self, card: Scorecard) -> Scorecard:
        """The scorecard `b` times, with the grids beside its terms. Replicates are left out."""
        terms = tuple(term.with_table([self.fit.b * value for value in term.table]) for term in card.terms)
        base = self.fit.a + self.fit.b * card.base
        return replace(card, base=base, terms=terms, grids=self.pairs.grids(self.fit.beta), base_replicates=())


def _task(pairs: Pairs, binned: Binned, below: Floats, y: Floats, weights: Floats | None = None) -> logistic.Task:
    return logistic.cells_task(binned.cells(pairs, below), y, TAU, pairs.directed, weights)


def extend(binned: Binned, below: Floats, y: Floats, target: Target) -> Extension:
    """Find the pairs and fit them on top of log-odds `below` (n,)."""
    found = find(binned, below, y, target)
    return Extension(found, logistic.fit_cells(_task(found, binned, below, y)))


def refit(
    extension: Extension, binned: Binned, below: Floats, y: Floats, weights: Floats, shape: logistic.Shape
) -> Extension:
    """The same pairs, with rows counting `weights` (n,) times; `shape`: of the extension."""
    asked = _task(extension.pairs, binned, below, y, weights)
    return replace(extension, fit=logistic.fit_cells(asked, extension.fit, logistic.ROUGHLY, shape))
