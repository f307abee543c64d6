"""Scores of a simulated base: the shortcuts on the way change nothing."""

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from models import health
from models.features import DEFAULT, FEATURES, compute
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams
from models.model import ChurnModel, columns, usual_values
from models.scorecard import Scorecard, Term
from models.scoring import TREND_DAYS, Scored, score_history
from training import simulator

REFITS = 6


@pytest.fixture(scope="module")
def base() -> tuple[ChurnModel, History, Scored]:
    """A model with a term for every numeric feature and refits that differ, a base, and its scores."""
    simulated = simulator.simulate(150, 70, "default", 3)
    history = History.from_frames(simulated.tables)
    dice = np.random.default_rng(5)
    churn, silent = (_card(target, dice) for target in ("churn", "silent"))
    features = compute(history, simulated.end)
    parts = (LabelParams(), DEFAULT, usual_values(features), "tested", "P2", fingerprints())
    model = ChurnModel(churn, silent, HealthParams.for_base(churn.base), *parts)
    return model, history, score_history(model, history, simulated.end, fresh=True)


def _card(target, dice) -> Scorecard:
    def term(feature) -> Term:
        count = len(feature.basis.knots) + (feature.basis.kind == "steps")
        values = dice.normal(0, 0.4, count)
        refits = tuple(tuple(dice.normal([*values, 0.0], 0.1)) for _ in range(REFITS))
        return Term(feature.name, feature.basis.kind, feature.basis.knots, (), tuple(values), replicates=refits)

    terms = tuple(term(feature) for feature in FEATURES if not feature.categorical)
    return Scorecard(target, -3.0, terms, (), tuple(dice.normal(-3.0, 0.1, REFITS)))


@pytest.mark.parametrize("days", TREND_DAYS)
def test_a_trend_is_what_the_whole_computation_says(base, days):
    model, history, scored = base
    as_of = scored.scores["as_of"][0]
    existing = scored.scores.join(
        history.accounts.filter(pl.col("started_at") < as_of - timedelta(days=days)), on="account_id", how="semi"
    )
    pairs = existing.select("account_id", pl.lit(as_of - timedelta(days=days)).alias("as_of"))
    before = columns(compute(history, pairs, model.baselines))
    now = columns(existing.select("account_id").join(scored.features, on="account_id", how="left"))
    errors = health.POINTS_PER_LOG_ODD * model.churn.standard_errors(now, before)
    then = health.health(model.churn.log_odds(before), model.health)
    expected = health.trend(existing["health"].to_numpy(), then, errors)
    assert existing[f"health_change_{days}d"].to_list() == expected.change.tolist()
    assert existing[f"moving_{days}d"].to_list() == expected.moving.tolist()
    # The errors matter here: without them more accounts would be moving.
    plain = health.trend(existing["health"].to_numpy(), then)
    assert {"up", "down", "steady"} == set(expected.moving)
    assert (plain.moving != expected.moving).any()
    others = scored.scores.join(existing, on="account_id", how="anti")
    assert others.height
    assert others[f"moving_{days}d"].null_count() == others.height


def test_intervals_come_from_the_refits(base):
    model, _, scored = base
    errors = model.churn.standard_errors(columns(scored.features))
    half = 1.2815515655446004 * errors
    log_odds = scored.scores["log_odds_churn"].to_numpy()
    assert scored.scores["p_churn_low"].to_numpy().tobytes() == health.expit(log_odds - half).tobytes()
    assert scored.scores["p_churn_high"].to_numpy().tobytes() == health.expit(log_odds + half).tobytes()
