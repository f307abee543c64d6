"""A list's grade: the worked example, and the two distributions against exact arithmetic."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.grading import blind_draws, clopper_pearson, grade


def test_the_example_of_the_module():
    found = grade(8, 4, 40, 6)
    assert (found.rate, found.base_rate, found.expected) == (0.5, 0.15, pytest.approx(1.2))
    assert found.lift == pytest.approx(0.5 / 0.15)
    assert (found.rate_low, found.rate_high) == (pytest.approx(0.157, abs=5e-4), pytest.approx(0.843, abs=5e-4))
    assert (found.chance_low, found.chance_high) == (0, 3)
    assert found.chance == pytest.approx(0.0095, abs=5e-5)


def test_without_accounts_or_exits():
    nobody = grade(0, 0, 5, 1)
    assert (nobody.rate, nobody.lift, nobody.chance, nobody.base_rate) == (None, None, None, 0.2)
    assert grade(0, 0, 0, 0).base_rate is None
    stayed = grade(8, 0, 40, 0)
    assert (stayed.rate, stayed.rate_low, stayed.lift, stayed.chance) == (0.0, 0.0, None, 1.0)
    assert stayed.rate_high == pytest.approx(1 - 0.025 ** (1 / 8))
    assert grade(4, 4, 4, 4).rate_high == 1.0


COUNTS = st.tuples(st.integers(1, 60), st.integers(0, 60), st.integers(1, 60)).map(
    lambda drawn: (drawn[0], min(drawn[1], drawn[0]), min(drawn[2], drawn[0]))
)


@given(COUNTS, st.integers(0, 60))
def test_blind_draws_against_fractions(counts, left):
    pool, pool_left, listed = counts
    chances = {
        x: Fraction(comb(pool_left, x) * comb(pool - pool_left, listed - x), comb(pool, listed))
        for x in range(max(0, listed - pool + pool_left), min(listed, pool_left) + 1)
    }
    low, high, as_many = blind_draws(listed, left, pool, pool_left)
    assert as_many == pytest.approx(float(sum(p for x, p in chances.items() if x >= left)), abs=1e-9)
    tail = Fraction(25, 1000)
    assert sum(p for x, p in chances.items() if x < low) <= tail < sum(p for x, p in chances.items() if x <= low)
    assert sum(p for x, p in chances.items() if x > high) <= tail < sum(p for x, p in chances.items() if x >= high)


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_of_the_interval_are_where_the_count_becomes_improbable(seen):
    count, of = seen
    low, high = clopper_pearson(count, of)
    assert low <= count / of <= high

    def at_least(share: float) -> float:
        return sum(comb(of, x) * share**x * (1 - share) ** (of - x) for x in range(count, of + 1))

    def at_most(share: float) -> float:
        return sum(comb(of, x) * share**x * (1 - share) ** (of - x) for x in range(count + 1))

    assert count == 0 or at_least(low) == pytest.approx(0.025, abs=1e-9)
    assert count == of or at_most(high) == pytest.approx(0.025, abs=1e-9)
