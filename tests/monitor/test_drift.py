"""How far a distribution moved, and how far it moves by chance alone."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.monitor.drift import Bins, chance, holm, position_chance, psi, ridit, shares, threshold


def test_psi_by_hand() -> None:
    one, other = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    # (.4 - .5) ln .8 = .02231, nothing, (.3 - .2) ln 1.5 = .04055
    assert psi(other, one) == pytest.approx(0.06286, abs=1e-5)


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=12), st.data())
def test_psi_is_the_same_both_ways_and_zero_for_equals(counts, data) -> None:
    one = shares(np.array(counts))
    other = shares(np.array(data.draw(st.lists(st.floats(1, 1000), min_size=len(counts), max_size=len(counts)))))
    assert psi(one, one) == 0
    assert psi(one, other) == pytest.approx(psi(other, one), abs=1e-12)
    assert psi(one, other) >= 0


#: Accounts on either side -> mean and 95th percentile of PSI over ten bins without drift, simulated elsewhere.
SIMULATED = {
    (100, 100): (0.168, 0.321),
    (300, 300): (0.058, 0.110),
    (3000, 300): (0.033, 0.063),
    (3000, 1000): (0.012, 0.022),
}


@pytest.mark.parametrize(("sizes", "found"), SIMULATED.items())
def test_the_relation_to_chi_square_fits_published_simulations(sizes, found) -> None:
    n, m = sizes
    mean, p95 = found
    # With a hundred accounts in ten bins the tail is a little heavier than the relation says.
    assert 9 * (1 / n + 1 / m) == pytest.approx(mean, rel=0.08)
    assert threshold(n, m, 9, probability=0.05) == pytest.approx(p95, rel=0.08)


def test_the_threshold_is_exceeded_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    n, m, tries = 800, 1500, 4000
    one, other = (generator.multinomial(size, [0.1] * 10, tries) for size in (n, m))
    found = [psi(shares(a), shares(b)) for a, b in zip(one, other, strict=True)]
    for probability in (0.05, 0.01):
        beyond = np.mean(np.array(found) > threshold(n, m, 9, probability))
        assert beyond == pytest.approx(probability, rel=0.35)


def test_a_threshold_is_where_chance_says() -> None:
    for dispersion in (1.0, 2.5):
        limit = threshold(500, 700, 7, 0.01, dispersion)
        assert chance(limit, 500, 700, 7, dispersion) == pytest.approx(0.01)


@given(st.lists(st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([0.0, 1.0])), min_size=1, max_size=200))
def test_every_row_falls_into_one_bin_whatever_the_order(values) -> None:
    column = pl.Series("x", values, dtype=pl.Float64)
    bins = Bins.of(column)
    counts = bins.counts(column)
    assert counts.sum() == len(values)
    assert counts[-1] == column.null_count()
    assert np.array_equal(counts, bins.counts(column.reverse()))
    assert Bins.of(column.reverse()) == bins


def test_a_flag_keeps_a_bin_for_its_rare_value() -> None:
    flag = pl.Series("x", [0.0] * 97 + [1.0] * 3)
    assert Bins.of(flag).counts(flag).tolist() == [97, 3, 0]


def test_what_lies_beyond_a_common_value_has_a_bin() -> None:
    column = pl.Series("x", [0.0] * 50 + [1.0] * 46 + [2.0, 3.0, 4.0, 5.0])
    assert Bins.of(column).counts(column).tolist() == [50, 46, 4, 0]


def test_texts_have_bins_for_levels_others_and_unknown() -> None:
    bins = Bins.of(pl.Series("x", ["a", "b", "a", None]))
    assert bins.levels == ("a", "b")
    assert bins.counts(pl.Series("x", ["b", "c", None, "a", "c"])).tolist() == [1, 1, 2, 1]


def test_holm_by_hand() -> None:
    # Sorted .01 .02 .04 with factors 3 2 1: .03, .04, .04; none below the one before.
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_ridit_by_hand() -> None:
    usual = np.array([0.5, 0.5])
    # All in the upper half: above the lower half for sure, level with the upper one: .5 + .25.
    assert ridit(usual, np.array([0.0, 1.0])) == pytest.approx(0.75)
    assert ridit(usual, usual) == pytest.approx(0.5)


def test_a_shift_one_way_shows_in_its_position() -> None:
    generator = np.random.default_rng(5)
    usual = np.full(10, 0.1)
    found = []
    for _ in range(2000):
        counts = generator.multinomial(800, usual)
        other = generator.multinomial(1500, usual)
        found.append(position_chance(ridit(other, counts), other, 800, 1500))
    # Probabilities of what chance alone does are spread evenly.
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.05, abs=0.015)
    # By hand: ties of ten equal bins, (1 - .01) / 12 (1/800 + 1/1500) = .000158, .05 is four standard errors.
    assert position_chance(0.55, usual, 800, 1500) == pytest.approx(7.0e-5, rel=0.05)
    assert position_chance(0.55, usual, 800, 1500, stray=0.05) > 0.3
