"""Structs of arrays: a frozen dataclass whose every field is an array with one entry per row.

The process runs on thousands of accounts (and, in the oracle, on hundreds of futures of each) at
once; these two operations are all it needs from a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Rows = TypeVar("Rows", bound="DataclassInstance")


def take(rows: Rows, index: Ints | Bools) -> Rows:
    """The chosen rows: a mask or positions, repeated as often as they occur."""
    picked = {field.name: getattr(rows, field.name)[index] for field in fields(rows)}
    return type(rows)(**picked)


def stack(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, in order."""
    names = [field.name for field in fields(parts[0])]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return type(parts[0])(**joined)


def logistic(logit: Floats) -> Floats:
    """Probability of a logit."""
    return 1.0 / (1.0 + np.exp(-logit))


def chance(rng: np.random.Generator, probability: Floats | float, rows: int) -> Bools:
    """One coin per row."""
    return rng.random(rows) < probability
