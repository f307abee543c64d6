"""Bags: each learns from all parts of the groups but two, stops on one of these and is judged on the other.

    part      0      1      2      3      4
    bag 0   stops  judged learns learns learns
    bag 1   learns stops  judged learns learns

So every row is predicted once by a fit that has neither learned from it nor stopped on it.
"""

import numpy as np
import numpy.typing as npt

Bags = npt.NDArray[np.intp]


def deal(y: npt.NDArray[np.float64], groups: npt.NDArray[np.generic], bags: int, seed: int) -> Bags:
    """(n,) the part each row belongs to, 0 to bags - 1.

    Rows of a group go together; groups are dealt by how many events and rows they hold, so that every part has about
    the same base rate and size.
    """
    codes = np.unique(groups, return_inverse=True)[1]
    events, rows = np.bincount(codes, y), np.bincount(codes)
    order = np.lexsort((np.random.default_rng(seed).random(len(rows)), rows, events))
    # There and back again, so that no part always gets the larger of two neighbours.
    turns = np.concatenate([np.arange(bags), np.arange(bags)[::-1]])
    part = np.empty(len(rows), dtype=np.intp)
    part[order] = np.resize(turns, len(rows))
    return part[codes]
