"""Odds of one kind of row against all others, with what chance leaves of them.

Two lower bounds, and the better one counts. Woolf's is made for full cells; where a kind of row left to the last one,
which is what a note written at the exit looks like, half a row stands in for the nobody that stayed and its error is
that of a guess. There the exact binomial bound (Clopper and Pearson) knows more:

    60 rows, all left; 540 others, 40 left    odds ratio with half a row 1,500
    Woolf, three standard errors              at least 20
    exact                                     share at least .896, of the others at most .114: odds at least 67
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, ndtr

#: Standard errors taken off before a number counts: every value of every column is tried.
ERRORS = 3.0


@dataclass(frozen=True)
class Odds:
    """How much likelier rows of one kind left than all others, as an odds ratio.

    rows, left     of this kind
    ratio          above 1: they left more often
    least          the ratio drawn towards 1 as far as chance may explain it; 1 where it explains all
    """

    rows: float
    left: float
    ratio: float
    least: float

    @property
    def share(self) -> float:
        """The share of this kind that left."""
        return self.left / self.rows if self.rows else 0.0


def odds(rows: float, left: float, all_rows: float, all_left: float, weight: float, errors: float = ERRORS) -> Odds:
    """The odds ratio (half a row added to each cell) and its certain part.

    weight  rows that are one piece of evidence: of one group
    errors  standard errors taken off; the exact bound leaves out as much chance
    """
    exact = np.array([left, rows - left, all_left - left, all_rows - rows - (all_left - left)]) / max(weight, 1.0)
    cells = exact + 0.5
    log = float(np.log(cells[0] * cells[3] / (cells[1] * cells[2])))
    woolf = abs(log) - errors * float(np.sqrt((1 / cells).sum()))
    a, b, c, d = exact if log > 0 else exact[[1, 0, 3, 2]]
    sure = max(0.0, woolf, _log_odds_least(a, b, errors) + _log_odds_least(d, c, errors))
    return Odds(rows, left, float(np.exp(log)), float(np.exp(np.sign(log) * sure)))


def _log_odds_least(these: float, others: float, errors: float) -> float:
    """The lower exact bound of the log-odds of these among both."""
    if these <= 0:
        return -np.inf
    share = float(betaincinv(these, others + 1.0, ndtr(-errors)))
    return float(np.log(share) - np.log1p(-share))
