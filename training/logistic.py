"""A penalised logistic fit with a prior mean: the model small data deserves.

    logit p = a + b * scorecard(x) + x' beta,    a ~ N(0, 3^2),    b ~ N(1, 1/4^2),    beta_j ~ N(0, tau_j^2)

With no rows at all it *is* the scorecard; with many it is a ridge regression. Directions that features declare are
linear inequalities between b and the beta (`directed`); they are kept by the fit itself, which loses less than bending
the tables afterwards. Solved by Newton's method on the log posterior: it is concave and the inequalities leave a
convex set, so the answer is the only one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from models.errors import EbbtideError

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
    """The log likelihood at one theta, its gradient (k,) and minus its curvature (k, k)."""

    value: float
    gradient: Floats
    curvature: Floats


class Columns(Protocol):
    """What theta multiplies: a column of ones, the scores, and the rest."""

    def at(self, theta: Floats, y: Floats, weights: Floats | None) -> Point:
        """The log likelihood around theta."""


@dataclass(frozen=True)
class Dense:
    """Columns as they are, z (n, k). A few rows at a time, so that all work on them happens in a core's cache."""

    z: Floats

    def at(self, theta: Floats, y: Floats, weights: Floats | None) -> Point:
        """The log likelihood around theta."""
        k = self.z.shape[1]
        value, gradient, curvature = 0.0, np.zeros(k), np.zeros((k, k))
        for part in chunks(len(y)):
            z, w = self.z[part], None if weights is None else weights[part]
            likelihood, residual, bend = _terms(z @ theta, y[part], w)
            value += likelihood
            gradient += residual @ z
            # Only the direction of a step depends on the curvature: single precision is enough, at half the cost.
            coarse = (z * np.sqrt(bend)[:, None]).astype(np.float32)
            curvature += coarse.T @ coarse
        return Point(value, gradient, curvature)


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
        """The log likelihood around theta."""
        value, residual, bend = _terms(self.log_odds(theta), y, weights)
        gradient = np.concatenate([[residual.sum(), residual @ self.score], self._total(residual)])
        curvature = np.zeros((2 + self.width, 2 + self.width))
        weighted = bend * self.score
        curvature[:2, :2] = [[bend.sum(), weighted.sum()], [weighted.sum(), weighted @ self.score]]
        curvature[0, 2:] = curvature[2:, 0] = self._total(bend)
        curvature[1, 2:] = curvature[2:, 1] = self._total(weighted)
        curvature[2:, 2:] = self._crossed(bend)
        return Point(value, gradient, curvature)

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
    p = 1 / (1 + np.exp(-eta))
    likelihood, residual, bend = y * eta - np.logaddexp(0.0, eta), y - p, p * (1 - p)
    if weights is None:
        return float(likelihood.sum()), residual, bend
    return float((weights * likelihood).sum()), weights * residual, weights * bend


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
) -> Fit:
    """Maximise the log posterior. `score` (n,) is the expert's log-odds, `x` (n, d) centred columns, `y` (n,) 0 or 1,
    `weights` (n,) how often a row counts. `tau` (d,) is each column's freedom; 0 leaves a column out.

    `directed` (m, 1 + d): what must not be negative, directed @ (b, beta) >= 0. The prior mean (b = 1, beta = 0) and
    `start` have to keep it. `tolerance`: the rise, as a share of the log posterior, below which a step is the last.
    """
    free = tau > 0
    z = Dense(np.column_stack([np.ones(len(y)), score, x if free.all() else x[:, free]]))
    prior = Prior.of(tau[free], slope_sd, intercept_sd)
    first = prior.mean if start is None else np.concatenate([[start.a, start.b], start.beta[free]])
    walls = None if directed is None else _walls(directed, free)
    solved = _newton(z, y, weights, prior, first, walls, tolerance)
    beta = np.zeros(len(tau))
    beta[free] = solved[2:]
    return Fit(float(solved[0]), float(solved[1]), beta)


def fit_cells(
    cells: Cells,
    y: Floats,
    tau: float,
    directed: Floats,
    weights: Floats | None = None,
    start: Fit | None = None,
    tolerance: float = TOLERANCE,
) -> Fit:
    """As `fit`, for cells that are all as free: `directed` (m, 1 + width) as there."""
    prior = Prior.of(np.full(cells.width, tau), SLOPE_SD, INTERCEPT_SD)
    first = prior.mean if start is None else np.concatenate([[start.a, start.b], start.beta])
    walls = _walls(directed, np.ones(cells.width, dtype=np.bool_))
    solved = _newton(cells, y, weights, prior, first, walls, tolerance)
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
            point.curvature + np.diag(self.precision + 1e-6),
        )


def _walls(directed: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """The inequalities over (a, b, the free betas), each of unit length; those that say nothing are gone."""
    rows = np.column_stack([np.zeros(len(directed)), directed[:, 0], directed[:, 1:][:, free]])
    lengths = np.linalg.norm(rows, axis=1)
    walls: Floats = rows[lengths > 0] / lengths[lengths > 0, None]
    return walls


def _newton(
    columns: Columns,
    y: Floats,
    weights: Floats | None,
    prior: Prior,
    theta: Floats,
    walls: Floats | None,
    tolerance: float,
) -> Floats:
    here = prior.posterior(columns.at(theta, y, weights), theta)
    for _ in range(_STEPS):
        step = _step(here.curvature, here.gradient, theta, walls)
        before = here.value
        for halving in range(30):
            there = theta + step / 2**halving
            reached = prior.posterior(columns.at(there, y, weights), there)
            if reached.value >= before:
                theta, here = there, reached
                break
        if here.value - before < tolerance * max(1.0, abs(here.value)):
            return theta
    raise EbbtideError("The logistic fit did not settle; look for a feature with extreme values.")


def _step(hessian: Floats, gradient: Floats, theta: Floats, walls: Floats | None) -> Floats:
    """The step to the top of the quadratic model of the log posterior, within the walls.

    Where the free step crosses one, the nearest point (in the model's metric) that crosses none.
    """
    root = np.linalg.cholesky(hessian)
    step = solve_triangular(root, solve_triangular(root, gradient, lower=True), lower=True, trans="T")
    if walls is None or not len(walls) or (short := -(walls @ (theta + step))).max() <= _ON_THE_WALL:
        return np.asarray(step, dtype=np.float64)
    across = solve_triangular(root, walls.T, lower=True)
    pushes = _pushes(across.T @ across, short)
    return np.asarray(step + solve_triangular(root, across @ pushes, lower=True, trans="T"), dtype=np.float64)


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
