"""The prior-centred fit: what it must be without data, with data, and as tables."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from models.errors import EbbtideError, SettingsError
from models.features import FEATURES
from models.model import columns
from models.scorecard import Scorecard, Target
from training import expert, logistic
from training import fitting as fit


def small(n: int = 400, seed: int = 0) -> pl.DataFrame:
    """Rows of every feature, some unknown, with labels that depend on two of them."""
    rng = np.random.default_rng(seed)
    data: dict[str, object] = {"account_id": [f"A{i % 97}" for i in range(n)]}
    for feature in FEATURES:
        if feature.categorical:
            data[feature.name] = rng.choice(["smb", "mid", "annual", None], n).tolist()
            continue
        low, high = (feature.basis.knots[0] - 1, feature.basis.knots[-1] + 1) if feature.basis.knots else (0, 1)
        values = rng.uniform(low, high, n)
        data[feature.name] = pl.Series(np.where(rng.random(n) < 0.1, np.nan, values)).fill_nan(None)
    frame = pl.DataFrame(data)
    logit = -1 - 0.8 * frame["contact_drop_90d"].fill_null(0).to_numpy()
    y = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)
    return frame.with_columns(pl.Series("y_churn", y), pl.Series("y_silent", np.where(rng.random(n) < 0.3, 0, y)))


def test_without_rows_to_learn_from_it_is_the_scorecard() -> None:
    found = logistic.fit(np.zeros(0), np.zeros((0, 3)), np.zeros(0), np.full(3, 0.1))
    assert found.b == pytest.approx(1.0)
    assert found.beta == pytest.approx([0, 0, 0])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.1, 1.0]))
def test_the_gradient_of_the_log_posterior_is_zero(seed: int, tau: float) -> None:
    rng = np.random.default_rng(seed)
    x, score = rng.normal(size=(200, 4)), rng.normal(size=200) - 1
    y = (rng.random(200) < 0.2).astype(float)
    weights = rng.integers(0, 3, 200).astype(float)
    found = logistic.fit(score, x, y, np.full(4, tau), weights)
    p = 1 / (1 + np.exp(-found.log_odds(score, x)))
    residual = weights * (y - p)
    assert residual.sum() == pytest.approx(found.a / 3.0**2, abs=1e-3)
    assert residual @ score == pytest.approx((found.b - 1) / 0.25**2, abs=1e-3)
    assert x.T @ residual == pytest.approx(found.beta / tau**2, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([logistic.TOLERANCE, logistic.ROUGHLY]))
def test_whatever_curvature_it_begins_with_the_top_is_where_it_was(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    x, score = rng.normal(size=(400, 4)), rng.normal(size=400) - 1
    y = (rng.random(400) < 1 / (1 + np.exp(-score - x[:, 0]))).astype(float)
    tau, walls = np.full(4, 0.3), np.array([[0.0, -1, 0, 0, 0], [0, 0, 1, 0, 0]])
    alone = logistic.fit(score, x, y, tau, directed=walls)
    # of twice the rows, their labels thrown about, and far from the top: a bad guide
    other = logistic.task(np.tile(score, 2), np.tile(x, (2, 1)), rng.permutation(np.tile(y, 2)), tau, directed=walls)
    shape = logistic.shape_at(logistic.Fit(2.0, 1.5, np.zeros(4)), other, tau)
    again = logistic.fit(score, x, y, tau, directed=walls, shape=shape, tolerance=tolerance)
    close = 1e-6 if tolerance == logistic.TOLERANCE else 0.02
    assert [again.a, again.b, *again.beta] == pytest.approx([alone.a, alone.b, *alone.beta], abs=close)


def test_a_column_without_freedom_is_left_out() -> None:
    rng = np.random.default_rng(4)
    x, score, y = rng.normal(size=(300, 3)), rng.normal(size=300), (rng.random(300) < 0.3).astype(float)
    held = logistic.fit(score, x, y, np.array([0.2, 0.0, 0.2]))
    alone = logistic.fit(score, x[:, [0, 2]], y, np.array([0.2, 0.2]))
    assert held.beta[1] == 0
    assert held.beta[[0, 2]] == pytest.approx(alone.beta)


def test_contract_terms_are_free_in_the_model_and_in_its_rival() -> None:
    rows, said = small(), expert.load()
    whole = fit.Material.of(rows, "churn", said).prepare()
    alone = fit.Material.of(rows, "churn", said, fit.CONTRACT_TERMS).prepare()
    names = {"days_to_renewal", "billing", "segment"}
    for prepared in (whole, alone):
        free, timing = prepared.freedom(0.05), prepared.design.layout.where(names)
        assert set(free[timing]) == {fit.CONTRACT_TAU}
        assert set(free[~timing]) == {0.05}
    assert not whole.freedom(fit.RECALIBRATED).any()


def free_and_kept(seed: int, target: Target) -> tuple[fit.Prepared, logistic.Fit, logistic.Fit]:
    prepared = fit.Material.of(small(seed=seed), target, expert.load()).prepare()
    free = prepared.freedom(0.5)
    return prepared, logistic.fit(prepared.score, prepared.x, prepared.y, free), prepared.fit(free)


def against(card: Scorecard) -> list[str]:
    """The terms of which some table, refits included, moves the wrong way somewhere."""
    found = []
    for term in card.terms:
        direction = FEATURES[term.feature].direction(card.target) if term.kind != "category" else 0
        tables = np.array([term.table, *term.replicates])[:, : len(term.values)]
        if (direction * np.diff(tables) < 0).any():
            found.append(term.feature)
    return found


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(["churn", "silent"]))
def test_declared_directions_are_kept_by_the_fit(seed: int, target: Target) -> None:
    prepared, free, kept = free_and_kept(seed, target)
    assert (prepared.directed @ np.array([free.b, *free.beta])).min() < -0.01  # noise alone goes against some
    assert (prepared.directed @ np.array([kept.b, *kept.beta])).min() > -1e-9
    assert against(fit.scorecard(prepared, kept)) == []


@pytest.mark.parametrize("target", ["churn", "silent"])
def test_within_its_walls_the_fit_is_the_best_one(target: Target) -> None:
    """No way that the directions allow leads up: the gradient lies in the cone of the walls that are touched."""
    prepared, _, kept = free_and_kept(3, target)
    tau = prepared.freedom(0.5)
    residual = prepared.y - 1 / (1 + np.exp(-kept.log_odds(prepared.score, prepared.x)))
    gradient = np.array(
        [residual @ prepared.score - (kept.b - 1) / 0.25**2, *(prepared.x.T @ residual - kept.beta / tau**2)]
    )
    touched = np.abs(prepared.directed @ np.array([kept.b, *kept.beta])) < 1e-8
    _, missed = nnls(prepared.directed[touched].T, -gradient)
    assert missed < 1e-3 * np.linalg.norm(gradient)
    assert touched.sum() > 5


def test_directions_that_the_data_follows_cost_nothing() -> None:
    rng = np.random.default_rng(5)
    x, score = rng.normal(size=(800, 2)), rng.normal(size=800) - 1
    y = (rng.random(800) < 1 / (1 + np.exp(1 - 1.5 * x[:, 0] + x[:, 1]))).astype(float)
    walls = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0]])
    free = logistic.fit(score, x, y, np.full(2, 0.5))
    assert logistic.fit(score, x, y, np.full(2, 0.5), directed=walls).beta == pytest.approx(free.beta, abs=1e-9)
    other = logistic.fit(score, x, y, np.full(2, 0.5), directed=-walls[1:2])
    alone = logistic.fit(score, x, y, np.array([0.0, 0.5]))
    assert other.beta == pytest.approx(alone.beta, abs=1e-6)


def test_an_expert_who_goes_against_a_direction_is_told(tmp_path: Path) -> None:
    path = tmp_path / "expert.toml"
    path.write_text("base_rate_churn = 0.04\nbase_rate_silent = 0.03\n[csat_level]\nline = [[1.0, 0.0], [5.0, 0.4]]\n")
    with pytest.raises(SettingsError, match=r"'csat_level' go against .* more of it lowers the risk"):
        expert.load(path)


def test_more_freedom_never_fits_worse() -> None:
    prepared = fit.Material.of(small(), "churn", expert.load()).prepare()
    losses = []
    for found in fit.path(prepared, fit.TAUS):
        z = found.log_odds(prepared.score, prepared.x)
        losses.append(float(np.sum(np.logaddexp(0, z) - prepared.y * z)))
    assert losses == sorted(losses, reverse=True)


@pytest.mark.parametrize("target", ["churn", "silent"])
def test_the_tables_are_the_fit(target: str) -> None:
    """Base plus table values equals a + b * expert + x' beta on every row, unknown and extreme values included."""
    rows = small()
    prepared = fit.Material.of(rows, target, expert.load()).prepare()
    found = fit.path(prepared, (None, 0.3))[-1]
    card = fit.scorecard(prepared, found)
    direct = found.log_odds(prepared.score, prepared.x)
    labelled = rows.filter(pl.col(f"y_{target}").is_not_null())
    assert card.log_odds(columns(labelled)) == pytest.approx(direct, abs=1e-9)


def test_beyond_what_was_seen_a_line_is_flat() -> None:
    """Few accounts make the last stretch steep; how it would go on, nobody has seen."""
    frame, name = small(), "effort_mean_90d"  # knots at 1, 2 and 4; the expert has no table of it
    y = frame["y_churn"].to_numpy()
    cut = frame.with_columns(pl.Series(name, np.where(y == 1, 2.5, 1.5) + np.linspace(-0.243, 0.237, len(y))))
    prepared = fit.Material.of(cut, "churn", expert.load()).prepare()
    (term,) = (t for t in fit.scorecard(prepared, fit.path(prepared, (0.4,))[0]).terms if t.feature == name)
    assert term.knots == (1.0, 1.25, 2.0, 2.74, 4.0)
    assert term.values[0] == pytest.approx(term.values[1])
    assert term.values[3] > term.values[2] > term.values[1]
    assert term.values[4] == pytest.approx(term.values[3])


def test_rare_texts_are_served_as_they_were_fitted() -> None:
    """A text too rare for a column of its own is scored by the tables as by the fit."""
    rows = small().with_columns(
        pl.when(pl.int_range(pl.len()) < 9).then(pl.lit("startup")).otherwise("segment").alias("segment")
    )
    prepared = fit.Material.of(rows, "churn", expert.load()).prepare()
    found = fit.path(prepared, (None, 0.3))[-1]
    card = fit.scorecard(prepared, found)
    assert card.log_odds(columns(rows)) == pytest.approx(found.log_odds(prepared.score, prepared.x), abs=1e-9)


def test_rows_without_any_exit_settle() -> None:
    prepared = fit.Material.of(small().with_columns(y_churn=pl.lit(0.0)), "churn", expert.load()).prepare()
    found = fit.path(prepared, (None, 0.1))[-1]
    assert (1 / (1 + np.exp(-found.log_odds(prepared.score, prepared.x)))).mean() < 0.01


def test_centring_changes_no_score_and_makes_the_base_the_mean() -> None:
    rows = small()
    prepared = fit.Material.of(rows, "churn", expert.load()).prepare()
    card = fit.scorecard(prepared, fit.path(prepared, (None, 0.1))[-1])
    centred = fit.centred(card, rows)
    before, after = card.log_odds(columns(rows)), centred.log_odds(columns(rows))
    assert after == pytest.approx(before, abs=1e-9)
    assert centred.base == pytest.approx(after.mean(), abs=1e-9)


def test_a_base_rate_is_met_on_the_population() -> None:
    rows = small()
    card = fit.with_base_rate(expert.load().scorecard("churn"), rows, 0.043)
    assert (1 / (1 + np.exp(-card.log_odds(columns(rows))))).mean() == pytest.approx(0.043, abs=1e-9)


def test_refits_carry_the_spread_of_accounts() -> None:
    prepared = fit.Material.of(small(), "churn", expert.load()).prepare()
    found = fit.path(prepared, (None, 0.1))[-1]
    card = fit.scorecard(prepared, found, fit.resampled(prepared, found, 0.1, seed=1, times=8))
    errors = card.standard_errors(columns(small(50, seed=2)))
    assert errors is not None
    assert np.all(errors > 0)
    again = fit.resampled(prepared, found, 0.1, seed=1, times=8)
    assert fit.scorecard(prepared, found, again) == card


@pytest.mark.parametrize(
    ("events", "phase"), [(0, "P0"), (9, "P0"), (10, "P1"), (29, "P1"), (30, "P2"), (299, "P2"), (300, "P3")]
)
def test_phases(events: int, phase: str) -> None:
    assert fit.phase(events) == phase


def test_the_expert_says_what_was_elicited() -> None:
    """Log-odds of the day-one scorecard at hand-picked values."""
    card = expert.load().scorecard("silent")
    said = {
        "days_to_renewal": 60.0,
        "segment": "enterprise",
        "contact_drop_28d": -1.0,
        "gap_ratio": 8.0,
        "quiet_failures_90d": 2.0,
        "repeat_rate_90d": 0.23,
        "escalations_90d": 1.0,
        "csat_level": 3.25,
        "nps_last": 6.9,
        "nonresponse_streak": 3.0,
    }
    parts = {part.name: part.log_odds for part in card.explain(said)}
    assert parts["days_to_renewal"] == pytest.approx(1.5)
    assert parts["segment"] == pytest.approx(-1.2)
    assert parts["contact_drop_28d"] == pytest.approx(0.5)
    assert parts["gap_ratio"] == pytest.approx(0.5)  # .125 a gap, capped at 4
    assert parts["quiet_failures_90d"] == pytest.approx(0.70)
    assert parts["repeat_rate_90d"] == pytest.approx(1.5 * (0.23 - 0.13))
    assert parts["escalations_90d"] == pytest.approx(0.25)
    assert parts["csat_level"] == pytest.approx(-0.6 * (3.25 - 4.25))
    assert parts["nps_last"] == pytest.approx(-0.12 * (6.9 - 7.9))
    assert parts["nonresponse_streak"] == pytest.approx(0.36)
    assert parts["tenure_early"] == 0


RATES = "base_rate_churn = 0.04\nbase_rate_silent = 0.03\n"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("base_rate_churn = 0.04\nbase_rate_silent = 0.03\n[no_such]\nline = [[0.0, 0.0], [1.0, 1.0]]\n", "no_such"),
        ("base_rate_churn = 2.0\nbase_rate_silent = 0.03\n", "base_rate_churn"),
        ("base_rate_churn = 0.04\nbase_rate_silent = 0.03\n[segment]\nline = [[0.0, 0.0]]\n", "segment"),
        ("base_rate_churn = \n", "TOML"),
        ("base_rate_churn = 0.01\nbase_rate_silent = 0.03\n", "more customers leave silently"),
        (RATES + 'status = "calibrated"\n', "leave that line"),
        (RATES + '[gap_ratio]\nline = [["a", 1.0], [2.0, 3.0]]\n', "'gap_ratio' hold 'a'"),
        (RATES + "[gap_ratio]\nline = [[0.0, 1.0, 2.0]]\n", "as points"),
        (
            RATES + "[gap_ratio]\nline = [[0.0, 1.0], [2.0, 3.0]]\nmissng = 0.3\n",
            "'missng'; they may say line, missing",
        ),
        (RATES + '[gap_ratio]\nline = [[0.0, 1.0], [2.0, 3.0]]\nmissing = "no"\n', "hold 'no'"),
        (RATES + "[days_to_renewal]\nedges = 3\nsteps = [0.1]\n", "list of numbers"),
        (RATES + '[segment]\ntext = "mid"\n', "text = { a = 0.1"),
        (RATES + '[segment]\ntext = { mid = "x" }\n', "'segment' hold 'x'"),
    ],
)
def test_an_expert_file_that_makes_no_sense_is_named(tmp_path, text: str, word: str) -> None:
    path = tmp_path / "expert.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=word):
        expert.load(path)


@pytest.mark.parametrize("size", [1e25, float("nan")], ids=["huge", "nan"])
def test_a_column_no_fit_can_hold_is_said_in_a_sentence(size):
    x, y = np.array([size] * 4 + [0.0] * 4)[:, None], np.array([1.0] * 4 + [0.0] * 4)
    with pytest.raises(EbbtideError, match="extreme values"), np.errstate(invalid="ignore"):
        logistic.fit(np.zeros(8), x, y, np.ones(1))
