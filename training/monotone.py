"""Declared directions: the nearest tables that never move the wrong way.

    risk by tickets reopened, fitted   0.1  0.3  0.2  0.6     accounts per bin  50  10  30  10
    the nearest rising one             0.1  0.225 0.225 0.6   (10 * 0.3 + 30 * 0.2) / 40 = 0.225

Nearest is by weighted least squares (isotonic regression), each bin counting by the accounts in it. The fit itself is
left free: a booster that is constrained while it fits routes the forbidden part through correlated features.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression

from models.errors import EbbtideError
from models.scorecard import Term

Floats = npt.NDArray[np.float64]

#: An empty bin still needs a place between its neighbours, and none of their say.
_LEAST_WEIGHT = 1e-9


def project(term: Term, direction: int, weights: Sequence[float] | Floats) -> Term:
    """The term with values (and those of every replicate) that only rise (`direction` 1) or only fall (-1) along the
    knots; 0 leaves it as it is.

    `weights`: how many accounts stand behind each value, in the order of `term.values` (see `mass`). What a missing
    value adds stays. Raises `EbbtideError` for a term of categories, which have no order.
    """
    if direction == 0:
        return term
    if term.kind == "category":
        raise EbbtideError(f"The feature {term.feature!r} is text and cannot have a direction; leave it out.")
    size = len(term.values)
    tables = np.array([term.table, *term.replicates])
    tables[:, :size] = projected(tables[:, :size], direction, np.asarray(weights, dtype=np.float64))
    table, *replicates = tables.tolist()
    return term.with_table(table, replicates)


def projected(tables: Floats, direction: int, weights: Floats) -> Floats:
    """(tables, n) each row made to rise (1) or fall (-1) along its n places, which weigh `weights` (n,) or, where every
    row has its own, (tables, n)."""
    heavy = np.broadcast_to(np.maximum(weights, _LEAST_WEIGHT), tables.shape)
    found = tables.copy()
    for row in np.flatnonzero((direction * np.diff(tables, axis=1) < 0).any(axis=1)):
        found[row] = isotonic_regression(tables[row], weights=heavy[row], increasing=direction > 0).x
    return found


def along(tables: Floats, axis: int, direction: int, weights: Floats) -> Floats:
    """Grids made to rise (1) or fall (-1) along one axis, whose n places weigh `weights` (n,), everywhere else apart.

    Because the weights are the same everywhere, what already moved only one way along another axis still does.
    """
    moved = np.moveaxis(tables, axis, -1)
    rows = projected(moved.reshape(-1, moved.shape[-1]), direction, weights)
    return np.moveaxis(rows.reshape(moved.shape), -1, axis)


def mass(term: Term, values: Floats, weights: Floats | None = None) -> Floats:
    """How much of a column (n,) stands behind each value of a numeric term: the rows in each bin, or, for a line, each
    row shared by the two knots it lies between. Missing values count nowhere; `weights` (n,) count rows."""
    known = ~np.isnan(values)
    x = values[known]
    counts = np.ones(len(x)) if weights is None else weights[known]
    knots = np.array(term.knots)
    if term.kind == "steps":
        return _sums(knots.searchsorted(x, "right"), counts, len(knots) + 1)
    if len(knots) == 1:
        return np.array([counts.sum()])
    x = np.clip(x, knots[0], knots[-1])
    left = np.clip(knots.searchsorted(x, "right") - 1, 0, len(knots) - 2)
    share = (x - knots[left]) / np.diff(knots)[left]
    return _sums(left, counts * (1 - share), len(knots)) + _sums(left + 1, counts * share, len(knots))


def _sums(places: npt.NDArray[np.intp], counts: Floats, size: int) -> Floats:
    return np.bincount(places, counts, size).astype(np.float64)
