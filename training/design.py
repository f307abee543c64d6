"""From features to the columns of a linear fit, and from its coefficients back to tables.

Every feature becomes a few columns of the shape its declaration allows:

    line      x cut to its outer knots and to what was seen, plus max(x - k, 0) for every inner knot k
    steps     one indicator per bin
    category  one indicator per text seen often enough

They are laid out once (`Layout`, raw columns, NaN where unknown) and then centred and scaled on the rows a fit may
learn from (`Design`). An unknown value is all zeros, that is, the average: it neither helps nor hurts an account.
Numeric columns are scaled to unit variance, so that one penalty means the same for all of them.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features import Feature
from models.scorecard import Target, Term
from training.logistic import chunks

Floats = npt.NDArray[np.float64]

#: A text seen in fewer training rows than this is pooled with the unseen ones.
LEAST_ROWS = 50
#: A column with a smaller standard deviation says nothing.
_CONSTANT = 1e-9


@dataclass(frozen=True)
class Block:
    """The columns [start, stop) of one feature; `categories` are the texts that have one. A line is flat beyond what
    was `seen`: the steepness of its last stretch, often that of a few accounts, says nothing of values nobody had."""

    feature: Feature
    categories: tuple[str, ...]
    start: int
    stop: int
    seen: tuple[float, float] = (-np.inf, np.inf)

    def raw(self, values: pl.Series) -> Floats:
        """(n, width) columns, NaN where the value is unknown."""
        known = values.is_not_null().to_numpy()
        columns = self._shaped(values)
        columns[~known] = np.nan
        return columns

    def _shaped(self, values: pl.Series) -> Floats:
        if self.feature.categorical:
            texts = values.to_numpy()
            found: Floats = np.column_stack([texts == text for text in self.categories]).astype(np.float64)
            return found
        x = values.cast(pl.Float64).fill_null(0.0).to_numpy()
        knots = np.array(self.feature.basis.knots)
        if self.feature.basis.kind == "steps":
            bins = np.searchsorted(knots, x, side="right")
            steps: Floats = (bins[:, None] == np.arange(len(knots) + 1)).astype(np.float64)
            return steps
        x = np.clip(np.clip(x, *self.seen), knots[0], knots[-1])
        line: Floats = np.column_stack([x, *(np.maximum(x - knot, 0.0) for knot in knots[1:-1])])
        return line

    def places(self, expert: Term | None) -> pl.Series:
        """Where the table is read off: knots, one point inside each bin, or categories."""
        kind = self.feature.basis.kind
        theirs: Sequence[float | str] = ()
        if expert is not None:
            theirs = expert.categories if kind == "category" else expert.knots
        if kind == "category":
            return pl.Series(sorted({*self.categories, *theirs}), dtype=pl.String)
        knots = self.feature.basis.knots
        bends = [end for end in self.seen if knots[0] < end < knots[-1]] if kind == "line" else []
        edges = sorted({*knots, *bends, *(float(knot) for knot in theirs)})
        return pl.Series(edges if kind == "line" else [edges[0] - 1.0, *edges], dtype=pl.Float64)


def _expert_values(expert: Term | None, places: pl.Series, kind: str) -> Floats:
    if expert is None:
        return np.zeros(len(places))
    if kind == "category":
        table = dict(zip(expert.categories, expert.values, strict=True))
        return np.array([table.get(text, expert.unseen) for text in places])
    x = places.to_numpy()
    if kind == "line":
        return np.asarray(np.interp(x, expert.knots, expert.values), dtype=np.float64)
    found: Floats = np.array(expert.values)[np.searchsorted(expert.knots, x, side="right")]
    return found


@dataclass(frozen=True)
class Layout:
    """The raw columns of all features: which feature has which."""

    blocks: tuple[Block, ...]

    @classmethod
    def learn(cls, rows: pl.DataFrame, features: Iterable[Feature]) -> "Layout":
        """Lay out the features; texts get a column if enough rows have them."""
        blocks: list[Block] = []
        for feature in features:
            categories = _frequent(rows[feature.name]) if feature.categorical else ()
            knots = len(feature.basis.knots)
            width = {"line": max(knots - 1, 1), "steps": knots + 1, "category": len(categories)}[feature.basis.kind]
            start = blocks[-1].stop if blocks else 0
            blocks.append(Block(feature, categories, start, start + width, _seen(rows[feature.name], feature)))
        return cls(tuple(block for block in blocks if block.stop > block.start))

    def raw(self, rows: pl.DataFrame) -> Floats:
        """(n, width) raw columns of the rows, NaN where unknown."""
        return np.column_stack([block.raw(rows[block.feature.name]) for block in self.blocks])

    def where(self, names: Collection[str]) -> npt.NDArray[np.bool_]:
        """(width,) whether a column belongs to one of these features."""
        return np.concatenate([np.full(b.stop - b.start, b.feature.name in names) for b in self.blocks])


def _seen(values: pl.Series, feature: Feature) -> tuple[float, float]:
    """The least and the greatest known value of a line, to the hundredth below and above: tables are read by people."""
    known = values.drop_nulls() if feature.basis.kind == "line" else values.head(0)
    if not len(known):
        return -np.inf, np.inf
    numbers = known.cast(pl.Float64).to_numpy()
    return float(np.floor(100 * numbers.min()) / 100), float(np.ceil(100 * numbers.max()) / 100)


def _frequent(values: pl.Series) -> tuple[str, ...]:
    counts = values.drop_nulls().value_counts().filter(pl.col("count") >= LEAST_ROWS)
    return tuple(sorted(counts[values.name].to_list()))


@dataclass(frozen=True)
class Design:
    """A layout with what its columns are centred on and scaled by; columns that never varied count for nothing."""

    layout: Layout
    centres: Floats
    scales: Floats

    @classmethod
    def learn(cls, layout: Layout, raw: Floats) -> "Design":
        """Centre and scale on the raw columns of training rows."""
        known, total = np.zeros(raw.shape[1]), np.zeros(raw.shape[1])
        for part in chunks(len(raw)):
            unknown = np.isnan(raw[part])
            known += len(unknown) - unknown.sum(axis=0)
            total += np.where(unknown, 0.0, raw[part]).sum(axis=0)
        centres = total / np.maximum(known, 1)
        squares = np.zeros(raw.shape[1])
        for part in chunks(len(raw)):
            squares += np.nan_to_num((raw[part] - centres) ** 2, copy=False, nan=0.0).sum(axis=0)
        spread = np.sqrt(squares / np.maximum(known, 1))
        numeric = np.concatenate([np.full(b.stop - b.start, b.feature.basis.kind == "line") for b in layout.blocks])
        return cls(layout, centres, np.where(spread < _CONSTANT, np.inf, np.where(numeric, spread, 1.0)))

    @property
    def width(self) -> int:
        """How many columns the design has."""
        return len(self.centres)

    def matrix(self, raw: Floats) -> Floats:
        """(n, width) centred and scaled columns; unknown values are zeros."""
        found = np.empty_like(raw)
        factors = 1 / self.scales
        for part in chunks(len(raw)):
            np.multiply(raw[part] - self.centres, factors, out=found[part])
            np.nan_to_num(found[part], copy=False, nan=0.0)
        return found

    def terms(self, beta: Floats, expert: Sequence[Term], weight: float) -> tuple[Term, ...]:
        """Tables for coefficients (width,), plus the expert's tables taken `weight` times."""
        by_name = {term.feature: term for term in expert}
        found = [self._term(block, beta, by_name.pop(block.feature.name, None), weight) for block in self.layout.blocks]
        return (*found, *(scaled(term, weight) for term in by_name.values()))

    def directed(self, expert: Sequence[Term], target: Target) -> Floats:
        """(m, 1 + width) what declared directions ask of the expert's weight and the coefficients: every row times them
        is how far a table moves the declared way from one place to the next, and must not be negative. The first row
        is the weight itself, since the expert's tables move the declared way."""
        by_name = {term.feature: term for term in expert}
        rows = [np.eye(1, 1 + self.width)]
        for block in self.layout.blocks:
            direction = block.feature.direction(target)
            if direction and block.feature.basis.kind != "category":
                rows.append(direction * self._rises(block, by_name.get(block.feature.name)))
        return np.vstack(rows)

    def _rises(self, block: Block, expert: Term | None) -> Floats:
        """(places - 1, 1 + width) from place to place of one table."""
        places, part = block.places(expert), slice(block.start, block.stop)
        found = np.zeros((len(places) - 1, 1 + self.width))
        found[:, 0] = np.diff(_expert_values(expert, places, block.feature.basis.kind))
        found[:, 1:][:, part] = np.diff(block.raw(places) / self.scales[part], axis=0)
        return found

    def _term(self, block: Block, beta: Floats, expert: Term | None, weight: float) -> Term:
        part = slice(block.start, block.stop)
        name, kind = block.feature.name, block.feature.basis.kind
        places = block.places(expert)
        missing = weight * expert.missing if expert else 0.0
        own = ((block.raw(places) - self.centres[part]) / self.scales[part]) @ beta[part]
        values = tuple((own + weight * _expert_values(expert, places, kind)).tolist())
        if kind == "category":
            # A text without a column is a row of zeros before centring.
            rare = float((-self.centres[part] / self.scales[part]) @ beta[part])
            unseen = rare + (weight * expert.unseen if expert else 0.0)
            return Term(name, kind, categories=tuple(places), values=values, missing=missing, unseen=unseen)
        knots = tuple(places) if kind == "line" else tuple(places)[1:]
        return Term(name, kind, knots=knots, values=values, missing=missing)


def scaled(term: Term, weight: float) -> Term:
    """An expert's table taken `weight` times, for a feature the data says nothing about."""
    values = tuple(weight * value for value in term.values)
    return Term(
        term.feature, term.kind, term.knots, term.categories, values, weight * term.missing, weight * term.unseen
    )
