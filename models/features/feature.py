"""What a feature is: a small typed value, declared as data.

Two layers, both plain Polars expressions. *Facts* (`facts.py`) count and sum an account's visible rows;
*features* turn facts, the account's terms and its segment's baseline into the numbers a model sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import polars as pl

Component = Literal["effort", "resolution", "sentiment", "silence", "commercial"]
COMPONENTS: tuple[Component, ...] = ("effort", "resolution", "sentiment", "silence", "commercial")

#: +1 raises the risk, -1 lowers it, 0 is free.
Direction = Literal[-1, 0, 1]


@dataclass(frozen=True)
class Basis:
    """How a fitted model may use the feature: the shape of its table.

    `line`: piecewise linear through `knots`, constant beyond the outer two; `steps`: one value per bin, lower
    edges inclusive; `category`: one value per text.
    """

    kind: Literal["line", "steps", "category"]
    knots: tuple[float, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One number (or text) per account and moment.

    `missing` says what no data means; `churn` and `silent` are the directions in which a higher value moves
    the hazard of leaving by any voluntary way and of leaving silently. `sentence` is what a reason says, with
    facts and features in braces; `usual` is how the segment's usual value is said (a format with one field).
    """

    name: str
    label: str
    component: Component
    unit: str
    window_days: int | None
    missing: str
    churn: Direction
    silent: Direction
    value: pl.Expr
    basis: Basis
    sentence: str
    usual: str
    note: str = ""

    @property
    def categorical(self) -> bool:
        """Whether the value is text."""
        return self.basis.kind == "category"

    def direction(self, target: Literal["churn", "silent"]) -> Direction:
        """Which way a higher value moves the risk of one scorecard."""
        return self.churn if target == "churn" else self.silent


class FeatureSet(Sequence[Feature]):
    """An ordered set of features: what the model will see."""

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = tuple(features)
        self._by_name = {feature.name: feature for feature in self._features}
        if len(self._by_name) != len(self._features):
            raise ValueError("Two features share a name.")

    def __len__(self) -> int:
        return len(self._features)

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._features)

    def __getitem__(self, key):  # type: ignore[no-untyped-def]
        """A feature by its position or by its name."""
        return self._by_name[key] if isinstance(key, str) else self._features[key]

    def __contains__(self, key: object) -> bool:
        return key in self._by_name

    @cached_property
    def expressions(self) -> tuple[pl.Expr, ...]:
        """The features' values under their names."""
        return tuple(feature.value.alias(feature.name) for feature in self._features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Feature names in order."""
        return tuple(self._by_name)

    @cached_property
    def reads(self) -> frozenset[str]:
        """The columns that the features' values are computed from."""
        return frozenset(name for feature in self._features for name in feature.value.meta.root_names())

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the features that are numbers."""
        return tuple(f.name for f in self._features if not f.categorical)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the features that are text."""
        return tuple(f.name for f in self._features if f.categorical)
