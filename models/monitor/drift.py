"""Whether a distribution moved: bins, shares, the population stability index and how large it is by chance alone.

    PSI = sum over bins of (p - q) ln(p / q)

Without any drift PSI is about (1/n + 1/m) times a chi-square variable with bins - 1 degrees of freedom, n and m being
the accounts behind the two sets of shares. So what is large depends on how many accounts there are: with ten bins and
100 accounts on either side .32 is exceeded once in twenty times by chance, with 3,000 and 1,000 already .022 is. The
usual fixed limits (.1, .25) say how much it matters, never whether it is real.

A worked example: shares .5 .3 .2 at training, .4 .3 .3 now:
    (.4 - .5) ln(.4 / .5) + 0 + (.3 - .2) ln(.3 / .2) = .0223 + .0405 = .0629
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import chdtrc, chdtri, ndtr

Floats = npt.NDArray[np.float64]

#: Bins a numeric feature is cut into, at most; one more is for missing.
BINS = 10
#: Levels of a text that have a bin of their own, at most.
LEVELS = 12
#: Added to every count, so that an empty bin has a logarithm.
HALF = 0.5


@dataclass(frozen=True)
class Bins:
    """How a column is cut. Numbers: `edges`, ascending, lower edge inclusive; texts: `levels`. Missing is the last bin,
    for texts the one before it is for any other level."""

    edges: tuple[float, ...] = ()
    levels: tuple[str, ...] | None = None

    @classmethod
    def of(cls, values: pl.Series) -> "Bins":
        """Bins of about equal mass; where one value holds most of it, that value and what lies beyond."""
        if values.dtype == pl.String:
            counts = values.drop_nulls().value_counts().sort("count", values.name, descending=[True, False])
            return cls(levels=tuple(sorted(counts[values.name].head(LEVELS).to_list())))
        known = values.drop_nulls().drop_nans().to_numpy()
        return cls(edges=_edges(known) if len(known) else ())

    def __len__(self) -> int:
        return len(self.edges) + 2 if self.levels is None else len(self.levels) + 2

    def counts(self, values: pl.Series) -> Floats:
        """(bins,) rows per bin."""
        return np.bincount(self.places(values), minlength=len(self)).astype(np.float64)

    def places(self, values: pl.Series) -> npt.NDArray[np.int64]:
        """(n,) the bin of each row."""
        if self.levels is not None:
            place = {level: i for i, level in enumerate(self.levels)}
            other = len(self.levels)
            named = values.replace_strict(place, default=other, return_dtype=pl.Int64)
            return np.where(values.is_null(), other + 1, named.fill_null(other + 1).to_numpy())
        numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        found = np.searchsorted(np.array(self.edges), numbers, side="right")
        return np.where(np.isnan(numbers), len(self.edges) + 1, found)


def _edges(known: Floats) -> tuple[float, ...]:
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    edges = edges[edges > known.min()]
    if not len(edges) and known.max() > known.min():
        edges = np.array([known[known > known.min()].min()])
    # An edge is a value that occurs: where one value is nearly everything, what lies above it gets a bin.
    above = known[known > edges[-1]] if len(edges) else known[:0]
    atom = np.mean(known == edges[-1]) if len(edges) else 0.0
    if len(above) and atom > 1 / BINS:
        edges = np.append(edges, above.min())
    return tuple(float(edge) for edge in edges)


def shares(counts: Floats) -> Floats:
    """Counts as shares, none of them zero."""
    raised = np.asarray(counts, dtype=np.float64) + HALF
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), dtype=np.float64)


def psi(one: Floats, other: Floats) -> float:
    """The population stability index of two sets of positive shares; 0 for equal ones, the same both ways."""
    return float(np.sum((one - other) * np.log(one / other)))


def chance_scale(n: float, m: float, dispersion: float = 1.0) -> float:
    """What a chi-square variable is multiplied with to be distributed as PSI without drift."""
    return dispersion * (1 / n + 1 / m)


def chance(value: float, n: float, m: float, degrees: int, dispersion: float = 1.0) -> float:
    """How probable a PSI at least as large is without any drift."""
    return float(chdtrc(max(degrees, 1), value / chance_scale(n, m, dispersion)))


def threshold(n: float, m: float, degrees: int, probability: float = 0.01, dispersion: float = 1.0) -> float:
    """The PSI that is exceeded with this probability without any drift."""
    return float(chdtri(max(degrees, 1), probability)) * chance_scale(n, m, dispersion)


def degrees(one: Floats, other: Floats) -> int:
    """Degrees of freedom of a comparison of counts: bins that anybody is in, less one."""
    return max(int(np.count_nonzero((one > 0) | (other > 0))) - 1, 1)


def holm(chances: Sequence[float]) -> list[float]:
    """The probabilities adjusted for their number (Holm): below a, a family errs with probability a at most."""
    order = np.argsort(chances, kind="stable")
    adjusted, running = np.empty(len(chances)), 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(chances) - rank) * chances[i]))
        adjusted[i] = running
    return [float(value) for value in adjusted]


def ridit(reference: Floats, current: Floats) -> float:
    """The probability that a current account lies above a reference account, ties counting half: .5 is no shift.

    Both are shares over the same ordered bins (missing left out).
    """
    below = np.cumsum(reference) - reference
    return float(np.sum(current * (below + reference / 2)) / (reference.sum() * current.sum()))


def position_chance(position: float, usual: Floats, n: float, m: float, stray: float = 0.0) -> float:
    """How probable a ridit as far from .5 is without drift; `usual`: the shares of the bins, `stray`: by how much
    months stray anyway (standard deviation). A shift that goes one way shows here before it shows in PSI."""
    spread = (1 - float(np.sum((usual / usual.sum()) ** 3))) / 12 * (1 / n + 1 / m) + stray**2
    return 2 * float(ndtr(-abs(position - 0.5) / np.sqrt(spread))) if spread > 0 else 1.0
