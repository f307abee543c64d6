"""Declared directions on a sum of tables: along such a feature the whole scorecard moves one way, and each table does.

A feature's own table is projected. Where grids use the feature too, they first take over its own table in equal parts
(as coarse as their edges are): a bend in a grid that the feature's own slope outweighs is then no violation. Each grid
is projected along the feature, everywhere apart; a sum of tables that rise rises.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from models.errors import EbbtideError
from training.additive.columns import Column, Columns
from training.additive.parts import Part, union
from training.monotone import along


def check(directions: Mapping[str, int], learned: Sequence[Column], columns: Columns) -> None:
    """Raise `EbbtideError` for a direction that is none, or of a column that is absent or text."""
    texts = {column.name for column in learned if column.is_text}
    for name, direction in directions.items():
        if name not in columns:
            raise EbbtideError(f"A direction is declared for {name!r}, which is no column.")
        if name in texts and direction:
            raise EbbtideError(f"The column {name!r} is text and cannot have a direction; leave it out.")
        if direction not in (-1, 0, 1):
            raise EbbtideError(f"The direction of {name!r} is {direction}; it must be 1, -1 or 0.")


def directed(parts: Sequence[Part], directions: Mapping[str, int], columns: Columns) -> list[Part]:
    """The parts (one per set of features) moving only as declared."""
    found = list(parts)
    for name, direction in directions.items():
        if direction:
            others = [part for part in found if name not in part.features]
            found = [*others, *_one(name, direction, [p for p in found if name in p.features], columns)]
    return found


def _one(name: str, direction: int, parts: Sequence[Part], columns: Columns) -> list[Part]:
    own = [_projected(part, name, direction, columns) for part in parts if len(part.features) == 1]
    grids = [part for part in parts if len(part.features) > 1]
    if not grids:
        return own
    (edges,) = union([Part((name,), (part.knots[part.features.index(name)],), np.empty(0)) for part in grids])
    grids = [_on(part, name, edges) for part in grids]
    for part in own:
        share = _coarse(part, edges, columns) / len(grids)
        grids = [_added(grid, name, share) for grid in grids]
    return [_projected(grid, name, direction, columns) for grid in grids]


def _projected(part: Part, name: str, direction: int, columns: Columns) -> Part:
    axis = part.features.index(name)
    tables = np.moveaxis(part.tables.copy(), axis + 1, -1)
    tables[..., :-1] = along(tables[..., :-1], -1, direction, part.mass(columns, axis)[:-1])
    return replace(part, tables=np.moveaxis(tables, -1, axis + 1))


def _on(part: Part, name: str, edges: tuple[float, ...] | tuple[str, ...]) -> Part:
    return part.on(tuple(edges if n == name else knots for n, knots in zip(part.features, part.knots, strict=True)))


def _coarse(part: Part, edges: tuple[float, ...] | tuple[str, ...], columns: Columns) -> np.ndarray:
    """(bags, places) of a feature's own table on fewer edges: the mean over the rows of each bin."""
    (both,) = union([part, Part(part.features, (edges,), np.empty(0))])
    fine = part.on((both,))
    mass = fine.mass(columns) + 1e-9
    bins = np.array(edges).searchsorted(np.array([-np.inf, *both]), "right")
    to = np.concatenate([bins, [len(edges) + 1]])
    sums = np.zeros((len(edges) + 2, len(fine.tables)))
    np.add.at(sums, to, (fine.tables * mass).T)
    return (sums / np.bincount(to, mass)[:, None]).T


def _added(grid: Part, name: str, share: np.ndarray) -> Part:
    axis = grid.features.index(name) + 1
    shape = [len(share), *([1] * len(grid.features))]
    shape[axis] = share.shape[1]
    return replace(grid, tables=grid.tables + share.reshape(shape))
