"""A whole customer base, week by week.

1. Burn-in: candidates live through a year (the younger ones through the weeks since they started)
   before the log opens, decisions to leave included. The first ``accounts`` survivors are the
   base: their satisfaction, memories and half-taken decisions are those of a running business, not
   starting values.
2. The log: the base and the Poisson arrivals live through ``weeks`` weeks.
3. Contacts and surveys get their timestamps, and the tables are cut at the end of the window.

Separate random streams for people, lives and timestamps: the same seed gives the same output. Faults change the
world from their week on, see ``faults``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from training.simulator import frames
from training.simulator.columns import stack, take
from training.simulator.events import (
    Answers,
    Contacts,
    Voices,
    account_surveys,
    contact_surveys,
    contacts_of,
    voices_of,
)
from training.simulator.faults import Fault, Groups, newcomers
from training.simulator.frames import Record
from training.simulator.hours import WEEK, Calendar
from training.simulator.names import profiles
from training.simulator.population import Traits, arriving_starts, draw_traits, existing_starts
from training.simulator.process import (
    UNDECIDED,
    Invitations,
    Issues,
    State,
    advance,
    fresh,
    group_of,
)
from training.simulator.worlds import World, find_world

START = datetime(2023, 1, 2, tzinfo=UTC)
BURN_IN = 52
NEWCOMERS = 4  # their stream of random numbers
SPARE = 1.5  # candidates per account wanted: about one in six leaves during the burn-in


@dataclass(frozen=True)
class Hidden:
    """What only the simulator knows at the end of the window: the ground the oracle stands on."""

    traits: Traits
    state: State
    voices: Voices  # heard so far, and already on their way


@dataclass(frozen=True)
class Simulated:
    """A simulated base as a company would see it at ``end``, and the truth behind it."""

    world: World
    seed: int
    start: datetime
    weeks: int
    tables: dict[str, pl.DataFrame]
    truth: pl.DataFrame
    hidden: Hidden
    faults: tuple[Fault, ...] = ()
    earlier: "Simulated | None" = None  # the same base as of ``snapshot_week``

    @property
    def end(self) -> datetime:
        """The first moment after the window."""
        return self.start + timedelta(weeks=self.weeks)


def simulate(
    accounts: int,
    weeks: int,
    world: World | str,
    seed: int,
    start: datetime = START,
    *,
    snapshot_week: int | None = None,
    faults: Sequence[Fault] = (),
) -> Simulated:
    """Simulate ``accounts`` existing accounts, and those who join, for ``weeks`` weeks.

    New accounts arrive at a Poisson rate of ``world.arrivals`` per initial account and week, which about
    replaces those who leave. ``mrr``, seats and plan never change, so revenue moves by exits alone.

    With ``snapshot_week`` the result also holds, as ``earlier``, the same base as it stood that
    many weeks after the start, so that a forecast made there can meet its realised future. ``faults`` change
    the world from their week on; see ``training.simulator.faults``.
    """
    _check(accounts, weeks, start, snapshot_week)
    world, calendar = find_world(world), Calendar(start)
    people, lives, stamps = (np.random.Generator(np.random.PCG64([seed, i])) for i in range(3))
    traits, state = _base(world, calendar, accounts, people, lives)
    joining = draw_traits(world, calendar, arriving_starts(world, accounts, weeks, people), people)
    traits, state = stack([traits, joining]), stack([state, fresh(world, joining)])
    base = _People(traits, state, profiles(world, traits, people))
    extra = _newcomers(world, calendar, accounts, weeks, faults, seed)
    lived = _live(world, calendar, base, extra, weeks, snapshot_week, faults, lives)
    told = _tell(lived.issues, lived.invitations, calendar, stamps)
    everyone = lived.people
    record = _record(
        told, world=world, start=start, traits=everyone.traits, profile=everyone.profiles, state=everyone.state
    )
    full = _observed(record, told, everyone.state, weeks, seed, tuple(faults))
    if snapshot_week is None:
        return full
    return replace(full, earlier=_observed(record, told, lived.snapshot, snapshot_week, seed, tuple(faults)))


@dataclass(frozen=True)
class _People:
    """Accounts, where they stand, and what does not change about them."""

    traits: Traits
    state: State
    profiles: pl.DataFrame

    def joined(self, other: "_People") -> "_People":
        """With newcomers, who come last."""
        return _People(
            stack([self.traits, other.traits]),
            stack([self.state, other.state]),
            pl.concat([self.profiles, other.profiles]),
        )


@dataclass(frozen=True)
class _Lived:
    people: _People
    snapshot: State
    issues: Issues
    invitations: Invitations


def _newcomers(
    world: World, calendar: Calendar, accounts: int, weeks: int, faults: Sequence[Fault], seed: int
) -> dict[int, _People]:
    """Week -> the accounts a fault brings from then on, drawn apart so that nobody else notices."""
    rng = np.random.Generator(np.random.PCG64([seed, NEWCOMERS]))
    found = {}
    for fault in faults:
        if fault.name == "mix_shift" and fault.week < weeks:
            traits = newcomers(world, calendar, accounts, weeks, fault, rng)
            found[fault.week] = _People(traits, fresh(world, traits), profiles(world, traits, rng))
    return found


def _live(
    world: World,
    calendar: Calendar,
    people: _People,
    extra: Mapping[int, _People],
    weeks: int,
    snapshot_week: int | None,
    faults: Sequence[Fault],
    rng: np.random.Generator,
) -> _Lived:
    """Week after week, with whatever faults are at work."""
    groups = Groups(world, calendar, people.traits, faults)
    issues: list[Issues] = []
    invitations: list[Invitations] = []
    snapshot = people.state
    for week in range(weeks):
        if week in extra:
            people, snapshot = people.joined(extra[week]), stack([snapshot, extra[week].state])
            groups = Groups(world, calendar, people.traits, faults)
        snapshot = people.state if week == snapshot_week else snapshot
        state, came, asked = advance(groups.at(week), people.state, week, rng)
        people = replace(people, state=state)
        issues.append(came)
        invitations.append(asked)
    return _Lived(people, snapshot, stack(issues), stack(invitations))


def _check(accounts: int, weeks: int, start: datetime, snapshot_week: int | None) -> None:
    if accounts < 1 or weeks < 1:
        raise ValueError(f"need at least one account and one week, got {accounts} and {weeks}")
    if start.utcoffset() != timedelta(0):
        raise ValueError(f"start must be a time in UTC, got {start.isoformat()}")
    if start.microsecond:
        raise ValueError(f"start must be a whole second, got {start.isoformat()}")
    if snapshot_week is not None and not 0 < snapshot_week < weeks:
        raise ValueError(f"snapshot_week must lie inside the {weeks} weeks, got {snapshot_week}")


def _base(
    world: World,
    calendar: Calendar,
    accounts: int,
    people: np.random.Generator,
    lives: np.random.Generator,
) -> tuple[Traits, State]:
    """Accounts that exist when the log opens, with a year of life behind them."""
    candidates = int(accounts * SPARE) + 50
    traits = draw_traits(world, calendar, existing_starts(world, candidates, people), people)
    state = fresh(world, traits)
    group = group_of(world, calendar, traits)
    for week in range(-BURN_IN, 0):
        state, _, _ = advance(group, state, week, lives)
    survivors = np.flatnonzero(np.isinf(state.ended))[:accounts]
    if len(survivors) < accounts:
        raise ValueError(
            f"in world {world.name!r} only {len(survivors)} of {candidates} candidate accounts "
            "outlive the burn-in: lower its hazards"
        )
    return take(traits, survivors), take(state, survivors)


@dataclass(frozen=True)
class _Told:
    contacts: Contacts
    csat: Answers
    nps: Answers


def _tell(issues: Issues, invitations: Invitations, calendar: Calendar, rng: np.random.Generator) -> _Told:
    contacts = contacts_of(issues, calendar, rng)
    csat = contact_surveys(issues, contacts, rng)
    return _Told(contacts, csat, account_surveys(invitations, calendar, rng))


def _record(
    told: _Told,
    *,
    world: World,
    start: datetime,
    traits: Traits,
    profile: pl.DataFrame,
    state: State,
) -> Record:
    """Drop what the leaving forestalled; number the rest in the order it happened."""
    contacts = told.contacts
    happened = np.flatnonzero(contacts.opened < state.ended[contacts.account])
    order = happened[np.argsort(contacts.opened[happened], kind="stable")]
    position = np.full(len(contacts.opened), -1)
    position[order] = np.arange(len(order))
    csat = replace(told.csat, contact=position[told.csat.contact])
    surveys = stack([csat, told.nps])
    on_contact = np.arange(len(surveys.sent)) < len(csat.sent)
    sent = np.flatnonzero(surveys.sent < state.ended[surveys.account])
    by_time = sent[np.argsort(surveys.sent[sent], kind="stable")]
    return Record(
        world=world,
        start=start,
        traits=traits,
        profiles=profile,
        ended=state.ended,
        end_kind=state.end_kind,
        contacts=take(contacts, order),
        surveys=take(surveys, by_time),
        on_contact=on_contact[by_time],
    )


def _observed(record: Record, told: _Told, state: State, weeks: int, seed: int, faults: tuple[Fault, ...]) -> Simulated:
    """The base as of the given week: its tables, its truth, its hidden state."""
    voices = voices_of(told.contacts, told.csat, told.nps)
    tables = frames.tables(record, weeks * WEEK)
    dead = [fault.week for fault in faults if fault.name == "dead_feed" and 0 < fault.week < weeks]
    if dead:
        tables["interactions"] = frames.tables(record, min(dead) * WEEK)["interactions"]
    return Simulated(
        world=record.world,
        seed=seed,
        start=record.start,
        weeks=weeks,
        tables=tables,
        truth=_truth(record, state, weeks),
        hidden=Hidden(record.traits, state, take(voices, voices.week < weeks)),
        faults=faults,
    )


def _truth(record: Record, state: State, weeks: int) -> pl.DataFrame:
    """Hidden traits and state of every account that had started."""
    traits, world = record.traits, record.world
    decided = np.where(state.decided_week == UNDECIDED, np.nan, (state.decided_week + 1) * WEEK)
    segments = np.array([segment.name for segment in world.segments])
    frame = pl.DataFrame(
        {
            "account_id": frames.account_ids(np.arange(len(state.ended))),
            "segment": segments[traits.segment],
            "active": np.isinf(state.ended),
            "satisfaction": state.satisfaction,
            "engagement": state.engagement,
            "escalation_memory": state.escalations,
            "unresolved_memory": state.unresolved,
            "hopelessness": state.hopelessness,
            "decided_to_leave": np.isfinite(decided),
            "decided_at": frames.moments(decided, record.start),
            "contact_rate": traits.contact_rate,
            "irritant_rate": traits.irritant_rate,
            "frailty": traits.frailty,
            "first_contact_resolution": traits.fcr,
            "voice": traits.voice,
            "response": traits.response,
        }
    )
    return frame.filter(pl.Series(traits.started < weeks * WEEK))
