"""Sentences about lists, money and the model in service: each says the numbers it was given."""

from datetime import UTC, datetime

import pytest

from training.describe_lists import at_work, in_service

DAY = datetime(2025, 3, 3, tzinfo=UTC)


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def by_month(**summary):
    told = {
        "moments": 12,
        "places": 600,
        "accounts": 210,
        "left": 90,
        "precision": estimate(0.15, 0.1, 0.2),
        "base_rate": estimate(0.033),
        "lift": estimate(4.5),
    }
    month = {"as_of": DAY, "listed": 50, "left": 19, "base_rate": 0.06}
    return {"capacity": 50, "months": [month], "summary": told | summary}


def profit(fraction=0.1):
    return {
        "fraction": fraction,
        "accounts_per_list": 31.4,
        "at_capacity": estimate(1234.5, 300.0, 2100.0),
        "assumptions": {"accepted": 0.3, "incentive": 0.05, "contact_cost": 15.0, "months": 12.0, "margin": 1.0},
    }


def test_the_lists_and_the_last_of_them():
    assert list(at_work({"by_month": by_month()})) == [
        "Lists of the first 50 quiet customers on the 12 tested days would have held 600 places (210 different "
        "customers); 90 of them left silently within the horizon: 15 % (95 % interval 10% to 20%), against 3.3 % of "
        "all quiet customers.",
        "The last of them, of 2025-03-03: 50 customers, 19 left silently, base 6.0 %.",
    ]


def test_money_names_its_assumptions():
    assert list(at_work({"profit": profit(), "bootstrap": {"k": 50}})) == [
        "If an offer of 5% of 12 months' revenue keeps 30% of those who would leave and a call costs 15, calling the "
        "first 50 of a day would have earned 1,234 (95 % interval 300 to 2,100); the best number to call, known only "
        "in hindsight, would have been about 31 a day. Who can be saved is assumed here, not measured."
    ]
    (said,) = at_work({"profit": profit(fraction=0.0), "bootstrap": {"k": 50}})
    assert "in hindsight calling nobody would have earned most" in said


@pytest.mark.parametrize(("exits", "sentences"), [(29, 0), (30, 1)])
def test_half_a_year_needs_exits(exits, sentences):
    longer = {
        "population": "annual",
        "n_events": exits,
        "auc": estimate(0.73, 0.69, 0.78),
        "gain": {"contract": {"auc": estimate(0.048, 0.004, 0.092)}},
    }
    own = {"population": "all", "auc": estimate(0.8), "n_events": 500}
    said = list(at_work({"horizons": {"90": own, "180": longer}}))
    assert len(said) == sentences
    if said:
        assert said[0] == (
            "For 180 days ahead (annual contracts, 30 silent exits) the same order was right in 73 of 100 cases (95 % "
            "interval 69% to 78%), +0.048 (+0.004 to +0.092) in AUC over contract terms alone."
        )
    assert list(at_work({"horizons": {"180": {"population": "annual", "why": "too few"}}})) == []


def test_nothing_to_say():
    assert list(at_work({"profit": None, "horizons": None})) == []
    assert list(at_work({"by_month": by_month(lift=estimate(None))})) == []
    assert list(in_service({"status": "none", "why": "No model is in service."})) == []


@pytest.mark.parametrize(
    ("gain", "verb"),
    [
        ((0.03, 0.01, 0.05), "ranks better than"),
        ((-0.03, -0.05, -0.01), "ranks worse than"),
        ((0.0, -0.01, 0.01), "ranks no better and no worse than"),
    ],
)
def test_beside_the_model_in_service(gain, verb):
    silent = {"n_rows": 4321, "n_events": 44, "gain": {"auc": estimate(*gain)}}
    (said,) = in_service({"status": "compared", "cutoff": DAY, "silent": silent})
    assert said == (
        "On the 4,321 tested rows after 2025-03-03, which the model in service cannot have learnt from (44 silent "
        f"exits), the new one {verb} it (gain in AUC {gain[0]:+.3f}, 95 % interval {gain[1]:+.3f} to {gain[2]:+.3f})."
    )


def test_why_it_cannot_be_compared():
    assert list(in_service({"status": "too_recent", "why": "Only 3 left."})) == ["Only 3 left."]
