"""What can go wrong with a world from some week on: switched on by name, known to the truth, invisible to the data.

Before its week a fault changes nobody's life: the same seed without faults has the same accounts, contacts and exits up
to then (the hours within a week are drawn anew). The counterweight that keeps a world stationary stays that of the
world without faults, so what a fault does to satisfaction is not made good.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from training.simulator.columns import Ints, logistic
from training.simulator.hours import Calendar
from training.simulator.population import Traits, draw_traits
from training.simulator.process import Group, group_of
from training.simulator.worlds import World

FCR_BEFORE, FCR_AFTER = 0.72, 0.60
HAZARD = 1.42
DEFLECTED = 0.40
CSAT_INVITED = 0.20
OUTAGE = 4.0
JOINING, JOINING_SEGMENT = 0.010, 0

#: Name -> what happens, with its level.
FAULTS: dict[str, str] = {
    "fcr_drop": f"first-contact resolution of the median account falls from {FCR_BEFORE:.2f} to {FCR_AFTER:.2f}",
    "hazard_rise": f"everybody's hazard of deciding to leave is {HAZARD:.2f} times as high",
    "self_service": f"a bot answers {DEFLECTED:.0%} of how-to questions, which never become a contact",
    "mix_shift": f"{JOINING:.1%} as many new accounts a week as there were at the start, all of the first segment",
    "outage": f"{OUTAGE:.0f} times as many contacts for one week",
    "survey_cut": f"{CSAT_INVITED:.0%} of resolved contacts are asked for a CSAT score instead of 80 %",
    "dead_feed": "no contact is recorded any more",
}


@dataclass(frozen=True)
class Fault:
    """A fault of `FAULTS` from a week of the log on. Raises `ValueError` for an unknown one or a negative week."""

    name: str
    week: int

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(f"unknown fault {self.name!r}: choose from {', '.join(FAULTS)}")
        if self.week < 0:
            raise ValueError(f"a fault starts in week 0 or later, not {self.week}")

    def on(self, week: int) -> bool:
        """Whether it is at work in this week."""
        return week == self.week if self.name == "outage" else week >= self.week


class Groups:
    """The group of accounts as each week finds it: as it always was, changed by the faults at work."""

    def __init__(self, world: World, calendar: Calendar, traits: Traits, faults: Sequence[Fault]) -> None:
        self._usual = group_of(world, calendar, traits)
        self._faults = tuple(faults)
        self._made: dict[tuple[str, ...], Group] = {(): self._usual}

    def at(self, week: int) -> Group:
        """The group in this week."""
        active = tuple(fault.name for fault in self._faults if fault.on(week))
        if active not in self._made:
            group = self._usual
            for name in active:
                group = _changed(group, name)
            self._made[active] = group
        return self._made[active]


def _changed(group: Group, name: str) -> Group:
    traits, world = group.traits, group.world
    if name == "fcr_drop":
        logit = np.log(traits.fcr) - np.log1p(-traits.fcr)
        shift = np.log(FCR_AFTER / (1 - FCR_AFTER)) - np.log(FCR_BEFORE / (1 - FCR_BEFORE))
        return replace(group, traits=replace(traits, fcr=logistic(logit + shift)))
    if name == "hazard_rise":
        return replace(group, base_hazard=group.base_hazard + np.log(HAZARD))
    if name == "self_service":
        kept = 1 - DEFLECTED * group.how_to
        fewer = replace(traits, contact_rate=traits.contact_rate * kept)
        return replace(group, traits=fewer, how_to=group.how_to * (1 - DEFLECTED) / kept)
    if name == "outage":
        return replace(group, traits=replace(traits, contact_rate=traits.contact_rate * OUTAGE))
    if name == "survey_cut":
        return replace(group, world=replace(world, csat_invited=CSAT_INVITED))
    return group


def newcomers(
    world: World, calendar: Calendar, accounts: int, weeks: int, fault: Fault, rng: np.random.Generator
) -> Traits:
    """The accounts that `mix_shift` adds, all of one segment."""
    counts = rng.poisson(JOINING * accounts, max(weeks - fault.week, 0))
    starts: Ints = fault.week + np.repeat(np.arange(len(counts)), counts)
    only = [replace(segment, share=float(i == JOINING_SEGMENT)) for i, segment in enumerate(world.segments)]
    return draw_traits(replace(world, segments=tuple(only)), calendar, starts, rng)


def log(faults: Sequence[Fault], start: datetime) -> pl.DataFrame:
    """The truth about the faults: fault, week, starts_at, what."""
    return pl.DataFrame(
        {
            "fault": [fault.name for fault in faults],
            "week": [fault.week for fault in faults],
            "starts_at": [start + timedelta(weeks=fault.week) for fault in faults],
            "what": [FAULTS[fault.name] for fault in faults],
        },
        schema={"fault": pl.String, "week": pl.Int64, "starts_at": pl.Datetime("us", "UTC"), "what": pl.String},
    )
