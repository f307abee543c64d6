"""A scorecard's tables laid out for look-up: one flat array of log-odds, every term a stretch of it.

Where a value falls is found feature by feature (binary search among the edges, a dictionary for text);
everything after that happens for all terms at once. Each operation works element by element, so a row's
numbers do not depend on which rows are looked up with it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.errors import FeatureMismatch
from models.terms import AnyTerm, Knots, Term

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
#: Feature name -> values, one per account: numbers with NaN = missing, or objects (text) with None = missing.
Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Edges:
    """Finds the bin of a number: i where i edges are <= x; one past the last bin where x is missing."""

    feature: str
    edges: Floats
    is_text = False

    @property
    def width(self) -> int:
        """How many bins there are, missing included."""
        return len(self.edges) + 1

    def locate(self, values: npt.NDArray[Any]) -> Indices:
        """(n,) bins of the values."""
        # The edges end in NaN, which sorts last: right of it lie the missing values and nothing else.
        return self.edges.searchsorted(values, "right")


@dataclass(frozen=True)
class Categories:
    """Finds the bin of a text: its category, then missing, then any other text."""

    feature: str
    codes: Mapping[str | None, int]
    is_text = True

    @property
    def width(self) -> int:
        """How many bins there are, missing and any other included."""
        return self.codes[None] + 2

    def locate(self, values: npt.NDArray[Any]) -> Indices:
        """(n,) bins of the values. Raises `FeatureMismatch` for a value that is not text."""
        found = [self.codes.get(value, -1) for value in values.tolist()]
        if -1 in found:
            found = [self._other(values[row]) if code < 0 else code for row, code in enumerate(found)]
        return np.array(found, dtype=np.intp)

    def _other(self, value: object) -> int:
        missing = self.codes[None]
        if isinstance(value, str):
            return missing + 1
        if isinstance(value, float) and math.isnan(value):  # frames may write missing text as NaN
            return missing
        raise FeatureMismatch(f"The feature {self.feature!r} must be text, but holds {value!r}.")


class Stretch(NamedTuple):
    """One term's entries: at x the log-odds are level + slope * (x - origin). Refits are (entries, K)."""

    level: Floats
    origin: Floats
    slope: Floats
    refit_level: Floats
    refit_slope: Floats


class Found(NamedTuple):
    """Where some rows read: `at` (terms, n) places among all entries, `along` (lines, n) how far beyond the knot before
    each value of a line lies."""

    at: Indices
    along: Floats


@dataclass(frozen=True)
class Lookup:
    """All terms of a scorecard: the axes of each, where its stretch starts, and the joined stretches.

    `lines` are the positions of the line terms, `low` and `high` their outermost knots.
    """

    axes: tuple[tuple[Edges | Categories, ...], ...]
    is_text: Mapping[str, bool]
    starts: Indices
    entries: Stretch
    lines: Indices
    low: Floats
    high: Floats

    @classmethod
    def of(cls, terms: Sequence[AnyTerm], refits: int) -> "Lookup":
        """Lay out terms that carry `refits` replicates each."""
        axes = tuple(tuple(map(_axis, term.features, term.axes, term.is_text)) for term in terms)
        stretches = [_stretch(term) for term in terms]
        lines = [i for i, term in enumerate(terms) if isinstance(term, Term) and term.kind == "line"]
        sizes = [len(stretch.level) for stretch in stretches]
        return cls(
            axes=axes,
            is_text={axis.feature: axis.is_text for term in axes for axis in term},
            starts=_column([sum(sizes[:i]) for i in range(len(sizes))]).astype(np.intp),
            entries=_join(stretches, refits),
            lines=np.array(lines, dtype=np.intp),
            low=_column([terms[i].axes[0][0] for i in lines]),
            high=_column([terms[i].axes[0][-1] for i in lines]),
        )

    def columns(self, columns: Columns) -> tuple[Columns, int]:
        """The columns the terms read, as float64 or objects, and their common length.

        Raises `FeatureMismatch` where one is absent, of another type or of another length.
        """
        ready = {name: _ready(columns, name, text) for name, text in self.is_text.items()}
        lengths = {len(values) for values in (ready or columns).values()}
        if len(lengths) > 1:
            raise FeatureMismatch("The feature columns differ in length; each needs one value per account.")
        return ready, lengths.pop() if lengths else 0

    def places(self, columns: Columns, part: slice) -> Indices:
        """(terms, n) place of each value among the entries of its term."""
        found = np.empty((len(self.axes), part.stop - part.start), dtype=np.intp)
        for row, (first, *others) in zip(found, self.axes, strict=True):
            row[:] = first.locate(columns[first.feature][part])
            for axis in others:
                np.multiply(row, axis.width, out=row)
                np.add(row, axis.locate(columns[axis.feature][part]), out=row)
        return found

    def find(self, columns: Columns, part: slice) -> "Found":
        """Where the rows of `part` read, to be looked up once and used for contributions and refits alike."""
        at = self.places(columns, part) + self.starts
        return Found(at, self._along(columns, part, at[self.lines]))

    def contributions(self, found: "Found") -> Floats:
        """(terms, n) log-odds."""
        amounts = self.entries.level.take(found.at)
        if len(self.lines):
            amounts[self.lines] += self.entries.slope.take(found.at[self.lines]) * found.along
        return amounts

    def spread(self, found: "Found", base: Floats) -> Floats:
        """(n, K) log-odds of the K refits, whose bases are `base`."""
        total = np.tile(base, (found.at.shape[1], 1))
        along = dict(zip(self.lines.tolist(), found.along, strict=True))
        # One array for what is added, and places that are known to exist: half the time of `total += table[row]`.
        added = np.empty_like(total)
        for term, row in enumerate(found.at):
            self.entries.refit_level.take(row, axis=0, out=added, mode="clip")
            total += added
            if term in along:
                self.entries.refit_slope.take(row, axis=0, out=added, mode="clip")
                added *= along[term][:, None]
                total += added
        return total

    def _along(self, columns: Columns, part: slice, at: Indices) -> Floats:
        """(lines, n) how far each value lies beyond the knot before it; a missing one counts as the lowest,
        which its slope of zero then ignores."""
        values = np.empty(at.shape)
        for row, line in zip(values, self.lines, strict=True):
            row[:] = columns[self.axes[line][0].feature][part]
        inside = np.fmin(np.fmax(values, self.low), self.high)
        return inside - self.entries.origin.take(at)


def _axis(feature: str, knots: Knots, is_text: bool) -> Edges | Categories:
    if not is_text:
        return Edges(feature, np.array([*knots, np.nan], dtype=np.float64))
    codes: dict[str | None, int] = {str(text): code for code, text in enumerate(knots)}
    return Categories(feature, codes | {None: len(knots)})


def _stretch(term: AnyTerm) -> Stretch:
    tables = np.array([term.table, *term.replicate_tables()], dtype=np.float64).T
    origin, level, slope = np.zeros(len(tables)), tables, np.zeros_like(tables)
    if isinstance(term, Term) and term.kind == "line":
        origin, level, slope = _segments(np.array(term.knots), tables)
    return Stretch(level[:, 0], origin, slope[:, 0], level[:, 1:], slope[:, 1:])


def _segments(knots: Floats, tables: Floats) -> tuple[Floats, Floats, Floats]:
    """Before the first knot, from each knot to the next, beyond the last, missing."""
    flat = np.zeros((1, tables.shape[1]))
    rise = np.diff(tables[:-1], axis=0) / np.diff(knots)[:, None]
    origin = np.concatenate((knots[:1], knots, knots[:1]))
    return origin, np.concatenate((tables[:1], tables)), np.concatenate((flat, rise, flat, flat))


def _join(stretches: Sequence[Stretch], refits: int) -> Stretch:
    none, no_refits = np.empty(0), np.empty((0, refits))
    empty = Stretch(none, none, none, no_refits, no_refits)
    return Stretch(*(np.concatenate(parts) for parts in zip(empty, *stretches, strict=True)))


def _column(values: Sequence[Any]) -> Floats:
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def _ready(columns: Columns, name: str, is_text: bool) -> npt.NDArray[Any]:
    if name not in columns:
        raise FeatureMismatch(f"The model reads the feature {name!r}, which was not given.")
    values = np.asarray(columns[name])
    if values.ndim != 1:
        raise FeatureMismatch(f"The feature {name!r} needs one value per account, in one dimension.")
    if is_text:
        return values
    if values.dtype.kind not in "fiub":
        raise FeatureMismatch(f"The feature {name!r} must hold numbers, but its column is of type {values.dtype}.")
    return values.astype(np.float64, copy=False)
