"""Counts, sums, extremes and quantiles per question, the same bit for bit whatever the order of the rows.

Rows arrive question by question. Sums are taken over whole numbers and over fractions on a binary grid: such sums
are exact in 64-bit floats, so no order, batch or machine can change them.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

#: A sort key holds a question's number above this many bits and a whole number below it.
_KEY_BITS = 45
#: How many questions may be grouped at once, so that a sort key fits 63 bits.
MOST_QUESTIONS = 1 << (63 - _KEY_BITS)


def grid(values: Floats, bits: int = 20) -> Floats:
    """Round to multiples of 2^-bits, so that sums of the values are exact."""
    rounded: Floats = np.rint(values * 2.0**bits) / 2.0**bits
    return rounded


def ratio(above: Floats | Ints, below: Floats | Ints, where: Flags) -> Floats:
    """above / below where a condition holds, NaN elsewhere."""
    found = np.full(len(where), np.nan)
    np.divide(above, below, out=found, where=where)
    return found


def spread(count: Ints, total: Floats, squares: Floats, least: int) -> Floats:
    """Sample standard deviation from sums; NaN with fewer than `least` observations."""
    enough = count >= least
    n = np.where(enough, count, 2)
    variance = (squares * n - total * total) / (n * (n - 1))
    return np.where(enough, np.sqrt(np.maximum(variance, 0.0)), np.nan)


class Groups:
    """Rows grouped by their question: `q` (ascending) numbers each row's question among `n`."""

    def __init__(self, q: Ints, n: int) -> None:
        self.q, self.n = q, n
        counts = np.bincount(q, minlength=n)
        #: Questions that have rows, and where the rows of each begin and end.
        self.filled = np.flatnonzero(counts)
        self.ends = np.cumsum(counts)[self.filled]
        self.starts = self.ends - counts[self.filled]

    def count(self, where: Flags) -> Ints:
        """(n,) how many rows meet a condition."""
        found: Ints = np.zeros(self.n, dtype=np.int64)
        # Converted first: a sum that converts on its way keeps other threads waiting.
        found[self.filled] = np.add.reduceat(where.astype(np.int64), self.starts)
        return found

    def total(self, values: Ints | Floats, where: Flags) -> Floats:
        """(n,) sums of whole numbers or of values on a grid, over the rows that meet a condition."""
        found = np.zeros(self.n)
        found[self.filled] = np.add.reduceat(np.where(where, values, 0), self.starts)
        return found

    def least(self, values: Ints | Floats, where: Flags) -> Floats:
        """(n,) smallest values; NaN where no row meets the condition."""
        found = np.full(self.n, np.nan)
        smallest = np.minimum.reduceat(np.where(where, values, np.inf), self.starts)
        found[self.filled] = np.where(smallest == np.inf, np.nan, smallest)
        return found

    def most(self, values: Ints | Floats, where: Flags) -> Floats:
        """(n,) largest values; NaN where no row meets the condition."""
        return 0.0 - self.least(np.negative(values), where)

    def latest(self, values: Ints | Floats, when: Ints, where: Flags) -> Floats:
        """(n,) values of the rows with the largest `when`, the largest value where several share it."""
        newest = self.most(when, where)
        return self.most(values, where & (when == newest[self.q]))

    def quantile(self, values: Ints, share: float, where: Flags) -> Floats:
        """(n,) quantiles of whole numbers of 0 to 2^45, between neighbours on the line; NaN without rows."""
        keys, counts = self._sorted(values, where)
        filled = np.flatnonzero(counts)
        position = share * (counts[filled] - 1)
        below = position.astype(np.int64)
        first = (np.cumsum(counts) - counts)[filled] + below
        lower = (keys[first] & _LOW_BITS).astype(np.float64)
        upper = keys[np.minimum(first + 1, len(keys) - 1)] & _LOW_BITS
        found = np.full(self.n, np.nan)
        between = position - below
        found[filled] = np.where(between > 0, lower + (upper - lower) * between, lower)
        return found

    def distinct(self, values: Ints, where: Flags) -> Ints:
        """(n,) how many different whole numbers of 0 to 2^45 there are."""
        keys, _ = self._sorted(values, where)
        new = np.ones(len(keys), dtype=np.bool_)
        new[1:] = keys[1:] != keys[:-1]
        return np.bincount(keys[new] >> _KEY_BITS, minlength=self.n)

    def gaps(self, values: Ints, where: Flags) -> tuple["Groups", Ints]:
        """Differences between neighbouring whole numbers of each question, in ascending order of the numbers."""
        keys, _ = self._sorted(values, where)
        q = keys >> _KEY_BITS
        same = q[1:] == q[:-1]
        return Groups(q[1:][same], self.n), (keys[1:] - keys[:-1])[same]

    def _sorted(self, values: Ints, where: Flags) -> tuple[Ints, Ints]:
        """Sort keys of the rows that meet a condition, and how many there are per question."""
        q = self.q[where]
        keys = (q << _KEY_BITS) | values[where]
        keys.sort()
        return keys, np.bincount(q, minlength=self.n)


_LOW_BITS = (1 << _KEY_BITS) - 1
