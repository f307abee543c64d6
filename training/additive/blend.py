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

from models.health import expit

Floats = npt.NDArray[np.float64]

#: The blend must be better than the simplest member by more than this many standard errors of the difference.
TIE_ERRORS = 1.0
#: Weights are held towards each other, as if known to be equal to about 1 / sqrt(50): members that predict nearly the
#: same are not told apart by chance, and bag by bag those look worse than they are whose bags differ most.
_PRECISION = 50.0


@dataclass(frozen=True)
class Blend:
    """Intercept, weight per member (0: not used), and its log loss on held-out rows."""

    intercept: float
    weights: Floats
    loss: float


def choose(held_out: Floats, y: Floats, groups: npt.NDArray[np.intp]) -> tuple[Blend, list[dict[str, object]]]:
    """The blend of members (n, members), the simplest first, or that one alone where all together are not better by
    more than chance (rows of a group counted together). Also what was compared."""
    every = range(held_out.shape[1])
    simplest, blended = fit(held_out, y, [0]), fit(held_out, y, every)
    gains = _losses(simplest, held_out, y) - _losses(blended, held_out, y)
    better = len(every) > 1 and float(gains.mean()) > TIE_ERRORS * _error(gains, groups)
    compared: list[dict[str, object]] = [
        {"weights": blend.weights.tolist(), "loss": blend.loss, "taken": (blend is blended) == better}
        for blend in ([simplest, blended] if len(every) > 1 else [simplest])
    ]
    return blended if better else simplest, compared


def fit(held_out: Floats, y: Floats, members: Sequence[int]) -> Blend:
    """The best weights of these members, none negative, held towards equal parts."""
    z = held_out[:, members]

    def objective(theta: Floats) -> tuple[float, Floats]:
        eta = theta[0] + z @ theta[1:]
        off = theta[1:] - theta[1:].mean()
        value = float((np.logaddexp(0.0, eta) - y * eta).sum() + 0.5 * _PRECISION * (off @ off))
        residual = expit(eta) - y
        slope = np.concatenate([[residual.sum()], z.T @ residual + _PRECISION * off])
        return value / len(y), slope / len(y)

    start = np.concatenate([[0.0], np.full(len(members), 1 / len(members))])
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
