"""What a fit found, as tables: one for a feature, a grid for several, one version per bag.

Tables of the same features add up, whatever their edges: both are written on the union of the edges first, which
changes no value. So a sum of fits is again one scorecard with one table per set of features.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from models.scorecard import GridTerm, Scorecard, Target, Term
from models.terms import AnyTerm, Knots
from training.additive.columns import Column, Columns, places

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Part:
    """Tables (bags, *places) over `features`, whose places are those of a term: bins, then missing, or categories, then
    missing, then any other."""

    features: tuple[str, ...]
    knots: tuple[Knots, ...]
    tables: Floats

    @property
    def is_text(self) -> tuple[bool, ...]:
        """Whether each feature is text."""
        return tuple(bool(knots) and isinstance(knots[0], str) for knots in self.knots)

    def weighted(self, weight: float) -> "Part":
        """The part taken `weight` times."""
        return replace(self, tables=self.tables * weight)

    def on(self, knots: tuple[Knots, ...]) -> "Part":
        """The same numbers on more edges."""
        tables = self.tables
        for axis, (old, new, text) in enumerate(zip(self.knots, knots, self.is_text, strict=True)):
            if old != new:
                tables = np.take(tables, _from(old, new, text), axis=axis + 1)
        return Part(self.features, knots, tables)

    def mass(self, columns: Columns, axis: int = 0) -> Floats:
        """(places,) how many rows fall on each place of one feature."""
        at = places(columns[self.features[axis]], self.knots[axis], is_text=self.is_text[axis])
        return np.bincount(at, minlength=len(self.knots[axis]) + 2).astype(np.float64)

    def pruned(self) -> "Part":
        """Without edges that separate nothing."""
        knots, tables = list(self.knots), self.tables
        for axis, text in enumerate(self.is_text):
            if text or len(knots[axis]) < 2:
                continue
            bins = np.moveaxis(tables, axis + 1, 0)[:-1]
            matters = (np.diff(bins, axis=0) != 0).reshape(len(bins) - 1, -1).any(axis=1)
            if not matters.any():
                matters[0] = True
            kept = np.concatenate([[True], matters, [True]])
            tables = np.compress(kept, tables, axis=axis + 1)
            knots[axis] = tuple(np.array(knots[axis], dtype=np.float64)[matters].tolist())
        return Part(self.features, tuple(knots), tables)


def _from(old: Knots, new: Knots, is_text: bool) -> npt.NDArray[np.intp]:
    """For each place on the new edges, the place on the old ones; a text these do not name was any other."""
    if is_text:
        place, other = {text: at for at, text in enumerate(old)}, len(old) + 1
        return np.array([*(place.get(text, other) for text in new), len(old), other])
    before = np.array(old, dtype=np.float64).searchsorted(np.array(new, dtype=np.float64), "right")
    return np.concatenate([[0], before, [len(old) + 1]])


def union(parts: Sequence[Part]) -> tuple[Knots, ...]:
    """The edges, or texts, of several parts of the same features, together."""
    return tuple(tuple(sorted(set().union(*axes))) for axes in zip(*(part.knots for part in parts), strict=True))


def merged(parts: Iterable[Part]) -> list[Part]:
    """One part per set of features: the sums."""
    by_features: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        by_features.setdefault(part.features, []).append(part)
    found = []
    for features, same in by_features.items():
        knots = union(same)
        found.append(Part(features, knots, np.sum([part.on(knots).tables for part in same], axis=0)))
    return found


def purified(part: Part, columns: Columns) -> list[Part]:
    """A grid without what its features do one by one, and that as parts of single features. Together they are what the
    grid was; a reader then finds a feature's effect in its own table.

    What a feature does is the grid's mean over the other features, each spread as it is by itself: so a grid that
    moves one way along a feature everywhere gives that feature a table that does.
    """
    count = len(part.features)
    weights = [mass / mass.sum() for mass in (part.mass(columns, axis) for axis in range(count))]
    grid, singles = part.tables, []
    for axis in range(count):
        mean = grid
        for other in reversed([other for other in range(count) if other != axis]):
            mean = np.tensordot(mean, weights[other], (other + 1, 0))
        singles.append(Part((part.features[axis],), (part.knots[axis],), mean))
        grid = grid - np.expand_dims(mean, tuple(other + 1 for other in range(count) if other != axis))
    return [replace(part, tables=grid), *singles]


def scorecard(target: Target, bases: Floats, parts: Sequence[Part], order: Sequence[Column]) -> Scorecard:
    """The mean over the bags as a scorecard. Each of the K bags leaves out two K-ths of the groups: a jackknife,
    whose standard error is (K - 2) / sqrt(2 K) times their standard deviation, and so much wider the replicates lie."""
    place = {column.name: i for i, column in enumerate(order)}
    ordered = sorted(parts, key=lambda part: (len(part.features), [place[name] for name in part.features]))
    scale = (len(bases) - 2) / np.sqrt(2 * len(bases))
    terms = [_term(part, scale) for part in ordered]
    return Scorecard(
        target,
        float(bases.mean()),
        tuple(term for term in terms if isinstance(term, Term)),
        tuple(term for term in terms if isinstance(term, GridTerm)),
        tuple((bases.mean() + scale * (bases - bases.mean())).tolist()) if len(bases) > 1 else (),
    )


def _term(part: Part, scale: float) -> AnyTerm:
    mean = part.tables.mean(axis=0)
    spread = mean + scale * (part.tables - mean) if len(part.tables) > 1 else part.tables[:0]
    if len(part.features) > 1:
        return GridTerm(part.features, part.knots, mean.tolist(), spread.tolist())
    name, knots, text = part.features[0], part.knots[0], part.is_text[0]
    count = len(knots) + (not text)
    texts, numbers = (knots, ()) if text else ((), knots)
    return Term(
        name,
        "category" if text else "steps",
        numbers,  # type: ignore[arg-type]
        texts,  # type: ignore[arg-type]
        tuple(mean[:count].tolist()),
        missing=float(mean[count]),
        unseen=float(mean[count + 1]) if text else 0.0,
        replicates=tuple(map(tuple, spread.tolist())),
    )
