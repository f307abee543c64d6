"""A row alone, a row among many and a frame of rows: the same numbers, bit for bit, and the same words."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features import DEFAULT, FEATURES, compute
from models.model import columns
from models.reasons import Teller, reasons
from models.rows import MANY, RowScorer, columns_of
from models.scalar import Axes, ScalarCard
from models.schema import CATALOGUE
from models.scorecard import GridTerm, Scorecard, Term
from models.scoring import score_features
from tests.http.cast import NOW, history, model

NUMBERS = st.none() | st.floats(-50, 50) | st.sampled_from([0.0, 1.0, 2.0, math.inf, -math.inf, -0.0, math.nan])
TEXTS = st.sampled_from(["a", "b", "other", None])


def card(draw) -> Scorecard:
    """Every kind of term, with refits."""
    value = st.floats(-2, 2)

    def values(count: int):
        return draw(st.lists(value, min_size=count, max_size=count))

    def refits(count: int):
        return [values(count) for _ in range(3)]

    knots = sorted(draw(st.sets(st.integers(-200, 200).map(lambda n: n / 4), min_size=1, max_size=4)))
    n = len(knots)
    line = Term("x", "line", knots, (), values(n), *values(1), replicates=refits(n + 1))
    steps = Term("y", "steps", knots, (), values(n + 1), *values(1), replicates=refits(n + 2))
    text = Term("t", "category", (), ("a", "b"), values(2), *values(2), replicates=refits(4))
    grid = [values(4) for _ in range(n + 2)]
    pair = GridTerm(("y", "t"), (tuple(knots), ("a", "b")), grid, [[values(4) for _ in grid] for _ in range(3)])
    cells = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(4, n + 2, 3, n + 2))
    triple = GridTerm(("y", "t", "x"), (tuple(knots), ("b",), tuple(knots)), cells[0], cells[1:])
    return Scorecard("churn", draw(value), (line, steps, text), (pair, triple), values(3))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_one_row_is_scored_as_the_scorecard_scores_it(data):
    whole = card(data.draw)
    rows = data.draw(st.lists(st.fixed_dictionaries({"x": NUMBERS, "y": NUMBERS, "t": TEXTS}), min_size=1, max_size=5))
    read = {
        "x": np.array([row["x"] for row in rows], dtype=np.float64),
        "y": np.array([row["y"] for row in rows], dtype=np.float64),
        "t": np.array([row["t"] for row in rows], dtype=object),
    }
    expected, errors = whole.contributions(read), whole.standard_errors(read)
    totals = whole.log_odds(read)
    axes = Axes([whole])
    scalar = ScalarCard(whole, axes)
    for i, row in enumerate(rows):
        places = axes.places(row)
        assert scalar.contributions(places) == expected[i].tolist()
        assert scalar.total(scalar.contributions(places)) == totals[i]
        assert scalar.standard_error(places) == errors[i]


@pytest.fixture(scope="module")
def features() -> pl.DataFrame:
    return compute(history(), NOW, DEFAULT)


def rows_of(features: pl.DataFrame) -> list[dict]:
    return features.select(*FEATURES.names, *CATALOGUE.quoted).to_dicts()


def test_rows_are_scored_as_a_frame_of_them(features):
    made = model()
    expected = score_features(made, features).to_dicts()
    scorer, rows = RowScorer(made), rows_of(features)
    assert len(rows) >= MANY
    alone = [scorer.score([row])[0] for row in rows]
    for want, one, many in zip(expected, alone, scorer.score(rows), strict=True):
        for got in (one, many):
            for name in ("p_churn", "p_silent", "p_vocal", "health", "health_unclipped", "band"):
                assert getattr(got, name) == want[name], name
            assert got.log_odds == {"churn": want["log_odds_churn"], "silent": want["log_odds_silent"]}
            assert got.components == {name: want[f"{name}_points"] for name in got.components}
        assert list(one.contributions["silent"]) == list(many.contributions["silent"])


def test_intervals_are_those_of_a_frame(features):
    """With refits, which the expert's tables do not carry."""
    made = refitted(model())
    expected = score_features(made, features).to_dicts()
    scorer, rows = RowScorer(made), rows_of(features)
    for want, one, many in zip(expected, [scorer.score([row])[0] for row in rows], scorer.score(rows), strict=True):
        for got in (one, many):
            assert got.p_churn_range == (want["p_churn_low"], want["p_churn_high"])
            assert got.p_silent_range == (want["p_silent_low"], want["p_silent_high"])
            assert got.p_churn_range[0] < got.p_churn < got.p_churn_range[1]


def refitted(made):
    """The model with five refits that differ a little."""

    def around(values, term: int):
        return [[value + 0.1 * math.sin(7 * k + 3 * i + term) for i, value in enumerate(values)] for k in range(5)]

    def card(one):
        terms = tuple(replace(term, replicates=around(term.table, n)) for n, term in enumerate(one.terms))
        return replace(one, terms=terms, base_replicates=[one.base + 0.05 * k for k in range(5)])

    return replace(made, churn=card(made.churn), silent=card(made.silent))


def test_no_rows(features):
    assert RowScorer(model()).score([]) == []


@pytest.mark.parametrize("target", ["churn", "silent"])
@pytest.mark.parametrize(("top", "harmful_only"), [(None, False), (3, False), (3, True), (None, True)])
def test_reasons_are_told_word_for_word(features, target, top, harmful_only):
    made = model()
    scorer = RowScorer(made)
    expected = reasons(made, features, target, top, harmful_only=harmful_only)
    for want, row in zip(expected, rows_of(features), strict=True):
        contributions = scorer.contributions(target, row)
        told = Teller(made, target).tell(contributions, row, top, harmful_only=harmful_only)
        assert [one.sentence for one in told] == [reason.sentence for reason in want]
        assert [one.points for one in told] == [reason.points for reason in want]
        assert [one.log_odds for one in told] == [reason.log_odds for reason in want]
        assert [(one.value, one.usual) for one in told] == [(reason.value, reason.usual) for reason in want]


def test_reasons_of_features_without_facts(features):
    """Who sends numbers alone is told those numbers."""
    made = model()
    row = {name: value for name, value in rows_of(features)[1].items() if name in FEATURES.names}
    scorer = RowScorer(made)
    expected = reasons(made, pl.DataFrame([row], schema_overrides=dict.fromkeys(FEATURES.numeric, pl.Float64)), "churn")
    told = Teller(made, "churn").tell(scorer.contributions("churn", row), row)
    assert [one.sentence for one in told] == [reason.sentence for reason in expected[0]]


def test_what_sentences_quote_is_computed(features):
    assert set(CATALOGUE.quoted) <= set(features.columns)


def test_columns_of_rows_are_those_of_the_frame(features):
    expected, got = columns(features), columns_of(rows_of(features))
    for name, values in expected.items():
        assert got[name].dtype == values.dtype
        np.testing.assert_array_equal(got[name], values)
