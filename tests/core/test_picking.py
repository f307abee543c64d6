"""Who fits the week: the worked example, and what the buffer promises whatever the ranking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.picking import pick, usual_buffer


def test_the_example_of_the_module():
    assert pick("nabcdefmghi", "abcdefgi", 8, 2) == list("nabcdefg")


def test_without_a_list_before_the_first_ones_are_taken():
    assert pick("abcdefghij", "", 3, 1) == list("abc")


@pytest.mark.parametrize(("capacity", "buffer"), [(1, 0), (2, 1), (4, 1), (5, 2), (8, 2), (9, 3), (100, 25)])
def test_the_usual_buffer_is_a_quarter(capacity, buffer):
    assert usual_buffer(capacity) == buffer


SIZES = st.integers(1, 8).flatmap(lambda k: st.tuples(st.just(k), st.integers(0, k - 1)))
ACCOUNTS = st.integers(0, 24).flatmap(lambda n: st.permutations([f"a{i:02d}" for i in range(n)]))


@given(ACCOUNTS, st.sets(st.sampled_from([f"a{i:02d}" for i in range(24)])), SIZES)
def test_what_the_rule_promises(ranking, previous, sizes):
    capacity, buffer = sizes
    found = pick(ranking, previous, capacity, buffer)
    place = {account: i + 1 for i, account in enumerate(ranking)}
    assert len(found) == len(set(found)) == min(capacity, len(ranking))
    assert [place[account] for account in found] == sorted(place[account] for account in found)
    assert set(ranking[: capacity - buffer]) <= set(found), "clearly in"
    assert all(place[account] <= capacity + buffer for account in found), "clearly out"
    assert {a for a in found if place[a] > capacity} <= previous, "only who was there is held beyond the capacity"
    for account in previous & set(ranking[: capacity + buffer]) - set(found):
        assert place[found[-1]] < place[account], "who was there makes way for better ones only"
    # Once more with the same ranking nothing moves, and places beyond the buffer were not needed.
    assert pick(ranking, found, capacity, buffer) == found
    assert pick(ranking[: capacity + buffer], previous, capacity, buffer) == found


@given(ACCOUNTS, SIZES, st.lists(st.lists(st.floats(-1, 1), min_size=24, max_size=24), max_size=4))
def test_nobody_flickers_while_places_move_within_the_buffer(ranking, sizes, weeks):
    capacity, buffer = sizes
    first = taken = pick(ranking, (), capacity, buffer)
    for shifts in weeks:
        # Sorting by place plus at most half the buffer moves nobody further than the buffer.
        moved = sorted(ranking, key=lambda a: ranking.index(a) + shifts[ranking.index(a)] * buffer / 2)
        assert all(abs(moved.index(a) - ranking.index(a)) <= buffer for a in ranking)
        taken = pick(moved, taken, capacity, buffer)
        assert set(taken) == set(first)
