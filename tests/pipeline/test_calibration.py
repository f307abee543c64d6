"""Corrections in log-odds: found where they are needed, left alone where not, and the same as tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.scorecard import GridTerm, Scorecard, Term
from training.calibration import Correction, Forward, calibrate, fitted

SEGMENTS = ("smb", "mid", "enterprise")


def forward(true_a: float = 0.0, true_b: float = 1.0, n: int = 12_000, seed: int = 0, extra: float = 0.0) -> Forward:
    """Four blocks of predictions z; the truth is true_a + true_b z, in the first segment `extra` more."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-2.5, 1.0, n)
    segments = np.array(SEGMENTS, dtype=object)[rng.integers(0, 3, n)]
    truth = true_a + true_b * z + extra * (segments == "smb")
    y = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(float)
    told = {0: (), 1: (0,), 2: (0, 1), 3: (0, 1, 2)}
    return Forward(z, y, rng.integers(0, n // 4, n), segments, np.arange(n) * 4 // n, told)


def loss(z, y):
    return float(np.mean(np.logaddexp(0, z) - y * z))


def test_a_model_that_is_right_is_left_alone():
    for seed in range(3):
        found = calibrate(forward(seed=seed))
        assert found.final.kind == "none"
        assert (found.final.a, found.final.b, found.final.shifts) == (0.0, 1.0, ())


def test_a_level_that_is_wrong_is_corrected_with_what_was_told_before():
    made = forward(true_a=-0.7)
    found = calibrate(made)
    assert found.final.kind == "level"
    assert found.final.a == pytest.approx(-0.7, abs=0.12)
    assert found.report["by_block"][0] == "none"
    first = made.block == 0
    assert (found.z[first] == made.z[first]).all()
    last = made.block == 3
    assert loss(found.z[last], made.y[last]) < loss(made.z[last], made.y[last]) - 0.01
    assert found.report["gain"]["level"]["low"] > 0


def test_differences_that_are_overstated_are_drawn_together():
    found = calibrate(forward(true_a=-1.2, true_b=0.5, n=24_000))
    assert found.final.kind == "line"
    assert found.final.b == pytest.approx(0.5, abs=0.08)


def test_a_segment_of_its_own_level_is_shifted_where_it_earns_it():
    found = calibrate(forward(extra=0.9, n=24_000))
    assert found.final.kind == "segments"
    shifts = dict(found.final.shifts)
    assert shifts["smb"] - shifts["mid"] == pytest.approx(0.85, abs=0.25)


def test_what_a_block_is_corrected_with_does_not_look_ahead():
    made = forward(true_a=-0.7)
    flipped = made.y.copy()
    flipped[made.block == 3] = 1 - flipped[made.block == 3]
    other = Forward(made.z, flipped, made.accounts, made.segments, made.block, made.told)
    before = made.block < 3
    assert (calibrate(made).z[before] == calibrate(other).z[before]).all()
    last = ~before
    assert (calibrate(made).z[last] == calibrate(other).z[last]).all()


def test_few_exits_move_little():
    few = forward(true_a=-0.7, n=200)
    assert abs(fitted(few, "level").a) < 0.7
    assert fitted(few, "line").b > 0.5


def test_curves_are_measured_and_not_served():
    found = calibrate(forward(true_a=-1.2, true_b=0.5, n=24_000))
    assert found.report["not_served"] == ["beta", "isotonic"]
    assert found.report["gain"]["beta"]["value"] == pytest.approx(found.report["gain"]["line"]["value"], abs=0.002)
    assert calibrate(forward(n=400)).report["gain"]["isotonic"] is None


number = st.floats(-2, 2, allow_nan=False)


@settings(max_examples=60)
@given(number, st.floats(0, 2), st.dictionaries(st.sampled_from([*SEGMENTS, "new"]), number, max_size=4), st.booleans())
def test_the_tables_say_what_the_correction_says(a, b, shifts, known):
    """With a table of segments or without, refits included."""
    segment = Term("segment", "category", (), ("mid", "smb"), (0.3, -0.2), 0.1, -0.4, ((0.2, 0.1, 0.0, -0.1),) * 2)
    line = Term("csat", "line", (0.0, 1.0), (), (0.5, -0.5), 0.2, replicates=((0.4, -0.3, 0.1),) * 2)
    grid = GridTerm(("csat", "effort"), ((0.5,), (1.0,)), ((0.1, 0.2, 0.0),) * 3, (((0.0, 0.1, 0.2),) * 3,) * 2)
    card = Scorecard("silent", -2.0, (line, *((segment,) if known else ())), (grid,), (-2.1, -1.9))
    rows = {
        "segment": np.array(["smb", "mid", "enterprise", "new", "other", None], dtype=object),
        "csat": np.array([0.1, 0.5, 2.0, np.nan, 0.7, 0.3]),
        "effort": np.array([0.0, 2.0, np.nan, 1.0, 0.5, 3.0]),
    }
    correction = Correction("segments", a, b, tuple(sorted(shifts.items())))
    applied = correction.applied(card)
    assert applied.log_odds(rows) == pytest.approx(correction.log_odds(card.log_odds(rows), rows["segment"]), abs=1e-12)
    assert len(applied.base_replicates) == 2
    before, after = card.spread(rows), applied.spread(rows)
    for refit in range(2):
        assert after[:, refit] == pytest.approx(correction.log_odds(before[:, refit], rows["segment"]), abs=1e-12)
