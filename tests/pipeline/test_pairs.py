"""Pairs of features: found where they are, kept in their directions, and the same as tables."""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from models.features import FEATURES
from models.model import columns
from models.scorecard import Scorecard, Target
from tests.pipeline.test_fit import small
from training import expert, pairs
from training import fitting as fit


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As `train` does: the fits run side by side."""
    with threadpool_limits(limits=1, user_api="blas"):
        yield


def together(n: int = 3000, seed: int = 0) -> pl.DataFrame:
    """Rows in which failures matter only while the renewal is not far away."""
    rows = small(n, seed)
    near = (rows["days_to_renewal"] < 90).fill_null(False).to_numpy()
    failures = rows["quiet_failures_365d"].fill_null(0).to_numpy()
    z = -2.5 + 0.5 * failures * near
    y = (np.random.default_rng(seed).random(n) < 1 / (1 + np.exp(-z))).astype(float)
    return rows.with_columns(pl.Series("y_churn", y), pl.Series("y_silent", y))


def extended(rows: pl.DataFrame, target: Target) -> tuple[fit.Prepared, pairs.Extension, Scorecard]:
    prepared = fit.Material.of(rows, target, expert.load()).prepare()
    fitted = fit.path(prepared, (None, 0.1))[-1]
    extension = fit.extended(prepared, fitted)
    return prepared, extension, fit.extended_scorecard(prepared, fitted, extension, 0.1, seed=1, times=3)


def test_the_pair_that_is_there_is_found_first() -> None:
    _, extension, card = extended(together(), "churn")
    first = card.grids[0]
    assert set(first.features) == {"quiet_failures_365d", "days_to_renewal"}
    assert len(card.grids) == len(extension.pairs.chosen) == pairs.PAIRS


@pytest.mark.parametrize("target", ["churn", "silent"])
def test_tables_and_grids_are_the_fit(target: Target) -> None:
    """On the rows learnt from, unknown values included, and for texts nobody has seen."""
    rows = together(1500, seed=1)
    prepared, extension, card = extended(rows, target)
    fitted = fit.path(prepared, (None, 0.1))[-1]
    below = fitted.log_odds(prepared.score, prepared.x)
    assert card.log_odds(columns(rows)) == pytest.approx(extension.log_odds(prepared.binned, below), abs=1e-9)
    strange = rows.with_columns(pl.lit("startup").alias("segment"))
    binned = pairs.Binned.of(strange, prepared.material.layout)
    without = Scorecard(target, card.base, card.terms, (), card.base_replicates).log_odds(columns(strange))
    grids = card.log_odds(columns(strange)) - without
    direct = extension.log_odds(binned, np.zeros(len(rows))) - extension.fit.a
    assert grids == pytest.approx(direct, abs=1e-9)


@pytest.mark.parametrize("target", ["churn", "silent"])
def test_every_grid_moves_as_declared_along_each_feature(target: Target) -> None:
    _, _, card = extended(together(1500, seed=2), target)
    directed = 0
    for grid in card.grids:
        for table in (grid.table, *grid.replicate_tables()):
            cells = np.array(table).reshape(grid.shape)
            for axis, name in enumerate(grid.features):
                direction = FEATURES[name].direction(target)
                if direction and not FEATURES[name].categorical:
                    rising = np.moveaxis(cells, axis, 0)[: len(grid.knots[axis]) + 1]
                    assert (direction * np.diff(rising, axis=0) >= 0).all(), (grid.name, name)
                    directed += 1
    assert directed > 100
    assert len(card.base_replicates) == 3


def test_where_features_only_add_up_pairs_add_little() -> None:
    rows = small(3000, seed=3)
    prepared, extension, _ = extended(rows, "churn")
    fresh = small(6000, seed=4)
    other = fit.Material.of(fresh, "churn", expert.load()).prepare()
    fitted = fit.path(prepared, (None, 0.1))[-1]
    x = prepared.design.matrix(prepared.material.layout.raw(fresh))
    below = fitted.log_odds(other.score, x)
    over = extension.log_odds(pairs.Binned.of(fresh, prepared.material.layout), below)

    def loss(z: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0, z) - other.y * z))

    assert loss(over) < loss(below) + 0.02


def test_pairs_are_looked_for_in_every_month():
    """Of accounts one after the other with 24 months each, none of which left."""
    rows, count = pairs._looked_at(np.zeros(3_000 * 24))
    assert set(rows % 24) == set(range(24))
    assert len(rows) == len(set(rows.tolist())) == 12_000
    assert count.sum() == pytest.approx(3_000 * 24)
