"""One week in the hidden life of every account at once.

An account has a satisfaction and an engagement nobody sees, remembers escalations and issues left
unsolved, and may reach a private decision to leave; from then on it contacts us less and answers
less until its contract lets it go. ``advance`` is the whole mechanism. The simulator calls it for
each week of the log, the oracle for each week of many possible futures.

Order inside a week: contacts, surveys and irritants from the state the week began with; then the
state moves; then new decisions are taken. A decision is carried out at the next allowed date of a
*later* week: the renewal of an annual contract (or early, rarely), every fourth week of a monthly
one.
"""

from dataclasses import dataclass, replace

import numpy as np

from training.simulator.balance import counterweight
from training.simulator.columns import Bools, Floats, Ints, chance, logistic, stack
from training.simulator.hours import WEEK, Calendar
from training.simulator.population import Traits
from training.simulator.worlds import World

QUESTION, PROBLEM, IRRITANT = 0, 1, 2
NOT_ESCALATED, FUNCTIONAL, DEMANDED = -1, 0, 1
ACTIVE, NOT_RENEWED, CANCELLED, INVOLUNTARY = 0, 1, 2, 3
UNANSWERED = -1
UNDECIDED = np.iinfo(np.int64).max


@dataclass(frozen=True)
class State:
    """The hidden state, one entry per account; frozen at its last value once the account left."""

    satisfaction: Floats
    engagement: Floats
    escalations: Floats
    unresolved: Floats
    hopelessness: Floats
    decided_week: Ints  # the private decision to leave; UNDECIDED while there is none
    ended: Floats  # seconds since the start of the log; infinite while active
    end_kind: Ints


@dataclass(frozen=True)
class Issues:
    """What customers came with this week: one entry per issue, up to three contacts each."""

    account: Ints
    week: Ints
    kind: Ints
    repeats: Ints
    quiet: Bools  # the customer gave up on it, unsolved
    resolved: Bools
    transferred: Bools
    escalation: Ints  # rows x 3: of the first contact and of each repeat
    complaint: Bools
    recovered: Bools
    invited: Bools
    csat: Ints


@dataclass(frozen=True)
class Invitations:
    """Relationship surveys sent this week."""

    account: Ints
    week: Ints
    nps: Ints


@dataclass(frozen=True)
class Group:
    """What stays the same while one group of accounts is advanced."""

    world: World
    calendar: Calendar
    traits: Traits
    how_to: Floats
    base_hazard: Floats
    counterweight: Floats


@dataclass(frozen=True)
class _Week:
    """What the state the week began with says about each account this week."""

    number: int
    present: Bools
    fade: Floats
    answering: Floats  # logit of answering a survey, before the survey's own level
    annoyances: Ints


def group_of(world: World, calendar: Calendar, traits: Traits) -> Group:
    """Spread the segments' parameters over the accounts, once."""
    how_to = np.array([segment.how_to for segment in world.segments])
    hazard = np.array([segment.base_hazard for segment in world.segments])
    segment = traits.segment
    balance = counterweight(world)[segment]
    return Group(world, calendar, traits, how_to[segment], hazard[segment], balance)


def fresh(world: World, traits: Traits) -> State:
    """A new account starts at its own level."""
    rows = len(traits.segment)
    return State(
        satisfaction=traits.frailty.copy(),
        engagement=world.engagement_slope * traits.frailty,
        escalations=np.zeros(rows),
        unresolved=np.zeros(rows),
        hopelessness=np.zeros(rows),
        decided_week=np.full(rows, UNDECIDED),
        ended=np.full(rows, np.inf),
        end_kind=np.full(rows, ACTIVE),
    )


def advance(group: Group, state: State, week: int, rng: np.random.Generator) -> tuple[State, Issues, Invitations]:
    """The state after this week, and what happened in it."""
    begun = _begin(group, state, week, rng)
    contacts = _contacts(group, state, begun, rng)
    complaints = _irritations(group.world, begun, rng)
    issues = _survey_contacts(group.world, state, begun, stack([contacts, complaints]), rng)
    invitations = _survey_accounts(group, state, begun, rng)
    moved = _move(group, state, begun, issues, rng)
    return _decide_and_leave(group, moved, begun, rng), issues, invitations


def _begin(group: Group, state: State, week: int, rng: np.random.Generator) -> _Week:
    world, traits = group.world, group.traits
    present = (traits.start_week < week) & np.isinf(state.ended)
    answering = (
        traits.response
        + world.answer_engagement * state.engagement
        + world.answer_extremity * np.abs(state.satisfaction)
    )
    return _Week(
        number=week,
        present=present,
        fade=np.where(state.decided_week < week, world.fade, 1.0),
        answering=answering,
        annoyances=rng.poisson(traits.irritant_rate * present),
    )


def _contacts(group: Group, state: State, week: _Week, rng: np.random.Generator) -> Issues:
    """First contacts and the course each of them takes."""
    world, traits = group.world, group.traits
    rate = traits.contact_rate * np.exp(world.contact_engagement * state.engagement)
    season = group.calendar.season(week.number, world.season)
    counts = rng.poisson(rate * week.present * week.fade * season)
    account = np.repeat(np.arange(len(counts)), counts)
    rows = len(account)
    question = chance(rng, group.how_to[account], rows)
    fixed = ~question & chance(rng, traits.fcr[account], rows)
    serious = ~question & ~fixed
    again = world.repeat + world.repeat_engagement * state.engagement[account]
    first = serious & chance(rng, again, rows)
    second = first & chance(rng, world.repeat_again, rows)
    quiet = (serious & ~first) | (second & chance(rng, world.quiet_after_second, rows))
    voice = _voice(world, traits, state)[account]
    complaint = (serious & chance(rng, voice, rows)) | (second & chance(rng, voice, rows))
    recovered = complaint & chance(rng, world.recovery, rows)
    transferred = ~question & chance(rng, world.transfer, rows)
    repeats = first.astype(np.int64) + second
    return Issues(
        account=account,
        week=np.full(rows, week.number),
        kind=np.where(question, QUESTION, PROBLEM),
        repeats=repeats,
        quiet=quiet,
        resolved=~quiet | recovered,
        transferred=transferred,
        escalation=_escalations(world, ~question, first, second, rng),
        complaint=complaint,
        recovered=recovered,
        invited=np.zeros(rows, dtype=np.bool_),
        csat=np.full(rows, UNANSWERED),
    )


def _escalations(world: World, failure: Bools, first: Bools, second: Bools, rng: np.random.Generator) -> Ints:
    rows = len(failure)
    happened = np.stack([failure, first, second], axis=1)
    rate = np.array([world.escalation, world.escalation_repeat, world.escalation_repeat])
    demanded = np.array([world.demanded, world.demanded_repeat, world.demanded_repeat])
    happened &= rng.random((rows, 3)) < rate
    kind = np.where(rng.random((rows, 3)) < demanded, DEMANDED, FUNCTIONAL)
    return np.where(happened, kind, NOT_ESCALATED)


def _voice(world: World, traits: Traits, state: State) -> Floats:
    """Chance that a serious failure is complained about."""
    return logistic(
        traits.voice
        + world.voice_hopelessness * state.hopelessness
        + world.voice_satisfaction * np.minimum(state.satisfaction, 0)
    )


def _irritations(world: World, week: _Week, rng: np.random.Generator) -> Issues:
    """The few hidden annoyances that reach us, each as a complaint of its own."""
    counts = rng.binomial(week.annoyances, world.irritant_voice)
    account = np.repeat(np.arange(len(counts)), counts)
    rows = len(account)
    recovered = chance(rng, world.recovery, rows)
    nothing = np.zeros(rows, dtype=np.bool_)
    return Issues(
        account=account,
        week=np.full(rows, week.number),
        kind=np.full(rows, IRRITANT),
        repeats=np.zeros(rows, dtype=np.int64),
        quiet=nothing,
        resolved=recovered,
        transferred=nothing,
        escalation=np.full((rows, 3), NOT_ESCALATED),
        complaint=np.ones(rows, dtype=np.bool_),
        recovered=recovered,
        invited=nothing,
        csat=np.full(rows, UNANSWERED),
    )


def _shifts(world: World, issues: Issues) -> Floats:
    """What each issue does to satisfaction."""
    fixed = (issues.kind == PROBLEM) & (issues.repeats == 0) & ~issues.quiet
    return np.asarray(
        world.shift_how_to * (issues.kind == QUESTION)
        + world.shift_fixed * fixed
        + world.shift_transfer * issues.transferred
        + world.shift_repeat * issues.repeats
        + world.shift_quiet * issues.quiet
        + world.shift_recovered * issues.recovered,
        dtype=np.float64,
    )


def _survey_contacts(
    world: World,
    state: State,
    week: _Week,
    issues: Issues,
    rng: np.random.Generator,
) -> Issues:
    """Invite most customers whose issue was resolved to say how it went."""
    account, rows = issues.account, len(issues.account)
    invited = issues.resolved & chance(rng, world.csat_invited, rows)
    willing = logistic(world.csat_answer + week.answering[account]) * week.fade[account]
    answered = invited & chance(rng, willing, rows)
    feeling = (
        world.csat_mean
        + world.csat_satisfaction * state.satisfaction[account]
        + world.csat_shift * _shifts(world, issues)
        + world.csat_noise * rng.normal(size=rows)
    )
    score = np.clip(np.rint(feeling), 1, 5).astype(np.int64)
    return replace(issues, invited=invited, csat=np.where(answered, score, UNANSWERED))


def _survey_accounts(group: Group, state: State, week: _Week, rng: np.random.Generator) -> Invitations:
    """Ask each account once a quarter whether it would recommend us."""
    world = group.world
    due = week.present & (group.traits.nps_phase == week.number % world.nps_every)
    account = np.flatnonzero(due)
    rows = len(account)
    willing = logistic(world.nps_answer + week.answering[account]) * week.fade[account]
    feeling = (
        world.nps_mean + world.nps_satisfaction * state.satisfaction[account] + world.nps_noise * rng.normal(size=rows)
    )
    score = np.clip(np.rint(feeling), 0, 10).astype(np.int64)
    nps = np.where(chance(rng, willing, rows), score, UNANSWERED)
    return Invitations(account, np.full(rows, week.number), nps)


def _move(
    group: Group,
    state: State,
    week: _Week,
    issues: Issues,
    rng: np.random.Generator,
) -> State:
    """Carry what happened into satisfaction, engagement and memories."""
    world, present, rows = group.world, week.present, len(week.present)

    def total(weights: Floats | Bools) -> Floats:
        return np.bincount(issues.account, weights, rows).astype(np.float64)

    shift = total(_shifts(world, issues)) + world.shift_irritant * week.annoyances + group.counterweight
    pull = world.satisfaction_pull * (group.traits.frailty - state.satisfaction)
    noise = world.satisfaction_noise * rng.normal(size=rows)
    target = world.engagement_slope * state.satisfaction
    follow = world.engagement_pull * (target - state.engagement)
    stir = world.engagement_noise * rng.normal(size=rows)
    escalated = (issues.escalation != NOT_ESCALATED).sum(axis=1)
    kept = np.where(present, world.memory_kept, 1.0)
    trained = world.hopelessness * total(issues.complaint & ~issues.recovered)
    return replace(
        state,
        satisfaction=state.satisfaction + present * (pull + shift + noise),
        engagement=state.engagement + present * (follow + stir),
        escalations=kept * state.escalations + total(escalated.astype(np.float64)),
        unresolved=kept * state.unresolved + total(issues.quiet),
        hopelessness=(1 - present * world.hopelessness_decay) * state.hopelessness + trained,
    )


def _hazard(group: Group, state: State, age: Ints) -> Floats:
    """Weekly chance of a private decision to leave."""
    world = group.world
    log_hazard = (
        group.base_hazard
        + world.exit_young * (age < world.young_weeks)
        - world.exit_satisfaction * state.satisfaction
        - world.exit_engagement * state.engagement
        + world.exit_escalation * np.minimum(state.escalations, world.memory_cap)
        + world.exit_unresolved * np.minimum(state.unresolved, world.memory_cap)
    )
    return -np.expm1(-np.exp(log_hazard))


def _decide_and_leave(group: Group, state: State, week: _Week, rng: np.random.Generator) -> State:
    """Those who decided earlier leave when they may; others decide now; a few fail."""
    world, traits, present = group.world, group.traits, week.present
    rows = len(present)
    age = week.number - traits.start_week
    leaving = present & (state.decided_week < week.number)
    due = age % np.where(traits.annual, world.term_weeks, world.month_weeks) == 0
    early = leaving & traits.annual & ~due & chance(rng, world.early_exit, rows)
    failed = present & chance(rng, world.involuntary, rows)
    planned = leaving & due & ~failed
    unplanned = np.flatnonzero(failed | early)
    ended = np.where(planned, traits.started + age * WEEK, state.ended)
    ended[unplanned] = week.number * WEEK + group.calendar.seconds_of_week(rng, len(unplanned))
    decides = present & (state.decided_week == UNDECIDED)
    decides &= chance(rng, _hazard(group, state, age), rows)
    kind = np.where(planned & traits.annual, NOT_RENEWED, np.where(planned | early, CANCELLED, 0))
    kind = np.where(failed, INVOLUNTARY, kind)
    return replace(
        state,
        decided_week=np.where(decides, week.number, state.decided_week),
        ended=ended,
        end_kind=np.where(kind == ACTIVE, state.end_kind, kind),
    )
