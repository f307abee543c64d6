"""Measuring what is usual in a history, per segment: over accounts that are active and not tests.

A segment's rate is drawn towards the portfolio's by 50 observations, the portfolio's towards the published one by 1.
"""

from dataclasses import fields, replace
from datetime import datetime

import numpy as np
import polars as pl

from models.clock import INSTANT
from models.features.baselines import DEFAULT, Baselines, Usual
from models.features.compute import Prepared
from models.features.contacts import Facts
from models.features.groups import Floats, Ints, spread
from models.history import History

#: Observations with which a segment's rate is drawn towards the portfolio's, and that towards the published one.
POOLING, OVERALL_POOLING = 50.0, 1.0
#: Medians and spreads of fewer observations are not measured.
LEAST = 5

#: Rate -> (numerator, denominator), facts summed over the accounts of a segment.
_RATIOS: dict[str, tuple[str, str]] = {
    "contacts_per_day": ("contacts_365d", "watched_365d"),
    "repeat_rate": ("repeats_365d", "contacts_365d"),
    "not_fixed_rate": ("issues_not_fixed_180d", "issues_180d"),
    "effort": ("effort_90d", "issues_90d"),
    "transfers_per_contact": ("transfers_90d", "contacts_90d"),
    "switches_per_issue": ("switches_90d", "issues_90d"),
    "targets_missed_rate": ("targets_missed_90d", "targets_90d"),
    "reopen_rate": ("reopened_180d", "resolved_180d"),
    "csat": ("csat_plain_365d", "csat_365d"),
    "ces": ("ces_plain_365d", "ces_365d"),
    "ces_low_rate": ("ces_low_180d", "ces_180d"),
    "nps": ("nps_plain_365d", "nps_365d"),
    "response_rate": ("answered_180d", "invitations_180d"),
    "outreach_silence_rate": ("outreach_no_answer_180d", "outreach_180d"),
}
_SPREAD = ("solved_365d", "solved_ln_365d", "solved_ln2_365d")
_NEEDED = ({fact for pair in _RATIOS.values() for fact in pair} | {*_SPREAD, "gap_days_365d", "history_days"}) - {
    "watched_365d"
}


def measure(history: History, as_of: datetime) -> Baselines:
    """What is usual in this history as of a moment, as was known then."""
    known = history.known_at(as_of)
    recorded = _recorded(known)
    active = known.accounts.filter(pl.col("ended_at").is_null() & ~pl.col("is_test")).sort("account_id")
    prepared = Prepared(known, active.select("account_id", pl.lit(as_of, INSTANT).alias("as_of")))
    facts = _gathered(prepared, recorded)
    segments = active["segment"].unique().sort()
    of_segment = (
        active["segment"]
        .to_frame()
        .join(segments.to_frame().with_row_index("row"), on="segment", how="left", maintain_order="left")
    )
    values = _values(facts, of_segment["row"].to_numpy().astype(np.int64), len(segments))
    rows = zip(*(values[column.name].tolist() for column in fields(Usual)), strict=True)
    *parts, overall = (Usual(*row) for row in rows)
    return replace(recorded, overall=overall, segments=dict(zip(segments.to_list(), parts, strict=True)))


def _recorded(known: History) -> Baselines:
    """What the source records at all, and the median minutes to first response and resolution where it does."""
    inbound = known.interactions.filter(pl.col("direction") == "inbound")
    spans = inbound.select(
        (pl.col(column) - pl.col("opened_at")).dt.total_seconds().median() / 60
        for column in ("first_response_at", "resolved_at")
    ).row(0)
    usual = (DEFAULT.answer_minutes, DEFAULT.resolution_minutes)
    answer, resolution = (max(span, 1.0) if span is not None else u for span, u in zip(spans, usual, strict=True))
    resolved = inbound["resolved_at"].is_not_null().any() or inbound["outcome"].is_not_null().any()
    return Baselines(
        answer_minutes=answer,
        resolution_minutes=resolution,
        tracks_answers=spans[0] is not None,
        tracks_resolutions=resolved,
        tracks_onboarding=known.accounts["onboarded_at"].is_not_null().any(),
    )


def _gathered(prepared: Prepared, recorded: Baselines) -> Facts:
    """The needed facts of all questions."""
    parts = [prepared.facts(part, recorded) for part in prepared.parts()]
    none = np.empty(0)
    facts: Facts = {name: np.concatenate([none, *(part[name] for part in parts)]) for name in _NEEDED}
    return facts | {"watched_365d": np.minimum(facts["history_days"], 365.0)}


def _values(facts: Facts, segment: Ints, segments: int) -> dict[str, Floats]:
    """Name of a usual value -> one per segment and, last, the whole portfolio's."""
    values = {}
    for name, (above, below) in _RATIOS.items():
        top, bottom = _sums(facts[above], segment, segments), _sums(facts[below], segment, segments)
        whole = (top[-1:] + OVERALL_POOLING * getattr(DEFAULT.overall, name)) / (bottom[-1:] + OVERALL_POOLING)
        parts = (top[:-1] + POOLING * whole) / (bottom[:-1] + POOLING)
        values[name] = np.append(parts, whole)
    values["gap_days"] = _median(facts["gap_days_365d"], segment, segments)
    values["ln_minutes_sd"] = _deviation(facts, segment, segments)
    return values


def _sums(fact: Floats | Ints, segment: Ints, segments: int) -> Floats:
    parts = np.bincount(segment, weights=fact, minlength=segments)
    return np.append(parts, parts.sum())


def _median(days: Floats | Ints, segment: Ints, segments: int) -> Floats:
    """The median account's median gap, of five accounts at least."""
    known = ~np.isnan(days)
    whole = _median_of(days[known]) or DEFAULT.overall.gap_days
    parts = [_median_of(days[known & (segment == row)]) or whole for row in range(segments)]
    return np.array([*parts, whole])


def _median_of(days: Floats | Ints) -> float | None:
    return float(np.median(days)) if len(days) >= LEAST else None


def _deviation(facts: Facts, segment: Ints, segments: int) -> Floats:
    """The standard deviation of ln minutes to resolution, of five solved contacts at least."""
    n, total, squares = (_sums(facts[name], segment, segments) for name in _SPREAD)
    found = spread(n.astype(np.int64), total, squares, LEAST)
    whole = found[-1] if not np.isnan(found[-1]) else DEFAULT.overall.ln_minutes_sd
    return np.where(np.isnan(found), whole, found)
