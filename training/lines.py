"""The plainest scorecard: straight lines and categories, by a penalised logistic regression.

For too few exits to boost anything, and for a first look that takes a moment. Every number gets one line from its least
to its greatest training value (constant beyond), every text one value per category; what is unknown is the average.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from models.errors import EbbtideError
from models.scorecard import Columns, Scorecard, Target, Term

Floats = npt.NDArray[np.float64]

#: A text of fewer rows is pooled with those never seen.
LEAST_ROWS = 5


def fit(
    columns: Columns,
    y: npt.NDArray[np.float64],
    *,
    directions: Mapping[str, int] | None = None,
    target: Target = "churn",
    seed: int = 0,
) -> Scorecard:
    """Fit `columns` (name -> (n,) float64 with NaN, or texts with None, for missing) to labels `y` (n,) of 0 and 1.

    `directions`: number column -> 1 where the risk may only rise with it, -1 where only fall; one that would go the
    other way is left out, and the rest fitted again. Raises `EbbtideError` where no column tells two rows apart, and
    for a direction that is none, or of a column that is absent or text.
    """
    _check(directions or {}, columns)
    shaped = {name: found for name, values in columns.items() if (found := _shaped(values)) is not None}
    if not shaped:
        raise EbbtideError("Every column holds a single value, so there is nothing to learn from.")
    asked = {name: sign for name, sign in (directions or {}).items() if sign}
    intercept, weights = _fitted(shaped, y, seed)
    while wrong := [name for name, sign in asked.items() if name in weights and sign * weights[name][0] < 0]:
        shaped = {name: found for name, found in shaped.items() if name not in wrong}
        intercept, weights = _fitted(shaped, y, seed)
    card = Scorecard(target, intercept, tuple(_term(name, *shaped[name], part) for name, part in weights.items()))
    return card.centred(card.means(columns))


def _check(directions: Mapping[str, int], columns: Columns) -> None:
    for name, direction in directions.items():
        if name not in columns:
            raise EbbtideError(f"A direction is declared for {name!r}, which is no column.")
        if columns[name].dtype == object and direction:
            raise EbbtideError(f"The column {name!r} is text and cannot have a direction; leave it out.")
        if direction not in (-1, 0, 1):
            raise EbbtideError(f"The direction of {name!r} is {direction}; it must be 1, -1 or 0.")


def _fitted(
    shaped: Mapping[str, "tuple[Floats, _Scale]"], y: npt.NDArray[np.float64], seed: int
) -> tuple[float, dict[str, Floats]]:
    """Intercept and each column's weights; the base rate alone where no column is left."""
    if not shaped:
        return float(np.log(y.mean() / (1 - y.mean()))), {}
    x = np.column_stack([matrix for matrix, _ in shaped.values()])
    fitted = LogisticRegression(C=1.0, max_iter=1000, random_state=seed).fit(x, y)
    ends = np.cumsum([matrix.shape[1] for matrix, _ in shaped.values()])[:-1]
    return float(fitted.intercept_[0]), dict(zip(shaped, np.split(fitted.coef_[0], ends), strict=True))


#: Of a number: its least and greatest value, mean and spread. Of a text: its categories.
_Scale = tuple[float, float, float, float] | tuple[str, ...]


def _shaped(values: npt.NDArray[np.generic]) -> tuple[Floats, _Scale] | None:
    """Design columns, zero where the value is unknown, and how they were made; None for a column that says nothing."""
    return _texts(values) if values.dtype == object else _numbers(values.astype(np.float64))


def _numbers(x: Floats) -> tuple[Floats, _Scale] | None:
    known = x[~np.isnan(x)]
    if not len(known) or known.min() == known.max():
        return None
    mean, spread = float(known.mean()), float(known.std())
    if not np.isfinite(spread) or spread <= 1e-12 * max(1.0, abs(mean)):
        return None
    return np.nan_to_num((x - mean) / spread)[:, None], (float(known.min()), float(known.max()), mean, spread)


def _texts(values: npt.NDArray[np.generic]) -> tuple[Floats, _Scale] | None:
    known = np.array([value is not None for value in values.tolist()])
    names, counts = np.unique(values[known].astype(str), return_counts=True)
    kept = names[counts >= LEAST_ROWS]
    if not len(kept) or (len(names) == 1 and known.all()):
        return None
    return (values[:, None] == kept.astype(object)).astype(np.float64), tuple(kept.tolist())


def _term(name: str, _: Floats, scale: _Scale, weights: Floats) -> Term:
    if isinstance(scale[0], str):
        categories = tuple(map(str, scale))
        return Term(name, "category", categories=categories, values=tuple(weights.tolist()))
    low, high, mean, spread = (float(number) for number in scale)
    slope = float(weights[0]) / spread
    return Term(name, "line", knots=(low, high), values=(slope * (low - mean), slope * (high - mean)))
