"""Who the accounts are: traits drawn once and kept for life, most of them never observed."""

from dataclasses import dataclass

import numpy as np

from training.simulator.columns import Bools, Floats, Ints, logistic
from training.simulator.hours import WEEK, Calendar
from training.simulator.worlds import World


@dataclass(frozen=True)
class Traits:
    """One entry per account."""

    segment: Ints  # position in world.segments
    annual: Bools
    mrr: Floats
    started: Floats  # seconds since the start of the log
    start_week: Ints
    contact_rate: Floats
    irritant_rate: Floats
    frailty: Floats  # the satisfaction this account returns to
    fcr: Floats
    voice: Floats
    response: Floats
    nps_phase: Ints


def draw_traits(world: World, calendar: Calendar, start_week: Ints, rng: np.random.Generator) -> Traits:
    """Accounts that start in the given weeks."""
    rows = len(start_week)
    segment = rng.choice(len(world.segments), rows, p=[s.share for s in world.segments])
    median = np.array([s.mrr_median for s in world.segments])[segment]
    rate = np.array([s.contacts for s in world.segments])[segment]
    fcr_logit = np.log(world.fcr / (1 - world.fcr)) + world.fcr_spread * rng.normal(size=rows)
    return Traits(
        segment=segment,
        annual=rng.random(rows) < np.array([s.annual_share for s in world.segments])[segment],
        mrr=np.round(median * np.exp(world.mrr_spread * rng.normal(size=rows)), 2),
        started=start_week * WEEK + calendar.seconds_of_week(rng, rows),
        start_week=start_week,
        contact_rate=rate * np.exp(world.contact_spread * rng.normal(size=rows) - world.contact_spread**2 / 2),
        irritant_rate=np.array([s.irritants for s in world.segments])[segment],
        frailty=world.frailty_spread * rng.normal(size=rows),
        fcr=logistic(fcr_logit),
        voice=world.voice + world.voice_spread * rng.normal(size=rows),
        response=world.response_spread * rng.normal(size=rows),
        nps_phase=rng.integers(0, world.nps_every, rows),
    )


def existing_starts(world: World, accounts: int, rng: np.random.Generator) -> Ints:
    """Start weeks of accounts that exist when the log opens: tenure uniform up to three years."""
    tenure = rng.random(accounts) * world.initial_tenure
    return np.minimum(np.floor(-tenure), -1).astype(np.int64)


def arriving_starts(world: World, accounts: int, weeks: int, rng: np.random.Generator) -> Ints:
    """Start weeks of new accounts: Poisson arrivals that about replace those who leave."""
    counts = rng.poisson(world.arrivals * accounts, weeks)
    return np.repeat(np.arange(weeks), counts)
