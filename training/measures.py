"""The users' own measures as features of a fit: which there are, and the shape the training rows suggest for each.

A measure becomes a broken line through quantiles of its known values in the training rows. Labels take no part in
this, so the same knots serve every fold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from models.errors import ContractError, SettingsError
from models.features import Basis, Feature
from models.features.feature import Component, Direction
from models.features.measures import MEASURE, measure_feature
from models.history import History

#: More kinds of measure than these are names made up by a program, one per customer or per day.
MOST_MEASURES = 200
#: A measure known in fewer training rows is left out: nothing could be learnt about it.
LEAST_ROWS = 50
#: Where the knots lie: the outer ones leave a hundredth of the rows beyond them.
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)


@dataclass(frozen=True)
class Declared:
    """What the configuration says of one measure: `direction` +1 raises the risk, -1 lowers it, 0 is free."""

    label: str = ""
    unit: str = ""
    component: Component = "commercial"
    direction: Direction = 0
    use: bool = True


def of_history(known: History, declared: Mapping[str, Declared]) -> tuple[Feature, ...]:
    """The measures of a history, by name, without a shape yet. Raises `SettingsError` for a declared one it has not,
    `ContractError` for more of them than anybody has."""
    names = known.measures["name"].unique().sort().to_list()
    unknown = sorted(set(declared) - set(names))
    if unknown:
        has = f"it has {', '.join(names[:10])}" if names else "it has none"
        raise SettingsError(f"The configuration declares the measure {unknown[0]!r}, which the history lacks; {has}.")
    used = [name for name in names if declared.get(name, Declared()).use]
    if len(used) > MOST_MEASURES:
        raise ContractError(
            f"The history holds {len(used):,} kinds of measure, {used[0]!r} among them; {MOST_MEASURES} can be learnt "
            "from. Name a measure by what it counts, not by whom or when."
        )
    said = {name: declared.get(name, Declared()) for name in used}
    return tuple(
        measure_feature(name, label=d.label, unit=d.unit, component=d.component, direction=d.direction)
        for name, d in said.items()
    )


def shaped(matrix: pl.DataFrame, measures: Sequence[Feature]) -> tuple[Feature, ...]:
    """The measures that vary among enough rows, each with knots at quantiles of its known values."""
    found = []
    for measure in measures:
        knots = knots_of(matrix[measure.name].drop_nulls().to_numpy())
        if len(knots) > 1:
            found.append(replace(measure, basis=Basis("line", knots)))
    return tuple(found)


def left_out(measures: Sequence[Feature], kept: Sequence[Feature]) -> list[str]:
    """The names of the measures nothing could be learnt about."""
    known = {feature.name for feature in kept}
    return [feature.name.removeprefix(MEASURE) for feature in measures if feature.name not in known]


def knots_of(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    """Distinct quantiles of the values, ascending; none where they are too few. A rare value beside one common one is
    told apart by the two ends of the range."""
    if len(values) < LEAST_ROWS:
        return ()
    places = np.quantile(values, QUANTILES)
    if places[0] == places[-1]:
        places = np.array([values.min(), values.max()])
    return tuple(np.unique(places).tolist())
