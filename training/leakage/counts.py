"""Odds of one kind of row against all others, with what chance leaves of them."""

from dataclasses import dataclass

import numpy as np

#: Standard errors taken off before a number counts: every value of every column is tried.
ERRORS = 3.0


@dataclass(frozen=True)
class Odds:
    """How much likelier rows of one kind left than all others, as an odds ratio.

    rows, left     of this kind
    ratio          above 1: they left more often
    least          the ratio drawn towards 1 by three standard errors; 1 where chance explains it
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
    """The odds ratio (half a row added to each cell) and its certain part (Woolf's interval).

    weight  rows that are one piece of evidence: of one group
    """
    cells = np.array([left, rows - left, all_left - left, all_rows - rows - (all_left - left)]) / max(weight, 1.0) + 0.5
    log = float(np.log(cells[0] * cells[3] / (cells[1] * cells[2])))
    error = errors * float(np.sqrt((1 / cells).sum()))
    sure = np.sign(log) * max(0.0, abs(log) - error)
    return Odds(rows, left, float(np.exp(log)), float(np.exp(sure)))
