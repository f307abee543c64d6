"""The configuration file: what it may set, and one clear sentence for what it may not."""

from pathlib import Path

import pytest

from models.errors import SettingsError
from training.config import load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "training.toml"
    path.write_text(text)
    return path


def test_capacity_and_the_assumptions_about_profit(tmp_path: Path) -> None:
    config = load(written(tmp_path, "capacity = 50\n[profit]\naccepted = 0.2\ncontact_cost = 40\n"), margin=0.8)
    assert config.capacity == 50
    assert (config.profit.accepted, config.profit.contact_cost, config.profit.margin) == (0.2, 40.0, 0.8)
    assert config.profit.incentive == 0.05
    assert load(None, margin=0.8).profit.margin == 0.8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("capacity = 0", "capacity must be at least 1"),
        ("[profit]\nmargin = 0.5", "sets 'margin'; it may set accepted"),
        ("[profit]\naccepted = 3", "accepted is 3"),
        ("[profit]\nmonths = 'a year'", "months must be a finite number"),
        ("[profit]\nmonths = inf", "months must be a finite number"),
        ("profit = 3", r"\[profit\]"),
        ("[label]\nlook_back_days = 99999999999", "at most 36,500 days"),
        ("label = 3", r"\[label\]"),
        ("expert = 3", "expert must name a file"),
        ("every_days = 0", "every_days must be at least 1"),
        ("[table]\nhorizon_days = 999999999999", "horizon_days"),
        ("allow_leak = 'status'", "allow_leak must be a list of texts"),
        ("capacities = 3", "sets 'capacities'"),
    ],
)
def test_what_it_may_not_set(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(written(tmp_path, text))


def test_columns_that_may_leak(tmp_path: Path) -> None:
    assert load(written(tmp_path, 'allow_leak = ["measure:status", "overall"]')).allow_leak == (
        "measure:status",
        "overall",
    )
    assert load(None).allow_leak == ()
