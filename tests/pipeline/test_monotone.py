"""Declared directions: projected tables never move the wrong way, and move no further than they must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EbbtideError
from models.scorecard import Term
from training.monotone import mass, project

small = st.floats(-3, 3, allow_nan=False)


@st.composite
def numeric_terms(draw):
    kind = draw(st.sampled_from(["line", "steps"]))
    knots = sorted(draw(st.sets(st.integers(-50, 50), min_size=1, max_size=8)))
    size = len(knots) + (kind == "steps")
    row = st.lists(small, min_size=size + 1, max_size=size + 1)
    refits = draw(st.lists(row, max_size=3))
    return Term("x", kind, knots, (), draw(row)[:size], draw(small), replicates=refits)


def weights_of(term):
    return st.lists(st.floats(0, 100), min_size=len(term.values), max_size=len(term.values))


def test_the_worked_example_of_the_module():
    term = Term("reopened", "steps", (1, 2, 3), (), (0.1, 0.3, 0.2, 0.6), missing=-0.4)
    found = project(term, 1, (50, 10, 30, 10))
    assert found.values == pytest.approx((0.1, 0.225, 0.225, 0.6))
    assert found.missing == -0.4


@given(st.data(), numeric_terms(), st.sampled_from([-1, 1]))
def test_every_table_moves_only_the_declared_way(data, term, direction):
    weights = data.draw(weights_of(term))
    found = project(term, direction, weights)
    for table in (found.values, *(row[: len(term.values)] for row in found.replicates)):
        assert (direction * np.diff(table) >= 0).all()
    assert found.missing == term.missing
    assert [row[-1] for row in found.replicates] == [row[-1] for row in term.replicates]
    again = project(found, direction, weights)
    assert again.values == pytest.approx(found.values, abs=1e-12)


@given(st.data(), numeric_terms(), st.sampled_from([-1, 1]))
def test_a_table_that_already_moves_so_stays(data, term, direction):
    ordered = term.with_table([*sorted(term.values, reverse=direction < 0), term.missing])
    found = project(ordered, direction, data.draw(weights_of(term)))
    assert found.values == pytest.approx(ordered.values, abs=1e-12)


@given(st.data(), numeric_terms())
def test_the_weighted_mean_stays(data, term):
    weights = np.array(data.draw(weights_of(term))) + 0.5
    found = project(term, 1, weights)
    assert np.average(found.values, weights=weights) == pytest.approx(np.average(term.values, weights=weights))


def test_no_direction_leaves_the_term_and_texts_have_none():
    term = Term("x", "steps", (1,), (), (1.0, 0.0))
    assert project(term, 0, (1, 1)) is term
    with pytest.raises(EbbtideError, match="'billing' is text"):
        project(Term("billing", "category", (), ("a",), (0.0,)), 1, (1,))


def test_mass_counts_rows_in_bins_and_shares_them_between_the_knots_of_a_line():
    x = np.array([-1.0, 0.0, 0.25, 1.0, 3.0, np.nan])
    steps = Term("x", "steps", (0, 1), (), (0, 0, 0))
    line = Term("x", "line", (0, 1), (), (0, 0))
    assert mass(steps, x).tolist() == [1, 2, 2]
    assert mass(line, x).tolist() == [2.75, 2.25]
    assert mass(Term("x", "line", (0,), (), (0,)), x).tolist() == [5]
    assert mass(steps, x, np.array([1, 2, 3, 4, 5, 6.0])).tolist() == [1, 5, 9]
