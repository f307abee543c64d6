"""The glass box: interpret's explainable boosting machine, bag by bag, as tables.

Its conventions, which the conversion relies on and a test checks on a million rows: along every axis of a table the
first place is for missing and the last for unknown; a number x lies in the bin after all cuts c with c <= x; a term of
several features reads the coarser of a feature's two sets of bins.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from interpret.glassbox import ExplainableBoostingClassifier

from models.terms import Knots
from training.additive.columns import Column, Columns, finite, places
from training.additive.member import Material
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]

#: Texts reach the booster by number; this one is for those too rare to have one.
_OTHER = "other"
MAX_PAIRS = 40


class Boosted:
    """One booster whose bags are those of the material."""

    name = "boosted"

    def __init__(self, material: Material, **settings: Any) -> None:
        self._learned = material.learned
        frame = _frame(self._learned, material.columns)
        # 1: learned from, -1: stopped on, 0: kept away.
        bags = np.array([material.learns(bag).astype(np.int8) - material.stops(bag) for bag in range(material.bags)]).T
        model = ExplainableBoostingClassifier(
            feature_types=["nominal" if column.is_text else "continuous" for column in self._learned],
            outer_bags=material.bags,
            n_jobs=1,
            random_state=material.seed,
            **(_settings(len(material.y), len(self._learned)) | settings),
        )
        self.model = model.fit(frame, material.y.astype(np.int64), bags=bags)
        self.bases = _moved(model.bagged_intercept_.ravel(), model.intercept_.ravel()[0])
        self.parts = [self._part(term) for term in range(len(model.term_features_))]
        self.held_out = held_out(material, self.bases, self.parts)
        self.about: dict[str, object] = {
            "pairs": sum(len(features) == 2 for features in model.term_features_),
            "rounds": np.mean(model.best_iteration_, axis=1).round(1).tolist(),
        }

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) log-odds by the booster itself."""
        found: Floats = self.model.decision_function(self.frame(columns))
        return found

    def frame(self, columns: Columns) -> pd.DataFrame:
        """The columns as the booster reads them."""
        return _frame(self._learned, columns)

    def _part(self, term: int) -> Part:
        features = self.model.term_features_[term]
        tables = _moved(self.model.bagged_scores_[term], self.model.term_scores_[term])
        knots: list[Knots] = []
        for axis, feature in enumerate(features):
            bins = self.model.bins_[feature]
            axis_knots, order = _axis(self._learned[feature], bins[min(len(features), len(bins)) - 1])
            tables = np.take(tables, order, axis=axis + 1)
            knots.append(axis_knots)
        return Part(tuple(self._learned[feature].name for feature in features), tuple(knots), tables)


def held_out(material: Material, bases: Floats, parts: Sequence[Part]) -> Floats:
    """(n,) log-odds of every row from the tables of the bag judged on it."""
    total = bases[material.judge]
    for part in parts:
        at = [
            places(material.columns[name], knots, is_text=text)
            for name, knots, text in zip(part.features, part.knots, part.is_text, strict=True)
        ]
        total = total + part.tables[(material.judge, *at)]
    return total


def _settings(rows: int, columns: int) -> dict[str, Any]:
    """Smaller steps where there are few rows; on many, coarser ones that take as long to walk."""
    return {
        "max_bins": 256,
        "max_interaction_bins": 32,
        "interactions": min(2 * columns, MAX_PAIRS),
        "learning_rate": 0.02 if rows < 10_000 else 0.05,
        "early_stopping_rounds": 50,
        "smoothing_rounds": 50,
        "interaction_smoothing_rounds": 50,
    }


def _frame(learned: Sequence[Column], columns: Columns) -> pd.DataFrame:
    found: dict[str, Any] = {}
    for column in learned:
        values = columns[column.name]
        if not column.is_text:
            found[column.name] = finite(values)
            continue
        at = places(values, column.categories, is_text=True)
        count = len(column.categories)
        codes: npt.NDArray[np.int64] = np.where(at == count, -1, np.minimum(at, count))
        names = pd.Index([*map(str, range(count)), _OTHER])
        found[column.name] = pd.Categorical.from_codes(codes, names)
    return pd.DataFrame(found)


def _axis(column: Column, bins: Any) -> tuple[Knots, list[int]]:
    """The knots of an axis, and the booster's place for each of ours."""
    if not column.is_text:
        return tuple(bins.tolist()), [*range(1, len(bins) + 2), 0]
    unknown = max(bins.values()) + 1
    codes = [bins.get(str(code), unknown) for code in range(len(column.categories))]
    return column.categories, [*codes, 0, bins.get(_OTHER, unknown)]


def _moved(bags: Floats, mean: Floats) -> Floats:
    """The bags' tables, moved so that their mean is the booster's own."""
    found: Floats = bags + (mean - bags.mean(axis=0))
    return found
