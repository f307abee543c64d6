"""The simplest member: a penalised logistic regression on what a column says in a straight line.

A number enters as its value and as its rank, each constant inside a bin of its fine edges, so that the fitted line is a
table of steps; a text as one indicator per category; a missing one as an indicator of its own.
"""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from training.additive.columns import Column, Columns, finite, places
from training.additive.member import Material
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]

#: Inverse strength of the penalty, on columns of unit variance; the first of equals is the most cautious.
STRENGTHS = (0.01, 0.1, 1.0)


class Linear:
    """One regression per bag; the prediction is their mean."""

    name = "linear"

    def __init__(self, material: Material) -> None:
        self._learned = material.learned
        self._codes = [_codes(column, material.columns) for column in material.learned]
        at = [places(material.columns[c.name], c.knots(fine=True), is_text=c.is_text) for c in material.learned]
        x = self._design(at)
        self._centre, scale = x.mean(axis=0), x.std(axis=0)
        self._scale = np.where(scale > 0, scale, np.inf)
        x = (x - self._centre) / self._scale
        fits = {strength: _fit(x, material, strength) for strength in STRENGTHS}
        losses = {strength: _loss(found[0], material.y) for strength, found in fits.items()}
        best = min(losses, key=lambda strength: losses[strength])
        self.held_out, self._weights, intercepts = fits[best]
        beta = self._weights / self._scale
        self.bases = intercepts - beta @ self._centre
        self.parts = list(self._parts(beta))
        self.about: dict[str, object] = {"strength": best}

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) mean of the regressions' log-odds."""
        at = [places(columns[c.name], c.knots(fine=True), is_text=c.is_text) for c in self._learned]
        beta = self._weights.mean(axis=0) / self._scale
        found: Floats = self._design(at) @ beta + self.bases.mean()
        return found

    def _design(self, at: list[npt.NDArray[np.intp]]) -> Floats:
        return np.concatenate([codes[where] for codes, where in zip(self._codes, at, strict=True)], axis=1)

    def _parts(self, beta: Floats) -> list[Part]:
        parts, start = [], 0
        for column, codes in zip(self._learned, self._codes, strict=True):
            stop = start + codes.shape[1]
            parts.append(Part((column.name,), (column.knots(fine=True),), beta[:, start:stop] @ codes.T))
            start = stop
        return parts


def _codes(column: Column, columns: Columns) -> Floats:
    """(places, width) what the regression reads at each place."""
    if column.is_text:
        return np.eye(len(column.categories) + 2)
    x = finite(columns[column.name])
    known = x[~np.isnan(x)]
    edges = np.array(column.fine)
    at = edges.searchsorted(known, "right")
    count = np.bincount(at, minlength=len(edges) + 1)
    middle = np.concatenate([edges[:1], edges])
    value = np.where(count > 0, np.bincount(at, known, len(edges) + 1) / np.maximum(count, 1), middle)
    rank = (np.cumsum(count) - count / 2) / max(len(known), 1)
    # A missing number counts as the average one, plus what its own indicator says.
    codes = np.zeros((len(value) + 1, 3))
    codes[:-1, 0], codes[:-1, 1], codes[-1, 2] = value, rank, 1.0
    codes[-1, :2] = np.average(codes[:-1, :2], axis=0, weights=count)
    return codes


def _fit(x: Floats, material: Material, strength: float) -> tuple[Floats, Floats, Floats]:
    """Held-out log-odds (n,), weights (bags, width) and intercepts (bags,)."""
    held_out, weights, intercepts = np.empty(len(x)), np.zeros((material.bags, x.shape[1])), np.zeros(material.bags)
    for bag in range(material.bags):
        learns, out = material.learns(bag), material.judged(bag)
        model = LogisticRegression(C=strength, max_iter=1000, tol=1e-3).fit(x[learns], material.y[learns])
        weights[bag], intercepts[bag] = model.coef_[0], model.intercept_[0]
        held_out[out] = model.decision_function(x[out])
    return held_out, weights, intercepts


def _loss(log_odds: Floats, y: Floats) -> float:
    return float(np.mean(np.logaddexp(0.0, log_odds) - y * log_odds))
