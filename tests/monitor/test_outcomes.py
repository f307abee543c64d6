"""Observed against expected, and what scores promise by themselves: worked by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import LabelParams
from models.monitor.estimate import estimate
from models.monitor.outcomes import ALARM, _seen, auc, garwood, observed, outcome_findings
from tests.monitor.conftest import Served

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_garwood_by_the_tables() -> None:
    assert garwood(0) == (0.0, pytest.approx(3.689, abs=1e-3))
    assert garwood(10) == pytest.approx((4.795, 18.390), abs=1e-3)
    assert garwood(28) == pytest.approx((18.606, 40.468), abs=1e-3)


def rows(left: int, accounts: int = 200, snapshots: int = 3, p: float = 0.1) -> pl.DataFrame:
    """Accounts with the same risk at each of some snapshots; the first `left` of them leave, after all snapshots."""
    return pl.DataFrame(
        [
            {
                "account_id": f"a{account}",
                "as_of": NOW + timedelta(days=28 * k),
                "p_churn": p,
                "p_silent": p,
                "y_churn": int(account < left),
                "y_silent": int(account < left),
                "part": 1.0,
            }
            for account in range(accounts)
            for k in range(snapshots)
        ],
        schema_overrides={"y_churn": pl.Int8, "y_silent": pl.Int8},
    )


def test_one_exit_counts_once_however_many_snapshots_saw_it(served: Served) -> None:
    churn, _ = observed(rows(left=28), served.reference)
    # 84 rows with an exit, three of each account; 600 rows of .1 expect 60, which is 20 accounts.
    assert (churn.observed, churn.expected, churn.exits) == (84, pytest.approx(60), 28)
    assert churn.ratio == pytest.approx(1.4)
    assert (churn.low, churn.high) == pytest.approx((18.606 / 20, 40.468 / 20), abs=1e-3)
    learnt = served.reference.events["churn"]
    # 2 (sqrt 28.375 - sqrt 20.375) = 1.626, less for what the training could not know either.
    assert churn.z == pytest.approx(1.626 / np.sqrt(1 + 20 / learnt), abs=1e-3)


def test_a_part_of_the_horizon_expects_a_part_of_the_exits(served: Served) -> None:
    part = rows(left=14).with_columns(pl.lit(0.5).alias("part"))
    churn, _ = observed(part, served.reference)
    assert churn.ratio == pytest.approx(1.4)


def test_the_alarm_rings_when_more_leave_than_chance_allows(served: Served) -> None:
    quiet = observed(rows(left=24), served.reference)
    assert outcome_findings(quiet, served.reference) == []
    loud = observed(rows(left=60), served.reference)
    found = outcome_findings(loud, served.reference)
    assert [(one.kind, one.severity, one.subject) for one in found] == [
        ("observed_expected", "alarm", "churn"),
        ("observed_expected", "alarm", "silent"),
    ]
    assert found[0].numbers["chance"] <= ALARM
    assert "More accounts were leaving" in found[0].sentence


def test_too_few_exits_say_nothing(served: Served) -> None:
    assert outcome_findings(observed(rows(left=3, p=0.001), served.reference), served.reference) == []
    assert observed(rows(left=3).clear(), served.reference) == []


def test_nobody_left_is_fewer_than_expected(served: Served) -> None:
    churn, _ = observed(rows(left=0), served.reference)
    assert churn.ratio == 0
    assert churn.low == 0
    assert churn.auc is None
    (found,) = outcome_findings([churn], served.reference)
    assert "Fewer accounts" in found.sentence


def test_the_share_of_a_horizon_that_has_been_seen() -> None:
    params, even = LabelParams(), tuple(np.arange(1, 10) / 9)
    day = timedelta(days=1)
    assert _seen(NOW, NOW + 134 * day, params, even) == (90, 1.0)
    assert _seen(NOW, NOW + 300 * day, params, even) == (90, 1.0)
    assert _seen(NOW, NOW + 53 * day, params, even) is None
    assert _seen(NOW, NOW + 54 * day, params, even) == (10, pytest.approx(1 / 9))
    assert _seen(NOW, NOW + 79 * day, params, even) == (30, pytest.approx(3 / 9))
    short = LabelParams(horizon_days=7)
    # Three ninths of seven days are two whole days of two and a third.
    assert _seen(NOW, NOW + timedelta(days=46.5), short, even) == (2, pytest.approx(2 / 7))


def test_auc_by_hand() -> None:
    # Pairs (left, stayed): .8 beats .5 and .2; .5 ties with .5 (half) and beats .2: 3.5 of 4.
    p, y = np.array([0.8, 0.5, 0.5, 0.2]), np.array([1.0, 1.0, 0.0, 0.0])
    assert auc(p, y) == pytest.approx(3.5 / 4)
    assert auc(p, np.zeros(4)) is None


def test_what_scores_promise_by_hand() -> None:
    found = estimate(np.array([0.2, 0.1]))
    assert found.auc == pytest.approx(0.18 / 0.26)
    assert found.exits == pytest.approx(0.3)
    assert found.lift == pytest.approx(0.2 / 0.15)
    assert estimate(np.full(7, 0.3)).auc == pytest.approx(0.5)
    assert np.isnan(estimate(np.zeros(3)).auc)
    assert estimate(np.zeros(0)).to_plain() == {"accounts": 0, "exits": 0.0, "auc": None, "lift": None}


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=30))
def test_the_promise_is_the_sum_over_pairs(values: list[float]) -> None:
    p = np.array(values)
    right = pairs = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if i != j:
                weight = p[i] * (1 - p[j])
                pairs += weight
                right += weight * (1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0)
    assert estimate(p).auc == pytest.approx(right / pairs)
    assert estimate(p[::-1]) == estimate(p)


def test_the_promise_comes_true_where_the_probabilities_are_right() -> None:
    generator = np.random.default_rng(3)
    p = generator.beta(0.6, 8, 40_000)
    y = (generator.random(len(p)) < p).astype(float)
    assert auc(p, y) == pytest.approx(estimate(p).auc, abs=0.01)
