"""Health, its components, bands, confidence and trend: the arithmetic people act on."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ArtefactError, ContractError, FeatureMismatch
from models.health import (
    BANDS,
    COMPONENTS,
    HealthParams,
    band,
    bands,
    check_reference,
    components,
    confidence,
    confidence_reason,
    expected_revenue_loss,
    expit,
    health,
    points,
    probabilities,
    trend,
    unclipped_health,
)
from models.scorecard import GridTerm, Scorecard, Term

PARAMS = HealthParams(p_ref=0.043)
log_odds = st.floats(-30, 30)
scores = st.floats(0, 100)


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def objects(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def logit(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.mark.parametrize(
    ("score", "risk"), [(70, 0.011), (60, 0.022), (50, 0.043), (40, 0.082), (30, 0.152), (20, 0.264)]
)
def test_the_worked_example_of_the_module(score, risk):
    at = PARAMS.reference + (50 - score) / 10 * math.log(2)
    assert expit(array(at))[0] == pytest.approx(risk, abs=5e-4)
    assert health(array(at), PARAMS)[0] == pytest.approx(score, abs=1e-9)


def test_ten_points_double_the_odds():
    odds = 0.043 / 0.957
    found = health(array(*(math.log(odds * factor) for factor in (0.25, 0.5, 1, 2, 4))), PARAMS)
    assert found == pytest.approx([70, 60, 50, 40, 30], abs=1e-9)
    assert points(array(math.log(2), -math.log(2))) == pytest.approx([-10, 10])


@given(log_odds)
def test_health_is_the_unclipped_health_between_0_and_100(at):
    raw = unclipped_health(array(at), PARAMS)[0]
    assert health(array(at), PARAMS)[0] == min(max(raw, 0), 100)


@given(st.lists(st.floats(-1000, 1000), min_size=1, max_size=40))
def test_expit_never_overflows_and_does_not_depend_on_the_neighbours(at):
    found = expit(np.array(at))
    for value, p in zip(at, found, strict=True):
        expected = 1 / (1 + math.exp(-value)) if value > -700 else 0.0
        assert p == pytest.approx(expected, rel=1e-12, abs=1e-300)
        assert expit(array(value))[0] == p
    strided = np.repeat(np.array(at), 3)[::3]
    assert expit(strided).tobytes() == found.tobytes()


@given(st.lists(st.tuples(log_odds, log_odds), min_size=1))
def test_silent_and_vocal_are_parts_of_churn(pairs):
    churn, silent = np.array(pairs).T
    found = probabilities(churn, silent)
    assert ((found.p_silent >= 0) & (found.p_silent <= found.p_churn) & (found.p_vocal >= 0)).all()
    assert found.p_silent + found.p_vocal == pytest.approx(found.p_churn, rel=1e-12)
    free = silent <= churn
    assert (found.p_silent[free] == expit(silent)[free]).all()
    assert (found.p_vocal[~free] == 0).all()


def test_expected_revenue_loss_is_unknown_where_the_revenue_is():
    found = expected_revenue_loss(array(0.1, 0.1, 0.1), array(500, np.nan, 0), margin=0.8)
    assert found[0] == pytest.approx(480)
    assert np.isnan(found[1])
    assert found[2] == 0
    assert expected_revenue_loss(array(0.1), array(500))[0] == pytest.approx(600)


TERMS = (
    Term("crr_90d", "line", (0, 0.5), (), (-0.2, 0.6)),
    Term("csat", "steps", (3,), (), (0.5, -0.1), missing=0.07),
    Term("billing", "category", (), ("annual", "monthly"), (-0.1, 0.3)),
)
PAIR = GridTerm(("crr_90d", "billing"), ((0.2,), ("annual",)), ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), (0.7, 0.8, 0.9)))
COMPONENT_OF = {"crr_90d": "effort", "csat": "sentiment", "billing": "commercial"}
COLUMNS = {
    "crr_90d": array(0.5, 0.1, np.nan, 0.3),
    "csat": array(2, np.nan, 5, 3),
    "billing": objects("monthly", "annual", None, "weekly"),
}


def centred() -> Scorecard:
    scorecard = Scorecard("churn", -3.0, TERMS, (PAIR,))
    return scorecard.centred(scorecard.means(COLUMNS))


def test_components_by_hand():
    scorecard = Scorecard("churn", 0.0, TERMS, (PAIR,))
    found = components(scorecard.contributions(COLUMNS), scorecard.all_terms, COMPONENT_OF)
    # First account: effort .6 and half of the pair's .6; sentiment .5; commercial .3 and the other half.
    per_point = math.log(2) / 10
    assert {name: float(values[0] * -per_point) for name, values in found.items()} == pytest.approx(
        {"effort": 0.9, "resolution": 0.0, "sentiment": 0.5, "silence": 0.0, "commercial": 0.6}
    )
    assert tuple(found) == COMPONENTS


def test_a_grid_of_three_features_gives_each_component_its_third():
    triple = GridTerm(("crr_90d", "billing", "csat"), ((0.2,), ("annual",), (3,)), np.full((3, 3, 3), 0.9))
    card = Scorecard("churn", 0.0, (), (triple,))
    found = components(card.contributions(COLUMNS), card.all_terms, COMPONENT_OF)
    points = {name: -values[0] * math.log(2) / 10 for name, values in found.items()}
    assert points == pytest.approx({"effort": 0.3, "resolution": 0, "sentiment": 0.3, "silence": 0, "commercial": 0.3})


def test_50_and_the_components_are_the_unclipped_health():
    scorecard = centred()
    params = HealthParams.for_base(scorecard.base)
    check_reference(scorecard.base, params)
    parts = components(scorecard.contributions(COLUMNS), scorecard.all_terms, COMPONENT_OF)
    total = 50 + sum(parts.values())
    assert total == pytest.approx(unclipped_health(scorecard.log_odds(COLUMNS), params), abs=1e-9)
    assert sum(values.mean() for values in parts.values()) == pytest.approx(0, abs=1e-9)


@given(st.floats(-9, 9), st.lists(st.lists(st.floats(-20, 20), min_size=3, max_size=3), min_size=1, max_size=5))
def test_50_and_the_components_are_the_unclipped_health_for_any_model(base, rows):
    contributions = np.array(rows)
    params = HealthParams.for_base(base)
    check_reference(base, params)
    total = 50 + sum(components(contributions, TERMS, COMPONENT_OF).values())
    assert total == pytest.approx(unclipped_health(base + contributions.sum(axis=1), params), abs=1e-9)


def test_a_reference_that_is_not_the_base_is_refused():
    check_reference(logit(0.043), PARAMS)
    with pytest.raises(ArtefactError, match="freeze p_ref"):
        check_reference(logit(0.043) + 1e-9, PARAMS)


def test_a_feature_without_a_component_is_refused():
    scorecard = centred()
    parts = scorecard.contributions(COLUMNS)
    for component_of in ({**COMPONENT_OF, "csat": "mood"}, {"crr_90d": "effort", "billing": "commercial"}):
        with pytest.raises(FeatureMismatch, match="'csat' belongs to no component"):
            components(parts, scorecard.all_terms, component_of)


def test_the_lower_edge_of_a_band_is_inclusive():
    found = bands(array(0, 29.999, 30, 44.999, 45, 59.999, 60, 100), PARAMS)
    assert found.tolist() == [
        "critical", "critical", "at_risk", "at_risk", "watch", "watch", "healthy", "healthy",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "score", "after"),
    [
        ("healthy", 57.0, "healthy"),
        ("healthy", 56.999, "watch"),
        ("watch", 62.999, "watch"),
        ("watch", 63.0, "healthy"),
        ("healthy", 44.0, "watch"),  # past the edge at 60, not yet past the one at 45
        ("healthy", 41.999, "at_risk"),
        ("healthy", 0.0, "critical"),
        ("critical", 100.0, "healthy"),
        ("critical", 32.999, "critical"),
        ("at_risk", 27.0, "at_risk"),
        (None, 59.999, "watch"),
        (None, 60.0, "healthy"),
    ],
)
def test_a_band_changes_three_points_beyond_its_edge(before, score, after):
    assert band(score, PARAMS, before) == after


@given(st.lists(st.tuples(scores, st.sampled_from([*BANDS, None])), min_size=1))
def test_one_band_at_a_time_equals_many(rows):
    found = bands(array(*(score for score, _ in rows)), PARAMS, objects(*(before for _, before in rows)))
    assert found.tolist() == [band(score, PARAMS, before) for score, before in rows]


@given(scores, scores, st.sampled_from(BANDS), st.sampled_from(BANDS))
def test_a_band_rises_with_the_score_and_with_the_band_before(a, b, first, second):
    low, high = sorted((a, b))
    worse, better = sorted((first, second), key=BANDS.index)
    assert BANDS.index(band(low, PARAMS, worse)) <= BANDS.index(band(high, PARAMS, better))


@given(scores, st.sampled_from(BANDS))
def test_a_band_is_never_further_from_the_score_than_the_hysteresis(score, before):
    found = BANDS.index(band(score, PARAMS, before))
    edges = (-math.inf, *PARAMS.edges, math.inf)
    assert edges[found] - PARAMS.hysteresis <= score < edges[found + 1] + PARAMS.hysteresis


@given(st.floats(0, 97), st.sampled_from(BANDS), st.lists(st.floats(0, 2.999), min_size=2, max_size=20))
def test_an_oscillation_smaller_than_the_hysteresis_does_not_flap(level, before, steps):
    seen = [before]
    for step in steps:
        seen.append(band(level + step, PARAMS, seen[-1]))
    ups_and_downs = np.sign(np.diff([BANDS.index(name) for name in seen]))
    assert len(set(ups_and_downs[ups_and_downs != 0])) <= 1  # it may settle in one direction, never come back


def test_unknown_bands_and_scores_are_refused():
    with pytest.raises(ContractError, match="'green' is not a band"):
        band(50, PARAMS, "green")
    with pytest.raises(ContractError, match="not a number"):
        bands(array(50, np.nan), PARAMS)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ({"p_ref": 0.0}, "between 0 and 1"),
        ({"p_ref": 1.0}, "between 0 and 1"),
        ({"p_ref": math.nan}, "between 0 and 1"),
        ({"p_ref": 0.04, "watch": 70.0}, "must rise"),
        ({"p_ref": 0.04, "hysteresis": -1.0}, "no room"),
        ({"p_ref": 0.04, "hysteresis": 8.0}, "no room"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(numbers, sentence):
    with pytest.raises(ArtefactError, match=sentence):
        HealthParams(**numbers)


def test_parameters_survive_the_plain_form():
    params = HealthParams(p_ref=0.0421, healthy=65, watch=50, at_risk=25, hysteresis=2)
    assert HealthParams.from_plain(params.to_plain()) == params
    for damaged in ({}, {"p_ref": "low"}, {"p_ref": 0.04, "amber": 3}):
        with pytest.raises(ArtefactError, match="cannot be read"):
            HealthParams.from_plain(damaged)


def test_for_base_takes_other_edges():
    params = HealthParams.for_base(-3.0, healthy=65.0)
    assert params.p_ref == pytest.approx(1 / (1 + math.exp(3)))
    assert params.edges == (30.0, 45.0, 65.0)


def test_a_trend_needs_five_points_and_its_own_error():
    now = array(50, 50, 50, 50, 50, 50)
    before = array(45, 45.1, 55, 40, 40, np.nan)
    found = trend(now, before, array(0, 0, 0, 6.0, 6.1, 0))
    assert found.change[:5] == pytest.approx([5, 4.9, -5, 10, 10])
    assert np.isnan(found.change[5])
    assert found.moving.tolist() == ["up", "steady", "down", "up", "steady", None]
    assert trend(now, before).moving.tolist() == ["up", "steady", "down", "up", "up", None]
    assert trend(now[:1], before[:1], array(np.nan)).moving.tolist() == ["up"]


@pytest.mark.parametrize(
    ("days", "contacts", "responses", "never", "fresh", "grade", "reason"),
    [
        (180, 5, 0, False, True, "A", "180 days of history, 5 contacts and 0 survey responses in the last 365 days"),
        (400, 1, 2, False, True, "A", "400 days of history, 1 contact and 2 survey responses"),
        (179, 9, 9, False, True, "B", "the best grade needs 180 days"),
        (365, 4, 1, False, True, "B", "the best grade needs"),
        (90, 2, 0, False, True, "B", "90 days of history"),
        (90, 0, 1, True, True, "B", "1 survey response in"),
        (89, 9, 9, False, True, "C", "Only 89 days of history"),
        (400, 0, 0, False, True, "C", "Only 400 days of history, 0 contacts"),
        (400, 0, 0, True, True, "D", "Never contacted us"),
        (np.nan, np.nan, np.nan, False, True, "C", "unknown number of days"),
        (400, 9, 9, False, False, "B", "enough to judge the account by itself; one grade lower because a source"),
        (100, 2, 0, False, False, "C", "one grade lower because a source is not up to date"),
        (10, 1, 0, False, False, "D", "one grade lower because"),
        (400, 0, 0, True, False, "D", "contract alone; a source is not up to date"),
    ],
)
def test_confidence_and_its_reason(days, contacts, responses, never, fresh, grade, reason):
    row = (array(days), array(contacts), array(responses), np.array([never]), np.array([fresh]))
    assert confidence(*row).tolist() == [grade]
    sentence = confidence_reason(days, contacts, responses, never, fresh)
    assert reason in sentence
    assert sentence.endswith(".")


counts = st.integers(0, 500).map(float) | st.just(math.nan)


@settings(deadline=None)
@given(st.lists(st.tuples(counts, counts, counts, st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_confidence_of_one_equals_that_of_many(rows):
    days, contacts, responses, never, fresh = (np.array(column) for column in zip(*rows, strict=True))
    found = confidence(days, contacts, responses, never, fresh)
    for row, grade in zip(rows, found, strict=True):
        assert confidence(*(np.array([value]) for value in row)).tolist() == [grade]
    fresher = confidence(days, contacts, responses, never, np.ones(len(rows), dtype=bool))
    order = "DCBA"
    assert all(order.index(a) >= order.index(b) for a, b in zip(fresher, found, strict=True))
