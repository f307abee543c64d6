"""Metrics: the example of `training/sample.py` by hand, scikit-learn's answers, intervals by account, comparisons."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from models.errors import ContractError
from tests.pipeline.samples import sample
from training.metrics import COMPARED, estimate, evaluate, lead_time, paired, reliability
from training.sample import METRICS, NAMES, Sample, hanley_mcneil, measure

T = datetime(2026, 1, 5, tzinfo=UTC)


FOUR = sample([1, 0, 1, 0], [0.8, 0.6, 0.4, 0.2], [100, 400, 100, 100], k=2)


class TestTheExample:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("auc", 0.75),
            ("pr_auc", (1 + 2 / 3) / 2),
            ("brier", 0.2),
            ("brier_skill", 0.2),
            ("log_loss", -(np.log(0.8) + np.log(0.4)) / 2),
            ("observed_expected", 1.0),
            ("precision_at_k", 0.5),
        ],
    )
    def test_measured(self, name, value):
        assert measure(FOUR)[name] == pytest.approx(value, abs=1e-12)

    def test_the_top_half(self, monkeypatch):
        monkeypatch.setattr("training.sample.TOP_SHARE", 0.5)
        found = measure(FOUR)
        assert found["top_decile_lift"] == pytest.approx(1.0)
        assert found["revenue_captured"] == pytest.approx(0.5)

    def test_every_metric_has_a_name_and_a_direction(self):
        assert tuple(measure(FOUR)) == NAMES == tuple(metric.name for metric in METRICS)
        assert tuple(measure(FOUR, names=["brier", "auc"])) == ("auc", "brier")


class TestByHand:
    def test_equal_scores_are_half_right(self):
        assert measure(sample([1, 0], [0.3, 0.3]))["auc"] == 0.5
        # Pairs: (.5 with .5) 1/2, (.5 with .1) 1; (.1 with .5) 0, (.1 with .1) 1/2.
        assert measure(sample([1, 0, 1, 0], [0.5, 0.5, 0.1, 0.1]))["auc"] == 0.5

    def test_lift_of_the_first_tenth(self):
        # Ten rows, one of two exits ranked first: 1/1 there against 2/10 overall.
        y = [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        assert measure(sample(y, np.linspace(0.9, 0.1, 10)))["top_decile_lift"] == pytest.approx(5.0)

    def test_lift_takes_its_part_of_a_run_at_the_edge(self):
        # The tenth of twenty rows is two; the first run has four, two of them left: 2 * 2/4 of 2 exits, over a tenth.
        y = [1, 1, 0, 0] + [0] * 16
        p = [0.5] * 4 + [0.1] * 16
        assert measure(sample(y, p))["top_decile_lift"] == pytest.approx(1 / 0.1 / 2)
        assert measure(sample(y[::-1], p[::-1]))["top_decile_lift"] == pytest.approx(1 / 0.1 / 2)

    def test_revenue_follows_p_times_mrr(self):
        # Ten rows: a small risk of a large account (0.1 * 900) outranks 0.8 * 100.
        y, p = [1, 1] + [0] * 8, [0.1, 0.8] + [0.05] * 8
        mrr = [900, 100] + [10] * 8
        assert measure(sample(y, p, mrr))["revenue_captured"] == pytest.approx(0.9)

    def test_rows_of_unknown_mrr_take_no_part_in_revenue(self):
        with_unknown = sample([1, 1, 0] * 10, [0.9, 0.5, 0.1] * 10, [50, np.nan, 10] * 10)
        without = sample([1, 0] * 10, [0.9, 0.1] * 10, [50, 10] * 10)
        one, other = measure(with_unknown)["revenue_captured"], measure(without)["revenue_captured"]
        assert one == pytest.approx(other) == pytest.approx(0.2)  # two of twenty rows, two of ten exits

    def test_precision_is_a_mean_over_lists(self):
        # January: p .9 left, .8 stayed, .7 left; February: .3 stayed, .2 left. k = 2: 1/2 and 1/2; k = 1: 1 and 0.
        five = sample([1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.3, 0.2], moment=[0, 0, 0, 1, 1], k=2)
        assert measure(five)["precision_at_k"] == pytest.approx(0.5)
        assert measure(replace(five, k=1))["precision_at_k"] == pytest.approx(0.5)
        assert measure(replace(five, k=3))["precision_at_k"] == pytest.approx((2 / 3 + 1 / 2) / 2)

    def test_equal_mass_bins(self):
        # Twenty rows in ten bins of two: bin means .95, .85, ...; the exits are the first four rows.
        p = np.repeat(np.arange(0.95, 0, -0.1), 2)
        y = [1] * 4 + [0] * 16
        bins = reliability(sample(y, p))
        assert [b["rows"] for b in bins] == [2.0] * 10
        assert [b["observed"] for b in bins] == [1.0, 1.0] + [0.0] * 8
        assert [b["predicted"] for b in bins] == pytest.approx(list(np.arange(0.95, 0, -0.1)))
        expected = (0.05 + 0.15 + sum(np.arange(0.75, 0, -0.1))) / 10
        assert measure(sample(y, p))["ece"] == pytest.approx(expected)

    def test_equal_predictions_share_a_bin(self):
        (only,) = reliability(sample([1, 0] * 50, [0.5] * 100))
        assert (only["rows"], only["accounts"], only["predicted"], only["observed"]) == (100, 100, 0.5, 0.5)
        # Wilson at 99 rows (the variance between accounts has 99 degrees of freedom).
        assert (only["low"], only["high"]) == pytest.approx((0.4033, 0.5967), abs=1e-4)

    def test_calibration_of_two_groups(self):
        # 100 rows at .2 of which 30 left, 100 at .5 of which 50 left: the refit passes through logit .3 and logit .5.
        y = [1] * 30 + [0] * 70 + [1] * 50 + [0] * 50
        found = measure(sample(y, [0.2] * 100 + [0.5] * 100))
        slope = np.log(0.3 / 0.7) / np.log(0.2 / 0.8)
        assert found["calibration_slope"] == pytest.approx(slope)
        assert found["calibration_intercept"] == pytest.approx(0.0, abs=1e-9)
        assert found["observed_expected"] == pytest.approx(80 / 70)

    def test_certainty_costs_a_bounded_surprise(self):
        assert measure(sample([1, 0], [0.0, 1.0]))["log_loss"] == pytest.approx(-np.log(1e-6))


class TestUndefined:
    def test_nobody_left(self):
        found = measure(sample([0, 0, 0], [0.1, 0.2, 0.3], [1, 1, 1]))
        defined = {name for name, value in found.items() if not np.isnan(value)}
        assert defined == {"brier", "log_loss", "observed_expected", "ece", "precision_at_k"}

    def test_one_prediction_for_all_has_no_slope(self):
        found = measure(sample([1, 0, 0], [0.3, 0.3, 0.3]))
        assert np.isnan(found["calibration_slope"])
        assert found["auc"] == 0.5

    def test_a_clean_separation_has_no_slope(self):
        assert np.isnan(measure(sample([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1]))["calibration_slope"])

    def test_no_rows(self):
        assert all(np.isnan(value) for value in measure(sample([], [])).values())
        assert reliability(sample([], [])) == []

    def test_no_mrr(self):
        assert np.isnan(measure(sample([1, 0], [0.5, 0.4]))["revenue_captured"])


def random_sample(seed, n=3000, accounts=300, digits=2):
    generator = np.random.default_rng(seed)
    account = np.sort(generator.integers(0, accounts, n))
    account = np.unique(account, return_inverse=True)[1]
    z = generator.normal(-2.5, 1, account.max() + 1)[account] + generator.normal(0, 0.5, n)
    p = np.round(1 / (1 + np.exp(-z)), digits).clip(0.01, 0.99)
    y = (generator.random(n) < p).astype(float)
    return sample(y, p, generator.lognormal(6, 1, n), account, generator.integers(0, 5, n))


class TestAgainstScikitLearn:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("weighted", [False, True])
    def test_every_metric_it_has(self, seed, weighted):
        s = random_sample(seed)
        w = np.random.default_rng(seed).integers(0, 4, len(s.y)).astype(float) if weighted else np.ones(len(s.y))
        found = measure(s, w)
        assert found["auc"] == pytest.approx(roc_auc_score(s.y, s.p, sample_weight=w), abs=1e-12)
        assert found["pr_auc"] == pytest.approx(average_precision_score(s.y, s.p, sample_weight=w), abs=1e-12)
        assert found["brier"] == pytest.approx(brier_score_loss(s.y, s.p, sample_weight=w), abs=1e-12)
        assert found["log_loss"] == pytest.approx(log_loss(s.y, s.p, sample_weight=w), abs=1e-12)
        line = LogisticRegression(C=np.inf, tol=1e-10).fit(s.log_odds[:, None], s.y, sample_weight=w)
        assert found["calibration_slope"] == pytest.approx(line.coef_[0, 0], abs=1e-4)
        assert found["calibration_intercept"] == pytest.approx(line.intercept_[0], abs=1e-4)

    @pytest.mark.parametrize("shift", [-4.0, 0.0, 4.0])
    @pytest.mark.parametrize("stretch", [0.2, 1.0, 4.0])
    def test_the_refit_finds_its_way_from_far_off(self, shift, stretch):
        s = random_sample(1, digits=6)
        far = replace(s, p=(1 / (1 + np.exp(-(shift + stretch * s.log_odds)))).clip(1e-5, 1 - 1e-5))
        line = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(far.log_odds[:, None], far.y)
        found = measure(far)
        assert found["calibration_slope"] == pytest.approx(line.coef_[0, 0], abs=1e-3)
        assert found["calibration_intercept"] == pytest.approx(line.intercept_[0], abs=1e-2)


weights = st.lists(st.integers(0, 3), min_size=40, max_size=40).filter(any)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 50), drawn=weights)
def test_a_weight_is_so_many_copies(seed, drawn):
    s = random_sample(seed, n=200, accounts=40)
    w = np.array(drawn)[s.account % 40]
    where = np.repeat(np.arange(len(s.y)), w)
    copied = sample(s.y[where], s.p[where], s.mrr[where], moment=s.moment[where])
    one, other = measure(s, w.astype(float)), measure(copied)
    for name in NAMES:
        # Equal p may be listed in another order: precision_at_k breaks ties by position.
        if name != "precision_at_k":
            assert one[name] == pytest.approx(other[name], abs=1e-9, nan_ok=True), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 50))
def test_ranking_ignores_the_scale_and_reversing_turns_the_auc(seed):
    s = random_sample(seed, n=300)
    found = measure(s, names=["auc"])["auc"]
    assert measure(replace(s, p=s.p**3), names=["auc"])["auc"] == pytest.approx(found)
    assert measure(replace(s, p=1 - s.p), names=["auc"])["auc"] == pytest.approx(1 - found)


class TestHanleyMcNeil:
    @pytest.mark.parametrize(
        ("left", "stayed", "error"),
        [(10, 290, 0.090), (30, 870, 0.052), (100, 2900, 0.029), (300, 8700, 0.016)],
    )
    def test_published_errors_at_an_auc_of_three_quarters(self, left, stayed, error):
        low, high = hanley_mcneil(0.75, left, stayed)
        assert (high - low) / 2 / 1.959964 == pytest.approx(error, abs=0.0012)

    def test_its_edges(self):
        assert hanley_mcneil(0.99, 3, 3)[1] == 1.0
        assert np.isnan(hanley_mcneil(0.7, 0, 10)).all()


class TestIntervals:
    def test_the_same_seed_gives_the_same(self):
        s = random_sample(3)
        assert estimate(s, ["auc"], 50, seed=1) == estimate(s, ["auc"], 50, seed=1)
        assert estimate(s, ["auc"], 50, seed=1) != estimate(s, ["auc"], 50, seed=2)

    def test_copies_of_an_account_are_no_evidence(self):
        generator = np.random.default_rng(0)
        p = generator.uniform(0.05, 0.6, 150)
        y = (generator.random(150) < p).astype(float)
        once = sample(y, p)
        often = sample(np.repeat(y, 9), np.repeat(p, 9), account=np.repeat(np.arange(150), 9))
        one, other = estimate(once, ["auc"])["auc"], estimate(often, ["auc"])["auc"]
        assert one == other

    def test_they_cover_what_they_should(self):
        """Clustered rows from a known world: the true AUC lies inside 95 % intervals about that often."""
        truth = measure(random_sample(999, n=200_000, accounts=100_000, digits=6), names=["auc"])["auc"]
        found = [
            estimate(random_sample(seed, n=900, accounts=300, digits=6), ["auc"], 100, seed)["auc"]
            for seed in range(60)
        ]
        covered = np.mean([e.low <= truth <= e.high for e in found])
        assert 0.85 <= covered <= 1.0

    def test_an_undefined_metric_has_no_interval(self):
        plain = estimate(sample([0, 0], [0.1, 0.2]), ["auc"], 20)["auc"].to_plain()
        assert plain == {"value": None, "low": None, "high": None}

    def test_ece_has_a_value_only(self):
        found = estimate(random_sample(2), ["ece"], 20)["ece"]
        assert found.value > 0
        assert np.isnan(found.low)


class TestPaired:
    def test_a_model_gains_nothing_on_itself(self):
        s = random_sample(4)
        for found in paired(s, s, COMPARED, 30).values():
            assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)

    def test_more_is_better_and_so_is_less_loss(self):
        s = random_sample(5)
        noise = np.random.default_rng(5).normal(0, 2, len(s.p))
        worse = replace(s, p=1 / (1 + np.exp(-(s.log_odds + noise))))
        found = paired(s, worse, COMPARED, 60)
        assert all(found[name].low > 0 for name in ("auc", "brier", "log_loss"))
        turned = paired(worse, s, COMPARED, 60)
        assert turned["auc"].value == pytest.approx(-found["auc"].value)
        assert turned["log_loss"].value == pytest.approx(-found["log_loss"].value)

    def test_it_is_sharper_than_two_intervals(self):
        s = random_sample(6)
        shaken = replace(s, p=(s.p + np.random.default_rng(1).normal(0, 0.01, len(s.p))).clip(0.001, 0.999))
        difference = paired(s, shaken, ["auc"], 100)["auc"]
        alone = estimate(s, ["auc"], 100)["auc"]
        assert difference.high - difference.low < (alone.high - alone.low) / 2

    def test_other_rows_are_refused(self):
        s = random_sample(7)
        with pytest.raises(ContractError, match="same rows"):
            paired(s, replace(s, y=1 - s.y), ["auc"])

    def test_metrics_without_a_direction_are_refused(self):
        s = random_sample(7)
        with pytest.raises(ContractError, match="gained"):
            paired(s, s, ["calibration_slope"])


def rows(s, **columns):
    frame = pl.DataFrame(
        {
            "account_id": [f"a{code:04}" for code in s.account],
            "as_of": [T + timedelta(days=28 * int(m)) for m in s.moment],
            "y": s.y.astype(int),
            "p": s.p,
            "mrr": s.mrr,
        }
    )
    return frame.with_columns(**columns)


class TestEvaluate:
    def test_it_is_the_sample_measured(self):
        s = random_sample(8)
        found = evaluate(rows(s), resamples=20)
        plain = measure(s)
        for name in NAMES:
            if name != "precision_at_k":
                assert found[name]["value"] == pytest.approx(plain[name])
        left = s.y == 1
        assert found["n_rows"] == 3000
        assert found["n_events"] == len(set(s.account[left])) < found["n_event_rows"] == left.sum()
        assert found["n_moments"] == 5
        assert found["bootstrap"] == {"by": "account", "k": 20, "resamples": 20, "seed": 0}
        low, high = found["auc_if_independent"]["low"], found["auc_if_independent"]["high"]
        assert low < found["auc"]["value"] < high

    def test_parts(self):
        s = random_sample(9)
        quiet = pl.Series(s.account % 3 != 0)
        segment = pl.Series(["smb" if a % 2 else None for a in s.account])
        found = evaluate(rows(s, quiet=quiet, segment=segment), resamples=10)
        inside = s.account % 3 != 0
        assert found["quiet"]["n_rows"] == inside.sum()
        assert found["quiet"]["auc"]["value"] == pytest.approx(roc_auc_score(s.y[inside], s.p[inside]))
        assert list(found["segments"]) == ["smb", "unknown"]
        assert sum(part["n_rows"] for part in found["segments"].values()) == 3000

    def test_gain_over_a_baseline_everywhere_and_in_the_quiet_set(self):
        s = random_sample(10)
        flat = pl.lit(float(s.y.mean()))
        found = evaluate(rows(s, quiet=pl.lit(True), p_contract=flat), against=["contract"], resamples=30)
        for part in (found, found["quiet"]):
            won = part["gain"]["contract"]
            assert set(won) == set(COMPARED)
            assert won["auc"]["value"] == pytest.approx(found["auc"]["value"] - 0.5)
            assert won["auc"]["low"] > 0
            assert won["brier"]["value"] > 0

    def test_the_base_rate_of_each_fold_ranks_nobody(self):
        """Left out of its own fold's rate, a fold in which many left is told a low one: an order worse than chance."""
        s = random_sample(12)
        fold = s.account % 5
        rates = np.array([s.y[fold != i].mean() for i in range(5)])
        found = evaluate(rows(s, p_base=pl.Series(rates[fold])), against=["base"], resamples=20)
        for name in ("auc", "top_decile_lift"):
            level = {"auc": 0.5, "top_decile_lift": 1.0}[name]
            assert found["gain"]["base"][name] == pytest.approx({k: v - level for k, v in found[name].items()})
        told = measure(Sample.of(rows(s, p=pl.Series(rates[fold]))))
        assert told["auc"] < 0.5
        assert found["gain"]["base"]["log_loss"]["value"] == pytest.approx(
            told["log_loss"] - found["log_loss"]["value"]
        )

    def test_lead_time(self):
        # Ten accounts at two moments; a list is the first one. Anna, first on 5 January, decides 60 days later;
        # Bob leaves and is never first.
        names = ["anna", "bob", *[f"c{k}" for k in range(8)]]
        day = timedelta(days=1)
        frame = pl.DataFrame(
            [
                {"account_id": n, "as_of": T + 28 * day * m, "y": int(n in ("anna", "bob")),
                 "p": 0.9 if n == "anna" else 0.1, "decided_at": T + 60 * day if n in ("anna", "bob") else None}
                for m in (0, 1) for n in names
            ]
        )  # fmt: skip
        assert lead_time(frame) == {"share_flagged": 0.5, "median_days": 60.0}
        assert evaluate(frame, resamples=5)["lead_time"] == {"share_flagged": 0.5, "median_days": 60.0}

    def test_nobody_left(self):
        found = evaluate(rows(sample([0, 0, 0], [0.1, 0.2, 0.3])), resamples=5)
        assert found["auc"] == {"value": None, "low": None, "high": None}
        assert found["auc_if_independent"] == {"low": None, "high": None}
        assert found["n_events"] == 0

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"y": pl.lit(None, pl.Int8)}, "must be 0 or 1"),
            ({"p": pl.lit(1.5)}, "'p' are not all probabilities"),
            ({"p": pl.lit(None, pl.Float64)}, "'p' are not all probabilities"),
        ],
    )
    def test_values_it_cannot_use(self, columns, message):
        with pytest.raises(ContractError, match=message):
            evaluate(rows(FOUR, **columns))

    def test_a_missing_baseline_is_named(self):
        with pytest.raises(ContractError, match="'p_contract'"):
            evaluate(rows(FOUR), against=["contract"])

    def test_row_order_is_irrelevant(self):
        frame = rows(random_sample(11)).unique(["account_id", "as_of"], keep="first", maintain_order=True)
        assert evaluate(frame, resamples=5) == evaluate(frame.sample(fraction=1, shuffle=True, seed=1), resamples=5)


def test_the_documentation_names_every_metric():
    page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in page] == []
