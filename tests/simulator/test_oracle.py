"""What service does to leaving in each world, and how much of it could be known beforehand."""

from datetime import timedelta
from functools import cache

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from tests.simulator import measures
from training.simulator import Simulated, oracle, simulate


@pytest.fixture(scope="module")
def forecast(base: Simulated, earlier: Simulated) -> pl.DataFrame:
    """The oracle's probabilities at the snapshot beside what then happened."""
    realised = measures.outcomes(base.tables, earlier.end)
    return realised.join(oracle(earlier, futures=100), on="account_id", how="left")


def test_every_active_account_has_a_forecast(earlier: Simulated) -> None:
    active = earlier.tables["accounts"].filter(pl.col("ended_at").is_null())["account_id"]
    assert oracle(earlier, futures=2)["account_id"].equals(active)


def test_probabilities_add_up(forecast: pl.DataFrame) -> None:
    total = forecast["p_silent"] + forecast["p_vocal"]
    assert (total - forecast["p_churn"]).abs().max() < 1e-12
    assert forecast["p_churn"].is_between(0, 1).all()
    assert (forecast["p_churn"] + forecast["p_involuntary"]).max() <= 1 + 1e-12


def test_the_oracle_ranks_the_realised_future(forecast: pl.DataFrame) -> None:
    silent = roc_auc_score(forecast["silent"], forecast["p_silent"])
    churn = roc_auc_score(forecast["churn"], forecast["p_churn"])
    assert silent > 0.82
    assert churn > 0.82


def test_the_oracle_is_calibrated(forecast: pl.DataFrame) -> None:
    for probability, outcome in (("p_churn", "churn"), ("p_silent", "silent"), ("p_involuntary", "other")):
        happened = forecast["any"] & ~forecast["churn"] if outcome == "other" else forecast[outcome]
        expected = forecast[probability].sum()
        assert abs(happened.sum() - expected) < 4 * np.sqrt(expected)


def test_the_oracle_knows_of_decisions_already_taken(earlier: Simulated, forecast: pl.DataFrame) -> None:
    rows = forecast.join(earlier.truth.select("account_id", "decided_to_leave"), on="account_id")
    decided = rows.filter("decided_to_leave")["p_churn"].mean()
    assert decided > 10 * rows.filter(~pl.col("decided_to_leave"))["p_churn"].mean()


def test_it_needs_a_future(earlier: Simulated) -> None:
    with pytest.raises(ValueError, match="at least one future"):
        oracle(earlier, futures=0)


def test_a_future_that_cannot_stay_through_the_blackout_is_no_forecast(earlier: Simulated) -> None:
    known = earlier.tables["accounts"].select("account_id", "billing", "renewal_at")
    soon = earlier.truth.filter(pl.col("active") & pl.col("decided_to_leave")).join(known, on="account_id")
    soon = soon.filter((pl.col("billing") == "annual") & (pl.col("renewal_at") <= earlier.end + timedelta(days=14)))
    assert len(soon)
    rows = oracle(earlier, futures=2).filter(pl.col("account_id").is_in(soon["account_id"].implode()))
    assert rows["p_churn"].null_count() == len(rows)


@cache
def fates(world: str) -> pl.DataFrame:
    """Hidden states of undecided SMB accounts at week 60, and whether they left by choice within 70 more."""
    later = simulate(3000, 130, world, seed=8, snapshot_week=60)
    assert later.earlier is not None
    undecided = later.earlier.truth.filter(pl.col("active") & ~pl.col("decided_to_leave"))
    left = (pl.col("end_reason") == "voluntary").fill_null(value=False)
    fate = later.tables["accounts"].select("account_id", left=left)
    return undecided.filter(pl.col("segment") == "smb").join(fate, on="account_id")


def difference(world: str, column: str) -> float:
    """Mean of a hidden state among those who left less that of those who stayed, in standard errors."""
    rows = fates(world)
    gone, stayed = (rows.filter(pl.col("left") == left)[column].to_numpy() for left in (True, False))
    error = np.sqrt(gone.var() / len(gone) + stayed.var() / len(stayed))
    return float((gone.mean() - stayed.mean()) / error)


@pytest.mark.parametrize("column", ["satisfaction", "engagement", "unresolved_memory", "escalation_memory"])
def test_in_the_null_world_service_has_nothing_to_do_with_leaving(column: str) -> None:
    assert abs(difference("null", column)) < 3


def test_elsewhere_it_has() -> None:
    assert difference("default", "satisfaction") < -5
    assert difference("strong", "satisfaction") < difference("default", "satisfaction")
