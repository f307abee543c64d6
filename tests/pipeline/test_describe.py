"""The sentences: which verdict when, and that each says the numbers it was given."""

from copy import deepcopy

import numpy as np
import polars as pl
import pytest

from training.describe import chosen, describe, service_verdict
from training.metrics import evaluate


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def churn(gain=(0.033, 0.021, 0.045), events=172, **changes):
    found = {
        "n_rows": 20000,
        "n_accounts": 1100,
        "n_moments": 18,
        "n_event_rows": 700,
        "n_events": events,
        "base_rate": 0.035,
        "auc": estimate(0.770, 0.74, 0.80),
        "auc_if_independent": {"low": 0.73, "high": 0.81},
        "top_decile_lift": estimate(4.0, 3.4, 4.7),
        "precision_at_k": estimate(0.25, 0.2, 0.3),
        "revenue_captured": estimate(0.63, 0.5, 0.7),
        "observed_expected": estimate(1.04, 0.92, 1.17),
        "calibration_slope": estimate(0.97, 0.85, 1.1),
        "gain": {"contract": {"auc": estimate(*gain)}},
        "bootstrap": {"k": 20},
    }
    return found | changes


class TestTheVerdict:
    def test_adds(self):
        verdict, sentence = service_verdict(churn())
        assert verdict == "adds"
        assert sentence == (
            "Service signals add to what contract terms tell about churn (gain in AUC +0.033, 95 % interval +0.021 to "
            "+0.045): a customer who leaves is ranked above one who stays in 77 of 100 cases instead of 74."
        )

    def test_nothing(self):
        verdict, sentence = service_verdict(churn(gain=(-0.006, -0.012, 0.001)))
        assert verdict == "nothing"
        assert sentence == (
            "Service signals add nothing to churn beyond contract terms (gain in AUC -0.006, 95 % interval -0.012 to "
            "+0.001)."
        )

    def test_worse_than_nothing(self):
        verdict, sentence = service_verdict(churn(gain=(-0.015, -0.020, -0.008)))
        assert verdict == "nothing"
        assert sentence.endswith("; with them the model ranks worse than contract terms alone.")

    def test_nothing_shown_is_not_nothing_possible(self):
        verdict, sentence = service_verdict(churn(gain=(0.01, -0.02, 0.04), events=60))
        assert verdict == "nothing"
        assert "nothing" not in sentence
        assert sentence == (
            "That service signals add to what contract terms tell about churn is not shown (gain in AUC +0.010, 95 % "
            "interval -0.020 to +0.040); with 60 exits a gain of up to 0.040 is not ruled out."
        )

    @pytest.mark.parametrize(
        ("gain", "verdict"),
        [
            ((0.005, 0.001, 0.009), "adds"),
            ((0.0049, 0.001, 0.009), "nothing"),  # certain, and too small to change a list
            ((0.05, 0.0, 0.1), "nothing"),  # large, and may be chance
            ((0.05, 0.0001, 0.1), "adds"),
        ],
    )
    def test_its_edges(self, gain, verdict):
        assert service_verdict(churn(gain=gain))[0] == verdict

    def test_too_few_exits_for_either(self):
        verdict, sentence = service_verdict(churn(events=29))
        assert verdict == "too_few"
        assert sentence.startswith("Only 29 customers are known to have left")

    def test_the_silent_label_cannot_turn_it(self):
        """Whatever service signals gain for the silent label, the verdict asks for any churn."""
        silent = churn(gain=(0.2, 0.15, 0.25), quiet={"auc": estimate(0.76, 0.72, 0.8)})
        quality = describe(churn(gain=(-0.006, -0.012, 0.001)), silent)
        assert quality.verdict == "nothing"
        assert quality.sentences[0].startswith("Service signals add nothing to churn beyond contract terms")
        assert not any("add to" in sentence for sentence in quality.sentences)


def sentence_about(found, words):
    return next((sentence for sentence in found.sentences if words in sentence), None)


class TestSentences:
    def test_evidence(self):
        said = sentence_about(describe(churn()), "This rests on")
        assert said.startswith("This rests on 172 customers who left, among 1,100 looked at on 18 days")

    def test_few_exits_say_what_differences_mean(self):
        said = sentence_about(describe(churn(events=60)), "With 60 exits, differences")
        assert "below 0.04 " in said

    def test_ranking_in_customers_not_in_ratios(self):
        quality = describe(churn())
        assert sentence_about(quality, "In the tenth") == (
            "In the tenth ranked highest, 14 of 100 left, against 3.5 of 100 overall: 4.0 times as many "
            "(95 % interval 3.4 to 4.7)."
        )
        assert sentence_about(quality, "Of the first 20") == (
            "Of the first 20 on a day's list, 5.0 left (95 % interval 4.0 to 6.0)."
        )
        assert "63 % of the revenue" in sentence_about(quality, "revenue at risk")

    @pytest.mark.parametrize(
        ("ratio", "words"),
        [
            ((1.04, 0.92, 1.17), "can be taken at their word"),
            ((0.86, 0.54, 1.17), "seem right, with too few exits to be sure"),
            ((1.30, 1.10, 1.50), "are too low"),
            ((0.70, 0.50, 0.90), "are too high"),
            ((1.30, 0.90, 1.70), "may be off, with too few exits to tell"),
        ],
    )
    def test_level(self, ratio, words):
        said = sentence_about(describe(churn(observed_expected=estimate(*ratio))), "exits predicted")
        assert said.startswith(f"For 100 exits predicted, {100 * ratio[0]:.0f} happened")
        assert said.endswith(f"the probabilities {words}.")

    @pytest.mark.parametrize(
        ("slope", "word"),
        [
            ((0.6, 0.4, 0.8), "are overstated (calibration slope 0.60, 95 % interval 0.40 to 0.80)"),
            ((1.5, 1.2, 1.8), "are understated (calibration slope 1.50, 95 % interval 1.20 to 1.80)"),
            ((0.6, 0.1, 1.1), None),
            ((1.0, 0.9, 1.1), None),
        ],
    )
    def test_spread(self, slope, word):
        unsure = churn(calibration_slope=estimate(*slope), observed_expected=estimate(0.86, 0.54, 1.17))
        said = sentence_about(describe(unsure), "calibration slope")
        assert said == (None if word is None else f"The differences between customers {word}.")

    @pytest.mark.parametrize(
        ("slope", "words"),
        [
            ((0.70, 0.44, 1.01), "seem overstated (calibration slope 0.70, 95 % interval 0.44 to 1.01)"),
            ((0.79, 0.60, 0.98), "are overstated (calibration slope 0.79, 95 % interval 0.60 to 0.98)"),
            ((1.26, 1.05, 1.50), "are understated (calibration slope 1.26, 95 % interval 1.05 to 1.50)"),
            ((1.30, None, None), "seem understated (calibration slope 1.30)"),
            ((0.80, 0.50, 0.99), None),
            ((1.25, 1.01, 1.50), None),
            ((None, None, None), None),
        ],
    )
    def test_a_level_that_holds_is_not_enough_to_be_taken_at_their_word(self, slope, words):
        found = describe(churn(observed_expected=estimate(1.04, 0.92, 1.17), calibration_slope=estimate(*slope)))
        about = [said for said in found.sentences if "exits predicted" in said or "calibration slope" in said]
        told = "can be taken at their word"
        if words:
            told = f"are right on the whole, but the differences between customers {words}"
        assert about == [
            f"For 100 exits predicted, 104 happened (95 % interval 92.0 to 117.0): the probabilities {told}."
        ]

    def test_a_segment_whose_level_is_off_is_named(self):
        segments = {
            "smb": {"n_events": 90, "observed_expected": estimate(1.5, 1.2, 1.8)},
            "mid": {"n_events": 90, "observed_expected": estimate(1.0, 0.8, 1.2)},
            "enterprise": {"n_events": 4, "observed_expected": estimate(2.0, 1.2, 2.8)},
        }
        named = [s for s in describe(churn(segments=segments)).sentences if "segment" in s]
        assert named == ["In the segment 'smb' the probabilities are too low: 150 exits happened for 100 predicted."]

    @pytest.mark.parametrize(
        ("gain", "words"),
        [
            ((0.02, 0.01, 0.03), "better than"),
            ((-0.02, -0.03, -0.01), "worse than"),
            ((0, -0.01, 0.01), "no better and no worse"),
        ],
    )
    def test_other_baselines(self, gain, words):
        found = churn()
        found["gain"]["expert"] = {"auc": estimate(*gain)}
        said = sentence_about(describe(found), "the expert's scorecard alone")
        assert said.startswith(f"The model ranks {words}")

    def test_the_quiet_set_is_the_headline_and_the_raw_figure_flatters(self):
        silent = churn(auc=estimate(0.80, 0.78, 0.82), quiet={"auc": estimate(0.76, 0.72, 0.80)})
        quality = describe(churn(), silent, look_back_days=60)
        said = sentence_about(quality, "Among customers who had said nothing for 60 days")
        assert "in 76 of 100 cases (95 % interval 72.0 to 80.0)" in said
        assert "80 of 100, flatters" in sentence_about(quality, "flatters")
        silent["auc"] = estimate(0.74)
        assert sentence_about(describe(churn(), silent), "flatters") is None

    def test_lead_time(self):
        silent = churn(lead_time={"share_flagged": 0.4, "median_days": 71.4})
        said = sentence_about(describe(churn(), silent), "within reach")
        assert said.startswith("40 % of those who left silently")
        assert "at least 71 days" in said

    def test_what_is_undefined_has_no_sentence(self):
        nothing = estimate(None)
        empty = churn(
            events=0, base_rate=0.0, auc=nothing, top_decile_lift=nothing, precision_at_k=nothing,
            revenue_captured=nothing, observed_expected=nothing, calibration_slope=nothing,
            gain={"contract": {"auc": nothing}}, auc_if_independent={"low": None, "high": None},
        )  # fmt: skip
        quality = describe(empty, deepcopy(empty) | {"quiet": {"auc": nothing}})
        assert quality.verdict == "too_few"
        assert len(quality.sentences) == 2  # the verdict and the evidence
        assert "None" not in " ".join(quality.sentences)


class TestWorlds:
    """From rows to the verdict: outcomes that do, and do not, depend on service, with contract terms known."""

    def rows(self, seed, effect):
        generator = np.random.default_rng(seed)
        n, moments = 1500, 6
        contract, service = generator.normal(size=n), generator.normal(size=n)
        rate = 1 / (1 + np.exp(3.2 - contract - effect * service))
        y = generator.random((moments, n)) < rate
        contract_odds = -3.2 + contract

        def p(odds):
            return np.tile(1 / (1 + np.exp(-odds)), moments)

        return pl.DataFrame(
            {
                "account_id": [f"a{k}" for k in range(n)] * moments,
                "as_of": np.repeat(np.arange(moments), n),
                "y": y.ravel().astype(int),
                # With an effect the model knows it; without one it has learnt some noise.
                "p": p(contract_odds + (effect or 0.1) * service),
                "p_contract": p(contract_odds),
            }
        )

    @pytest.mark.parametrize("seed", range(4))
    def test_an_effect_is_found(self, seed):
        found = evaluate(self.rows(seed, 0.8), against=["contract"], resamples=100)
        assert describe(found).verdict == "adds"

    @pytest.mark.parametrize("seed", range(4))
    def test_no_effect_is_not(self, seed):
        found = evaluate(self.rows(seed, 0.0), against=["contract"], resamples=100)
        assert describe(found).verdict == "nothing"


def test_a_choice_made_on_the_rows_it_is_reported_on_says_so() -> None:
    told = {"tried": {"pairs": {"auc": 0.8123}}, "by_other_half": {"auc": 0.8099}}
    selection = {"churn": {"kind": "logistic"} | told, "silent": {"kind": "pairs"} | told}
    (said,) = chosen(selection)
    assert "leaving silently" in said
    assert "0.810" in said
    assert "0.812" in said
