"""One row through scorecards without arrays: for a request that asks about one account while its caller waits.

The numbers are those of `Scorecard`, bit for bit (tested): the same tables, found by the same rule (how many edges
are <= x), added in the same order. Only the way there differs: an array of length one costs fifty times what it holds.
Scorecards of one model cut their features at the same edges, so where a value falls is found once for both.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from models.errors import FeatureMismatch
from models.scorecard import Scorecard
from models.terms import AnyTerm, GridTerm, Knots, Term

Row = Mapping[str, Any]
#: Per distinct axis: which entry of a table, and how far beyond its knot the value lies.
Places = Sequence[tuple[int, float]]
_Find = Callable[[Row], tuple[int, float]]
_Place = Callable[[Any], int]


class Axes:
    """The distinct ways in which the terms of some scorecards cut their features."""

    def __init__(self, cards: Sequence[Scorecard]) -> None:
        self._numbers: dict[Any, int] = {}
        self._finds: list[_Find] = []
        for card in cards:
            for term in card.all_terms:
                self.number(term)

    def number(self, term: AnyTerm) -> int:
        """Which of the axes is the term's."""
        cut = (term.features, term.axes, isinstance(term, Term) and term.kind)
        if cut not in self._numbers:
            self._numbers[cut] = len(self._finds)
            self._finds.append(_find(term))
        return self._numbers[cut]

    def places(self, row: Row) -> Places:
        """Where the row's values lie: feature name -> number or text; None, absent or NaN is missing.

        Raises `FeatureMismatch` for an ill-typed value.
        """
        return [find(row) for find in self._finds]


class ScalarCard:
    """A scorecard laid out for places."""

    def __init__(self, card: Scorecard, axes: Axes) -> None:
        self.card = card
        refits: list[tuple[list[float], list[float]]] = [([], []) for _ in card.base_replicates]
        self._terms: list[tuple[int, list[float], list[float]]] = []
        starts: list[int] = []
        for term in card.all_terms:
            starts.append(sum(len(levels) for _, levels, _ in self._terms))
            self._terms.append((axes.number(term), *_lay_out(term, term.table)))
            for table, (levels, slopes) in zip(term.replicate_tables(), refits, strict=True):
                more_levels, more_slopes = _lay_out(term, table)
                levels.extend(more_levels)
                slopes.extend(more_slopes)
        self._starts = [(number, start) for (number, _, _), start in zip(self._terms, starts, strict=True)]
        self._bases = np.array(card.base_replicates)
        self._refit_levels = np.ascontiguousarray(np.array([levels for levels, _ in refits]).T)
        self._refit_slopes = np.ascontiguousarray(np.array([slopes for _, slopes in refits]).T)

    def contributions(self, places: Places) -> list[float]:
        """Log-odds per term, in the order of `Scorecard.names`."""
        found = []
        for number, levels, slopes in self._terms:
            at, along = places[number]
            found.append(levels[at] + slopes[at] * along)
        return found

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
        at = np.array([start + places[number][0] for number, start in self._starts])
        along = np.array([places[number][1] for number, _ in self._starts])
        parts = np.empty((1 + 2 * len(at), len(self._bases)))
        parts[0] = self._bases
        self._refit_levels.take(at, axis=0, out=parts[1::2])
        np.multiply(self._refit_slopes.take(at, axis=0), along[:, None], out=parts[2::2])
        np.add.accumulate(parts, axis=0, out=parts)
        refits = parts[-1]
        # As `std` does it, without its looking around.
        off = refits - np.add.reduce(refits) / len(refits)
        return float(np.sqrt(np.add.reduce(off * off) / (len(refits) - 1)))


def _lay_out(term: AnyTerm, table: Sequence[float]) -> tuple[list[float], list[float]]:
    """A table's levels and slopes; of a line: before the first knot, from each on, beyond the last, missing."""
    if not (isinstance(term, Term) and term.kind == "line"):
        return list(table), [0.0] * len(table)
    values, missing, knots = table[:-1], table[-1], term.knots
    rises = [(b - a) / (y - x) for a, b, x, y in zip(values, values[1:], knots, knots[1:], strict=False)]
    return [values[0], *values, missing], [0.0, *rises, 0.0, 0.0]


def _find(term: AnyTerm) -> _Find:
    if isinstance(term, GridTerm):
        return _find_grid(term)
    if term.kind == "line":
        return _find_line(term.feature, term.knots)
    place = _place(term.feature, term.axes[0], term.is_text[0])
    name = term.feature
    return lambda row: (place(row.get(name)), 0.0)


def _find_line(name: str, knots: tuple[float, ...]) -> _Find:
    missing, last = (len(knots) + 1, 0.0), len(knots)

    def find(row: Row) -> tuple[int, float]:
        value = row.get(name)
        if value is None or value != value:  # noqa: PLR0124 - NaN is missing too
            return missing
        i = bisect_right(knots, value)
        return (i, value - knots[i - 1]) if 0 < i < last else (i, 0.0)

    return find


def _find_grid(term: GridTerm) -> _Find:
    places = [_place(*axis) for axis in zip(term.features, term.axes, term.is_text, strict=True)]
    first, *others = zip(term.features, places, term.shape, strict=True)

    def find(row: Row) -> tuple[int, float]:
        name, place, _ = first
        at = place(row.get(name))
        for name, place, width in others:
            at = at * width + place(row.get(name))
        return at, 0.0

    return find


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
