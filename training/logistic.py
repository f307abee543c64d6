"""A penalised logistic fit with a prior mean: the model small data deserves.

    logit p = a + b * scorecard(x) + x' beta,    a ~ N(0, 3^2),    b ~ N(1, 1/4^2),    beta_j ~ N(0, tau_j^2)

With no rows at all it *is* the scorecard; with many it is a ridge regression. Directions that features declare are
linear inequalities between b and the beta (`directed`); they are kept by the fit itself, which loses less than bending
the tables afterwards. Solved by Newton's method on the log posterior: it is concave and the inequalities leave a
convex set, so the answer is the only one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.linalg.blas import ssyrk
from scipy.optimize import nnls

from models.errors import EbbtideError

Floats = npt.NDArray[np.float64]

SLOPE_SD = 0.25
#: Wide enough for any base rate; without it rows that hold no exit would push the intercept to minus infinity.
INTERCEPT_SD = 3.0
_STEPS = 50
_TOLERANCE = 1e-9
#: A step that crosses an inequality by no more than rounding does not.
_ON_THE_WALL = 1e-12


@dataclass(frozen=True)
class Fit:
    """Intercept `a`, weight of the scorecard `b`, coefficients `beta`."""

    a: float
    b: float
    beta: Floats

    def log_odds(self, score: Floats, x: Floats) -> Floats:
        """(n,) log-odds for expert scores (n,) and columns (n, d)."""
        return self.a + self.b * score + x @ self.beta


def fit(
    score: Floats,
    x: Floats,
    y: Floats,
    tau: Floats,
    weights: Floats | None = None,
    start: Fit | None = None,
    slope_sd: float = SLOPE_SD,
    directed: Floats | None = None,
) -> Fit:
    """Maximise the log posterior. `score` (n,) is the expert's log-odds, `x` (n, d) centred columns, `y` (n,) 0 or 1,
    `weights` (n,) how often a row counts. `tau` (d,) is each column's freedom; 0 leaves a column out.

    `directed` (m, 1 + d): what must not be negative, directed @ (b, beta) >= 0. The prior mean (b = 1, beta = 0) and
    `start` have to keep it.
    """
    free = tau > 0
    z = np.column_stack([np.ones(len(y)), score, x if free.all() else x[:, free]])
    precision = np.concatenate([[1 / INTERCEPT_SD**2, 1 / slope_sd**2], 1 / tau[free] ** 2])
    mean = np.zeros(z.shape[1])
    mean[1] = 1.0
    first = mean if start is None else np.concatenate([[start.a, start.b], start.beta[free]])
    walls = None if directed is None else _walls(directed, free)
    solved = _newton(z, y, weights, precision, mean, first, walls)
    beta = np.zeros(len(tau))
    beta[free] = solved[2:]
    return Fit(float(solved[0]), float(solved[1]), beta)


def _walls(directed: Floats, free: npt.NDArray[np.bool_]) -> Floats:
    """The inequalities over (a, b, the free betas), each of unit length; those that say nothing are gone."""
    rows = np.column_stack([np.zeros(len(directed)), directed[:, 0], directed[:, 1:][:, free]])
    lengths = np.linalg.norm(rows, axis=1)
    walls: Floats = rows[lengths > 0] / lengths[lengths > 0, None]
    return walls


def _newton(
    z: Floats,
    y: Floats,
    weights: Floats | None,
    precision: Floats,
    mean: Floats,
    theta: Floats,
    walls: Floats | None = None,
) -> Floats:
    value = _objective(z, y, weights, precision, mean, theta)
    # Only the direction of a step depends on the curvature, so single precision is enough for it, at half the cost.
    coarse = np.asfortranarray(z, dtype=np.float32)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(z @ theta)))
        w = p * (1 - p) if weights is None else weights * p * (1 - p)
        residual = y - p if weights is None else weights * (y - p)
        gradient = z.T @ residual - precision * (theta - mean)
        curvature = ssyrk(1.0, coarse * np.sqrt(w).astype(np.float32)[:, None], trans=1).astype(np.float64)
        hessian = curvature + np.triu(curvature, 1).T + np.diag(precision + 1e-6)
        step = _step(hessian, gradient, theta, walls)
        theta, value, moved = _line_search(z, y, weights, precision, mean, theta, step, value)
        if moved < _TOLERANCE * max(1.0, abs(value)):
            return theta
    raise EbbtideError("The logistic fit did not settle; look for a feature with extreme values.")


def _step(hessian: Floats, gradient: Floats, theta: Floats, walls: Floats | None) -> Floats:
    """The step to the top of the quadratic model of the log posterior, within the walls.

    Where the free step crosses one, the nearest point (in the model's metric) that crosses none: a least distance
    problem, solved as non-negative least squares (Lawson and Hanson, Solving Least Squares Problems, chapter 23).
    """
    root = np.linalg.cholesky(hessian)
    free = solve_triangular(root, gradient, lower=True)
    step = solve_triangular(root, free, lower=True, trans="T")
    if walls is None or not len(walls) or (short := -(walls @ (theta + step))).max() <= _ON_THE_WALL:
        return np.asarray(step, dtype=np.float64)
    across = solve_triangular(root, walls.T, lower=True)
    unit = np.append(np.zeros(len(theta)), 1.0)
    pushes, _ = nnls(np.vstack([across, short]), unit, maxiter=30 * len(walls))
    rest = np.vstack([across, short]) @ pushes - unit
    return np.asarray(step + solve_triangular(root, -rest[:-1] / rest[-1], lower=True, trans="T"), dtype=np.float64)


def _line_search(
    z: Floats,
    y: Floats,
    weights: Floats | None,
    precision: Floats,
    mean: Floats,
    theta: Floats,
    step: Floats,
    value: float,
) -> tuple[Floats, float, float]:
    """Halve the Newton step until the log posterior rises; returns the point, its value and the rise."""
    for halving in range(30):
        candidate = theta + step / 2**halving
        reached = _objective(z, y, weights, precision, mean, candidate)
        if reached >= value:
            return candidate, reached, reached - value
    return theta, value, 0.0


def _objective(z: Floats, y: Floats, weights: Floats | None, precision: Floats, mean: Floats, theta: Floats) -> float:
    eta = z @ theta
    terms = y * eta - np.logaddexp(0.0, eta)
    likelihood = float(terms.sum() if weights is None else (weights * terms).sum())
    return likelihood - 0.5 * float((precision * (theta - mean) ** 2).sum())
