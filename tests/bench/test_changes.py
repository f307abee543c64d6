"""The change ledger adds up over random pairs of moments, other models, late and corrected data: a small run."""

from bench.changes import Worst, worst


def test_the_parts_add_up_over_random_pairs():
    found = worst(pairs=12, accounts=4, seed=3)
    assert found.pairs == 12
    assert found.accounts > 20
    assert found.moved > 1, "scores did change"
    assert found.holds, found.lines()


def test_a_sum_that_misses_is_seen():
    assert not Worst(pairs=1, accounts=1, log_odds=2e-9).holds
    assert not Worst(pairs=1, accounts=1, portfolio=2e-9).holds
