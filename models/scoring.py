"""From a model and a history to scores: probabilities, health, band, trend, confidence and what is at stake.

Training, the nightly run, the API and offline prediction all score here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from models import health
from models.clock import INSTANT
from models.features import COMPONENTS, compute
from models.history import TABLES, History, rows_known
from models.model import ChurnModel, columns
from models.scorecard import Columns, Scorecard, deviations
from models.standing import SCORED, standings

#: Movement is measured against these many days before, with the same model.
TREND_DAYS = (28, 91)
#: A source that has been silent for longer is not up to date.
FRESH_DAYS = 7
#: Half-width of an 80 % interval in standard errors.
_INTERVAL = 1.2815515655446004

Floats = npt.NDArray[np.float64]

DISPLAYED = ("name", "owner", "segment", "region", "currency")


@dataclass(frozen=True)
class Scored:
    """One row per account in both frames, in the same order: `scores` as served, `features` as computed (with the
    facts sentences quote)."""

    scores: pl.DataFrame
    features: pl.DataFrame


def is_fresh(last_known: datetime | None, as_of: datetime) -> bool:
    """Whether the contact source was up to date: its last row became known within 7 days before `as_of`."""
    return last_known is not None and as_of - last_known <= timedelta(days=FRESH_DAYS)


def is_quiet(days_since_voice: pl.Series, look_back_days: int) -> pl.Series:
    """Whether no dissatisfaction was voiced in the look-back; the days are counted up to 365."""
    return (days_since_voice > look_back_days) | (days_since_voice >= 365)


def last_known(history: History, as_of: datetime) -> datetime | None:
    """When the last contact known by `as_of` became known; None if there is none."""
    moment: datetime | None = history.interactions.filter(pl.col("recorded_at") <= as_of)["recorded_at"].max()  # type: ignore[assignment]
    return moment


def score_history(
    model: ChurnModel,
    history: History,
    as_of: datetime,
    *,
    fresh: bool,
    margin: float = 1.0,
    currency: str | None = None,
    account_ids: Sequence[str] | None = None,
    previous_bands: Mapping[str, str] | None = None,
) -> Scored:
    """Score every account that is a customer at `as_of` (or those of `account_ids` that are).

    `fresh` says whether the sources were up to date (`is_fresh`), `currency` stands in where an account has none,
    `previous_bands` (account_id -> band) keeps bands from flapping. Tests, former, leaving and unknown accounts get no
    row. Columns of the scores are listed in `docs/scoring.md`. Raises `TableModel` for a model of a table.
    """
    model.require_history()
    accounts = _to_score(history, as_of, model, account_ids)
    moments = [as_of - timedelta(days=days) for days in TREND_DAYS]
    earlier = [_existing(accounts, moment, history.delay) for moment in moments]
    pairs = pl.concat([accounts.select("account_id", pl.lit(as_of, INSTANT).alias("as_of")), *earlier])
    features = compute(history, pairs, model.baselines, model.columns.features)
    now = features[: accounts.height]
    scores, spread = _scores(model, now, _previous(accounts, previous_bands))
    before = _by_moment(features[accounts.height :], accounts, moments)
    scores = scores.hstack(_trend(model, before, scores["health"].to_numpy(), spread))
    shown = accounts.select(*DISPLAYED[:-1], pl.col("currency").fill_null(currency) if currency else "currency")
    return Scored(_finish(model, scores.hstack(shown), now, as_of, fresh=fresh, margin=margin), now)


def score_features(
    model: ChurnModel, features: pl.DataFrame, previous_bands: Sequence[str | None] | None = None
) -> pl.DataFrame:
    """Score rows of features (one column each): probabilities with their 80 % intervals where the model carries a
    spread, log-odds, health, band and component points. The rows may come from anywhere."""
    return _scores(model, features, previous_bands)[0]


def _scores(
    model: ChurnModel, features: pl.DataFrame, previous_bands: Sequence[str | None] | None
) -> tuple[pl.DataFrame, Floats | None]:
    """The scores, and what the churn scorecard's refits say of the same rows."""
    read = columns(features, model.columns)
    contributions, spread = model.churn.look_up(read)
    churn = model.churn.total(contributions)
    # A model of a table says nothing of silence: not-a-number here, null in the end.
    silent, silent_spread = np.full(len(churn), np.nan), None
    if model.silent is not None:
        quietly, silent_spread = model.silent.look_up(read)
        silent = model.silent.total(quietly)
    chances = health.probabilities(churn, silent)
    points = health.components(contributions, model.churn.all_terms, model.columns.component_of)
    score = health.health(churn, model.health)
    previous = None if previous_bands is None else np.array(previous_bands, dtype=object)
    found = {
        "p_churn": chances.p_churn,
        "p_silent": chances.p_silent,
        "p_vocal": chances.p_vocal,
        **_intervals(churn, silent, spread, silent_spread),
        "log_odds_churn": churn,
        "log_odds_silent": silent,
        "health": score,
        "health_unclipped": health.unclipped_health(churn, model.health),
        **{f"{name}_points": points[name] for name in COMPONENTS},
    }
    frame = pl.DataFrame(found, schema_overrides=dict.fromkeys(found, pl.Float64))
    if model.silent is None:
        frame = frame.with_columns(pl.col("^(p_silent|p_vocal|log_odds_silent).*$").fill_nan(None))
    bands = pl.Series("band", list(health.bands(score, model.health, previous)), dtype=pl.String)
    return frame.with_columns(bands, pl.lit(model.model_id).alias("model_id")), spread


def _to_score(history: History, as_of: datetime, model: ChurnModel, account_ids: Sequence[str] | None) -> pl.DataFrame:
    held = history if account_ids is None else history.of(list(account_ids))
    standing = standings(held, [as_of], model.label).filter(pl.col("standing").is_in(SCORED))
    return history.accounts.join(standing.select("account_id"), on="account_id", how="semi").sort("account_id")


def _existing(accounts: pl.DataFrame, moment: datetime, delay: timedelta) -> pl.DataFrame:
    """The accounts that were customers, and known, already at an earlier moment."""
    there = accounts.filter(rows_known(TABLES["accounts"], pl.lit(moment, INSTANT), delay))
    return there.select("account_id", pl.lit(moment, INSTANT).alias("as_of"))


def _previous(accounts: pl.DataFrame, bands: Mapping[str, str] | None) -> list[str | None] | None:
    return None if bands is None else [bands.get(account_id) for account_id in accounts["account_id"]]


def _by_moment(features: pl.DataFrame, accounts: pl.DataFrame, moments: Sequence[datetime]) -> dict[int, pl.DataFrame]:
    """Days before -> features aligned with the accounts; all null where the account did not exist yet."""
    rows = accounts.select("account_id")
    return {
        days: rows.join(features.filter(pl.col("as_of") == moment), on="account_id", how="left", maintain_order="left")
        for days, moment in zip(TREND_DAYS, moments, strict=True)
    }


def _trend(
    model: ChurnModel, before: Mapping[int, pl.DataFrame], current: Floats, spread: Floats | None
) -> pl.DataFrame:
    """Movement of `current` health since the moments before; `spread`: the refits' log-odds now."""
    found: dict[str, pl.Series] = {}
    for days, features in before.items():
        read = columns(features, model.columns)
        there = features["as_of"].is_not_null().to_numpy()
        then = np.where(there, health.health(model.churn.log_odds(read), model.health), np.nan)
        errors = None if spread is None else _errors_of_change(model.churn, spread, read, current - then)
        trend = health.trend(current, then, errors)
        found[f"health_change_{days}d"] = pl.Series(trend.change).fill_nan(None)
        found[f"moving_{days}d"] = pl.Series(list(trend.moving), dtype=pl.String)
    return pl.DataFrame(found)


def _errors_of_change(card: Scorecard, spread: Floats, before: Columns, change: Floats) -> Floats:
    """Standard errors of changes in health, in points; 0 for those that are too small to be called one anyway."""
    errors = np.zeros(len(change))
    rows = np.flatnonzero(np.abs(change) >= health.STEADY_POINTS)
    then = card.spread({name: before[name][rows] for name in card.features})
    errors[rows] = health.POINTS_PER_LOG_ODD * deviations(spread[rows], then)
    return errors


def _intervals(churn: Floats, silent: Floats, spread: Floats | None, silent_spread: Floats | None) -> dict[str, Floats]:
    """80 % intervals of the probabilities; unknown (NaN) where the model carries no spread."""
    found = {}
    for name, log_odds, refits in (("p_churn", churn, spread), ("p_silent", silent, silent_spread)):
        half = np.full(len(log_odds), np.nan) if refits is None else _INTERVAL * deviations(refits)
        found[f"{name}_low"] = health.expit(log_odds - half)
        found[f"{name}_high"] = health.expit(log_odds + half)
    # Like p_silent itself, its interval never exceeds what is said of leaving at all.
    for edge in ("low", "high"):
        found[f"p_silent_{edge}"] = np.minimum(found[f"p_silent_{edge}"], found[f"p_churn_{edge}"])
    return found


def _finish(
    model: ChurnModel, scores: pl.DataFrame, now: pl.DataFrame, as_of: datetime, *, fresh: bool, margin: float
) -> pl.DataFrame:
    facts = now.select("history_days", "contacts_365d", "responses_365d", "days_since_contact")
    days, contacts, responses = (facts[c].cast(pl.Float64).fill_null(np.nan).to_numpy() for c in facts.columns[:3])
    never = facts["days_since_contact"].is_null().to_numpy()
    grades = health.confidence(days, contacts, responses, never, np.full(len(days), fresh))
    why = [
        health.confidence_reason(*row, fresh)
        for row in zip(days.tolist(), contacts.tolist(), responses.tolist(), never.tolist(), strict=True)
    ]
    mrr = now["mrr_now"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    loss = health.expected_revenue_loss(scores["p_silent"].to_numpy(), mrr, margin)
    return scores.select(
        now["account_id"],
        pl.lit(as_of, INSTANT).alias("as_of"),
        pl.all(),
        pl.Series("mrr", mrr).fill_nan(None),
        pl.Series("expected_revenue_loss", loss).fill_nan(None),
        is_quiet(now["days_since_voice"], model.label.look_back_days).alias("quiet"),
        pl.Series("confidence", list(grades), dtype=pl.String),
        pl.Series("confidence_reason", why, dtype=pl.String),
        pl.lit(model.status).alias("model_status"),
    ).with_columns(pl.col("^p_.*_(low|high)$").fill_nan(None))
