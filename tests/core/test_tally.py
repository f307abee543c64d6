"""The portfolio's ledger: the example of the module, by hand, and that groups add up to the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.changes import PARTS, Changes
from models.health import points
from models.tally import Scores, Tallies, tally


def scores(found: dict[str, float]) -> Scores:
    """Log-odds per account; health is that of log-odds around a reference of nought."""
    values = np.array(list(found.values()), dtype=np.float64)
    return Scores(list(found), values, 50 + points(values))


def moved(ids: list[str], first: dict[str, float], last: dict[str, float], dice=None) -> Changes:
    """A ledger that splits each change over all parts."""
    change = np.array([last[a] - first[a] for a in ids], dtype=np.float64)
    shares = np.full(len(PARTS), 1 / len(PARTS)) if dice is None else dice.dirichlet(np.ones(len(PARTS)))
    amounts = {part: {"x": change * share} for part, share in zip(PARTS, shares, strict=True)}
    then, now = (np.array([side[a] for a in ids], dtype=np.float64) for side in (first, last))
    return Changes(ids, then, now, amounts, 0.0)


def test_who_came_who_went_and_who_stayed():
    first, last = {"a": -1.0, "b": -2.0, "gone": 0.5}, {"a": -0.5, "b": -2.0, "new": -3.0}
    found: dict = {}
    tally(found, {}, scores(first), scores(last), moved(["a", "b"], first, last))
    whole = found[None]
    assert (whole.first.accounts, whole.last.accounts, whole.came.accounts, whole.went.accounts) == (3, 3, 1, 1)
    assert (whole.first.log_odds, whole.last.log_odds) == (-2.5, -5.5)
    assert (whole.came.log_odds, whole.went.log_odds) == (-3.0, 0.5)
    assert sum(whole.part(part) for part in PARTS) == pytest.approx(0.5)
    assert whole.residue() == pytest.approx((0.0, 0.0), abs=1e-12)


ACCOUNTS = st.dictionaries(st.sampled_from([f"a{i}" for i in range(9)]), st.floats(-6, 6), max_size=9)


@given(ACCOUNTS, ACCOUNTS, st.lists(st.sampled_from(["ana", "bob", None]), min_size=9, max_size=9), st.integers(0, 99))
def test_groups_add_up_to_the_whole_however_accounts_are_dealt(first, last, owners, seed):
    group_of = {f"a{i}": owner for i, owner in enumerate(owners)}
    both = sorted(first.keys() & last.keys())
    found = Tallies({}, {})
    found.add(group_of, scores(first), scores(last), moved(both, first, last, np.random.default_rng(seed)))
    for one in (found.whole, *found.groups.values()):
        assert one.residue() == pytest.approx((0.0, 0.0), abs=1e-9)
    for name in ("first", "last", "came", "went"):
        assert sum(getattr(one, name).accounts for one in found.groups.values()) == getattr(found.whole, name).accounts
    for part in PARTS:
        added = sum(one.part(part) for one in found.groups.values())
        assert added == pytest.approx(found.whole.part(part), abs=1e-9)
