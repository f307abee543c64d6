"""How good a model probably is, told from its scores alone: what can be said before anybody knows who left.

If the probabilities are right, accounts with p = .1 leave one in ten, and everything about the ranking follows from the
scores (confidence-based performance estimation):

    AUC   = sum over pairs i, j of p_i (1 - p_j) [p_i > p_j], over sum of p_i (1 - p_j), i and j different
    lift  = mean p of the highest tenth over mean p

    p = .2, .1: the pair gives .2 x .9 = .18 in the right order and .1 x .8 = .08 in the wrong one: .18 / .26 = .69

Whether the probabilities are right is exactly what it cannot see: observed against expected tells that, months later.
"""

from dataclasses import asdict, dataclass

import numpy as np

from models.monitor.drift import Floats

TOP_SHARE = 0.10


@dataclass(frozen=True)
class Estimate:
    """`auc` and `lift` of the highest tenth as expected, `exits` expected among `accounts`; NaN where undefined."""

    accounts: int
    exits: float
    auc: float
    lift: float

    def to_plain(self) -> dict[str, float | int | None]:
        """For JSON: NaN as null."""
        return {name: None if np.isnan(value) else value for name, value in asdict(self).items()}


def estimate(p: Floats) -> Estimate:
    """What these probabilities (n,) promise if they are right."""
    n = len(p)
    if not n or not p.sum() > 0:
        return Estimate(n, 0.0, np.nan, np.nan)
    order = np.argsort(p, kind="stable")
    ranked = p[order]
    stays = 1 - ranked
    values, first, sizes = np.unique(ranked, return_index=True, return_counts=True)
    below = np.concatenate([[0.0], np.cumsum(stays)])[first]
    # Accounts with the same p are in no order: half of their pairs count, none with itself.
    same = values * (1 - values) * sizes * (sizes - 1) / 2
    right = float(np.sum(values * sizes * below) + np.sum(same))
    pairs = float(ranked.sum() * stays.sum() - np.sum(ranked * stays))
    top = ranked[-int(np.ceil(TOP_SHARE * n)) :]
    return Estimate(n, float(ranked.sum()), right / pairs if pairs > 0 else np.nan, float(top.mean() / ranked.mean()))
