"""Boosted trees that remain additive: no leaf of them depends on more than three features.

A tree of depth three is a sum over its leaves, and a leaf is a box in the features on its path: its value is added to
the grid of just those features. So the whole ensemble is a sum of grids, exactly. To keep that a scorecard a person
can hold, a first, fast ensemble finds which features are worth crossing; the second may cross those only.

A text enters as the rank of its category by the event rate among the rows learned from. Columns that order the rows as
another does (minutes and the charge for them) take no part.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from models.terms import GRID_FEATURES
from training.additive.columns import Column, Columns, finite, places
from training.additive.member import Material
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]
Features = frozenset[int]

MAX_PAIRS, MAX_TRIPLES = 40, 24
_SCOUT_ROUNDS = 150
#: Rounds without a gain after which a bag stops.
_PATIENCE = 30
#: Pretended rows at the base rate when categories are ranked.
_PRIOR_ROWS = 10.0
_ALIKE = 0.9999


class Leaf(NamedTuple):
    """A box: per feature the places it holds; and what is added there."""

    inside: dict[int, npt.NDArray[np.intp]]
    value: float


class Trees:
    """One ensemble per bag; the prediction is their mean."""

    name = "trees"

    def __init__(self, material: Material) -> None:
        at = _places(material.learned, material.columns)
        used = _different(at)
        at, self._learned = at[:, used], [material.learned[i] for i in used]
        self._ranks = [_ranks(self._learned, at, material, bag) for bag in range(material.bags)]
        crossed = _crossed(self._scout(at, material), len(used))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            fits = pool.map(lambda bag: self._fit(at, material, bag, interaction_cst=crossed), range(material.bags))
            self.models = list(fits)
        self._stop()
        tables = self._tables()
        self.bases = np.array([model._baseline_prediction.ravel()[0] for model in self.models])
        self.bases += tables.pop((), 0.0)  # trees that found nothing to split
        self.parts = [
            Part(
                tuple(self._learned[i].name for i in features),
                tuple(self._learned[i].knots(fine=False) for i in features),
                table,
            )
            for features, table in tables.items()
        ]
        self.held_out = np.empty(len(at))
        for bag, model in enumerate(self.models):
            out = material.judged(bag)
            self.held_out[out] = model.decision_function(self._encoded(at[out], bag))
        self.about: dict[str, object] = {"rounds": len(self.models[0]._predictors), "grids": len(self.parts)}

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) mean of the ensembles' log-odds."""
        at = _places(self._learned, columns)
        found = [model.decision_function(self._encoded(at, bag)) for bag, model in enumerate(self.models)]
        mean: Floats = np.mean(found, axis=0)
        return mean

    def _encoded(self, at: npt.NDArray[np.intp], bag: int) -> Floats:
        return np.column_stack([ranks[at[:, i]] for i, ranks in enumerate(self._ranks[bag])])

    def _fit(self, at: npt.NDArray[np.intp], material: Material, bag: int, **settings: Any) -> Any:
        learns, stops = material.learns(bag), material.stops(bag)
        model = HistGradientBoostingClassifier(
            **{
                "learning_rate": 0.05,
                "max_depth": max(GRID_FEATURES),
                "max_iter": 1500,
                "early_stopping": True,
                "n_iter_no_change": _PATIENCE,
                "tol": 0.0,
                "min_samples_leaf": 10,
                "l2_regularization": 5.0,
                "max_features": 0.5,
                "random_state": material.seed,
            }
            | settings
        )
        x = self._encoded(at, bag)
        # Bags are fitted side by side: threads inside one would only wait for each other.
        with threadpool_limits(limits=1, user_api="openmp"):
            return model.fit(x[learns], material.y[learns], X_val=x[stops], y_val=material.y[stops])

    def _scout(self, at: npt.NDArray[np.intp], material: Material) -> dict[Features, float]:
        """What splits gained, by the features on their path, in ensembles of two bags that may cross anything."""
        gains: dict[Features, float] = {}
        scouts = range(min(2, material.bags))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            sent = pool.map(lambda bag: self._fit(at, material, bag, learning_rate=0.1, max_iter=_SCOUT_ROUNDS), scouts)
            models = list(sent)
        for model in models:
            for (tree,) in model._predictors:
                for features, gain in _splits(tree.nodes, 0, frozenset()):
                    gains[features] = gains.get(features, 0.0) + gain
        return gains

    def _stop(self) -> None:
        """Cut all ensembles to the length that was best for them together: one bag's luck does not choose."""
        curves = [model.validation_score_ for model in self.models]
        length = max(map(len, curves))
        padded = [np.concatenate([curve, np.full(length - len(curve), curve[-1])]) for curve in curves]
        best = max(int(np.mean(padded, axis=0).argmax()), 1)
        for model in self.models:
            model._predictors = model._predictors[:best]

    def _tables(self) -> dict[tuple[int, ...], Floats]:
        """Features -> (bags, *places) sums of the leaves that depend on just these."""
        shapes = [len(column.knots(fine=False)) + 2 for column in self._learned]
        whole = {i: np.arange(size) for i, size in enumerate(shapes)}
        tables: dict[tuple[int, ...], Floats] = {}
        for bag, model in enumerate(self.models):
            for (tree,) in model._predictors:
                for leaf in _leaves(tree.nodes, 0, {}, whole, self._ranks[bag]):
                    features = tuple(sorted(leaf.inside))
                    size = (len(self.models), *(shapes[i] for i in features))
                    table = tables.setdefault(features, np.zeros(size))
                    box: tuple[Any, ...] = np.ix_(*(leaf.inside[i] for i in features))
                    table[(bag, *box)] += leaf.value
        return tables


def _places(learned: Sequence[Column], columns: Columns) -> npt.NDArray[np.intp]:
    return np.column_stack(
        [
            places(
                columns[column.name] if column.is_text else finite(columns[column.name]),
                column.knots(fine=False),
                is_text=column.is_text,
            )
            for column in learned
        ]
    )


def _ranks(learned: Sequence[Column], at: npt.NDArray[np.intp], material: Material, bag: int) -> list[Floats]:
    """Per column: the number an ensemble reads at each place, NaN for missing."""
    inside = material.learns(bag)
    y, rate = material.y[inside], material.y[inside].mean()
    found = []
    for i, column in enumerate(learned):
        count = len(column.knots(fine=False))
        if column.is_text:
            rows = np.bincount(at[inside, i], minlength=count + 2)
            rates = (np.bincount(at[inside, i], y, count + 2) + _PRIOR_ROWS * rate) / (rows + _PRIOR_ROWS)
            ranks = np.argsort(np.argsort(rates[[*range(count), count + 1]], kind="stable"), kind="stable")
            found.append(np.concatenate([ranks[:count], [np.nan], ranks[count:]]))
        else:
            found.append(np.concatenate([np.arange(count + 1.0), [np.nan]]))
    return found


def _different(at: npt.NDArray[np.intp]) -> list[int]:
    """The columns that order the rows otherwise than all before them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.abs(np.corrcoef(at, rowvar=False)) if at.shape[1] > 1 else np.eye(1)
    kept: list[int] = []
    for i in range(at.shape[1]):
        if not (alike[i, kept] > _ALIKE).any():
            kept.append(i)
    return kept


def _crossed(gains: Mapping[Features, float], count: int) -> list[set[int]]:
    """Which features the second ensemble may cross: the sets that gained most; every feature alone besides."""
    ranked = sorted(gains, key=lambda features: (-gains[features], sorted(features)))
    triples = [features for features in ranked if len(features) == 3][:MAX_TRIPLES]
    pairs = [features for features in ranked if len(features) == 2][:MAX_PAIRS]
    return [set(features) for features in (*triples, *pairs, *([i] for i in range(count)))]


def _splits(nodes: Any, at: int, path: Features) -> Iterator[tuple[Features, float]]:
    node = nodes[at]
    if node["is_leaf"]:
        return
    features = path | {int(node["feature_idx"])}
    yield features, float(node["gain"])
    yield from _splits(nodes, node["left"], features)
    yield from _splits(nodes, node["right"], features)


def _leaves(
    nodes: Any,
    at: int,
    inside: dict[int, npt.NDArray[np.intp]],
    whole: dict[int, npt.NDArray[np.intp]],
    ranks: list[Floats],
) -> Iterator[Leaf]:
    node = nodes[at]
    if node["is_leaf"]:
        yield Leaf(inside, float(node["value"]))
        return
    feature = int(node["feature_idx"])
    here = inside.get(feature, whole[feature])
    read = ranks[feature][here]
    left = np.where(np.isnan(read), bool(node["missing_go_to_left"]), read <= node["num_threshold"])
    yield from _leaves(nodes, node["left"], inside | {feature: here[left]}, whole, ranks)
    yield from _leaves(nodes, node["right"], inside | {feature: here[~left]}, whole, ranks)
