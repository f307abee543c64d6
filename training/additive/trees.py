"""Boosted trees that remain additive: no leaf of them depends on more than three features.

A tree is a sum over its leaves, and a leaf is a box in the features on its path: its value is added to the grid of just
those features. So the whole ensemble is a sum of grids, exactly. To keep that a scorecard a person can hold, a first,
fast ensemble of depth three finds which features are worth crossing; the second may cross those only.

`Trees` are of depth three. `Deep` ones cut the same two or three features again and again: what happens within one
narrow span of a number takes many cuts, and rows enough to see it. Two features together read the fine edges there,
three the coarse ones: a grid of three fine axes would have more cells than rows.

A text enters as the rank of its category by the event rate among the rows learned from. Columns that order the rows as
another does (minutes and the charge for them) take no part.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from models.terms import GRID_FEATURES, Knots
from training.additive.columns import Column, Columns, finite, places
from training.additive.member import Material
from training.additive.parts import Part

Floats = npt.NDArray[np.float64]
Features = frozenset[int]
#: Axes -> (ensembles, *places); () is the base.
Tables = dict[tuple[int, ...], Floats]

MAX_PAIRS, MAX_TRIPLES = 40, 24
_SCOUT_ROUNDS = 150
#: Rounds without a gain after which a bag stops.
_PATIENCE = 30
#: Pretended rows at the base rate when categories are ranked.
_PRIOR_ROWS = 10.0
_ALIKE = 0.9999


class Axis(NamedTuple):
    """A column as an ensemble reads it, on fine or on coarse edges."""

    column: Column
    fine: bool

    @property
    def knots(self) -> Knots:
        """Categories, or edges."""
        return self.column.knots(fine=self.fine)


class Leaf(NamedTuple):
    """A box: per axis the places it holds; and what is added there."""

    inside: dict[int, npt.NDArray[np.intp]]
    value: float


class Ensemble(NamedTuple):
    """Fitted trees, and per axis the number they read at each place (NaN for missing)."""

    model: Any
    ranks: list[Floats]

    @property
    def base(self) -> float:
        """What every row starts from."""
        return float(self.model._baseline_prediction.ravel()[0])

    @property
    def rounds(self) -> int:
        """How many trees there are."""
        return len(self.model._predictors)

    def log_odds(self, at: npt.NDArray[np.intp]) -> Floats:
        """(n,) log-odds of rows (n, axes) by their places."""
        found: Floats = self.model.decision_function(_encoded(at, self.ranks))
        return found


class Trees:
    """One ensemble per bag; the prediction is their mean."""

    name = "trees"
    _size: Mapping[str, int | None] = MappingProxyType({"max_depth": max(GRID_FEATURES)})

    def __init__(self, material: Material) -> None:
        coarse = [Axis(column, fine=False) for column in material.learned]
        kept = _different(_places(coarse, material.columns))
        crossed = _crossed(_scout([coarse[i] for i in kept], material), len(kept))
        self._axes, self._crossed = self._read([material.learned[i] for i in kept], crossed)
        at = _places(self._axes, material.columns)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            bags = list(pool.map(lambda bag: self._fit(at, material, bag), range(material.bags)))
        _stop(bags)
        self.held_out = np.empty(len(at))
        for bag, ensemble in enumerate(bags):
            out = material.judged(bag)
            self.held_out[out] = ensemble.log_odds(at[out])
        tables = _tables(bags, self._axes)
        again = self._again(bags, at, material)
        self.ensembles = [again] if again else bags
        if again:
            tables = _moved(tables, _tables([again], self._axes))
        self.bases = tables.pop(())
        self.parts = [self._part(axes, table) for axes, table in tables.items()]
        self.about: dict[str, object] = {"rounds": self.ensembles[0].rounds, "grids": len(self.parts)}

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) mean of the ensembles' log-odds."""
        at = _places(self._axes, columns)
        mean: Floats = np.mean([ensemble.log_odds(at) for ensemble in self.ensembles], axis=0)
        return mean

    def _fit(self, at: npt.NDArray[np.intp], material: Material, bag: int) -> Ensemble:
        learns = material.learns(bag)
        ranks = _ranks(self._axes, at[learns], material.y[learns])
        return _fit_bag(at, ranks, material, bag, interaction_cst=self._crossed, **self._size)

    def _read(self, learned: Sequence[Column], crossed: list[set[int]]) -> tuple[list[Axis], list[set[int]]]:
        """The axes the ensembles read, and which of them may be crossed."""
        return [Axis(column, fine=False) for column in learned], crossed

    def _again(self, _bags: list[Ensemble], _at: npt.NDArray[np.intp], _material: Material) -> Ensemble | None:
        """What predicts in the place of the bags' mean, if anything."""
        return None

    def _part(self, axes: tuple[int, ...], table: Floats) -> Part:
        read = [self._axes[i] for i in axes]
        return Part(tuple(axis.column.name for axis in read), tuple(axis.knots for axis in read), table)


class Deep(Trees):
    """Trees with many leaves, each in the two or three features it may cross.

    What they find, narrow spans, takes every row there is: bags say how many rounds pay and how far to trust them, and
    what predicts is fitted once more on all rows, with as many more rounds as there are more rows than in a bag.
    """

    name = "deep"
    _size = MappingProxyType({"max_depth": None, "max_leaf_nodes": 31})

    def _read(self, learned: Sequence[Column], crossed: list[set[int]]) -> tuple[list[Axis], list[set[int]]]:
        axes = [Axis(column, fine) for fine in (True, False) for column in learned]
        count = len(learned)
        # An axis that stands in no set would be crossed with all others of that kind.
        alone = [{count + i} for i in range(count)]
        return axes, [{count + i for i in found} if len(found) > 2 else found for found in crossed] + alone

    def _again(self, bags: list[Ensemble], at: npt.NDArray[np.intp], material: Material) -> Ensemble:
        more = material.bags / (material.bags - 2)
        ranks = _ranks(self._axes, at, material.y)
        settings = {"max_iter": round(bags[0].rounds * more), "early_stopping": False}
        model = _booster(material.seed, interaction_cst=self._crossed, **self._size, **settings)
        # Other members are fitted at the same time: threads of this one would wait for theirs, at thrice the work.
        with threadpool_limits(limits=1, user_api="openmp"):
            return Ensemble(model.fit(_encoded(at, ranks), material.y), ranks)


def _booster(seed: int, **settings: Any) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        **{
            "learning_rate": 0.05,
            "max_iter": 1500,
            "early_stopping": True,
            "n_iter_no_change": _PATIENCE,
            "tol": 0.0,
            "min_samples_leaf": 10,
            "l2_regularization": 5.0,
            "max_features": 0.5,
            "random_state": seed,
        }
        | settings
    )


def _fit_bag(at: npt.NDArray[np.intp], ranks: list[Floats], material: Material, bag: int, **settings: Any) -> Ensemble:
    learns, stops = material.learns(bag), material.stops(bag)
    x, model = _encoded(at, ranks), _booster(material.seed, **settings)
    # Bags are fitted side by side: threads inside one would only wait for each other.
    with threadpool_limits(limits=1, user_api="openmp"):
        return Ensemble(model.fit(x[learns], material.y[learns], X_val=x[stops], y_val=material.y[stops]), ranks)


def _scout(axes: Sequence[Axis], material: Material) -> dict[Features, float]:
    """What splits gained, by the features on their path, in ensembles of two bags that may cross anything."""
    at = _places(axes, material.columns)

    def one(bag: int) -> Ensemble:
        learns = material.learns(bag)
        ranks = _ranks(axes, at[learns], material.y[learns])
        return _fit_bag(at, ranks, material, bag, learning_rate=0.1, max_iter=_SCOUT_ROUNDS, **Trees._size)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        scouts = list(pool.map(one, range(min(2, material.bags))))
    gains: dict[Features, float] = {}
    for scout in scouts:
        for (tree,) in scout.model._predictors:
            for features, gain in _splits(tree.nodes, 0, frozenset()):
                gains[features] = gains.get(features, 0.0) + gain
    return gains


def _stop(bags: Sequence[Ensemble]) -> None:
    """Cut all ensembles to the length that was best for them together: one bag's luck does not choose."""
    curves = [ensemble.model.validation_score_ for ensemble in bags]
    length = max(map(len, curves))
    padded = [np.concatenate([curve, np.full(length - len(curve), curve[-1])]) for curve in curves]
    best = max(int(np.mean(padded, axis=0).argmax()), 1)
    for ensemble in bags:
        ensemble.model._predictors = ensemble.model._predictors[:best]


def _tables(ensembles: Sequence[Ensemble], axes: Sequence[Axis]) -> Tables:
    """Sums of the leaves that depend on just these axes."""
    shapes = [len(axis.knots) + 2 for axis in axes]
    whole = {i: np.arange(size) for i, size in enumerate(shapes)}
    tables: Tables = {(): np.array([ensemble.base for ensemble in ensembles])}
    for place, (model, ranks) in enumerate(ensembles):
        for (tree,) in model._predictors:
            for leaf in _leaves(tree.nodes, 0, {}, whole, ranks):
                read = tuple(sorted(leaf.inside))
                if read not in tables:
                    tables[read] = np.zeros((len(ensembles), *(shapes[i] for i in read)))
                box: tuple[Any, ...] = np.ix_(*(leaf.inside[i] for i in read))
                tables[read][(place, *box)] += leaf.value
    return tables


def _moved(bags: Tables, served: Tables) -> Tables:
    """The bags' tables, moved so that their means are those of the one ensemble that is served."""
    moved = {}
    for axes in sorted(bags.keys() | served.keys()):
        mean = served[axes][0] if axes in served else np.zeros_like(bags[axes][0])
        tables = bags[axes] if axes in bags else np.zeros((len(bags[()]), *mean.shape))
        moved[axes] = tables + (mean - tables.mean(axis=0))
    return moved


def _places(axes: Sequence[Axis], columns: Columns) -> npt.NDArray[np.intp]:
    """(n, axes) where rows fall."""
    return np.column_stack(
        [
            places(
                columns[column.name] if column.is_text else finite(columns[column.name]),
                column.knots(fine=fine),
                is_text=column.is_text,
            )
            for column, fine in axes
        ]
    )


def _encoded(at: npt.NDArray[np.intp], ranks: Sequence[Floats]) -> Floats:
    return np.column_stack([found[at[:, i]] for i, found in enumerate(ranks)])


def _ranks(axes: Sequence[Axis], at: npt.NDArray[np.intp], y: Floats) -> list[Floats]:
    """Per axis: the number an ensemble reads at each place, NaN for missing; of texts by the event rate of the rows."""
    found = []
    for i, axis in enumerate(axes):
        count = len(axis.knots)
        if axis.column.is_text:
            rows = np.bincount(at[:, i], minlength=count + 2)
            rates = (np.bincount(at[:, i], y, count + 2) + _PRIOR_ROWS * y.mean()) / (rows + _PRIOR_ROWS)
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
