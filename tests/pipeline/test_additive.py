"""The boosted additive fitter: the scorecard is the estimator, exactly; what it is judged on it has not seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import EbbtideError, FeatureMismatch
from models.health import expit
from models.scorecard import Scorecard
from training.additive import blend
from training.additive import columns as plain
from training.additive.bags import deal
from training.additive.columns import edges, learn, places
from training.additive.fitter import COARSE, FINE, MEMBERS, fit
from training.additive.member import Material
from training.additive.parts import Part, merged, purified, scorecard
from training.additive.trees import Deep
from training.tables import declare

PLANS = ["monthly", "annual", "two years"]


def table(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers fine and coarse, texts frequent and rare, all with missing values."""
    rng = np.random.default_rng(seed)
    plan = rng.choice([*PLANS, "pilot"], rows, p=[0.5, 0.3, 0.195, 0.005]).astype(object)
    plan[rng.random(rows) < 0.03] = None
    columns = {
        "minutes": rng.gamma(2.0, 90.0, rows),
        "evening": rng.gamma(2.0, 90.0, rows).round(1),
        "calls": rng.poisson(1.5, rows).astype(np.float64),
        "constant": np.ones(rows),
    }
    for name in ("minutes", "calls"):
        columns[name][rng.random(rows) < 0.05] = np.nan
    return columns | {"plan": plan}


def leaves(columns: dict[str, np.ndarray], seed: int = 1) -> np.ndarray:
    """Steps, a category, and something that only three columns say together."""
    minutes, evening, calls = (np.nan_to_num(columns[name]) for name in ("minutes", "evening", "calls"))
    monthly = columns["plan"] == "monthly"
    log_odds = -2.0 + 1.5 * (calls >= 4) + 0.7 * monthly + 4.0 * (monthly & (minutes + evening > 450))
    return (np.random.default_rng(seed).random(len(minutes)) < expit(log_odds)).astype(np.float64)


def strangers(rows: int) -> dict[str, np.ndarray]:
    """Rows as they might come: missing, out of range, infinite, on an edge, texts never seen."""
    rng = np.random.default_rng(5)
    columns = table(rows, seed=6)
    columns["minutes"] = np.where(
        rng.random(rows) < 0.1, rng.choice([-1e9, 1e9, np.inf, -np.inf], rows), columns["minutes"]
    )
    columns["evening"] = np.where(rng.random(rows) < 0.5, rng.choice(TRAIN["evening"], rows), columns["evening"])
    columns["calls"] = columns["calls"] + rng.choice([-2.0, 0.0, 0.5, 30.0], rows)
    columns["plan"][rng.random(rows) < 0.05] = "never seen"
    return columns


TRAIN = table(1200)
Y = leaves(TRAIN)
GROUPS = np.arange(1200) // 2


@pytest.fixture(scope="module")
def boosted():
    return fit(TRAIN, Y, GROUPS, members=("boosted",))


@pytest.fixture(scope="module")
def blended():
    return fit(TRAIN, Y, GROUPS)


def test_the_scorecard_is_the_booster_on_a_million_rows(boosted):
    rows = strangers(1_000_000)
    (member,) = boosted.estimator.members
    weight = boosted.report["slope"]
    p = boosted.estimator.predict_proba(rows)[:, 1]
    assert np.abs(expit(boosted.card.log_odds(rows)) - p).max() < 1e-9
    # The member's log-odds are interpret's own.
    few = {name: values[:100] for name, values in rows.items()}
    own = expit(boosted.report["intercept"] + weight * member.model.decision_function(member.frame(few)))
    assert p[:100] == pytest.approx(own, abs=1e-12)
    assert len(boosted.card.grids) > 0


def test_the_scorecard_is_the_blend(blended):
    rows = strangers(20_000)
    p = blended.estimator.predict_proba(rows)
    assert p.sum(axis=1) == pytest.approx(1.0)
    assert np.abs(expit(blended.card.log_odds(rows)) - p[:, 1]).max() < 1e-9
    assert Scorecard.from_plain(blended.card.to_plain()) == blended.card


@pytest.fixture(scope="module")
def deep():
    learned, _ = learn(TRAIN, FINE, COARSE)
    return Deep(Material(TRAIN, tuple(learned), Y, deal(Y, GROUPS, 5, 0), 5, 0))


def test_trees_of_many_leaves_are_sums_of_tables(deep):
    rows = strangers(20_000)
    learned, _ = learn(TRAIN, FINE, COARSE)
    card = scorecard("churn", deep.bases, merged(deep.parts), learned)
    assert np.abs(card.log_odds(rows) - deep.log_odds(rows)).max() < 1e-9
    assert card.base == pytest.approx(deep.ensembles[0].base, abs=1e-12)
    # Two together are told apart on the fine edges, three on the coarse ones, and nothing crosses four.
    most = {2: 0, 3: 0}
    for part in deep.parts:
        if len(part.features) > 1 and not any(part.is_text):
            most[len(part.features)] = max(most[len(part.features)], *map(len, part.knots))
    assert most == {2: FINE - 1, 3: COARSE - 1}


def test_trees_of_many_leaves_are_fitted_again_on_all_rows(deep):
    (again,) = deep.ensembles
    trained_on = again.model._predictors[0][0].nodes["count"][0]
    assert trained_on == len(Y)
    # What is held out is the bags' own: a row's prediction does not come from a fit that has seen it.
    assert np.abs(deep.held_out - deep.log_odds(TRAIN)).max() > 0.1


def test_trees_of_many_leaves_wait_for_many_rows(blended):
    assert set(blended.report["members"]) == {"linear", "boosted", "trees"}
    with pytest.raises(EbbtideError, match=r"from 20,000 rows on; here are 1,200\. Name other members, too\."):
        fit(TRAIN, Y, GROUPS, members=("deep",))


def test_what_three_columns_say_together_is_found(blended):
    test = table(20_000, seed=8)
    y = leaves(test, seed=9)
    alone = fit(TRAIN, Y, GROUPS, members=("linear",))

    def loss(card: Scorecard) -> float:
        z = card.log_odds(test)
        return float((np.logaddexp(0, z) - y * z).mean())

    assert loss(blended.card) < loss(alone.card) - 0.02
    assert alone.card.grids == ()
    assert max(len(term.features) for term in blended.card.grids) == 3
    assert blended.report["left_out"] == {"constant": "holds one value"}


def test_the_same_data_and_seed_give_the_same_scorecard():
    few = {name: values[:300] for name, values in TRAIN.items()}
    once, again = (fit(few, Y[:300], GROUPS[:300]) for _ in range(2))
    assert again.card == once.card
    assert again.report == once.report


def test_replicates_spread_around_the_scorecard(blended):
    rows = table(2_000, seed=3)
    spread, centre = blended.card.spread(rows), blended.card.log_odds(rows)
    assert spread.shape == (2_000, blended.report["bags"])
    assert spread.mean(axis=1) == pytest.approx(centre, abs=1e-9)
    assert (blended.card.standard_errors(rows) > 0).mean() > 0.99


def test_declared_directions_hold_everywhere():
    few, y, groups = {name: values[:600] for name, values in TRAIN.items()}, Y[:600], GROUPS[:600]
    free = fit(few, y, groups, members=("trees",))
    directions = {"evening": -1, "calls": 1, "minutes": 0}
    bound = fit(few, y, groups, members=("trees",), directions=directions)
    rows = table(200, seed=4)
    for name, direction in (("evening", -1), ("calls", 1)):
        grid = np.quantile(TRAIN[name][~np.isnan(TRAIN[name])], np.linspace(0, 1, 60))
        moved = {other: np.repeat(values, 60) for other, values in rows.items()} | {name: np.tile(grid, 200)}
        steps = np.diff(bound.card.log_odds(moved).reshape(200, 60), axis=1)
        assert (direction * steps).min() > -1e-9
        own = next(term for term in bound.card.terms if term.feature == name)
        assert (direction * np.diff(own.values)).min() > -1e-9
        wrong = np.diff(free.card.log_odds(moved).reshape(200, 60), axis=1)
        assert (direction * wrong).min() < -1e-3
    risks = [expit(fitted.card.log_odds(few)).mean() for fitted in (free, bound)]
    assert risks[0] == pytest.approx(risks[1], abs=1e-9)
    assert any("evening" in term.features for term in bound.card.grids)


def test_directions_that_make_no_sense_are_refused():
    for directions, sentence in (({"plan": 1}, "is text"), ({"tenure": 1}, "no column"), ({"calls": 2}, "must be 1")):
        with pytest.raises(EbbtideError, match=sentence):
            fit(TRAIN, Y, GROUPS, directions=directions)


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(EbbtideError, match="one outcome has 2"):
        fit(TRAIN, np.arange(1200) < 3, GROUPS)
    with pytest.raises(EbbtideError, match="not forest"):
        fit(TRAIN, Y, GROUPS, members=("forest",))
    with pytest.raises(EbbtideError, match="single value"):
        fit({"constant": np.ones(1200)}, Y, GROUPS)
    with pytest.raises(FeatureMismatch, match="'plan' mixes text"):
        fit(TRAIN | {"plan": np.array([1, "a"] * 600, dtype=object)}, Y, GROUPS)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 8), st.lists(st.integers(0, 30), min_size=60, max_size=90), st.integers(0, 9))
def test_groups_stay_on_one_side_and_bags_are_alike(bags, groups, seed):
    codes = np.array(groups)
    y = (codes % 3 == 0).astype(np.float64)
    part = deal(y, codes, bags, seed)
    assert all(len(set(part[codes == group])) == 1 for group in set(groups))
    singles = deal(y, np.arange(len(y)), bags, seed)
    counts = np.bincount(singles, y, bags)
    assert counts.max() - counts.min() <= 2


def test_edges_are_values_and_every_row_has_a_place():
    known = np.sort(np.repeat([0.0, 0.0, 1.0, 2.0, 4.0], 50))
    assert edges(known, 8) == (1.0, 2.0, 4.0)
    assert len(edges(np.arange(1000.0), 8)) == 7
    assert edges(np.sort(np.array([0.0] * 999 + [5.0])), 4) == (5.0,)
    assert places(np.array([-1.0, 1.0, 9.0, np.nan]), (1.0, 2.0), is_text=False).tolist() == [0, 1, 2, 3]
    texts = np.array(["b", None, "z", np.nan], dtype=object)
    assert places(texts, ("a", "b"), is_text=True).tolist() == [1, 2, 3, 2]


def test_rare_texts_are_pooled():
    (column,), _ = learn({"plan": np.array(["a"] * 50 + ["b"] * 45 + ["c"] * 5, dtype=object)}, 8, 4)
    assert column.categories == ("a", "b")
    assert column.pooled
    ids = np.array([f"customer {i}" for i in range(300)], dtype=object)
    assert learn({"id": ids}, 8, 4) == ([], {"id": "none of its 300 texts is in 20 rows"})


def test_of_very_many_texts_the_most_frequent_are_told_apart():
    towns = np.array([f"town {i}" for i in range(300) for _ in range(20 + i % 7)], dtype=object)
    (column,), _ = learn({"town": towns}, 8, 4)
    assert (len(column.categories), len(column.crossed), column.pooled) == (256, 64, True)
    assert set(column.crossed) < set(column.categories)
    assert column.categories == tuple(sorted(column.categories))
    rows = {text: 20 + int(text.split()[1]) % 7 for text in set(towns.tolist())}
    assert min(rows[text] for text in column.crossed) >= max(rows[t] for t in rows if t not in column.crossed)


def test_texts_that_only_some_members_tell_apart_cost_no_digit(monkeypatch):
    monkeypatch.setattr(plain, "MOST_CROSSED", 2)
    few = {name: TRAIN[name][:500] for name in ("calls", "plan")}
    fitted = fit(few, Y[:500], GROUPS[:500], members=("linear", "trees"))
    rows = strangers(5_000)
    p = fitted.estimator.predict_proba(rows)[:, 1]
    assert np.abs(expit(fitted.card.log_odds(rows)) - p).max() < 1e-9
    own = next(term for term in fitted.card.terms if term.feature == "plan")
    grid = next(term for term in fitted.card.grids if "plan" in term.features)
    assert len(own.categories) == 3
    assert len(grid.knots[grid.features.index("plan")]) == 2


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 1000))
def test_parts_of_the_same_features_add_up_on_the_union_of_their_edges(seed):
    rng = np.random.default_rng(seed)
    columns = {"a": rng.normal(size=50), "b": rng.normal(size=50)}
    columns["a"][:5] = np.nan

    def part(a: int, b: int) -> Part:
        knots = tuple(tuple(np.sort(rng.normal(size=count)).tolist()) for count in (a, b))
        return Part(("a", "b"), knots, rng.normal(size=(2, a + 2, b + 2)))

    def value(parts: list[Part]) -> np.ndarray:
        total = np.zeros((2, 50))
        for found in parts:
            at = (places(columns[n], k, is_text=False) for n, k in zip(found.features, found.knots, strict=True))
            total += found.tables[(slice(None), *at)]
        return total

    both = [part(1, 3), part(4, 2)]
    (together,) = merged(both)
    assert value([together]) == pytest.approx(value(both), abs=1e-12)
    split = purified(together, columns)
    assert [found.features for found in split] == [("a", "b"), ("a",), ("b",)]
    assert value(split) == pytest.approx(value(both), abs=1e-12)
    doubled = Part(("a", "b"), together.knots, np.repeat(np.zeros_like(together.tables), 1, axis=0)).pruned()
    assert doubled.tables.shape == (2, 3, 3)
    assert value([together.pruned()]) == pytest.approx(value([together]), abs=1e-12)


def test_the_blend_takes_the_simpler_where_two_tie_and_weighs_where_both_help():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000))
    y = (rng.random(4000) < expit(a + b)).astype(np.float64)
    codes = np.arange(4000)
    both, compared = blend.choose(np.column_stack([a, b]), y, codes)
    assert both.weights == pytest.approx([1, 1], abs=0.15)
    assert [step["taken"] for step in compared] == [False, True]
    y = (rng.random(4000) < expit(2 * a - 1)).astype(np.float64)
    one, compared = blend.choose(np.column_stack([a, a + 0.01 * b]), y, codes)
    assert one.weights[1] == 0
    assert (one.weights.sum(), one.intercept) == pytest.approx((2, -1), abs=0.25)
    assert [step["taken"] for step in compared] == [True, False]


def test_columns_without_a_signal_give_everybody_the_base_rate() -> None:
    rng = np.random.default_rng(3)
    columns = {"noise": rng.normal(size=600)}
    y = (rng.random(600) < 0.3).astype(np.float64)
    fitted = fit(columns, y, np.arange(600), members=("linear",))
    assert fitted.report["slope"] == 0
    p = expit(fitted.card.log_odds(columns))
    assert np.ptp(p) == 0
    assert p[0] == pytest.approx(y.mean(), abs=1e-4)
    np.testing.assert_allclose(fitted.estimator.predict_proba(columns)[:, 1], p, atol=1e-9)


def test_a_configuration_names_the_members_there_are() -> None:
    assert tuple(MEMBERS) == declare.MEMBERS


def test_members_that_tell_the_same_get_equal_parts():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1000)
    y = (rng.random(1000) < expit(a)).astype(np.float64)
    found = blend.fit(np.column_stack([a, a]), y, [0, 1])
    assert found.weights[0] == pytest.approx(found.weights[1], abs=1e-4)
