"""How much of each member: weights that the data chooses on rows no member had seen.

    log-odds = a + sum over members of weight * log-odds(member),    weight >= 0

Every member's log-odds of a row come from a bag that neither learned from the row's group nor stopped on it, so the
weights are judged as the members will be: on strangers. The same regression calibrates: its intercept and the sum of
its weights are what is known as calibration in the large and slope. Because members are additive, so is the blend.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

Floats = npt.NDArray[np.float64]

#: A richer blend must be better by more than this many standard errors of the difference.
TIE_ERRORS = 1.0
#: Pretended rows that say: one member, taken once.
_PRIOR_ROWS = 10.0


@dataclass(frozen=True)
class Blend:
    """Intercept, weight per member (0: not used), and its log loss on held-out rows."""

    intercept: float
    weights: Floats
    loss: float


def choose(held_out: Floats, y: Floats, groups: npt.NDArray[np.intp]) -> tuple[Blend, list[dict[str, object]]]:
    """The blend of members (n, members), the simplest first. Members are taken in as long as the next one, the best
    of those left, makes the blend better than chance would (rows of a group counted together). Also what was tried."""
    chosen: list[int] = []
    best: Blend | None = None
    tried: list[dict[str, object]] = []
    losses = np.zeros(len(y))
    while len(chosen) < held_out.shape[1]:
        left = [member for member in range(held_out.shape[1]) if member not in chosen]
        candidates = [fit(held_out, y, sorted([*chosen, member])) for member in left]
        found = min(candidates, key=lambda blend: blend.loss)
        new = _losses(found, held_out, y)
        gain, error = float((losses - new).mean()), _error(losses - new, groups)
        taken = best is None or gain > TIE_ERRORS * error
        tried.append({"weights": found.weights.tolist(), "loss": found.loss, "taken": taken})
        if not taken:
            break
        best, losses = found, new
        chosen = np.flatnonzero(found.weights > 0).tolist() or left[:1]
        if len(tried) > held_out.shape[1]:
            break
    assert best is not None
    return best, tried


def fit(held_out: Floats, y: Floats, members: Sequence[int]) -> Blend:
    """The best non-negative weights of these members."""
    z = held_out[:, members]
    prior = 1.0 / len(members)

    def objective(theta: Floats) -> tuple[float, Floats]:
        eta = theta[0] + z @ theta[1:]
        off = theta[1:] - prior
        value = float((np.logaddexp(0.0, eta) - y * eta).sum() + 0.5 * _PRIOR_ROWS * (off @ off))
        residual = 1 / (1 + np.exp(-eta)) - y
        slope = np.concatenate([[residual.sum()], z.T @ residual + _PRIOR_ROWS * off])
        return value / len(y), slope / len(y)

    start = np.concatenate([[0.0], np.full(len(members), prior)])
    bounds = [(None, None), *((0.0, None) for _ in members)]
    solved = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}).x
    weights = np.zeros(held_out.shape[1])
    weights[list(members)] = np.where(solved[1:] < 1e-3, 0.0, solved[1:])
    blend = Blend(float(solved[0]), weights, 0.0)
    return Blend(blend.intercept, weights, float(_losses(blend, held_out, y).mean()))


def _losses(blend: Blend, held_out: Floats, y: Floats) -> Floats:
    eta = blend.intercept + held_out @ blend.weights
    found: Floats = np.logaddexp(0.0, eta) - y * eta
    return found


def _error(differences: Floats, groups: npt.NDArray[np.intp]) -> float:
    sums = np.bincount(groups, differences - differences.mean())
    return float(np.sqrt((sums**2).sum()) / len(differences))
