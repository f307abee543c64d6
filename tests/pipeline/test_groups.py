"""Parts of the customers: the example by hand, and that nobody is left out."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from training.groups import groups
from training.intervals import wilson
from training.train import Trained

DAY = datetime(2026, 1, 5, tzinfo=UTC)


def rows(surveys: list[str | None], y: list[int], p: np.ndarray) -> pl.DataFrame:
    n = len(y)
    return pl.DataFrame(
        {"account_id": [f"a{i:04d}" for i in range(n)], "as_of": [DAY] * n, "y": y, "p": p}
    ).with_columns(surveys=pl.Series(surveys, dtype=pl.String), billing=pl.lit("monthly"))


def test_the_example():
    # Of 1,000 the first 100 are the tenth: 9 + 10 exits there, 11 + 30 further down.
    surveys = ["answers"] * 9 + ["never answers"] * 91 + ["answers"] * 411 + ["never answers"] * 489
    y = [1] * 19 + [0] * 81 + [1] * 11 + [0] * 400 + [1] * 30 + [0] * 459
    found = groups(rows(surveys, y, np.linspace(0.9, 0.01, 1000)), resamples=5)
    assert set(found) == {"surveys"}  # everybody is billed monthly, which parts nobody
    answers, never = found["surveys"]["answers"], found["surveys"]["never answers"]
    assert (answers["n_events"], never["n_events"]) == (20, 40)
    assert (answers["missed"]["value"], never["missed"]["value"]) == (0.55, 0.75)
    # One row per account: Wilson at (almost) as many rows as exits.
    assert answers["missed"]["low"] == pytest.approx(wilson(0.55, 19)[0])


def test_unknown_values_are_a_group():
    found = groups(rows(["answers", None, None, "answers"], [1, 0, 1, 0], np.array([0.4, 0.3, 0.2, 0.1])), resamples=0)
    assert {name: part["n_rows"] for name, part in found["surveys"].items()} == {"answers": 2, "unknown": 2}


@pytest.mark.parametrize("target", ["churn", "silent"])
def test_the_groups_of_a_training_run_hold_everybody(trained: Trained, target: str) -> None:
    whole = trained.report["metrics"][target]
    assert set(whole["groups"]) == {"billing", "surveys", "region"}
    for parts in whole["groups"].values():
        assert sum(part["n_rows"] for part in parts.values()) == whole["n_rows"]
        assert sum(part["n_event_rows"] for part in parts.values()) == whole["n_event_rows"]
