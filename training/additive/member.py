"""What every member of the blend gives: predictions made without the row, tables, and predictions for new rows."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from training.additive.columns import Column, Columns
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Material:
    """What members learn from: the columns (n,) as given, what was learned about each, labels (n,), the part each
    row belongs to (n,) of as many as there are `bags`, and the seed."""

    columns: Columns
    learned: tuple[Column, ...]
    y: Floats
    part: npt.NDArray[np.intp]
    bags: int
    seed: int

    def stops(self, bag: int) -> Flags:
        """(n,) the rows a bag stops on."""
        found: Flags = self.part == bag
        return found

    def judged(self, bag: int) -> Flags:
        """(n,) the rows a bag is judged on."""
        return self.stops((bag + 1) % self.bags)

    def learns(self, bag: int) -> Flags:
        """(n,) the rows a bag learns from."""
        return ~(self.stops(bag) | self.judged(bag))

    @property
    def judge(self) -> npt.NDArray[np.intp]:
        """(n,) which bag is judged on each row."""
        return (self.part - 1) % self.bags


class Member(Protocol):
    """One fitted member. `held_out` (n,): log-odds of each training row from the bag judged on it. `bases` (bags,)
    and `parts`: the same as tables. `about`: what the fit settled on, for the report."""

    name: str
    held_out: Floats
    bases: Floats
    parts: list[Part]
    about: dict[str, object]

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) log-odds of new rows, the mean over the bags, by the fitted library objects."""
