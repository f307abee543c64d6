"""The additive scorecard: what it looks up, that it sums, and that a row does not depend on its neighbours."""

import doctest
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ArtefactError, FeatureMismatch
from models.scorecard import GridTerm, Scorecard, Term, deviations

RENEWAL = Term("days_to_renewal", "steps", (30, 90), (), (1.5, 0.5, 0.0), missing=0.2)
CSAT = Term("csat", "line", (2, 4), (), (0.8, 0.0))
BILLING = Term("billing", "category", (), ("annual", "monthly"), (-0.1, 0.4), missing=0.05, unseen=0.3)
GRID = GridTerm(
    ("billing", "contacts_90d"),
    (("annual", "monthly"), (1.0, 4.0)),
    (
        (0.01, 0.02, 0.03, 0.04),  # annual: < 1, 1 to < 4, >= 4, missing
        (0.11, 0.12, 0.13, 0.14),  # monthly
        (0.21, 0.22, 0.23, 0.24),  # missing
        (0.31, 0.32, 0.33, 0.34),  # any other
    ),
)

small = st.floats(-5, 5, allow_nan=False)
anything = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([-1.0, 0.0, 1.0, 2.0]))
words = st.sampled_from(["a", "b", "c", "d", None])


def text(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def numbers(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


@st.composite
def rising(draw: st.DrawFn, least: int) -> tuple[float, ...]:
    steps = draw(st.lists(st.integers(1, 40), min_size=least, max_size=6))
    start = draw(st.integers(-100, 100))
    return tuple(start + sum(steps[:i]) / 8 for i in range(len(steps)))


@st.composite
def scorecards(draw: st.DrawFn) -> Scorecard:
    refits = draw(st.sampled_from([0, 0, 2, 5]))

    def table(size: int) -> list[float]:
        return draw(st.lists(small, min_size=size, max_size=size))

    def tables(size: int) -> list[list[float]]:
        return [table(size) for _ in range(refits)]

    terms = []
    for feature in draw(st.sets(st.sampled_from(["x", "y", "z"]))):
        kind = draw(st.sampled_from(["line", "steps"]))
        knots = draw(rising(1 if kind == "line" else 0))
        size = len(knots) + (kind == "steps")
        terms.append(Term(feature, kind, knots, (), table(size), draw(small), replicates=tables(size + 1)))
    for feature in draw(st.sets(st.sampled_from(["u", "v"]))):
        categories = draw(st.sampled_from([("a",), ("b", "a"), ("a", "b", "c")]))
        size = len(categories)
        replicates = tables(size + 2)
        terms.append(
            Term(feature, "category", (), categories, table(size), draw(small), draw(small), replicates=replicates)
        )
    grids = []
    for features in draw(st.sets(st.sampled_from([("x", "u"), ("y", "z"), ("v", "u"), ("z", "u", "x")]))):
        knots = tuple(("a", "c") if name in "uv" else draw(rising(1)) for name in features)
        shape = tuple(len(axis) + 2 for axis in knots)
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        drawn = [rng.normal(size=shape).tolist() for _ in range(1 + refits)]
        grids.append(GridTerm(features, knots, drawn[0], drawn[1:]))
    return Scorecard("churn", draw(small), terms, grids, table(refits))


@st.composite
def accounts(draw: st.DrawFn) -> dict[str, np.ndarray]:
    rows = draw(st.integers(1, 12))
    columns = {name: numbers(*draw(st.lists(anything, min_size=rows, max_size=rows))) for name in "xyz"}
    return columns | {name: text(*draw(st.lists(words, min_size=rows, max_size=rows))) for name in "uv"}


def test_the_worked_example_of_the_module():
    scorecard = Scorecard("churn", -3.0, (RENEWAL, CSAT))
    found = scorecard.log_odds({"days_to_renewal": numbers(45, np.nan), "csat": numbers(3, 5)})
    assert found == pytest.approx([-2.1, -2.8], abs=1e-15)
    assert 1 / (1 + np.exp(-found)) == pytest.approx([0.109, 0.057], abs=5e-4)


@settings(deadline=None)
@given(scorecards(), accounts())
def test_base_and_contributions_are_the_log_odds(scorecard, columns):
    contributions = scorecard.contributions(columns)
    log_odds = scorecard.log_odds(columns)
    assert contributions.shape == (len(columns["x"]), len(scorecard.names))
    assert np.isfinite(log_odds).all()
    for row, total in zip(contributions, log_odds, strict=True):
        assert math.fsum((scorecard.base, *row)) == pytest.approx(total, abs=1e-12)
    assert scorecard.total(contributions).tobytes() == log_odds.tobytes()


@settings(deadline=None)
@given(scorecards(), accounts())
def test_one_at_a_time_equals_the_batch_bit_for_bit(scorecard, columns):
    together = scorecard.log_odds(columns)
    parts = scorecard.contributions(columns)
    spread = scorecard.spread(columns)
    for row in range(len(together)):
        alone = {name: values[row : row + 1] for name, values in columns.items()}
        assert scorecard.log_odds(alone).tobytes() == together[row : row + 1].tobytes()
        assert scorecard.contributions(alone).tobytes() == parts[row : row + 1].tobytes()
        if spread is not None:
            assert scorecard.spread(alone).tobytes() == spread[row : row + 1].tobytes()


@settings(deadline=None)
@given(scorecards(), accounts())
def test_contributions_and_refits_looked_up_together_are_those_looked_up_apart(scorecard, columns):
    contributions, spread = scorecard.look_up(columns)
    assert contributions.tobytes() == scorecard.contributions(columns).tobytes()
    apart = scorecard.spread(columns)
    assert (spread is None) == (apart is None)
    if spread is not None:
        assert spread.tobytes() == apart.tobytes()


def test_a_row_scores_the_same_alone_and_on_either_side_of_a_chunk():
    rng = np.random.default_rng(1)
    terms = [Term(f"f{i}", "line", (-1, 0, 1), (), rng.normal(size=3)) for i in range(45)]
    scorecard = Scorecard("silent", -3.0, terms)
    columns = {term.feature: rng.normal(size=10_000) for term in terms}
    together = scorecard.log_odds(columns)
    assert scorecard.total(scorecard.contributions(columns)).tobytes() == together.tobytes()
    for row in (0, 1, 2047, 2048, 8191, 8192, 9999):
        alone = {name: values[row : row + 1] for name, values in columns.items()}
        assert scorecard.log_odds(alone)[0] == together[row]


@settings(deadline=None)
@given(scorecards())
def test_the_plain_form_gives_an_equal_scorecard_back(scorecard):
    assert Scorecard.from_plain(scorecard.to_plain()) == scorecard


@given(rising(1), st.data())
def test_a_line_is_linear_interpolation(knots, data):
    values = data.draw(st.lists(small, min_size=len(knots), max_size=len(knots)))
    at = np.array(data.draw(st.lists(st.floats(-200, 200) | st.sampled_from([-np.inf, np.inf]), min_size=1)))
    scorecard = Scorecard("churn", 0.0, (Term("x", "line", knots, (), values),))
    assert scorecard.log_odds({"x": at}) == pytest.approx(np.interp(at, knots, values), abs=1e-12)


@given(rising(0), st.lists(anything, min_size=1))
def test_steps_count_the_knots_at_or_below(knots, at):
    values = tuple(float(i) for i in range(len(knots) + 1))
    scorecard = Scorecard("churn", 0.0, (Term("x", "steps", knots, (), values, missing=-1.0),))
    expected = [-1.0 if math.isnan(x) else float(sum(knot <= x for knot in knots)) for x in at]
    assert scorecard.log_odds({"x": np.array(at)}).tolist() == expected


def test_the_lower_edge_of_a_step_is_inclusive():
    at = numbers(np.nextafter(30, 0), 30, np.nextafter(90, 0), 90, -np.inf, np.inf, np.nan)
    found = Scorecard("churn", 0.0, (RENEWAL,)).log_odds({"days_to_renewal": at})
    assert found.tolist() == [1.5, 0.5, 0.5, 0.0, 1.5, 0.0, 0.2]


def test_a_line_is_constant_beyond_its_ends_and_exact_at_its_knots():
    line = Term("x", "line", (0.1, 0.7, 1.9), (), (0.3, -0.2, 0.7), missing=9.0)
    at = numbers(-np.inf, -5, 0.1, 0.7, 1.9, 1e300, np.inf, np.nan)
    found = Scorecard("churn", 0.0, (line,)).log_odds({"x": at})
    assert found.tolist() == [0.3, 0.3, 0.3, -0.2, 0.7, 0.7, 0.7, 9.0]


def test_a_line_of_one_knot_is_constant():
    line = Term("x", "line", (2.0,), (), (0.4,), missing=0.1)
    assert Scorecard("churn", 0.0, (line,)).log_odds({"x": numbers(-9, 2, 9, np.nan)}).tolist() == [0.4, 0.4, 0.4, 0.1]


def test_categories_missing_and_unseen():
    column = text("monthly", "annual", "weekly", None, float("nan"), "")
    found = Scorecard("churn", 0.0, (BILLING,)).log_odds({"billing": column})
    assert found.tolist() == [0.4, -0.1, 0.3, 0.05, 0.05, 0.3]


def test_a_pair_by_hand():
    columns = {
        "billing": text("annual", "annual", "monthly", "monthly", None, "weekly", "weekly"),
        "contacts_90d": numbers(0, 1, 3.9, 4, np.nan, -np.inf, np.inf),
    }
    found = Scorecard("churn", 0.0, (), (GRID,)).log_odds(columns)
    assert found.tolist() == [0.01, 0.02, 0.12, 0.13, 0.24, 0.31, 0.33]


def test_a_pair_the_other_way_round_and_of_two_numbers():
    turned = replace(
        GRID,
        features=GRID.features[::-1],
        knots=GRID.knots[::-1],
        grid=tuple(zip(*GRID.grid, strict=True)),
    )
    both = GridTerm(("a", "b"), ((0.0,), (1.0, 2.0)), ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12)))
    columns = {
        "billing": text("monthly", None),
        "contacts_90d": numbers(3.9, np.nan),
        "a": numbers(0, np.nan),
        "b": numbers(1, 5),
    }
    parts = Scorecard("churn", 0.0, (), (turned, both)).contributions(columns)
    assert parts.tolist() == [[0.12, 6.0], [0.24, 11.0]]


def test_a_triple_by_hand():
    cells = np.arange(3 * 4 * 3).reshape(
        3, 4, 3
    )  # a: < 0, >= 0, missing; billing: 2, missing, any other; b: 2, missing
    triple = GridTerm(("a", "billing", "b"), ((0.0,), ("annual", "monthly"), (5.0,)), cells, [cells * 2, cells * 3])
    columns = {
        "a": numbers(-1, 0, np.nan, 7),
        "billing": text("annual", "monthly", None, "weekly"),
        "b": numbers(4.9, 5, np.nan, 0),
    }
    scorecard = Scorecard("churn", 1.0, (), (triple,), (1.0, 1.0))
    assert scorecard.names == ("a x billing x b",)
    assert scorecard.log_odds(columns).tolist() == [1 + 0, 1 + 12 + 3 + 1, 1 + 24 + 6 + 2, 1 + 12 + 9 + 0]
    assert scorecard.spread(columns).tolist() == [[1, 1], [33, 49], [65, 97], [43, 64]]
    told = scorecard.explain({"a": 0.0, "billing": "monthly", "b": 5.0})
    assert [found.bin for found in told] == ["a >= 0, billing monthly, b >= 5"]
    assert Scorecard.from_plain(scorecard.to_plain()) == scorecard


def test_terms_and_pairs_of_the_same_feature_both_count():
    scorecard = Scorecard("churn", 1.0, (BILLING,), (GRID,))
    columns = {"billing": text("monthly"), "contacts_90d": numbers(9)}
    assert scorecard.names == ("billing", "billing x contacts_90d")
    assert scorecard.features == ("billing", "contacts_90d")
    assert scorecard.log_odds(columns)[0] == pytest.approx(1 + 0.4 + 0.13)


@settings(deadline=None)
@given(scorecards(), accounts())
def test_centring_changes_no_score(scorecard, columns):
    centred = scorecard.centred(scorecard.means(columns))
    assert centred.log_odds(columns) == pytest.approx(scorecard.log_odds(columns), abs=1e-10)
    assert centred.contributions(columns).mean(axis=0) == pytest.approx(0.0, abs=1e-10)
    if scorecard.base_replicates:
        assert centred.spread(columns) == pytest.approx(scorecard.spread(columns), abs=1e-10)


def test_centring_by_hand():
    scorecard = Scorecard("churn", -3.0, (RENEWAL, BILLING))
    centred = scorecard.centred({"days_to_renewal": 0.5})
    assert centred.base == -2.5
    assert centred.terms[0].table == (1.0, 0.0, -0.5, -0.3)
    assert centred.terms[1] == BILLING
    with pytest.raises(ArtefactError, match="no term 'tenure'"):
        scorecard.centred({"tenure": 1.0})


def test_weighted_means():
    scorecard = Scorecard("churn", 0.0, (RENEWAL,))
    columns = {"days_to_renewal": numbers(0, 45)}
    assert scorecard.means(columns) == {"days_to_renewal": 1.0}
    assert scorecard.means(columns, numbers(3, 1)) == {"days_to_renewal": 1.25}


def test_refits_are_scored_like_scorecards_of_their_own():
    line = replace(CSAT, replicates=((1.0, 0.2, 0.1), (0.6, -0.2, 0.3)))
    steps = replace(RENEWAL, replicates=((1.0, 0.0, 0.0, 0.0), (2.0, 1.0, 0.5, 0.0)))
    grids = tuple(tuple(tuple(value * factor for value in row) for row in GRID.grid) for factor in (2, 3))
    scorecard = Scorecard("churn", -3.0, (line, steps), (replace(GRID, replicates=grids),), (-2.9, -3.1))
    columns = {
        "csat": numbers(3, 9, np.nan),
        "days_to_renewal": numbers(0, 30, np.nan),
        "billing": text("annual", "x", None),
        "contacts_90d": numbers(1, 2, 3),
    }
    for k, base in enumerate(scorecard.base_replicates):
        alone = Scorecard(
            "churn",
            base,
            [term.with_table(term.replicates[k]) for term in scorecard.terms],
            (replace(GRID, grid=grids[k]),),
        )
        assert scorecard.spread(columns)[:, k] == pytest.approx(alone.log_odds(columns), abs=1e-12)
    spread = scorecard.spread(columns)
    assert scorecard.standard_errors(columns) == pytest.approx(spread.std(axis=1, ddof=1))
    assert deviations(spread).tobytes() == scorecard.standard_errors(columns).tobytes()


def test_the_error_of_a_difference_leaves_out_what_both_moments_share():
    steps = replace(RENEWAL, replicates=((1.0, 0.0, 0.0, 0.0), (2.0, 1.0, 0.5, 0.0)))
    scorecard = Scorecard("churn", -3.0, (steps,), (), (-2.0, -4.0))
    now, before = {"days_to_renewal": numbers(0, 45)}, {"days_to_renewal": numbers(45, 45)}
    # First account: 1.0 and 1.0 in the two refits; second: no change at all.
    assert scorecard.standard_errors(now, minus=before).tolist() == [0.0, 0.0]
    before = {"days_to_renewal": numbers(100, 45)}
    # 1.0 and 1.5: the standard deviation of two numbers is half their distance times the root of two.
    assert scorecard.standard_errors(now, minus=before) == pytest.approx([0.25 * math.sqrt(2), 0.0])
    with pytest.raises(FeatureMismatch, match="2 accounts cannot be compared with 1"):
        scorecard.standard_errors(now, minus={"days_to_renewal": numbers(45)})


def test_without_refits_there_is_no_spread():
    scorecard = Scorecard("churn", -3.0, (RENEWAL,))
    columns = {"days_to_renewal": numbers(1)}
    assert scorecard.spread(columns) is None
    assert scorecard.standard_errors(columns) is None


def test_an_explanation_names_the_bins_largest_first():
    scorecard = Scorecard("churn", -3.0, (RENEWAL, CSAT, BILLING), (GRID,))
    found = scorecard.explain({"days_to_renewal": 45, "csat": 2.5, "billing": "weekly"})
    assert [(item.name, item.bin, round(item.log_odds, 9)) for item in found] == [
        ("csat", "2 to < 4", 0.6),
        ("days_to_renewal", "30 to < 90", 0.5),
        ("billing x contacts_90d", "billing any other, contacts_90d missing", 0.34),
        ("billing", "any other", 0.3),
    ]
    with pytest.raises(FeatureMismatch, match="'csat' must hold numbers"):
        scorecard.explain({"csat": "high"})
    with pytest.raises(FeatureMismatch, match="'billing' must be text"):
        scorecard.explain({"billing": 3.0})


def test_a_person_can_read_the_whole_model():
    scorecard = Scorecard("churn", -3.0, (RENEWAL, CSAT, BILLING))
    assert [(row.term, row.bin, row.log_odds) for row in scorecard.describe()] == [
        ("base", "", -3.0),
        ("days_to_renewal", "< 30", 1.5),
        ("days_to_renewal", "30 to < 90", 0.5),
        ("days_to_renewal", ">= 90", 0.0),
        ("days_to_renewal", "missing", 0.2),
        ("csat", "<= 2", 0.8),
        ("csat", ">= 4", 0.0),
        ("csat", "missing", 0.0),
        ("billing", "annual", -0.1),
        ("billing", "monthly", 0.4),
        ("billing", "missing", 0.05),
        ("billing", "any other", 0.3),
    ]
    assert str(scorecard).splitlines()[:3] == [
        "log-odds of churn",
        "base                         -3.0000",
        "days_to_renewal  < 30        +1.5000",
    ]


@settings(deadline=None)
@given(scorecards())
def test_every_number_of_the_model_is_printed(scorecard):
    printed = [row.log_odds for row in scorecard.describe()]
    assert printed == [scorecard.base, *(value for term in scorecard.all_terms for value in term.table)]


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Term("", "steps", (), (), (0,)), "names no feature"),
        (lambda: Term("x", "spline", (1,), (), (0,)), "unknown kind 'spline'"),
        (lambda: Term("x", "steps", (1, 1), (), (0, 0, 0)), "do not rise"),
        (lambda: Term("x", "steps", (1, math.inf), (), (0, 0, 0)), "not finite"),
        (lambda: Term("x", "steps", (1,), (), (0, math.nan)), "not finite"),
        (lambda: Term("x", "steps", (1,), (), (0, 0), missing=math.inf), "not finite"),
        (lambda: Term("x", "steps", (1,), (), (0,)), "has 1 entries where 2"),
        (lambda: Term("x", "steps", (1,), ("a",), (0, 0)), "numeric but lists categories"),
        (lambda: Term("x", "steps", (1,), (), (0, 0), unseen=1.0), "cannot have a value for unseen"),
        (lambda: Term("x", "steps", (1,), (), (0, 0), replicates=((0, 0),)), "has 2 entries where 3"),
        (lambda: Term("x", "line", (), (), ()), "has no knots"),
        (lambda: Term("x", "line", (1, 2), (), (0,)), "has 1 entries where 2"),
        (lambda: Term("x", "line", (0, 5e-324), (), (0, 1)), "too steep"),
        (lambda: Term("x", "line", (-1e308, 1e308), (), (0, 1)), "too steep"),
        (lambda: Term("x", "category", (), (), ()), "lists no categories"),
        (lambda: Term("x", "category", (), ("a", "a"), (0, 0)), "a category twice"),
        (lambda: Term("x", "category", (), (1,), (0,)), "is not text"),
        (lambda: Term("x", "category", (1,), ("a",), (0,)), "categories and knots"),
        (lambda: replace(GRID, grid=GRID.grid[:3]), "has 3 entries where 4"),
        (lambda: replace(GRID, grid=(*GRID.grid[:3], (0, 0))), "has 2 entries where 4"),
        (lambda: replace(GRID, grid=(*GRID.grid[:3], 0.0)), "too few dimensions"),
        (lambda: replace(GRID, grid=(*GRID.grid[:3], ((0, 0, 0, (0,))))), "not a number"),
        (lambda: replace(GRID, features=("billing",)), "two or three features"),
        (lambda: replace(GRID, features=("billing", "a", "b", "c")), "two or three features"),
        (lambda: replace(GRID, features=("billing", "billing")), "one feature twice"),
        (lambda: replace(GRID, knots=(("annual", "monthly"), ())), "without edges"),
        (lambda: replace(GRID, replicates=(GRID.grid[:2],)), "has 2 entries where 4"),
        (lambda: Scorecard("retention", 0.0), "churn or silent"),
        (lambda: Scorecard("churn", math.nan), "base .* not a finite"),
        (lambda: Scorecard("churn", 0.0, (RENEWAL, RENEWAL)), "two terms for 'days_to_renewal'"),
        (lambda: Scorecard("churn", 0.0, (RENEWAL,), (), (1.0, 2.0)), "0 replicates where the base has 2"),
        (lambda: Scorecard("churn", 0.0, (), (), (1.0,)), "One replicate"),
        (
            lambda: Scorecard("churn", 0.0, (Term("billing", "steps", (), (), (0,)),), (GRID,)),
            "both text and number",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(build, sentence):
    with pytest.raises(ArtefactError, match=sentence):
        build()


@pytest.mark.parametrize(
    "damage",
    [
        lambda plain: plain.pop("target"),
        lambda plain: plain.pop("terms"),
        lambda plain: plain.update(surprise=1),
        lambda plain: plain.update(base="a lot"),
        lambda plain: plain.update(terms=3),
        lambda plain: plain["terms"][0].update(values="high"),
        lambda plain: plain["terms"][0].update(os="system"),
        lambda plain: plain["pairs"][0].update(knots=[[1.0, "a"], ["b"]]),
    ],
)
def test_a_damaged_plain_form_is_refused(damage):
    plain = Scorecard("churn", -3.0, (RENEWAL,), (GRID,)).to_plain()
    damage(plain)
    with pytest.raises(ArtefactError):
        Scorecard.from_plain(plain)


def test_columns_that_do_not_fit_are_refused():
    scorecard = Scorecard("churn", -3.0, (RENEWAL, BILLING))
    good = {"days_to_renewal": numbers(1, 2), "billing": text("annual", "annual")}
    for name, column, sentence in (
        ("billing", None, "'billing', which was not given"),
        ("billing", text("annual"), "differ in length"),
        ("billing", numbers(1, 2), "must be text"),
        ("days_to_renewal", text("1", "2"), "must hold numbers"),
        ("days_to_renewal", np.zeros((2, 1)), "one value per account"),
    ):
        columns = {**good, name: column}
        if column is None:
            del columns[name]
        with pytest.raises(FeatureMismatch, match=sentence):
            scorecard.log_odds(columns)
    assert len(scorecard.log_odds({**good, "unused": text("x", "y")})) == 2


def test_integers_and_flags_count_as_numbers():
    scorecard = Scorecard("churn", 0.0, (Term("x", "steps", (1,), (), (0, 1)),))
    assert scorecard.log_odds({"x": np.array([0, 1, 2])}).tolist() == [0, 1, 1]
    assert scorecard.log_odds({"x": np.array([False, True])}).tolist() == [0, 1]


def test_no_accounts_and_no_terms():
    assert Scorecard("churn", -3.0, (RENEWAL,)).log_odds({"days_to_renewal": numbers()}).shape == (0,)
    assert Scorecard("churn", -3.0).log_odds({"anything": numbers(1, 2)}).tolist() == [-3.0, -3.0]
    assert Scorecard("churn", -3.0).contributions({"anything": numbers(1, 2)}).shape == (2, 0)
    with pytest.raises(ArtefactError, match="no accounts"):
        Scorecard("churn", -3.0, (RENEWAL,)).means({"days_to_renewal": numbers()})


def test_the_examples_of_the_documentation():
    page = Path(__file__).parents[2] / "docs" / "scorecard.md"
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0
