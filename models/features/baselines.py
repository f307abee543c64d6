"""What is usual: the numbers an account is compared with, per segment, measured once and then frozen.

Shrinkage targets and own-baseline priors must not move between training and serving, or between one account and
the batch, so they are an argument of `compute`, measured (`usual.measure`) on the history a model is fitted on and
kept in its artefact.
"""

from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import Any

import numpy as np
import polars as pl

from models.features.groups import Floats


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


@dataclass(frozen=True)
class Baselines:
    """Usual values by segment; `overall` serves segments never seen.

    `answer_minutes` and `resolution_minutes` are the portfolio's medians, the stand-ins for targets nobody set;
    `tracks_*` say what the source records at all: what it never records is unknown, not bad.
    """

    overall: Usual = Usual()
    segments: Mapping[str, Usual] = field(default_factory=dict)
    answer_minutes: float = 120.0
    resolution_minutes: float = 1300.0
    tracks_answers: bool = True
    tracks_resolutions: bool = True
    tracks_onboarding: bool = False

    def of_segments(self, segments: pl.Series) -> dict[str, Floats]:
        """`base_<name>` -> the usual value of each segment asked for."""
        rows = {name: row for row, name in enumerate(self.segments)}
        row = np.array([rows.get(name, len(rows)) for name in segments.to_list()], dtype=np.int64)
        table = np.array([astuple(usual) for usual in (*self.segments.values(), self.overall)]).T.copy()
        return {f"base_{column.name}": values[row] for column, values in zip(fields(Usual), table, strict=True)}

    def to_plain(self) -> dict[str, Any]:
        """Dicts, numbers and texts only."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Baselines":
        """The inverse of `to_plain`."""
        segments = {name: Usual(**values) for name, values in plain["segments"].items()}
        rest = {key: value for key, value in plain.items() if key not in ("overall", "segments")}
        return cls(overall=Usual(**plain["overall"]), segments=segments, **rest)


#: Before anything has been measured: published and customary values.
DEFAULT = Baselines()
