"""From features to the columns of a linear fit, and from its coefficients back to tables.

Every feature becomes a few centred columns of the shape its declaration allows:

    line      x cut to its outer knots, plus max(x - k, 0) for every inner knot k
    steps     one indicator per bin
    category  one indicator per text seen often enough

An unknown value is all zeros, that is, the average: it neither helps nor hurts an account. Numeric columns
are scaled to unit variance, so that one penalty means the same for all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features import Feature
from models.scorecard import Term

Floats = npt.NDArray[np.float64]

#: A text seen in fewer training rows than this is pooled with the unseen ones.
LEAST_ROWS = 50


@dataclass(frozen=True)
class Block:
    """The columns of one feature: what is subtracted from and divided into each."""

    feature: Feature
    categories: tuple[str, ...]
    centres: Floats
    scales: Floats

    @property
    def width(self) -> int:
        """How many columns the feature has."""
        return len(self.centres)

    def columns(self, values: pl.Series) -> Floats:
        """(n, width) centred and scaled columns; unknown values are zeros."""
        raw, known = _raw(self.feature, self.categories, values)
        return np.where(known[:, None], (raw - self.centres) / self.scales, 0.0)

    def term(self, beta: Floats, expert: Term | None, weight: float) -> Term:
        """The feature's table: its columns times `beta`, plus `weight` times the expert's table."""
        kind = self.feature.basis.kind
        places = self._places(expert)
        own = self.columns(places) @ beta
        values = own + weight * _expert_values(expert, places, kind)
        missing = weight * expert.missing if expert else 0.0
        if kind == "category":
            unseen = weight * expert.unseen if expert else 0.0
            return Term(self.feature.name, kind, categories=tuple(places), values=tuple(values), unseen=unseen)
        knots = tuple(places) if kind == "line" else tuple(places)[1:]
        return Term(self.feature.name, kind, knots=knots, values=tuple(values), missing=missing)

    def _places(self, expert: Term | None) -> pl.Series:
        """Where the table is read off: knots, one point inside each bin, or categories."""
        kind = self.feature.basis.kind
        theirs: Sequence[float | str] = ()
        if expert is not None:
            theirs = expert.categories if kind == "category" else expert.knots
        if kind == "category":
            return pl.Series(sorted({*self.categories, *theirs}), dtype=pl.String)
        edges = sorted({*self.feature.basis.knots, *(float(knot) for knot in theirs)})
        return pl.Series(edges if kind == "line" else [edges[0] - 1.0, *edges], dtype=pl.Float64)


def _raw(feature: Feature, categories: Sequence[str], values: pl.Series) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Uncentred columns and which rows are known."""
    known = values.is_not_null().to_numpy()
    if feature.categorical:
        texts = values.to_numpy()
        return np.column_stack([texts == text for text in categories]).astype(float), known
    x = values.fill_null(0.0).to_numpy()
    knots = np.array(feature.basis.knots)
    if feature.basis.kind == "steps":
        bins = np.searchsorted(knots, x, side="right")
        return (bins[:, None] == np.arange(len(knots) + 1)).astype(float), known
    x = np.clip(x, knots[0], knots[-1])
    return np.column_stack([x, *(np.maximum(x - knot, 0.0) for knot in knots[1:-1])]), known


def _expert_values(expert: Term | None, places: pl.Series, kind: str) -> Floats:
    if expert is None:
        return np.zeros(len(places))
    if kind == "category":
        table = dict(zip(expert.categories, expert.values, strict=True))
        return np.array([table.get(text, expert.unseen) for text in places])
    x = places.to_numpy()
    if kind == "line":
        return np.interp(x, expert.knots, expert.values)
    return np.array(expert.values)[np.searchsorted(expert.knots, x, side="right")]


@dataclass(frozen=True)
class Design:
    """The blocks of all features that vary in the training rows."""

    blocks: tuple[Block, ...]

    @classmethod
    def learn(cls, rows: pl.DataFrame, features: Iterable[Feature]) -> "Design":
        """Learn centres, scales and texts from training rows; features that never vary are left out."""
        blocks = (_learn(feature, rows[feature.name]) for feature in features)
        return cls(tuple(block for block in blocks if block is not None))

    @property
    def width(self) -> int:
        """How many columns the design has."""
        return sum(block.width for block in self.blocks)

    @property
    def names(self) -> tuple[str, ...]:
        """The features that have columns."""
        return tuple(block.feature.name for block in self.blocks)

    def matrix(self, rows: pl.DataFrame) -> Floats:
        """(n, width) columns of the rows."""
        return np.column_stack([block.columns(rows[block.feature.name]) for block in self.blocks])

    def terms(self, beta: Floats, expert: Sequence[Term], weight: float) -> tuple[Term, ...]:
        """Tables for coefficients (width,) and the expert's tables taken `weight` times."""
        by_name = {term.feature: term for term in expert}
        found, start = [], 0
        for block in self.blocks:
            part = beta[start : start + block.width]
            found.append(block.term(part, by_name.pop(block.feature.name, None), weight))
            start += block.width
        return (*found, *(scaled(term, weight) for term in by_name.values()))


def scaled(term: Term, weight: float) -> Term:
    """An expert's table taken `weight` times, for a feature the data says nothing about."""
    values = tuple(weight * value for value in term.values)
    return Term(
        term.feature, term.kind, term.knots, term.categories, values, weight * term.missing, weight * term.unseen
    )


def _learn(feature: Feature, values: pl.Series) -> Block | None:
    categories: tuple[str, ...] = ()
    if feature.categorical:
        counts = values.drop_nulls().value_counts().filter(pl.col("count") >= LEAST_ROWS)
        categories = tuple(sorted(counts[feature.name].to_list()))
    if values.drop_nulls().n_unique() < 2 or (feature.categorical and not categories):
        return None
    raw, known = _raw(feature, categories, values)
    seen = raw[known]
    scales = np.ones(raw.shape[1])
    if feature.basis.kind == "line":
        deviations = seen.std(axis=0)
        scales = np.where(deviations > 1e-9, deviations, np.inf)
    return Block(feature, categories, seen.mean(axis=0), scales)
