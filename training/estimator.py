"""The additive scorecard as a scikit-learn classifier: fits anywhere scikit-learn's own estimators do.

    ScorecardClassifier().fit(X, y).predict_proba(X)

Two outcomes; numbers, texts and missing values; what it learnt is a `Scorecard`, whose tables are the whole model.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data

from models.errors import EbbtideError
from models.health import expit
from models.scorecard import Scorecard
from training import lines

Effort = Literal["full", "quick", "lines"]
#: Effort -> the members of the boosted fit; of lines, none.
EFFORTS: Mapping[str, tuple[str, ...]] = {
    "full": ("linear", "boosted", "trees", "deep"),
    "quick": ("linear", "boosted"),
    "lines": (),
}


class ScorecardClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An additive scorecard for two outcomes.

    directions  column -> 1 where the risk of the second class may only rise with it, -1 where it may only fall; one
                that the data contradict is kept by a flat table
    effort      what is fitted, the more the slower (minutes, seconds, a moment):
                `full`   boosted tables, and grids of two and three columns where they pay
                `quick`  boosted tables and straight lines, no grids
                `lines`  straight lines by a penalised logistic regression
                With few groups (or, without groups, rows) of either outcome nothing can be boosted, and lines are
                fitted whatever was asked for; `fitter_` says what was done
    seed        of everything random

    After `fit`: `scorecard_` (the model), `classes_`, `n_features_in_`, `feature_names_in_` (of frames), `columns_`
    (names as the scorecard knows them; x0, x1, ... for arrays), `fitter_`, `report_` (how it came about).
    """

    def __init__(self, *, directions: Mapping[str, int] | None = None, effort: Effort = "full", seed: int = 0) -> None:
        self.directions = directions
        self.effort = effort
        self.seed = seed

    def fit(self, X: Any, y: Any, groups: Any = None) -> "ScorecardClassifier":
        """Fit (n, d) `X`, a frame or an array, to (n,) `y` of two classes; the second one in order is the event.

        groups  (n,) rows of one group stay together wherever the fit holds rows out: pass the account of each row. By
                metadata routing: `set_fit_request(groups=True)`.
        """
        if self.effort not in EFFORTS:
            raise ValueError(f"effort is {self.effort!r}; it is one of {', '.join(EFFORTS)}.")
        columns = self._columns(X, reset=True)
        labels = self._labels(y, columns)
        codes = np.arange(len(labels)) if groups is None else column_or_1d(groups)
        check_consistent_length(labels, codes)
        self.fitter_, self.scorecard_, self.report_ = self._fitted(columns, labels, codes)
        return self

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """(n,) log-odds of the second class."""
        check_is_fitted(self)
        found: npt.NDArray[np.float64] = self.scorecard_.log_odds(self._columns(X, reset=False))
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """(n, 2) probabilities of both classes."""
        p = expit(self.decision_function(X))
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """(n,) the likelier class."""
        check_is_fitted(self)
        likelier: npt.NDArray[Any] = self.classes_[(self.decision_function(X) > 0).astype(int)]
        return likelier

    def explain(self, X: Any) -> pd.DataFrame:
        """(n, base and terms) log-odds: each row sums to `decision_function`; a frame's index is kept."""
        check_is_fitted(self)
        card: Scorecard = self.scorecard_
        found = pd.DataFrame(card.contributions(self._columns(X, reset=False)), columns=list(card.names))
        found.insert(0, "base", card.base, allow_duplicates=True)  # a column may be called so, too
        return found.set_axis(X.index) if isinstance(X, pd.DataFrame) else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _fitted(
        self, columns: dict[str, npt.NDArray[Any]], labels: npt.NDArray[np.float64], codes: npt.NDArray[Any]
    ) -> tuple[str, Scorecard, dict[str, Any]]:
        """What was fitted, its scorecard, and how it came about."""
        from training.additive.fitter import LEAST_GROUPS, fit  # noqa: PLC0415 (brings the boosting library along)

        rarer = min(len(np.unique(codes[labels == outcome])) for outcome in (0, 1))
        try:
            if not EFFORTS[self.effort] or rarer < LEAST_GROUPS:
                return "lines", lines.fit(columns, labels, directions=self.directions, seed=self.seed), {}
            fitted = fit(
                columns, labels, codes, directions=self.directions or {}, seed=self.seed, members=EFFORTS[self.effort]
            )
        except EbbtideError as error:
            raise ValueError(str(error)) from None
        return "boosted", fitted.card, fitted.report

    def _labels(self, y: Any, columns: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """(n,) 0 and 1, and the two classes."""
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        told = column_or_1d(y, warn=True)
        told = check_array(told, ensure_2d=False, dtype=None, ensure_all_finite=told.dtype.kind == "f")
        check_consistent_length(next(iter(columns.values())), told)
        if told.dtype == object and (unknown := pd.isna(told)).any():
            raise ValueError(f"y is unknown (None or NaN) in {unknown.sum():,} rows; leave rows without a label out.")
        check_classification_targets(told)
        self.classes_, codes = np.unique(told, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {type_of_target(told)}."
            )
        if len(self.classes_) < 2:
            raise ValueError("A classifier needs rows of two classes, but the labels hold one class.")
        labels: npt.NDArray[np.float64] = codes.astype(np.float64)
        return labels

    def _columns(self, X: Any, *, reset: bool) -> dict[str, npt.NDArray[Any]]:
        """Name -> (n,) float64 with NaN, or texts with None, for missing."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if not X.shape[0] or not X.shape[1]:
                raise ValueError(f"Found array with {X.shape[0]} sample(s) and {X.shape[1]} feature(s); 1 is required.")
            names = [str(name) for name in X.columns]
            parts = [_column(X.iloc[:, place], name) for place, name in enumerate(names)]
        else:
            array = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
            names = [f"x{place}" for place in range(array.shape[1])]
            parts = [_column(pd.Series(array[:, place]), name) for place, name in enumerate(names)]
        if reset:
            self.columns_ = names
            self.numbers_ = frozenset(name for name, part in zip(names, parts, strict=True) if part.dtype != object)
        # A column of None only says nothing about its type: the fit's holds.
        parts = [
            np.full(len(part), np.nan) if name in self.numbers_ and not any(cell is not None for cell in part) else part
            for name, part in zip(names, parts, strict=True)
        ]
        return dict(zip(names, parts, strict=True))


def _column(values: "pd.Series[Any]", name: str) -> npt.NDArray[Any]:
    """Numbers as float64, everything else as texts; a column of objects that are all numbers is numbers.

    Raises `ValueError` for infinite numbers, and for cells that are neither a number nor a text, naming the column.
    """
    if values.dtype.kind in "biuf":
        return _finite(values.to_numpy(dtype=np.float64, na_value=np.nan), name)
    known = values.notna().to_numpy()
    cells = values.astype(object).to_numpy()
    if all(isinstance(cell, str) for cell in cells[known]):
        return np.array([cell if there else None for cell, there in zip(cells, known, strict=True)], dtype=object)
    numbers = np.full(len(cells), np.nan)
    for place in np.flatnonzero(known):
        numbers[place] = _number(cells[place], name)
    return _finite(numbers, name)


def _number(cell: Any, name: str) -> float:
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise ValueError(
            f"Column {name!r} holds {cell!r} ({type(cell).__name__}) among cells that are no texts; give numbers or "
            "texts, and of a time the days from there to the row's moment."
        ) from None


def _finite(numbers: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.float64]:
    if np.isinf(numbers).any():
        raise ValueError(f"Input X contains infinity in column {name!r}; write unknown values as NaN.")
    return numbers
