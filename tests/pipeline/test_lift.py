"""Tables by tenths and expected profit: the modules' examples by hand, and what must hold for any sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import SettingsError
from tests.pipeline.samples import sample
from training.intervals import Estimate, draws, effective_rows, share_by_account, wilson
from training.lift import lift_table, revenue_table
from training.profit import ProfitParams, at_capacity, best, expected_profit
from training.sample import measure


def random_sample(seed, n=400, accounts=60, digits=2, unknown=0.1):
    generator = np.random.default_rng(seed)
    account = np.unique(generator.integers(0, accounts, n), return_inverse=True)[1]
    p = np.round(generator.beta(1, 12, n), digits).clip(0.01, 0.99)
    mrr = generator.lognormal(6, 1, n)
    mrr[generator.random(n) < unknown] = np.nan
    y = (generator.random(n) < p).astype(float)
    moment = np.unique(generator.integers(0, 5, n), return_inverse=True)[1]
    return sample(y, p, mrr, account, moment)


TEN = sample([1, 0, 1, 0, 0, 0, 0, 1, 0, 0], np.linspace(0.9, 0.1, 10))
FOUR = sample([1, 0, 1, 0], [0.8, 0.6, 0.4, 0.2], np.array([1000, 4000, 1000, 2000]) / 12)


class TestLift:
    def test_the_example(self):
        table = lift_table(TEN, [])
        assert [entry["exits"] for entry in table] == [1, 0, 1, 0, 0, 0, 0, 1, 0, 0]
        assert [entry["lift"]["value"] for entry in table[:3]] == pytest.approx([10 / 3, 0, 10 / 3])
        assert [entry["share_so_far"]["value"] for entry in table[:3]] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
        assert [entry["rate"] for entry in table[:3]] == [1.0, 0.0, 1.0]
        assert [entry["tenth"] for entry in table] == list(range(1, 11))

    def test_who_says_the_same_of_everybody_lifts_nobody(self):
        table = lift_table(sample([1, 0, 0, 0, 1] * 3, [0.2] * 15), [])
        assert [entry["lift"]["value"] for entry in table] == pytest.approx([1.0] * 10)
        assert [entry["rows"] for entry in table] == pytest.approx([1.5] * 10)
        assert [entry["accounts"] for entry in table] == [15] * 10

    def test_a_tenth_without_exits_may_have_been_lucky(self):
        table = lift_table(TEN, list(draws(TEN, 200, 0)))
        # None of one account left: Wilson's upper bound of 0 of 1 is .79, against a base rate of .3.
        assert table[1]["lift"]["low"] == 0.0
        assert table[1]["lift"]["high"] == pytest.approx(wilson(0, 1)[1] / 0.3)
        assert wilson(0, 1)[1] == pytest.approx(0.7935, abs=1e-4)

    def test_nobody_left(self):
        table = lift_table(sample([0] * 20, np.linspace(0.1, 0.9, 20)), [])
        assert all(np.isnan(entry["rate"]) or entry["rate"] == 0 for entry in table)
        assert all(entry["lift"]["value"] is None for entry in table)
        assert lift_table(sample([], []), []) == []

    @given(st.integers(0, 10_000), st.integers(1, 3))
    @settings(max_examples=40, deadline=None)
    def test_the_tenths_add_up_to_the_whole(self, seed, digits):
        drawn = random_sample(seed, digits=digits)
        table = lift_table(drawn, [])
        assert sum(entry["rows"] for entry in table) == pytest.approx(len(drawn.y))
        assert sum(entry["exits"] for entry in table) == pytest.approx(drawn.y.sum())
        assert table[-1]["exits_so_far"] == pytest.approx(drawn.y.sum())
        assert table[0]["lift"]["value"] == pytest.approx(measure(drawn)["top_decile_lift"], nan_ok=True)
        so_far = np.cumsum([entry["exits"] for entry in table])
        assert so_far == pytest.approx([entry["exits_so_far"] for entry in table])
        assert all(entry["accounts_left"] <= entry["accounts"] for entry in table)

    def test_its_first_interval_is_that_of_the_metric(self):
        drawn = random_sample(3)
        first = lift_table(drawn, draws(drawn, 100, 7))[0]["lift"]
        values = [measure(drawn, w)["top_decile_lift"] for w in draws(drawn, 100, 7)]
        assert (first["low"], first["high"]) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


class TestRevenue:
    def test_by_hand(self):
        # Ranked by p * mrr: 400 (stayed), 240 (left), 40, ... : all that was lost stands at the second place.
        table = revenue_table(sample([1, 0] + [0] * 8, [0.8, 0.8] + [0.1] * 8, [300, 500] + [10] * 8), [])
        assert [entry["revenue_lost"] for entry in table] == [0, 300] + [0] * 8
        assert [entry["expected_loss"] for entry in table[:2]] == pytest.approx([400, 240])
        assert [entry["share_so_far"]["value"] for entry in table[:2]] == [0, 1]

    def test_without_any_revenue_there_is_no_table(self):
        assert revenue_table(TEN, []) is None

    @given(st.integers(0, 10_000))
    @settings(max_examples=30, deadline=None)
    def test_the_tenths_add_up_to_what_is_known(self, seed):
        drawn = random_sample(seed, unknown=0.3)
        known = ~np.isnan(drawn.mrr)
        table = revenue_table(drawn, [])
        assert sum(entry["rows"] for entry in table) == pytest.approx(known.sum())
        assert sum(entry["exits"] for entry in table) == pytest.approx(drawn.y[known].sum())
        assert sum(entry["revenue_lost"] for entry in table) == pytest.approx((drawn.y * drawn.mrr)[known].sum())
        assert sum(entry["expected_loss"] for entry in table) == pytest.approx((drawn.p * drawn.mrr)[known].sum())
        captured = measure(drawn)["revenue_captured"]
        assert table[0]["share"]["value"] == pytest.approx(captured, nan_ok=True) or np.isnan(captured)


class TestProfit:
    def test_the_example(self):
        earned = ProfitParams().of_rows(FOUR)
        assert earned == pytest.approx([270, -215, 270, -115])
        assert best(FOUR.by_p, np.ones(4), earned) == pytest.approx((81.25, 0.75))

    def test_at_capacity_nothing_is_chosen(self):
        two = sample(FOUR.y, FOUR.p, FOUR.mrr, k=2)
        assert at_capacity(two, np.ones(4), ProfitParams().of_rows(two)) == pytest.approx(55)
        halves = sample(FOUR.y, FOUR.p, FOUR.mrr, moment=[0, 0, 1, 1], k=1)
        assert at_capacity(halves, np.ones(4), ProfitParams().of_rows(halves)) == pytest.approx(270)

    def test_where_nobody_is_worth_a_call_nobody_is_called(self):
        found = expected_profit(FOUR, [], ProfitParams(contact_cost=10_000.0))
        assert found["per_account"]["value"] == 0.0
        assert found["fraction"] == 0.0
        assert found["at_capacity"]["value"] < 0

    def test_equal_scores_are_called_together(self):
        tied = sample([1, 0], [0.5, 0.5], [1000 / 12] * 2)
        assert best(tied.by_p, np.ones(2), ProfitParams().of_rows(tied)) == pytest.approx(((270 - 65) / 2, 1.0))

    def test_unknown_revenue_takes_no_part(self):
        more = sample([1, 0, 1, 0, 1], [0.8, 0.6, 0.4, 0.2, 0.9], [*(FOUR.mrr), np.nan])
        assert expected_profit(more, [], ProfitParams())["per_account"]["value"] == pytest.approx(81.25)
        assert expected_profit(TEN, [], ProfitParams()) is None

    @given(st.integers(0, 10_000))
    @settings(max_examples=30, deadline=None)
    def test_no_other_number_of_calls_would_have_earned_more(self, seed):
        drawn = random_sample(seed, n=60, unknown=0.0)
        earned = ProfitParams().of_rows(drawn)
        per_account, fraction = best(drawn.by_p, np.ones(60), earned)
        thresholds = [earned[drawn.p >= cut].sum() / 60 for cut in np.unique(drawn.p)]
        assert per_account == pytest.approx(max(0.0, *thresholds))
        assert 0 <= fraction <= 1

    @pytest.mark.parametrize("wrong", [{"accepted": 1.5}, {"incentive": -0.1}, {"contact_cost": -1.0}, {"margin": 2.0}])
    def test_values_without_a_meaning(self, wrong):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            ProfitParams(**wrong)


class TestIntervals:
    def test_the_example(self):
        y, account = np.array([1, 1, 0, 0, 0, 0, 0, 0.0]), np.array([0, 0, 1, 1, 2, 2, 3, 3])
        assert effective_rows(y, account) == pytest.approx(3.0)
        found = share_by_account(y, account)
        assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.0368, 0.7439), abs=1e-4)

    def test_wilson_by_hand(self):
        # 0 of 10: 0 to z^2 / (10 + z^2).
        assert wilson(0.0, 10) == pytest.approx((0.0, 3.8415 / 13.8415), abs=1e-4)
        assert np.isnan(wilson(0.5, 0)).all()

    def test_without_exits_an_account_counts_once(self):
        quiet = share_by_account(np.zeros(30), np.repeat(np.arange(10), 3))
        assert (quiet.low, quiet.high) == (0.0, wilson(0.0, 10)[1])
        assert np.isnan(share_by_account(np.zeros(0), np.zeros(0, int)).low)

    @given(st.integers(0, 10_000))
    @settings(max_examples=50, deadline=None)
    def test_it_holds_the_share_and_is_never_narrower_than_rows_allow(self, seed):
        generator = np.random.default_rng(seed)
        y, account = (generator.random(50) < 0.2).astype(float), generator.integers(0, 20, 50)
        found = share_by_account(y, account)
        low, high = wilson(float(y.mean()), 50)
        assert 0 <= found.low <= low + 1e-12
        assert high - 1e-12 <= found.high <= 1
        assert found.low <= found.value <= found.high

    def test_estimates_for_json(self):
        assert Estimate(1.0, np.nan, np.nan).to_plain() == {"value": 1.0, "low": None, "high": None}
