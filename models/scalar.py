"""One row through a scorecard without arrays: for a request that asks about one account while its caller waits.

The numbers are those of `Scorecard`, bit for bit (tested): the same tables, found by the same rule (how many edges
are <= x), added in the same order. Only the way there differs: an array of length one costs fifty times what it holds.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.errors import FeatureMismatch
from models.scorecard import Scorecard
from models.terms import Knots, PairTerm, Term

Row = Mapping[str, Any]
#: Per term: which entry of all tables, and how far beyond its knot the value lies.
Places = Sequence[tuple[int, float]]
_Find = Callable[[Row], tuple[int, float]]
_Place = Callable[[Any], int]


class ScalarCard:
    """A scorecard laid out for single rows: feature name -> number or text, None (or absent, or NaN) for missing."""

    def __init__(self, card: Scorecard) -> None:
        self.card = card
        self._finds: list[_Find] = []
        self._levels: list[float] = []
        self._slopes: list[float] = []
        refits: list[tuple[list[float], list[float]]] = [([], []) for _ in card.base_replicates]
        for term in card.all_terms:
            self._finds.append(_find(term, len(self._levels)))
            _lay_out(term, term.table, self._levels, self._slopes)
            for table, (levels, slopes) in zip(term.replicate_tables(), refits, strict=True):
                _lay_out(term, table, levels, slopes)
        self._bases = np.array([card.base_replicates])
        self._refit_levels = np.array([levels for levels, _ in refits]).T
        self._refit_slopes = np.array([slopes for _, slopes in refits]).T

    def places(self, row: Row) -> Places:
        """Where the row's values lie in each term's table. Raises `FeatureMismatch` for an ill-typed value."""
        return [find(row) for find in self._finds]

    def contributions(self, places: Places) -> list[float]:
        """Log-odds per term, in the order of `Scorecard.names`."""
        levels, slopes = self._levels, self._slopes
        return [levels[at] + slopes[at] * along for at, along in places]

    def total(self, contributions: Sequence[float]) -> float:
        """The base plus the contributions."""
        total = self.card.base
        for amount in contributions:
            total += amount
        return total

    def standard_error(self, places: Places) -> float | None:
        """Standard error of the log-odds; None without replicates."""
        if not self.card.base_replicates:
            return None
        at = [place for place, _ in places]
        along = np.array([[distance] for _, distance in places])
        parts = np.empty((1 + 2 * len(at), self._bases.shape[1]))
        parts[0] = self._bases
        parts[1::2] = self._refit_levels[at]
        np.multiply(self._refit_slopes[at], along, out=parts[2::2])
        np.add.accumulate(parts, axis=0, out=parts)
        return float(parts[-1:].std(axis=1, ddof=1)[0])


def _lay_out(term: Term | PairTerm, table: Sequence[float], levels: list[float], slopes: list[float]) -> None:
    """Add a term's entries: before the first knot, from each knot to the next, beyond the last, missing."""
    if not (isinstance(term, Term) and term.kind == "line"):
        levels.extend(table)
        slopes.extend([0.0] * len(table))
        return
    values, missing, knots = table[:-1], table[-1], term.knots
    rises = [(b - a) / (y - x) for a, b, x, y in zip(values, values[1:], knots, knots[1:], strict=False)]
    levels.extend([values[0], *values, missing])
    slopes.extend([0.0, *rises, 0.0, 0.0])


def _find(term: Term | PairTerm, start: int) -> _Find:
    if isinstance(term, PairTerm):
        return _find_pair(term, start)
    if term.kind == "line":
        return _find_line(term.feature, term.knots, start)
    place = _place(term.feature, term.axes[0], term.is_text[0])
    name = term.feature
    return lambda row: (start + place(row.get(name)), 0.0)


def _find_line(name: str, knots: tuple[float, ...], start: int) -> _Find:
    missing, last = (start + len(knots) + 1, 0.0), len(knots)

    def find(row: Row) -> tuple[int, float]:
        value = row.get(name)
        if value is None or value != value:  # noqa: PLR0124 - NaN is missing too
            return missing
        i = bisect_right(knots, value)
        return (start + i, value - knots[i - 1]) if 0 < i < last else (start + i, 0.0)

    return find


def _find_pair(term: PairTerm, start: int) -> _Find:
    (one, other), width = term.features, len(term.grid[0])
    first, second = (_place(*axis) for axis in zip(term.features, term.axes, term.is_text, strict=True))
    return lambda row: (start + first(row.get(one)) * width + second(row.get(other)), 0.0)


def _place(name: str, knots: Knots, is_text: bool) -> _Place:
    """Bins, then missing, then (texts) any other."""
    missing = len(knots) + (not is_text)
    if not is_text:
        return lambda value: missing if value is None or value != value else bisect_right(knots, value)  # noqa: PLR0124
    codes = {text: code for code, text in enumerate(knots)}

    def place(value: Any) -> int:
        if value is None:
            return missing
        if isinstance(value, str):
            return codes.get(value, missing + 1)
        if value != value:  # noqa: PLR0124 - frames may write missing text as NaN
            return missing
        raise FeatureMismatch(f"The feature {name!r} must be text, but holds {value!r}.")

    return place
