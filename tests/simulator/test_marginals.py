"""The default world looks like the published figures it was set to.

The tolerance of each is about four standard deviations between seeds, or what the published figure leaves
open, whichever is larger.
"""

import numpy as np
import polars as pl
import pytest

from tests.simulator import measures
from training.simulator import Simulated, simulate

TARGETS = {
    "annual_churn": (0.168, 0.020),
    "annual_churn_smb": (0.18, 0.035),
    "annual_churn_mid": (0.16, 0.030),
    "annual_churn_enterprise": (0.10, 0.045),  # 300 accounts
    "silent_share": (0.69, 0.09),
    "contacts_per_week": (0.35, 0.02),
    "repeat_rate": (0.14, 0.01),
    "escalation_rate": (0.044, 0.003),
    "csat_response": (0.22, 0.02),
    "nps_response": (0.17, 0.015),
    "csat_top_two": (0.86, 0.02),
    "nps": (32, 7),
    "complaints_per_100_failures": (9.0, 0.8),
    "base_any": (0.043, 0.006),
    "base_unheard": (0.030, 0.006),  # exits without a voice, involuntary ones counted
    "base_silent": (0.023, 0.009),  # voluntary only; every definition of a demanded escalation above it
}


@pytest.fixture(scope="module")
def measured(base: Simulated) -> dict[str, float]:
    return measures.marginals(base)


@pytest.mark.parametrize("name", TARGETS)
def test_published_marginal(measured: dict[str, float], name: str) -> None:
    target, tolerance = TARGETS[name]
    assert measured[name] == pytest.approx(target, abs=tolerance)


def test_the_base_neither_grows_nor_shrinks_much(base: Simulated) -> None:
    active = base.tables["accounts"]["ended_at"].null_count()
    assert 0.9 < active / 3000 < 1.1


def test_satisfaction_stays_where_it_was(earlier: Simulated) -> None:
    late = earlier.truth.filter("active")["satisfaction"].mean()
    early = simulate(3000, 1, "default", seed=7).truth.filter("active")["satisfaction"].mean()
    assert late == pytest.approx(early, abs=0.06)


def test_silence_depends_on_how_far_back_one_listens(base: Simulated) -> None:
    shares = [measures.silent_share(base, days) for days in (30, 60, 90, 180, 365)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85
    assert shares[-1] < 0.45


def test_durations_are_heavy_tailed(base: Simulated) -> None:
    contacts = base.tables["interactions"]
    minutes = {
        name: contacts.filter(~pl.col("channel").is_in(["phone", "chat"]))
        .select(((pl.col(name) - pl.col("opened_at")).dt.total_seconds() / 60).drop_nulls())
        .to_series()
        .to_numpy()
        for name in ("first_response_at", "resolved_at")
    }
    assert np.median(minutes["first_response_at"]) == pytest.approx(120, rel=0.05)
    assert np.log(minutes["first_response_at"]).std() == pytest.approx(1.9, abs=0.05)
    assert np.median(minutes["resolved_at"]) == pytest.approx(1300, rel=0.20)
    assert contacts["handle_seconds"].mean() == pytest.approx(480, rel=0.02)


def test_contacts_keep_office_hours(base: Simulated) -> None:
    opened = base.tables["interactions"]["opened_at"]
    assert (opened.dt.weekday() >= 6).mean() < 0.05
    assert opened.dt.hour().is_between(7, 18).mean() > 0.9
