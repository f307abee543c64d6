"""Champion and challenger: the simpler stays unless the other is better beyond doubt; without a signal nothing is."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from training.cross import Chosen, OutOfFold
from training.selection import select


def made(better: float, blocks: int = 4, n: int = 8000, seed: int = 0) -> tuple[OutOfFold, pl.DataFrame]:
    """Two kinds of predictions; the second sees `better` of what the first does not."""
    rng = np.random.default_rng(seed)
    seen, hidden = rng.normal(0, 1, n), rng.normal(0, 1, n)
    y = (rng.random(n) < 1 / (1 + np.exp(3 - seen - hidden))).astype(float)
    kinds = {"logistic": seen - 2.7, "pairs": seen + better * hidden - 2.8}
    z, zero = kinds["logistic"], np.zeros(n)
    block = np.arange(n) * blocks // n
    told = {b: tuple(range(b)) for b in range(blocks)}
    rows, chosen = np.arange(n), Chosen({}, 0.05, {})
    found = OutOfFold("silent", rows, y, kinds, z, zero, zero, zero, block, rng.integers(0, 4, n), told, chosen)
    frame = pl.DataFrame({"account_id": [f"A{i % 2000}" for i in range(n)], "as_of": block})
    return found, frame


def test_a_clear_gain_is_taken_and_told() -> None:
    found = select(*made(1.0), seed=1)
    assert found.kind == "pairs"
    assert found.report["gain"]["log_loss"]["low"] > 0
    assert found.report["by_other_half"]["chosen"] == ["pairs", "pairs"]
    assert found.report["tried"]["pairs"]["auc"] > found.report["tried"]["logistic"]["auc"]


@pytest.mark.parametrize("better", [0.0, -0.5])
def test_ties_and_losses_go_to_the_simpler(better: float) -> None:
    found = select(*made(better), seed=1)
    assert found.kind == "logistic"
    assert "the simpler stays" in found.report["why"]


def test_a_gain_that_costs_the_top_of_the_list_is_none() -> None:
    """Better on the whole and worse among those that lists are made of: all at the top look alike."""
    found, frame = made(0.5)
    z = found.kinds["pairs"].copy()
    top = np.argsort(z)[-2400:]
    z[top] = z[top].mean() + 1e-6 * np.random.default_rng(1).normal(size=len(top))
    told = select(replace(found, kinds=found.kinds | {"pairs": z}), frame, seed=1)
    assert told.report["gain"]["log_loss"]["low"] > 0
    assert told.report["gain"]["top_decile_lift"]["value"] < 0
    assert (told.kind, "falls with pairs" in told.report["why"]) == ("logistic", True)


def test_two_blocks_are_too_few_to_change_the_kind() -> None:
    found = select(*made(1.0, blocks=2), seed=1)
    assert found.kind == "logistic"
    assert "2 blocks" in found.report["why"]
