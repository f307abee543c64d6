"""Bags: each leaves one part of the groups out, to stop on and to be judged by."""

import numpy as np
import numpy.typing as npt

Bags = npt.NDArray[np.intp]


def deal(y: npt.NDArray[np.float64], groups: npt.NDArray[np.generic], bags: int, seed: int) -> Bags:
    """(n,) which bag leaves a row out, 0 to bags - 1. Rows of a group go together; groups are dealt by how many events
    and rows they hold, so that every part has about the same base rate and size."""
    codes = np.unique(groups, return_inverse=True)[1]
    events, rows = np.bincount(codes, y), np.bincount(codes)
    order = np.lexsort((np.random.default_rng(seed).random(len(rows)), rows, events))
    # There and back again, so that no bag always gets the larger of two neighbours.
    turns = np.concatenate([np.arange(bags), np.arange(bags)[::-1]])
    part = np.empty(len(rows), dtype=np.intp)
    part[order] = np.resize(turns, len(rows))
    return part[codes]
