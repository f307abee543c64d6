"""A penalised logistic fit with a prior mean: the model small data deserves.

    logit p = a + b * scorecard(x) + x' beta,    a ~ N(0, 3^2),    b ~ N(1, 1/4^2),    beta_j ~ N(0, tau_j^2)

With no rows at all it *is* the scorecard; with many it is a ridge regression. Directions that features declare are
linear inequalities between b and the beta (`directed`); they are kept by the fit itself, which loses less than bending
the tables afterwards. Solved by Newton's method on the log posterior: it is concave and the inequalities leave a
convex set, so the answer is the only one.

The curvature costs many times what value and gradient cost, and changes little from one step to the next. So it is
taken again only where the last one no longer helps, and once more before a fit is called settled: whatever curvature
the steps were made with, the top is where the gradient says.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from models.errors import EbbtideError
from models.health import expit

Floats = npt.NDArray[np.float64]

SLOPE_SD = 0.25
#: Wide enough for any base rate; without it rows that hold no exit would push the intercept to minus infinity.
INTERCEPT_SD = 3.0
_STEPS = 50
TOLERANCE = 1e-9
#: For refits, of which only the spread is read.
ROUGHLY = 1e-6
_CHUNK = 2048
#: A step that crosses an inequality by no more than rounding does not.
_ON_THE_WALL = 1e-12
_PIVOTS = 20
#: A step that rises by more than this share of what the one before rose shows that the curvature has grown old.
_SLOW = 0.1
_EXTREME = "The logistic fit did not settle; look for a feature with extreme values."


@dataclass(frozen=True)
class Fit:
    """Intercept `a`, weight of the scorecard `b`, coefficients `beta`."""

    a: float
    b: float
    beta: Floats

    def log_odds(self, score: Floats, x: Floats) -> Floats:
        """(n,) log-odds for expert scores (n,) and columns (n, d)."""
        return self.a + self.b * score + x @ self.beta


class Point(NamedTuple):
    """The log likelihood at one theta and its gradient (k,)."""

    value: float
    gradient: Floats


class Columns(Protocol):
    """What theta multiplies: a column of ones, the scores, and the rest."""

    def at(self, theta: Floats, y: Floats, weights: Floats | None) -> Point:
        """The log likelihood at theta."""

    def curvature(self, theta: Floats, y: Floats, weights: Floats | None) -> Floats:
        """(k, k) minus its second derivative there."""


@dataclass(frozen=True)
class Dense:
    """Columns as they are, z (n, k). A few rows at a time, so that all work on them happens in a core's cache."""

    z: Floats

    def at(self, theta: Floats, y: Floats, weights: Floats | None) -> Point:
        """The log likelihood at theta."""
        value, gradient = 0.0, np.zeros(self.z.shape[1])
        for part in chunks(len(y)):
            z, w = self.z[part], None if weights is None else weights[part]
            likelihood, residual, _ = _terms(z @ theta, y[part], w)
            value += likelihood
            gradient += residual @ z
        return Point(value, gradient)

    def curvature(self, theta: Floats, y: Floats, weights: Floats | None) -> Floats:
        """(k, k) minus its second derivative there. Only the direction of a step depends on it: single precision is
        enough, at half the cost."""
        k = self.z.shape[1]
        found = np.zeros((k, k))
        for part in chunks(len(y)):
            z, w = self.z[part], None if weights is None else weights[part]
            bend = _terms(z @ theta, y[part], w)[2]
            with np.errstate(over="ignore", invalid="ignore"):
                coarse = (z * np.sqrt(bend)[:, None]).astype(np.float32)
                found += coarse.T @ coarse
        if not np.isfinite(found).all():
            raise EbbtideError(_EXTREME)
        return found


@dataclass(frozen=True)
class Cells:
    """A one in each of a few places of every row: `codes` (m, n) are the places, `width` how many there are in all."""

    score: Floats
    codes: npt.NDArray[np.intp]
    width: int

    def log_odds(self, theta: Floats) -> Floats:
        """(n,) what theta = (a, b, one number per place) says."""
        found: Floats = theta[0] + theta[1] * self.score
        for codes in self.codes:
            found = found + theta[2:][codes]
        return found

    def at(self, theta: Floats, y: Floats, weights: Floats | None) -> Point:
        """The log likelihood at theta."""
        value, residual, _ = _terms(self.log_odds(theta), y, weights)
        return Point(value, np.concatenate([[residual.sum(), residual @ self.score], self._total(residual)]))

    def curvature(self, theta: Floats, y: Floats, weights: Floats | None) -> Floats:
        """(k, k) minus its second derivative there."""
        bend = _terms(self.log_odds(theta), y, weights)[2]
        found = np.zeros((2 + self.width, 2 + self.width))
        weighted = bend * self.score
        found[:2, :2] = [[bend.sum(), weighted.sum()], [weighted.sum(), weighted @ self.score]]
        found[0, 2:] = found[2:, 0] = self._total(bend)
        found[1, 2:] = found[2:, 1] = self._total(weighted)
        found[2:, 2:] = self._crossed(bend)
        return found

    def _total(self, values: Floats) -> Floats:
        found: Floats = np.sum([np.bincount(codes, values, self.width) for codes in self.codes], axis=0)
        return found

    def _crossed(self, values: Floats) -> Floats:
        found = np.zeros((self.width, self.width))
        starts = [int(codes.min()) for codes in self.codes]
        sizes = [int(codes.max()) - start + 1 for codes, start in zip(self.codes, starts, strict=True)]
        for i, j in combinations_with_replacement(range(len(self.codes)), 2):
            both = (self.codes[i] - starts[i]) * sizes[j] + (self.codes[j] - starts[j])
            block = np.bincount(both, values, sizes[i] * sizes[j]).reshape(sizes[i], sizes[j])
            rows, columns = slice(starts[i], starts[i] + sizes[i]), slice(starts[j], starts[j] + sizes[j])
            found[rows, columns] = block
            found[columns, rows] = block.T
        return found


def chunks(rows: int) -> Iterator[slice]:
    """Few enough rows at a time that what is computed from them stays in a core's cache."""
    return (slice(start, start + _CHUNK) for start in range(0, rows, _CHUNK))


def _terms(eta: Floats, y: Floats, weights: Floats | None) -> tuple[float, Floats, Floats]:
    """The log likelihood at log-odds eta, what is left of y, and how strongly each row bends it."""
    p = expit(eta)
    likelihood, residual, bend = y * eta - np.logaddexp(0.0, eta), y - p, p * (1 - p)
    if weights is None:
        return float(likelihood.sum()), residual, bend
    return float((weights * likelihood).sum()), weights * residual, weights * bend


@dataclass(frozen=True)
class Shape:
    """The log posterior taken for a bowl: the curvature as its root (k, k), and the walls (m, k) it is filled up to."""

    root: Floats
    walls: Floats | None

    @cached_property
    def across(self) -> Floats:
        """(k, m) the walls, in the metric of the bowl."""
        assert self.walls is not None
        found: Floats = solve_triangular(self.root, self.walls.T, lower=True)
        return found

    @cached_property
    def give(self) -> Floats:
        """(m, m) how far a push at one wall moves away from another."""
        found: Floats = self.across.T @ self.across
        return found

    def step(self, gradient: Floats, theta: Floats) -> Floats:
        """(k,) to the bottom of the bowl. Where that crosses a wall, to the nearest point (in the bowl's metric) that
        crosses none."""
        free = solve_triangular(self.root, gradient, lower=True)
        step: Floats = solve_triangular(self.root, free, lower=True, trans="T")
        if self.walls is None or not len(self.walls):
            return step
        short = -(self.walls @ (theta + step))
        if short.max() <= _ON_THE_WALL:
            return step
        pushes = _pushes(self.give, short)
        pushed: Floats = solve_triangular(self.root, self.across @ pushes, lower=True, trans="T")
        return np.asarray(step + pushed, dtype=np.float64)


@dataclass(frozen=True)
class Task:
    """What a fit maximises: rows of columns with labels y (n,), weights (n,), drawn to a prior, within walls (m, k)."""

    columns: Columns
    y: Floats
    weights: Floats | None
    prior: "Prior"
    walls: Floats | None

    def at(self, theta: Floats) -> Point:
        """The log posterior at theta."""
        return self.prior.posterior(self.columns.at(theta, self.y, self.weights), theta)

    def shape(self, theta: Floats) -> Shape:
        """The bowl that fits it best at theta."""
        bent = self.columns.curvature(theta, self.y, self.weights) + np.diag(self.prior.precision + 1e-6)
        try:
            return Shape(np.asarray(np.linalg.cholesky(bent), dtype=np.float64), self.walls)
        except np.linalg.LinAlgError:
            raise EbbtideError(_EXTREME) from None


def task(
    score: Floats,
    x: Floats,
    y: Floats,
    tau: Floats,
    weights: Floats | None = None,
    slope_sd: float = SLOPE_SD,
    intercept_sd: float = INTERCEPT_SD,
    directed: Floats | None = None,
) -> Task:
    """What `fit` maximises."""
    free = tau > 0
    z = Dense(np.column_stack([np.ones(len(y)), score, x if free.all() else x[:, free]]))
    walls = None if directed is None else _walls(directed, free)
    return Task(z, y, weights, Prior.of(tau[free], slope_sd, intercept_sd), walls)


def fit(
    score: Floats,
    x: Floats,
    y: Floats,
    tau: Floats,
    weights: Floats | None = None,
    start: Fit | None = None,
    slope_sd: float = SLOPE_SD,
    intercept_sd: float = INTERCEPT_SD,
    directed: Floats | None = None,
    tolerance: float = TOLERANCE,
    shape: Shape | None = None,
) -> Fit:
    """Maximise the log posterior. `score` (n,) is the expert's log-odds, `x` (n, d) centred columns, `y` (n,) 0 or 1,
    `weights` (n,) how often a row counts. `tau` (d,) is each column's freedom; 0 leaves a column out.

    `directed` (m, 1 + d): what must not be negative, directed @ (b, beta) >= 0. The prior mean (b = 1, beta = 0) and
    `start` have to keep it. `tolerance`: the rise, as a share of the log posterior, below which a step is the last.
    `shape`: that of a fit to much the same rows, with the same freedom, to begin with.
    """
    asked = task(score, x, y, tau, weights, slope_sd, intercept_sd, directed)
    solved = _newton(asked, _theta(start, tau), tolerance, shape)
    beta = np.zeros(len(tau))
    beta[tau > 0] = solved[2:]
    return Fit(float(solved[0]), float(solved[1]), beta)


def shape_at(found: Fit, asked: Task, tau: Floats) -> Shape:
    """The shape around a fit."""
    return asked.shape(_theta(found, tau))


def _theta(start: Fit | None, tau: Floats) -> Floats:
    free = tau > 0
    if start is None:
        return np.concatenate([[0.0, 1.0], np.zeros(int(free.sum()))])
    return np.concatenate([[start.a, start.b], start.beta[free]])


def cells_task(cells: Cells, y: Floats, tau: float, directed: Floats, weights: Floats | None = None) -> Task:
    """What `fit_cells` maximises."""
    walls = _walls(directed, np.ones(cells.width, dtype=np.bool_))
    return Task(cells, y, weights, Prior.of(np.full(cells.width, tau), SLOPE_SD, INTERCEPT_SD), walls)


def fit_cells(asked: Task, start: Fit | None = None, tolerance: float = TOLERANCE, shape: Shape | None = None) -> Fit:
    """As `fit`, for cells that are all as free."""
    width = len(asked.prior.mean) - 2
    solved = _newton(asked, _theta(start, np.ones(width)), tolerance, shape)
    return Fit(float(solved[0]), float(solved[1]), solved[2:])


@dataclass(frozen=True)
class Prior:
    """Mean and precision (k,) of theta = (a, b, beta)."""

    mean: Floats
    precision: Floats

    @classmethod
    def of(cls, tau: Floats, slope_sd: float, intercept_sd: float) -> "Prior":
        """b around 1, all else around 0."""
        mean = np.zeros(len(tau) + 2)
        mean[1] = 1.0
        return cls(mean, np.concatenate([[1 / intercept_sd**2, 1 / slope_sd**2], 1 / tau**2]))

    def posterior(self, point: Point, theta: Floats) -> Point:
        """The log likelihood with the prior added."""
        away = theta - self.mean
        return Point(
            point.value - 0.5 * float((self.precision * away**2).sum()),
            point.gradient - self.precision * away,
        )


def _walls(directed: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """The inequalities over (a, b, the free betas), each of unit length; those that say nothing are gone."""
    rows = np.column_stack([np.zeros(len(directed)), directed[:, 0], directed[:, 1:][:, free]])
    lengths = np.linalg.norm(rows, axis=1)
    walls: Floats = rows[lengths > 0] / lengths[lengths > 0, None]
    return walls


def _newton(asked: Task, theta: Floats, tolerance: float, shape: Shape | None) -> Floats:
    here, fresh = asked.at(theta), shape is None
    bowl = asked.shape(theta) if shape is None else shape
    rose = np.inf
    for _ in range(_STEPS):
        there, reached = _climb(asked, theta, here, bowl.step(here.gradient, theta), 30 if fresh else 1)
        gain, climbed = reached.value - here.value, there is not theta
        theta, here = there, reached
        settled = gain < tolerance * max(1.0, abs(here.value))
        # What is asked only roughly may settle on an old curvature, if that still leads upwards.
        if settled and (fresh or (climbed and tolerance > TOLERANCE)):
            return theta
        fresh = settled or gain > _SLOW * rose
        if fresh:
            bowl = asked.shape(theta)
        rose = gain
    raise EbbtideError(_EXTREME)


def _climb(asked: Task, theta: Floats, here: Point, step: Floats, tries: int) -> tuple[Floats, Point]:
    """The end of the step, or of its half and so on, that is not lower; where there is none, no step."""
    for halving in range(tries):
        there = theta + step / 2**halving
        reached = asked.at(there)
        if reached.value >= here.value:
            return there, reached
    return theta, here


def _pushes(give: Floats, short: Floats) -> Floats:
    """(m,) how hard each wall pushes: none pulls, none that is left behind pushes, and all are kept.

    give @ pushes is how far pushes (m,) move a point away from the walls, of which it is `short` (m,). Solved by block
    principal pivoting (Portugal, Judice, Vicente, Mathematics of Computation 1994): all walls that are on the wrong
    side change it at once, and one at a time where that does not lead on.
    """
    # Walls may say the same twice (two ways round a corner of a grid); a trace of softness keeps that solvable.
    soft = give + np.eye(len(short)) * (1e-10 * give.trace() / len(short))
    pushing = short > 0
    pushes, patience, fewest = np.zeros(len(short)), 3, len(short) + 1
    for _ in range(_PIVOTS * len(short)):
        pushes[:] = 0.0
        pushes[pushing] = np.linalg.solve(soft[np.ix_(pushing, pushing)], short[pushing])
        beyond = soft @ pushes - short
        wrong = np.where(pushing, pushes < -_ON_THE_WALL, beyond < -_ON_THE_WALL)
        count = int(wrong.sum())
        if not count:
            return pushes
        if count < fewest:
            fewest, patience = count, 3
        elif patience:
            patience -= 1
        else:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        pushing = pushing ^ wrong
    raise EbbtideError("The logistic fit could not keep its directions; look for a feature with extreme values.")
