"""The tables a scorecard is made of: one feature's bins, or a grid of two or three, in log-odds.

A table is declared by plain numbers and texts, checked when it is built, and can name its own bins, so that
a person can read the model line by line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, pairwise, product
from typing import Any, Literal

from models.errors import ArtefactError

Kind = Literal["line", "steps", "category"]
#: The edges of a numeric feature's bins, or the categories of a text feature.
Knots = tuple[float, ...] | tuple[str, ...]

#: The entries of a grid: numbers, inside as many tuples as it has features.
Grid = tuple[Any, ...]
GRID_FEATURES = (2, 3)

KINDS = ("line", "steps", "category")


@dataclass(frozen=True)
class Term:
    """One feature's table.

    `line`: piecewise linear through (knots, values), constant beyond the ends. `steps`: `len(knots) + 1`
    values, the i-th where i knots are <= x (lower edge inclusive). `category`: one value per category,
    `unseen` for any other text. `missing` is the value where the feature is unknown. `replicates`, when
    given, are K refits of the table, each as long as `table`. Raises `ArtefactError` when it makes no sense.
    """

    feature: str
    kind: Kind
    knots: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    values: tuple[float, ...] = ()
    missing: float = 0.0
    unseen: float = 0.0
    replicates: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        assign(self, knots=floats(self.knots), categories=_texts(self.categories), values=floats(self.values))
        assign(self, missing=float(self.missing), unseen=float(self.unseen))
        assign(self, replicates=tuple(floats(row) for row in self.replicates))
        _check_term(self)

    @property
    def name(self) -> str:
        """The feature's name."""
        return self.feature

    @property
    def features(self) -> tuple[str, ...]:
        """The one feature it reads."""
        return (self.feature,)

    @property
    def axes(self) -> tuple[Knots, ...]:
        """Edges or categories of the one feature."""
        return (self.categories,) if self.kind == "category" else (self.knots,)

    @property
    def is_text(self) -> tuple[bool, ...]:
        """Whether the one feature is text."""
        return (self.kind == "category",)

    @property
    def table(self) -> tuple[float, ...]:
        """The values, then missing, then (for categories) unseen: the order of a replicate."""
        return (*self.values, self.missing, *((self.unseen,) if self.kind == "category" else ()))

    @property
    def bins(self) -> tuple[str, ...]:
        """What each number of `table` is for, in words."""
        if self.kind != "line":
            return self.places
        first, *rest = map(_number, self.knots)
        inner, last = rest[:-1], rest[-1:]
        if not rest:
            return ("any", "missing")
        return (f"<= {first}", *(f"at {knot}" for knot in inner), *(f">= {knot}" for knot in last), "missing")

    @property
    def places(self) -> tuple[str, ...]:
        """Where a value can fall, in words: as `bins`, but between the knots of a line."""
        return _bin_texts(self.axes[0], self.is_text[0])

    def with_table(self, table: Sequence[float], replicates: Sequence[Sequence[float]] = ()) -> "Term":
        """The same bins with other numbers, in the order of `table`."""
        values, rest = tuple(table[: len(self.values)]), table[len(self.values) :]
        unseen = rest[1] if self.kind == "category" else 0.0
        rows = tuple(tuple(row) for row in replicates)
        return replace(self, values=values, missing=rest[0], unseen=unseen, replicates=rows)

    def replicate_tables(self) -> tuple[tuple[float, ...], ...]:
        """K tables, each in the order of `table`."""
        return self.replicates


@dataclass(frozen=True)
class GridTerm:
    """A grid over two or three features.

    `knots`: for each feature either its edges (numbers, as in `steps`) or its categories (text). The grid has
    an entry per bin of the first feature, each with one per bin of the second (and each of those, where there is a
    third, with one per bin of the third); after the bins comes the one for missing, and for categories then the one
    for unseen. `replicates`, when given, are K such grids. Raises `ArtefactError` when it makes no sense.
    """

    features: tuple[str, ...]
    knots: tuple[Knots, ...]
    grid: Grid
    replicates: tuple[Grid, ...] = ()

    def __post_init__(self) -> None:
        assign(self, features=tuple(self.features), knots=tuple(map(_knots, self.knots)))
        assign(self, grid=_nested(self.grid), replicates=tuple(map(_nested, self.replicates)))
        _check_grid(self)

    @property
    def name(self) -> str:
        """All features' names."""
        return " x ".join(map(str, self.features))

    @property
    def axes(self) -> tuple[Knots, ...]:
        """Edges or categories of each feature."""
        return self.knots

    @property
    def is_text(self) -> tuple[bool, ...]:
        """Whether each feature is text."""
        return tuple(isinstance(knots[0], str) for knots in self.knots)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many places each feature has, missing (and unseen) included."""
        return tuple(len(knots) + 2 for knots in self.knots)

    @property
    def table(self) -> tuple[float, ...]:
        """The grid, row after row: the order of a flattened replicate."""
        return _flat(self.grid, len(self.features))

    @property
    def bins(self) -> tuple[str, ...]:
        """What each number of `table` is for, in words."""
        words = [
            [f"{name} {text}" for text in _bin_texts(knots, is_text)]
            for name, knots, is_text in zip(self.features, self.axes, self.is_text, strict=True)
        ]
        return tuple(map(", ".join, product(*words)))

    @property
    def places(self) -> tuple[str, ...]:
        """Where the values can fall together, in words."""
        return self.bins

    def with_table(self, table: Sequence[float], replicates: Sequence[Sequence[float]] = ()) -> "GridTerm":
        """The same bins with other numbers, in the order of `table`."""
        return replace(self, grid=self._folded(table), replicates=tuple(map(self._folded, replicates)))

    def replicate_tables(self) -> tuple[tuple[float, ...], ...]:
        """K tables, each in the order of `table`."""
        return tuple(_flat(grid, len(self.features)) for grid in self.replicates)

    def _folded(self, table: Sequence[float]) -> Grid:
        folded: Sequence[Any] = table
        for width in reversed(self.shape[1:]):
            folded = [folded[start : start + width] for start in range(0, len(folded), width)]
        return tuple(folded)


#: A table of one feature's bins or a grid of several features'.
AnyTerm = Term | GridTerm


def assign(instance: object, **values: Any) -> None:
    """Set fields of a frozen dataclass while it is being built."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def floats(values: Sequence[float]) -> tuple[float, ...]:
    """The values as Python floats, whatever number type they came in."""
    return tuple(map(float, values))


def require(condition: bool, sentence: str) -> None:
    """Raise `ArtefactError` unless the condition holds."""
    if not condition:
        raise ArtefactError(sentence)


def _texts(values: Sequence[str]) -> tuple[str, ...]:
    """The values as Python texts; what is no text stays, for the check to name it."""
    return tuple(str(value) if isinstance(value, str) else value for value in values)


def _knots(values: Sequence[float] | Sequence[str]) -> Knots:
    return _texts(values) if any(isinstance(value, str) for value in values) else floats(values)  # type: ignore[arg-type]


def _nested(values: Any) -> Any:
    """A grid's entries as floats in tuples, whatever number and sequence types they came in."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    return tuple(map(_nested, plain)) if isinstance(plain, list | tuple) else float(plain)


def _flat(grid: Grid, depth: int) -> tuple[float, ...]:
    for _ in range(depth - 1):
        grid = tuple(chain.from_iterable(grid))
    return grid


def _check_term(term: Term) -> None:
    name = term.feature
    require(isinstance(name, str) and bool(name), "A term of the scorecard names no feature.")
    require(term.kind in KINDS, f"The term {name!r} has the unknown kind {term.kind!r}.")
    if term.kind == "category":
        require(not term.knots, f"The term {name!r} has categories and knots; it can have one of them.")
        _check_categories(name, term.categories)
    else:
        require(not term.categories, f"The term {name!r} is numeric but lists categories.")
        require(term.unseen == 0.0, f"The term {name!r} is numeric and cannot have a value for unseen text.")
        _check_edges(name, term.knots)
    expected = {"line": len(term.knots), "steps": len(term.knots) + 1, "category": len(term.categories)}
    _check_length(name, len(term.values), expected[term.kind])
    require(bool(term.values), f"The line of {name!r} has no knots.")
    for table in (term.table, *term.replicates):
        _check_length(name, len(table), len(term.table))
        _check_finite(name, table)
    if term.kind == "line":
        _check_slopes(term)


def _check_slopes(term: Term) -> None:
    """Knots too close (or too far) for their values would interpolate to infinity."""
    for table in (term.values, *term.replicates):
        for i in range(len(term.knots) - 1):
            width = term.knots[i + 1] - term.knots[i]
            usable = math.isfinite(width) and math.isfinite(table[i + 1] - table[i])
            usable = usable and math.isfinite((table[i + 1] - table[i]) / width)
            require(usable, f"The line of {term.feature!r} is too steep between its knots {i} and {i + 1}.")


def _check_grid(term: GridTerm) -> None:
    many = len(term.features)
    require(many in GRID_FEATURES and len(term.knots) == many, "A grid needs two or three features, each with knots.")
    require(all(isinstance(name, str) and name for name in term.features), "A grid names no feature.")
    require(len(set(term.features)) == many, f"The grid {term.name!r} uses one feature twice.")
    for knots in term.knots:
        require(len(knots) > 0, f"The grid {term.name!r} has an axis without edges or categories.")
        if isinstance(knots[0], str):
            _check_categories(term.name, knots)
        else:
            _check_edges(term.name, knots)
    for grid in (term.grid, *term.replicates):
        _check_shape(term.name, grid, term.shape)


def _check_shape(name: str, grid: Grid, shape: tuple[int, ...]) -> None:
    _check_length(name, len(grid), shape[0])
    if len(shape) == 1:
        require(all(isinstance(cell, float) for cell in grid), f"An entry of {name!r} is not a number.")
        _check_finite(name, grid)
    else:
        for part in grid:
            require(isinstance(part, tuple), f"The table of {name!r} has too few dimensions.")
            _check_shape(name, part, shape[1:])


def _check_edges(name: str, knots: Knots) -> None:
    _check_finite(name, knots)
    rising = all(a < b for a, b in pairwise(knots))  # type: ignore[operator]
    require(rising, f"The knots of {name!r} do not rise.")


def _check_categories(name: str, categories: Knots) -> None:
    require(len(categories) > 0, f"The term {name!r} lists no categories.")
    require(all(isinstance(text, str) for text in categories), f"A category of {name!r} is not text.")
    require(len(set(categories)) == len(categories), f"The term {name!r} lists a category twice.")


def _check_finite(name: str, values: Sequence[Any]) -> None:
    require(all(map(math.isfinite, values)), f"The table of {name!r} holds a number that is not finite.")


def _check_length(name: str, found: int, expected: int) -> None:
    require(found == expected, f"The table of {name!r} has {found} entries where {expected} are needed.")


def _bin_texts(knots: Knots, text: bool) -> tuple[str, ...]:
    if text:
        return (*map(str, knots), "missing", "any other")
    if not knots:
        return ("any", "missing")
    edges = [_number(float(knot)) for knot in knots]
    inner = (f"{low} to < {high}" for low, high in pairwise(edges))
    return (f"< {edges[0]}", *inner, f">= {edges[-1]}", "missing")


def _number(value: float) -> str:
    """Shortest text that reads back as the same number, without a trailing .0."""
    return repr(value).removesuffix(".0")
