"""Facts about surveys: what was asked, what was answered, and what was met with silence."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.contacts import Facts
from models.features.expand import DAY_US, NEVER, Events, Rows, Source, instant
from models.features.groups import Flags, Floats, Groups, Ints, grid, ratio, spread
from models.surveys import INSTRUMENTS, RESPONSE_DAYS

HALF_LIFE_DAYS = 90
#: Answers closer together say nothing about a trend.
TREND_SPAN_DAYS = 14
#: Scores are kept as shares of their scale on this binary grid, weights and weighted scores on the finer one.
_SCORE_BITS, _WEIGHT_BITS = 16, 30


_COLUMNS = (
    instant("sent_at").alias("sent_at"),
    instant("responded_at").alias("responded_at"),
    *(pl.col(name) for name in ("score", "scale_min", "scale_max")),
    pl.col("low_is_good").fill_null(value=False),
    *((pl.col("instrument") == name).alias(name) for name in INSTRUMENTS),
)
#: Invitations and answers; one may be remembered for an answer that came long after it.
SURVEYS = Source(
    "surveys",
    _COLUMNS,
    happened=pl.coalesce("sent_at", "responded_at").to_physical(),
    recent=pl.coalesce("responded_at", "sent_at").to_physical(),
)


def with_shares(events: Events) -> Events:
    """Survey events with their scores as `share` of the scale, and whether they are `low`."""
    columns = events.columns
    share = share_of_scale(columns)
    low = share <= _usual(columns, "low") + 1e-9
    return replace(events, columns={**columns, "share": grid(share, _SCORE_BITS), "low": low})


def share_of_scale(columns: dict[str, npt.NDArray[Any]]) -> Floats:
    """Scores as shares of their scales, 1 the best; NaN where the score or its scale is unknown."""
    bottom, top = (
        np.where(np.isnan(columns[edge]), _usual(columns, edge), columns[edge]) for edge in ("scale_min", "scale_max")
    )
    share = ratio(columns["score"] - bottom, top - bottom, where=top > bottom)
    return np.where(columns["low_is_good"], 1 - share, share)


def _usual(columns: dict[str, npt.NDArray[Any]], attribute: str) -> Floats:
    """What each row's instrument says of itself; NaN for instruments we do not know."""
    found = np.full(len(columns["recent"]), np.nan)
    for name, instrument in INSTRUMENTS.items():
        found[columns[name]] = getattr(instrument, attribute)
    return found


def survey_facts(rows: Rows, lag: int) -> Facts:
    """All facts of the questions from the surveys visible to them."""
    responded = rows["responded_at"]
    answered = responded <= rows.at - lag
    return {**_response_facts(rows, answered), **_answer_facts(rows, answered)}


def _response_facts(rows: Rows, answered: Flags) -> Facts:
    """Who answers when asked: invitations count once they had their 14 days, answers if they came within those."""
    groups, sent = rows.groups, rows["sent_at"]
    waited, age = RESPONSE_DAYS * DAY_US, rows.at - sent
    due = (sent != NEVER) & (age >= waited)
    in_time = answered & (rows["responded_at"] <= sent + waited)
    late = due & (age <= 180 * DAY_US)
    early = due & (age > 180 * DAY_US) & (age <= 360 * DAY_US)
    last_answered = groups.least(age, answered & (sent != NEVER))
    since = ~(age >= last_answered[rows.q])
    return {
        "invitations_365d": groups.count(due & (age <= 365 * DAY_US)),
        "invitations_180d": groups.count(late),
        "answered_180d": groups.count(late & in_time),
        "invitations_181_360d": groups.count(early),
        "answered_181_360d": groups.count(early & in_time),
        "unanswered_in_a_row": groups.count(due & ~answered & since & (age <= 365 * DAY_US)),
    }


def _answer_facts(rows: Rows, answered: Flags) -> Facts:
    """What they said. An answer may be old although its invitation is not needed for it, and the other way round."""
    groups, share = rows.groups, rows["share"]
    age = np.where(answered, rows.at - rows["responded_at"], NEVER)
    year = age <= 365 * DAY_US
    scored = year & ~np.isnan(share)
    share = np.where(scored, share, 0.0)
    hard = scored & rows["ces"] & (age <= 180 * DAY_US)
    count, total = groups.count(scored), groups.total(share, scored)
    instruments = [_instrument_facts(rows, name, scored, share, age) for name in INSTRUMENTS]
    nps = scored & rows["nps"]
    return {
        "responses_365d": groups.count(year),
        "days_since_low_score": groups.least(age, answered & rows["low"]) / DAY_US,
        "scores_365d": count,
        "scores_sd_365d": spread(count, total, groups.total(share * share, scored), least=3),
        "ces_180d": groups.count(hard),
        "ces_low_180d": groups.count(hard & rows["low"]),
        "ces_sum_180d": groups.total(share, hard),
        "nps_last": groups.latest(share, rows["responded_at"], nps),
        "nps_last_days": groups.least(age, nps) / DAY_US,
        "csat_slope_365d": _slope(groups, age, share, scored & rows["csat"]),
        **{name: values for facts in instruments for name, values in facts.items()},
    }


def _instrument_facts(rows: Rows, name: str, scored: Flags, share: Floats, age: Ints) -> Facts:
    """Number and sum of an instrument's scores of a year, plain and with a half-life of 90 days."""
    groups, where = rows.groups, scored & rows[name]
    weight = grid(np.exp2(-np.where(where, age, 0) / (HALF_LIFE_DAYS * DAY_US)), _WEIGHT_BITS)
    return {
        f"{name}_365d": groups.count(where),
        f"{name}_plain_365d": groups.total(share, where),
        f"{name}_weight_365d": groups.total(weight, where),
        f"{name}_sum_365d": groups.total(grid(weight * share, _WEIGHT_BITS), where),
    }


def _slope(groups: Groups, age: Ints, share: Floats, where: Flags) -> Floats:
    """Least-squares slope of the scores per 90 days; NaN where the answers span fewer than 14 days."""
    x = grid(-np.where(where, age, 0) / (HALF_LIFE_DAYS * DAY_US), _SCORE_BITS)
    n = groups.count(where)
    sum_x, sum_y = groups.total(x, where), groups.total(share, where)
    # n sums, so that every product and difference is exact before the one division.
    across = n * groups.total(x * share, where) - sum_x * sum_y
    along = n * groups.total(x * x, where) - sum_x * sum_x
    spanned = groups.most(age, where) - groups.least(age, where) >= TREND_SPAN_DAYS * DAY_US
    return ratio(across, along, where=spanned)
