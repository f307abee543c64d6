"""A penalised logistic fit with a prior mean: the model small data deserves.

    logit p = a + b * scorecard(x) + x' beta,    a ~ N(0, 3^2),    b ~ N(1, 1/4^2),    beta_j ~ N(0, tau_j^2)

With no rows at all it *is* the scorecard; with many it is a ridge regression. Solved by Newton's method on the
log posterior, which is concave, so the answer is the only one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.blas import ssyrk

from models.errors import EbbtideError

Floats = npt.NDArray[np.float64]

SLOPE_SD = 0.25
#: Wide enough for any base rate; without it rows that hold no exit would push the intercept to minus infinity.
INTERCEPT_SD = 3.0
_STEPS = 50
_TOLERANCE = 1e-9


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
) -> Fit:
    """Maximise the log posterior. `score` (n,) is the expert's log-odds, `x` (n, d) centred columns, `y` (n,) 0 or 1,
    `weights` (n,) how often a row counts. `tau` (d,) is each column's freedom; 0 leaves a column out."""
    free = tau > 0
    z = np.column_stack([np.ones(len(y)), score, x if free.all() else x[:, free]])
    precision = np.concatenate([[1 / INTERCEPT_SD**2, 1 / slope_sd**2], 1 / tau[free] ** 2])
    mean = np.zeros(z.shape[1])
    mean[1] = 1.0
    first = mean if start is None else np.concatenate([[start.a, start.b], start.beta[free]])
    solved = _newton(z, y, weights, precision, mean, first)
    beta = np.zeros(len(tau))
    beta[free] = solved[2:]
    return Fit(float(solved[0]), float(solved[1]), beta)


def _newton(z: Floats, y: Floats, weights: Floats | None, precision: Floats, mean: Floats, theta: Floats) -> Floats:
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
        step = np.linalg.solve(hessian, gradient)
        theta, value, moved = _line_search(z, y, weights, precision, mean, theta, step, value)
        if moved < _TOLERANCE * max(1.0, abs(value)):
            return theta
    raise EbbtideError("The logistic fit did not settle; look for a feature with extreme values.")


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
