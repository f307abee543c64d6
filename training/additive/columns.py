"""Plain columns made ready for a fit: texts as codes, numbers with the edges they may be cut at.

A text seen in fewer rows than `LEAST_ROWS` is pooled with those never seen: both read the place for any other text.
Of very many frequent ones the most frequent have a place of their own, and fewer of them in what several columns do
together: a grid of three columns of hundreds of texts would have more cells than a computer holds.
A column that holds one value, or only rare texts, says nothing and is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import FeatureMismatch
from models.terms import Knots

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]
Columns = Mapping[str, npt.NDArray[Any]]

LEAST_ROWS = 20
#: How many texts of a column are told apart, and how many of these in grids of the trees; the most frequent are.
MOST_TEXTS, MOST_CROSSED = 256, 64
_ONE_VALUE = "holds one value"
#: Infinite numbers lie beyond every edge, as this one does.
_LARGEST = 1e300


@dataclass(frozen=True)
class Column:
    """One column: its name, its `categories` (empty for numbers), and the edges between its bins (of a number):
    `fine` ones for what one feature does, `coarse` ones, a subset in count, for what several do together; of
    categories the `crossed` ones. `pooled`: whether rare texts stood for the unseen ones when it was learned."""

    name: str
    categories: tuple[str, ...]
    fine: tuple[float, ...]
    coarse: tuple[float, ...]
    crossed: tuple[str, ...] = ()
    pooled: bool = False

    @property
    def is_text(self) -> bool:
        """Whether it holds text."""
        return bool(self.categories)

    def knots(self, *, fine: bool) -> Knots:
        """Categories, or edges."""
        if self.is_text:
            return self.categories if fine else self.crossed
        return self.fine if fine else self.coarse


def places(values: npt.NDArray[Any], knots: Knots, *, is_text: bool) -> Places:
    """(n,) where values fall among bins or categories; then comes missing and, for texts, any other."""
    if not is_text:
        return np.array([*knots, np.nan], dtype=np.float64).searchsorted(values, "right")
    codes = {text: code for code, text in enumerate(knots)} | {None: len(knots)}
    other = len(knots) + 1
    return np.array([codes.get(value, other) if value == value else len(knots) for value in values.tolist()], np.intp)  # noqa: PLR0124


def learn(columns: Columns, fine: int, coarse: int) -> tuple[list[Column], dict[str, str]]:
    """What can be learned from, and the other columns with the reason why they cannot. `fine` and `coarse` are how many
    bins a number gets at most. Raises `FeatureMismatch` for a column that is neither numbers nor text."""
    found, left_out = [], {}
    for name, values in columns.items():
        column = _text(name, values) if values.dtype == object else _number(name, values, fine, coarse)
        if isinstance(column, Column):
            found.append(column)
        else:
            left_out[name] = column
    return found, left_out


def _number(name: str, values: npt.NDArray[Any], fine: int, coarse: int) -> Column | str:
    if values.dtype.kind not in "fiub":
        raise FeatureMismatch(f"The column {name!r} must hold numbers or text, but is of type {values.dtype}.")
    x = finite(values)
    known = np.sort(x[~np.isnan(x)])
    if not len(known) or (known[0] == known[-1] and len(known) == len(x)):
        return _ONE_VALUE
    return Column(name, (), edges(known, fine), edges(known, coarse))


def _text(name: str, values: npt.NDArray[Any]) -> Column | str:
    known = [value for value in values.tolist() if value is not None and value == value]  # noqa: PLR0124
    if not all(isinstance(value, str) for value in known):
        raise FeatureMismatch(f"The column {name!r} mixes text with other values.")
    texts, counts = np.unique(np.array(known, dtype=str), return_counts=True)
    frequent = np.sort(np.argsort(-counts, kind="stable")[:MOST_TEXTS])
    kept = frequent[counts[frequent] >= min(LEAST_ROWS, len(values) / 10)]
    if not len(texts) or (len(texts) == 1 and len(known) == len(values)):
        return _ONE_VALUE
    if not len(kept):
        return f"none of its {len(texts):,} texts is in {LEAST_ROWS} rows"
    crossed = kept[np.sort(np.argsort(-counts[kept], kind="stable")[:MOST_CROSSED])]
    return Column(
        name, tuple(texts[kept].tolist()), (), (), tuple(texts[crossed].tolist()), pooled=len(kept) < len(texts)
    )


def finite(values: npt.NDArray[Any]) -> Floats:
    """Numbers as float64 with infinite ones made finite; NaN stays."""
    return np.clip(values.astype(np.float64), -_LARGEST, _LARGEST)


def edges(known: Floats, bins: int) -> tuple[float, ...]:
    """Lower edges (inclusive) that cut sorted numbers into at most `bins` bins of about as many rows each; values that
    occur, so a count is cut at whole numbers. At least one, where there are two values."""
    distinct = np.unique(known)
    if len(distinct) > bins:
        distinct = np.unique(known[(np.arange(bins) * len(known)) // bins])
        if len(distinct) == 1:  # nearly all rows hold the lowest number
            distinct = np.array([known[0], known[known > known[0]][0]])
    return tuple(distinct[1:].tolist()) or (float(known[0]),)
