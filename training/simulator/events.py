"""From what happened in a week to contacts and surveys with real timestamps.

An issue becomes one to three contacts: the first inside its week by business hours, each repeat one
to six days after the one before, so a repeat is always inside seven days. Nothing is cut off here:
a contact opened in the last week may be resolved after the log ends. What was known at a moment is
decided later, in ``frames``; that is why the same world can be looked at as of any week.

Choices the published marginals leave open:

* All contacts of one issue share its issue id; repeats switch channel three times in ten.
* A complaint is the last contact of a failed issue (kind ``complaint``), not a contact more; an
  irritant that is complained about is a contact of its own.
* First response is lognormal on email, portal and social; on phone and chat it is the queue wait.
* Response and resolution are drawn with correlation .6, for slow tickets are slow throughout.
* Contacts that a customer gave up on end as auto_closed, unresolved, or abandoned in the queue.
"""

from dataclasses import dataclass

import numpy as np

from training.simulator.columns import Bools, Floats, Ints, chance, take
from training.simulator.hours import DAY, HOUR, MINUTE, Calendar
from training.simulator.process import (
    DEMANDED,
    IRRITANT,
    NOT_ESCALATED,
    PROBLEM,
    QUESTION,
    UNANSWERED,
    Invitations,
    Issues,
)

CHANNELS = ("email", "phone", "chat", "portal", "social")
CHANNEL_SHARES = (0.38, 0.24, 0.20, 0.14, 0.04)
LIVE = np.array([False, True, True, False, False])
CATEGORIES = (
    "access",
    "billing",
    "configuration",
    "data_quality",
    "delivery",
    "integration",
    "performance",
    "reporting",
)
CATEGORY_SHARES = {
    QUESTION: (0.12, 0.12, 0.26, 0.05, 0.06, 0.13, 0.04, 0.22),
    PROBLEM: (0.14, 0.14, 0.10, 0.13, 0.12, 0.14, 0.15, 0.08),
    IRRITANT: (0.06, 0.30, 0.04, 0.12, 0.20, 0.06, 0.18, 0.04),
}
RESOLVED, UNRESOLVED, AUTO_CLOSED, ABANDONED = 0, 1, 2, 3

SWITCH_CHANNEL = 0.3
RESPONSE_MEDIAN, RESPONSE_SIGMA = 120 * MINUTE, 1.9
RESOLUTION_MEDIAN, RESOLUTION_SIGMA = 1300 * MINUTE, 1.85
SLOW_THROUGHOUT = 0.6
WAIT_MEDIAN, WAIT_SIGMA = 45.0, 0.9
HANDLE_MEAN, HANDLE_SHAPE = 8 * MINUTE, 4.0
AUTO_CLOSE_AFTER = 7 * DAY
AUTO_CLOSED_SHARE = 0.6
LEFT_THE_QUEUE = 0.15
REOPENED = 0.03
ANSWER_WINDOW = 14 * DAY


@dataclass(frozen=True)
class Contacts:
    """One entry per contact; seconds since the start of the log, NaN for never."""

    issue: Ints  # position in the issues it was made from
    account: Ints
    week: Ints  # of the issue's first contact
    kind: Ints
    complaint: Bools
    last: Bools  # of its issue
    person: Floats  # 0..1, which of the account's people
    channel: Ints
    category: Ints
    opened: Floats
    responded: Floats
    closed: Floats  # for the first time
    reopened: Floats
    reclosed: Floats
    escalated: Floats
    escalation: Ints
    outcome: Ints
    abandoned: Bools
    transfers: Ints
    replies: Ints
    wait: Floats
    handle: Floats


@dataclass(frozen=True)
class Answers:
    """One entry per survey invitation; ``contact`` is -1 for relationship surveys."""

    account: Ints
    week: Ints  # in which the score was decided
    contact: Ints
    person: Floats
    sent: Floats
    responded: Floats
    score: Ints


def contacts_of(issues: Issues, calendar: Calendar, rng: np.random.Generator) -> Contacts:
    """Every contact of every issue, in the order of the issues."""
    counts = 1 + issues.repeats
    issue = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(issue)) - np.repeat(np.cumsum(counts) - counts, counts)
    last = place == issues.repeats[issue]
    opened, following = _openings(issues, issue, place, calendar, rng)
    channel = _channels(issues, issue, place, rng)
    complaint = issues.complaint[issue] & last
    escalation = issues.escalation[issue, place]
    resolved = issues.resolved[issue] & last
    outcome = _outcomes(channel, resolved, last, complaint | (escalation >= 0), rng)
    times = _service_times(opened, following, channel, outcome, rng)
    rows = len(issue)
    lag = np.minimum((0.2 + 0.7 * rng.random(rows)) * (times["closed"] - opened), 2 * DAY)
    return Contacts(
        issue=issue,
        account=issues.account[issue],
        week=issues.week[issue],
        kind=issues.kind[issue],
        complaint=complaint,
        last=last,
        person=rng.random(len(counts))[issue],
        channel=channel,
        category=_categories(issues.kind, rng)[issue],
        opened=opened,
        escalated=np.where(escalation != NOT_ESCALATED, opened + lag, np.nan),
        escalation=escalation,
        outcome=outcome,
        abandoned=outcome == ABANDONED,
        replies=rng.poisson(np.where(LIVE[channel], 0.1, 1.2) * (outcome != ABANDONED)),
        transfers=(issues.transferred[issue] & (place == 0)).astype(np.int64),
        **times,
    )


def _openings(
    issues: Issues, issue: Ints, place: Ints, calendar: Calendar, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """When each contact was opened, and the next one of its issue (infinite for the last)."""
    first = calendar.moments(rng, issues.week)
    second = first + _gap(first, calendar, rng)
    third = second + _gap(second, calendar, rng)
    never = np.full(len(first), np.inf)
    openings = np.stack([first, second, third, never], axis=1)
    after = np.where(place == issues.repeats[issue], 3, place + 1)
    return openings[issue, place], openings[issue, after]


def _gap(since: Floats, calendar: Calendar, rng: np.random.Generator) -> Floats:
    """Days until the customer comes back: one to four, a weekend longer if that falls on one."""
    rows = len(since)
    days = 1 + rng.choice(4, rows, p=(0.42, 0.28, 0.18, 0.12)) * 1.0
    gap = days * DAY + np.clip(rng.normal(0, 1.5, rows), -5, 5) * HOUR
    return gap + 2 * DAY * calendar.weekend(since + gap)


def _channels(issues: Issues, issue: Ints, place: Ints, rng: np.random.Generator) -> Ints:
    rows = len(issue)
    first = rng.choice(len(CHANNELS), len(issues.account), p=CHANNEL_SHARES)[issue]
    other = rng.choice(len(CHANNELS), rows, p=CHANNEL_SHARES)
    return np.where((place > 0) & chance(rng, SWITCH_CHANNEL, rows), other, first)


def _categories(kind: Ints, rng: np.random.Generator) -> Ints:
    draws = rng.random(len(kind))
    edges = np.cumsum([CATEGORY_SHARES[k] for k in (QUESTION, PROBLEM, IRRITANT)], axis=1)
    category = np.count_nonzero(draws[:, None] >= edges[kind][:, :-1], axis=1)
    return np.asarray(category, dtype=np.int64)


def _outcomes(channel: Ints, resolved: Bools, last: Bools, answered: Bools, rng: np.random.Generator) -> Ints:
    """Failed contacts that were chased are unresolved; those given up on end in three ways."""
    rows = len(channel)
    left = ~resolved & ~answered & LIVE[channel] & chance(rng, LEFT_THE_QUEUE, rows)
    silent = ~resolved & last & ~answered & chance(rng, AUTO_CLOSED_SHARE, rows)
    failed = np.where(silent, AUTO_CLOSED, UNRESOLVED)
    return np.where(resolved, RESOLVED, np.where(left, ABANDONED, failed))


def _service_times(
    opened: Floats, following: Floats, channel: Ints, outcome: Ints, rng: np.random.Generator
) -> dict[str, Floats]:
    """Queue, response, work, closing and, seldom, reopening."""
    rows = len(opened)
    live, left = LIVE[channel], outcome == ABANDONED
    slow = rng.normal(size=rows)
    own = np.sqrt(1 - SLOW_THROUGHOUT**2) * rng.normal(size=rows) + SLOW_THROUGHOUT * slow
    wait = WAIT_MEDIAN * np.exp(WAIT_SIGMA * rng.normal(size=rows))
    response = np.where(live, wait, RESPONSE_MEDIAN * np.exp(RESPONSE_SIGMA * slow))
    handle = rng.gamma(HANDLE_SHAPE, HANDLE_MEAN / HANDLE_SHAPE, rows)
    resolution = RESOLUTION_MEDIAN * np.exp(RESOLUTION_SIGMA * own)
    answered = opened + response
    closed = np.maximum(np.minimum(opened + resolution, following), answered + handle)
    closed = np.where(outcome == AUTO_CLOSED, answered + handle + AUTO_CLOSE_AFTER, closed)
    closed = np.where(left, opened + wait, closed)
    again = (outcome == RESOLVED) & chance(rng, REOPENED, rows)
    pause = np.minimum(2 * DAY * np.exp(0.8 * rng.normal(size=rows)), 13 * DAY)
    reopened = np.where(again, closed + pause, np.nan)
    more = RESOLUTION_MEDIAN * np.exp(RESOLUTION_SIGMA * rng.normal(size=rows))
    return {
        "responded": np.where(left, np.nan, answered),
        "closed": closed,
        "reopened": reopened,
        "reclosed": reopened + more,
        "wait": np.where(live, wait, np.nan),
        "handle": np.where(left, np.nan, handle),
    }


def contact_surveys(issues: Issues, contacts: Contacts, rng: np.random.Generator) -> Answers:
    """CSAT: an hour or so after the issue was resolved."""
    contact = np.flatnonzero(contacts.last & issues.invited[contacts.issue])
    rows = len(contact)
    sent = contacts.closed[contact] + 60 * MINUTE * np.exp(0.5 * rng.normal(size=rows))
    score = issues.csat[contacts.issue[contact]]
    return Answers(
        account=contacts.account[contact],
        week=contacts.week[contact],
        contact=contact,
        person=contacts.person[contact],
        sent=sent,
        responded=_answered(sent, score, rng),
        score=score,
    )


def account_surveys(invitations: Invitations, calendar: Calendar, rng: np.random.Generator) -> Answers:
    """NPS: some working hour of the week it is due."""
    rows = len(invitations.account)
    sent = calendar.moments(rng, invitations.week)
    return Answers(
        account=invitations.account,
        week=invitations.week,
        contact=np.full(rows, -1),
        person=rng.random(rows),
        sent=sent,
        responded=_answered(sent, invitations.nps, rng),
        score=invitations.nps,
    )


def _answered(sent: Floats, score: Ints, rng: np.random.Generator) -> Floats:
    """Most answer within a day, nobody after the survey has closed."""
    delay = 12 * HOUR * np.exp(1.2 * rng.normal(size=len(sent)))
    moment = sent + np.minimum(delay, ANSWER_WINDOW * 0.99)
    return np.where(score != UNANSWERED, moment, np.nan)


@dataclass(frozen=True)
class Voices:
    """The moments an account spoke up: what keeps its leaving from being silent."""

    account: Ints
    week: Ints  # whose draw decided it, even if heard later
    at: Floats


def voices_of(contacts: Contacts, csat: Answers, nps: Answers) -> Voices:
    """Complaints, escalations the customer demanded, CSAT of 2 or less, NPS of 6 or less."""
    complaints = contacts.complaint
    demands = contacts.escalation == DEMANDED
    poor = (csat.score != UNANSWERED) & (csat.score <= 2)
    detractors = (nps.score != UNANSWERED) & (nps.score <= 6)
    picked = (
        (contacts, complaints, contacts.opened),
        (contacts, demands, contacts.escalated),
        (csat, poor, csat.responded),
        (nps, detractors, nps.responded),
    )
    return Voices(
        account=np.concatenate([rows.account[mask] for rows, mask, _ in picked]),
        week=np.concatenate([rows.week[mask] for rows, mask, _ in picked]),
        at=np.concatenate([at[mask] for _, mask, at in picked]),
    )


def voices_in(issues: Issues, invitations: Invitations, calendar: Calendar, rng: np.random.Generator) -> Voices:
    """Only the voice of a week, without building the contacts that carried none."""
    speaks = (
        issues.complaint
        | (issues.escalation == DEMANDED).any(axis=1)
        | ((issues.csat != UNANSWERED) & (issues.csat <= 2))
    )
    loud = take(issues, speaks)
    contacts = contacts_of(loud, calendar, rng)
    csat = contact_surveys(loud, contacts, rng)
    detractors = take(invitations, (invitations.nps != UNANSWERED) & (invitations.nps <= 6))
    return voices_of(contacts, csat, account_surveys(detractors, calendar, rng))
