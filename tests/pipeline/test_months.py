"""Lists day by day: the module's example by hand, and what must hold for any rows."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.months import by_month, with_ranks

DAY = datetime(2025, 3, 3, tzinfo=UTC)


def day(y, p, mrr=None, at=DAY, first=0):
    n = len(y)
    return pl.DataFrame(
        {
            "account_id": [f"a{i + first:04d}" for i in range(n)],
            "as_of": [at] * n,
            "y": y,
            "p": p,
            "mrr": [100.0] * n if mrr is None else mrr,
        },
        schema_overrides={"as_of": pl.Datetime("us", "UTC"), "y": pl.Int8, "mrr": pl.Float64},
    )


def march():
    """500 quiet customers, 30 left, 19 of them among the 50 ranked highest."""
    y = [1] * 19 + [0] * 31 + [1] * 11 + [0] * 439
    return day(y, np.linspace(0.9, 0.01, 500))


def test_the_example():
    found = by_month(march(), 50)
    (month,) = found["months"]
    assert (month["accounts"], month["listed"], month["left"], month["left_of_all"]) == (500, 50, 19, 30)
    assert month["precision"] == pytest.approx({"value": 0.38, "low": 0.2586, "high": 0.5185}, abs=1e-4)
    assert month["base_rate"] == pytest.approx(0.06)
    assert month["lift"] == pytest.approx(0.38 / 0.06)
    assert month["found"] == pytest.approx(19 / 30)
    assert found["summary"]["precision"]["value"] == pytest.approx(0.38)


def test_by_loss_calls_the_dear_ones_first():
    rows = day([1, 1, 0, 0], [0.4, 0.3, 0.2, 0.1], [10, 1000, 100, None])
    (month,) = by_month(rows, 1)["months"]
    assert month["left"] == 1
    assert month["by_loss"] == {"left": 1, "revenue_lost": 1010, "revenue_share": pytest.approx(1000 / 1010)}
    ranks = with_ranks(rows)
    assert ranks["rank_by_loss"].to_list() == [3, 1, 2, 4]  # unknown revenue comes last
    assert ranks["rank_by_probability"].to_list() == [1, 2, 3, 4]


def test_equal_risks_rank_by_account_as_in_the_product():
    assert with_ranks(day([0, 0, 0], [0.5, 0.5, 0.5]).reverse())["rank_by_probability"].to_list() == [1, 2, 3]


def test_without_revenue_there_is_nothing_to_capture():
    (month,) = by_month(day([1, 0], [0.2, 0.1]).drop("mrr"), 1)["months"]
    assert month["by_loss"] == {"left": 1, "revenue_lost": 0.0, "revenue_share": None}


def test_no_rows_no_months():
    found = by_month(day([], []), 20)
    assert found["months"] == []
    assert found["summary"]["precision"] == {"value": None, "low": None, "high": None}


def test_a_day_with_nobody_leaving_has_a_base_of_nothing():
    (month,) = by_month(day([0, 0], [0.2, 0.1]), 1)["months"]
    assert (month["lift"], month["found"], month["base_rate"]) == (None, None, 0)
    assert month["precision"]["high"] > 0.7  # nothing of one call: it may have been bad luck


def test_an_account_that_comes_back_is_one_piece_of_evidence():
    days = [
        march().with_columns(as_of=pl.lit(DAY + timedelta(days=28 * i)).cast(pl.Datetime("us", "UTC")))
        for i in range(6)
    ]
    same = by_month(pl.concat(days), 50)["summary"]
    others = [frame.with_columns(account_id=pl.col("account_id") + f"-{i}") for i, frame in enumerate(days)]
    different = by_month(pl.concat(others), 50)["summary"]
    assert (same["places"], same["accounts"], different["accounts"]) == (300, 50, 300)
    width = [found["precision"]["high"] - found["precision"]["low"] for found in (same, different)]
    assert width[0] > 1.8 * width[1]  # sqrt(6) = 2.4 in the long run


@given(st.integers(0, 10_000), st.integers(1, 30))
@settings(max_examples=25, deadline=None)
def test_the_months_add_up_and_the_order_of_rows_is_free(seed, capacity):
    generator = np.random.default_rng(seed)
    n = 60
    days = [
        day(
            (generator.random(n) < 0.2).astype(int),
            np.round(generator.random(n), 1),
            np.where(generator.random(n) < 0.2, np.nan, generator.lognormal(5, 1, n)),
            DAY + timedelta(days=28 * i),
            first=int(generator.integers(0, 30)),
        ).with_columns(pl.col("mrr").fill_nan(None))
        for i in range(3)
    ]
    rows = pl.concat(days)
    found = by_month(rows, capacity, resamples=20)
    months, total = found["months"], found["summary"]
    assert sum(month["listed"] for month in months) == total["places"] == 3 * min(capacity, n)
    assert sum(month["left"] for month in months) == total["left"]
    assert sum(month["accounts"] for month in months) == rows.height
    assert sum(month["left_of_all"] for month in months) == rows["y"].sum()
    assert all(month["left"] <= min(month["listed"], month["left_of_all"]) for month in months)
    assert by_month(rows.sample(fraction=1, shuffle=True, seed=seed), capacity, resamples=20) == found
