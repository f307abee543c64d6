"""Another base rate in service: only the base moves, and an estimate finds the rate that is there."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import SettingsError
from models.features import FEATURES
from models.scorecard import Scorecard
from training import config
from training.deployment import Deployment, estimated, shift


def predicted(rate: float, n: int = 300_000, seed: int = 0):
    """Log-odds of a right model trained where 5 % leave, for customers of whom `rate` leave."""
    rng = np.random.default_rng(seed)
    left = rng.random(n) < rate
    x = rng.normal(np.where(left, 1.5, 0.0), 1.0)
    # log f1/f0 = 1.5 x - 1.125 for two normal groups 1.5 apart
    return np.log(0.05 / 0.95) + 1.5 * x - 1.125


def counted(rate: float) -> pl.DataFrame:
    """1,000 labelled rows, of which so many left, and one without a label; nothing is known of their features."""
    left = round(1000 * rate)
    unknown = {feature.name: pl.lit(None, pl.String if feature.categorical else pl.Float64) for feature in FEATURES}
    return pl.DataFrame({"y_silent": [1.0] * left + [0.0] * (1000 - left) + [None]}).with_columns(**unknown)


def test_the_worked_example_of_the_module():
    card = Scorecard("silent", np.log(0.023 / 0.977))
    found = shift(card, counted(0.023), None, Deployment(base_rate_silent=0.04), 0)
    assert found.log_odds == pytest.approx(0.571, abs=0.001)
    assert found.report["rate_in_training"] == pytest.approx(0.023)
    assert 1 / (1 + np.exp(-found.applied(card).base)) == pytest.approx(0.04)


def test_a_level_that_calibration_has_moved_is_not_moved_again():
    card = Scorecard("silent", np.log(0.0135 / 0.9865))
    found = shift(card, counted(0.02), None, Deployment(base_rate_silent=0.0135), 0)
    assert found.log_odds == pytest.approx(0.0, abs=1e-9)
    assert found.report["rate_in_training"] == pytest.approx(0.02)
    assert found.report["rate_predicted_in_training"] == pytest.approx(0.0135)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.12, 0.3])
def test_the_rate_is_found_without_labels(rate: float):
    assert estimated(predicted(rate), 0.05) == pytest.approx(rate, rel=0.12)


@given(st.floats(0.001, 0.5), st.integers(0, 100))
def test_an_estimate_is_a_rate_that_explains_itself(trained: float, seed: int):
    z = np.random.default_rng(seed).normal(-2, 1, 300)
    rate = estimated(z, trained)
    moved = z + np.log(rate / (1 - rate)) - np.log(trained / (1 - trained))
    assert 0 < rate < 1
    if 1e-5 < rate < 1 - 1e-5:
        assert (1 / (1 + np.exp(-moved))).mean() == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base_rate_churn = 4", "between 0 and 1"),
        ("base_rate_churn = 0.02\nbase_rate_silent = 0.03", "cannot be larger"),
        ("estimate = true\nbase_rate_churn = 0.02", "not both"),
        ('estimate = "yes"', "true or false"),
        ("base_rate = 0.02", "base_rate"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_named(tmp_path, text: str, word: str):
    path = tmp_path / "config.toml"
    path.write_text(f"[deployment]\n{text}\n")
    with pytest.raises(SettingsError, match=word):
        config.load(path)


def test_what_is_declared_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[deployment]\nbase_rate_churn = 0.06\nbase_rate_silent = 0.04\n")
    assert config.load(path).deployment == Deployment(0.06, 0.04)
