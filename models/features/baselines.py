"""What is usual: the numbers an account is compared with, per segment, measured once and then frozen.

Shrinkage targets and own-baseline priors must not move between training and serving, or between one account and
the batch, so they are an argument of `compute`, measured on the history a model is fitted on and kept in its artefact.
A segment's rate is itself drawn towards the portfolio's by `POOLING` observations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

#: Observations with which a segment's rate is drawn towards the portfolio's.
POOLING = 50.0


@dataclass(frozen=True)
class Usual:
    """One segment's usual values. Shares of a scale are 0-1, 1 the best."""

    contacts_per_day: float = 0.05
    gap_days: float = 14.0
    repeat_rate: float = 0.13
    not_fixed_rate: float = 0.28
    effort: float = 1.35
    transfers_per_contact: float = 0.12
    switches_per_issue: float = 0.05
    targets_missed_rate: float = 0.15
    reopen_rate: float = 0.031
    ln_minutes_sd: float = 1.85
    csat: float = 0.8125
    ces: float = 0.75
    ces_low_rate: float = 0.12
    nps: float = 0.79
    response_rate: float = 0.21
    outreach_silence_rate: float = 0.5


#: Rate -> (numerator facts, denominator facts) summed over a segment's accounts.
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


@dataclass(frozen=True)
class Baselines:
    """Usual values by segment; `overall` serves segments never seen. `answer_minutes` and `resolution_minutes` are
    the portfolio's medians, the stand-ins for targets nobody set; `tracks_*` say what the source records at all."""

    overall: Usual = Usual()
    segments: Mapping[str, Usual] = None  # type: ignore[assignment]
    answer_minutes: float = 120.0
    resolution_minutes: float = 1300.0
    tracks_answers: bool = True
    tracks_onboarding: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "segments", dict(self.segments or {}))

    def frame(self) -> pl.DataFrame:
        """One row per segment, columns `segment` and `base_<name>`."""
        rows = [{"segment": name, **_columns(usual)} for name, usual in self.segments.items()]
        schema = {"segment": pl.String, **{f"base_{f.name}": pl.Float64 for f in fields(Usual)}}
        return pl.DataFrame(rows, schema=schema)

    def to_plain(self) -> dict[str, Any]:
        """Dicts, numbers and texts only."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("overall", "segments")}
        segments = {name: _values(usual) for name, usual in self.segments.items()}
        return plain | {"overall": _values(self.overall), "segments": segments}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Baselines":
        """The inverse of `to_plain`."""
        segments = {name: Usual(**values) for name, values in plain["segments"].items()}
        rest = {key: value for key, value in plain.items() if key not in ("overall", "segments")}
        return cls(overall=Usual(**plain["overall"]), segments=segments, **rest)


#: Before anything has been measured: published and customary values.
DEFAULT = Baselines()


def _values(usual: Usual) -> dict[str, float]:
    return {f.name: getattr(usual, f.name) for f in fields(usual)}


def _columns(usual: Usual) -> dict[str, float]:
    return {f"base_{name}": value for name, value in _values(usual).items()}


def overall_columns(usual: Usual) -> list[pl.Expr]:
    """`base_<name>` columns with unknown segments filled from the whole portfolio."""
    return [pl.col(name).fill_null(value) for name, value in _columns(usual).items()]


def from_facts(
    facts: pl.DataFrame, minutes: tuple[float, float], *, answers: bool, onboarding: bool
) -> Baselines:
    """Usual values from the facts of many accounts at one moment (columns `segment` and the facts)."""
    overall = _usual(facts, Usual(), 1.0)
    segments = {
        str(name): _usual(part, overall, POOLING)
        for (name,), part in facts.group_by("segment", maintain_order=True)
    }
    return Baselines(overall, dict(sorted(segments.items())), *minutes, answers, onboarding)


def _usual(facts: pl.DataFrame, prior: Usual, pooling: float) -> Usual:
    values = {name: _ratio(facts, *parts, getattr(prior, name), pooling) for name, parts in _RATIOS.items()}
    values["gap_days"] = _median(facts, "gap_days_365d", prior.gap_days)
    values["ln_minutes_sd"] = _spread(facts, prior.ln_minutes_sd)
    return Usual(**values)


def _ratio(facts: pl.DataFrame, above: str, below: str, prior: float, pooling: float) -> float:
    numerator, denominator = facts.select(pl.col(above).sum(), pl.col(below).sum()).row(0)
    return (numerator + pooling * prior) / (denominator + pooling)


def _median(facts: pl.DataFrame, name: str, prior: float) -> float:
    known = facts[name].drop_nulls()
    return float(known.median()) if known.len() >= 5 else prior  # type: ignore[arg-type]


def _spread(facts: pl.DataFrame, prior: float) -> float:
    n, total, squares = facts.select(
        pl.col("solved_365d").sum(), pl.col("solved_ln_365d").sum(), pl.col("solved_ln2_365d").sum()
    ).row(0)
    if n < 5:
        return prior
    return max(float((squares - total * total / n) / (n - 1)), 0.0) ** 0.5
