"""What every member of the blend gives: predictions made without the row, tables, and predictions for new rows."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from training.additive.columns import Column, Columns
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Material:
    """What members learn from: the columns (n,) as given, what was learned about each, labels (n,), which bag leaves a
    row out (n,) of `bags`, and the seed."""

    columns: Columns
    learned: tuple[Column, ...]
    y: Floats
    left_out: npt.NDArray[np.intp]
    bags: int
    seed: int


class Member(Protocol):
    """One fitted member. `held_out` (n,): log-odds of each training row from the bag that left it out. `bases` (bags,)
    and `parts`: the same as tables. `about`: what the fit settled on, for the report."""

    name: str
    held_out: Floats
    bases: Floats
    parts: list[Part]
    about: dict[str, object]

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) log-odds of new rows, the mean over the bags, by the fitted library objects."""
