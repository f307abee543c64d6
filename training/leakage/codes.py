"""A column as a few codes, so that every check after it is counting.

    3.5, unknown, 120.0, 3.5   ->   1, 0, 2, 1        0: unknown; numbers in order, texts in order of frequency

Numbers with few distinct values keep each of them; others are cut into bins of equal mass. A row of a table becomes a
row of small integers, and a check costs a `bincount` per column instead of a sort per question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import ContractError

Codes = npt.NDArray[np.intp]
Vector = npt.NDArray[np.float64]

#: Numbers with at most so many distinct values are not binned.
DISTINCT = 64
#: Bins of equal mass for the others.
BINS = 32
#: Distinct numbers are looked at one by one where each comes back so often on average.
REPEATED = 3
#: Values the bins' edges are measured on.
MEASURED = 20_000


@dataclass(frozen=True)
class Column:
    """A column in codes.

    codes   one per row; 0 is unknown
    size    number of codes, 0 included
    zero    the code of the number 0 where it is a value of its own, else None
    texts   the text of each code (index 0: unused); empty for numbers and times
    exact   codes of the distinct numbers themselves where `codes` are bins of repeated ones: an id, or the
            mean of one, is a number whose every value stands for something
    x       the numbers, NaN where unknown; None for texts
    """

    name: str
    codes: Codes
    size: int
    numeric: bool
    zero: int | None = None
    texts: tuple[str, ...] = ()
    exact: Codes | None = None
    x: Vector | None = None


@dataclass(frozen=True)
class Table:
    """The labelled rows of a frame: columns in codes, the label, and which rows belong together.

    y       0 or 1, one per row
    groups  codes of the groups, dense from 0
    unit    what a row is, for sentences
    """

    columns: tuple[Column, ...]
    y: Vector
    groups: Codes
    unit: str = "rows"

    @cached_property
    def events(self) -> int:
        """Groups with at least one row that left."""
        return int(np.unique(self.groups[self.y > 0]).size)

    @cached_property
    def others(self) -> int:
        """Groups with at least one row that stayed."""
        return int(np.unique(self.groups[self.y < 1]).size)

    @cached_property
    def rows_per_group(self) -> float:
        """Rows of one group overlap and are one piece of evidence: counts are divided by this in intervals."""
        return float(len(self.y) / max(1, self.groups.max(initial=0) + 1))


def of(rows: pl.DataFrame, names: Sequence[str], label: str, group: str | None) -> Table:
    """The coded table of rows whose label is known. Raises `ContractError` for a label that is not 0 or 1."""
    y = rows[label].cast(pl.Float64, strict=False).to_numpy()
    if not np.isin(y, (0.0, 1.0)).all():
        raise ContractError(f"The label {label!r} must be 0, 1 or unknown in every row.")
    groups = np.arange(rows.height) if group is None else dense(rows[group])
    return Table(tuple(coded(rows[name]) for name in names), y, groups)


def dense(values: pl.Series) -> Codes:
    """Codes from 0 in order of value; unknown ones are a group together."""
    ranks = values.cast(pl.String).fill_null("").rank("dense")
    return (ranks.to_numpy() - 1).astype(np.intp)


def coded(column: pl.Series) -> Column:
    """Bins for numbers, times and truth values; codes by frequency for everything else."""
    if column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.Boolean:
        return _number(column)
    return _text(column)


def values(column: pl.Series) -> Vector:
    """A number per row, NaN where unknown; times as their number of units since 1970."""
    plain = column.to_physical() if column.dtype.is_temporal() else column
    return plain.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _number(column: pl.Series) -> Column:
    x = values(column)
    known = ~np.isnan(x)
    codes = np.zeros(len(x), dtype=np.intp)
    edges = _edges(x[known])
    codes[known] = np.searchsorted(edges, x[known]) + 1
    at = int(np.searchsorted(edges, 0.0))
    alone = at < len(edges) and edges[at] == 0.0 and bool(((codes == at + 1) <= (x == 0.0)).all())
    exact = _exact(x, known) if len(edges) + 2 > BINS else None
    return Column(column.name, codes, len(edges) + 2, True, at + 1 if alone else None, exact=exact, x=x)


def _exact(x: Vector, known: npt.NDArray[np.bool_]) -> Codes | None:
    """The distinct values in codes, where they come back often enough to say anything."""
    distinct, inverse = np.unique(x[known], return_inverse=True)
    if not DISTINCT < len(distinct) <= known.sum() / REPEATED:
        return None
    codes = np.zeros(len(x), dtype=np.intp)
    codes[known] = inverse + 1
    return codes


def _edges(known: Vector) -> Vector:
    """Upper edges of the bins, each inclusive; a value as frequent as a bin gets a bin of its own."""
    if len(known) > MEASURED:
        known = known[np.linspace(0, len(known) - 1, MEASURED).astype(np.intp)]
    distinct, counts = np.unique(known, return_counts=True)
    if len(distinct) <= DISTINCT:
        return distinct.astype(np.float64)
    heavy = np.flatnonzero(counts * BINS > len(known))
    chosen = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:], method="inverted_cdf")
    before = distinct[heavy[heavy > 0] - 1]
    return np.unique(np.concatenate([chosen, distinct[heavy], before])).astype(np.float64)


def _text(column: pl.Series) -> Column:
    texts = column.cast(pl.String).alias("text")
    counts = texts.drop_nulls().value_counts(sort=True).sort(["count", "text"], descending=[True, False])
    levels = counts["text"].to_list()
    code = pl.DataFrame(
        {"text": levels, "code": np.arange(1, len(levels) + 1)}, schema={"text": pl.String, "code": pl.Int64}
    )
    codes = texts.to_frame().join(code, on="text", how="left", maintain_order="left")["code"].fill_null(0)
    return Column(column.name, codes.to_numpy().astype(np.intp), len(levels) + 1, False, texts=("", *levels))
