"""What a company would have in its systems at one moment: the tables of the data contract.

The record of a world knows everything, also what happens after the moment asked for. Here each
value is kept only if it had happened before that moment and before the account left: a ticket that
will be resolved next week is open, an answer that will come tomorrow is missing.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl

from training.simulator.columns import Bools, Floats, Ints, take
from training.simulator.events import (
    CATEGORIES,
    CHANNELS,
    LIVE,
    RESOLVED,
    UNRESOLVED,
    Answers,
    Contacts,
)
from training.simulator.hours import WEEK
from training.simulator.population import Traits
from training.simulator.process import DEMANDED, INVOLUNTARY, NOT_RENEWED, QUESTION
from training.simulator.worlds import World

OUTCOMES = ("resolved", "unresolved", "auto_closed", "abandoned")
CURRENCY = "EUR"


@dataclass(frozen=True)
class Record:
    """Everything observable about a world, in id order and without any cut-off."""

    world: World
    start: datetime
    traits: Traits
    profiles: pl.DataFrame
    ended: Floats
    end_kind: Ints
    contacts: Contacts
    surveys: Answers
    on_contact: Bools  # surveys about a contact (CSAT); the others are NPS


def tables(record: Record, end: float) -> dict[str, pl.DataFrame]:
    """The contract's tables as they stood at ``end`` (seconds since the start of the log)."""
    ended = np.where(record.ended < end, record.ended, np.inf)
    until = np.minimum(ended, end)
    return {
        "accounts": _accounts(record, ended, until),
        "interactions": _interactions(record, ended, until),
        "surveys": _surveys(record, until),
        "contracts": _contracts(record, until),
    }


def account_ids(numbers: Ints) -> pl.Series:
    """Public ids of accounts by position."""
    return _ids("A", numbers, 6)


def moments(seconds: Floats, start: datetime) -> pl.Series:
    """Whole seconds since the start of the log as UTC times; NaN and infinity as null."""
    whole = np.where(np.isfinite(seconds), np.floor(seconds), 0).astype(np.int64)
    origin = int(start.timestamp())
    times = pl.Series((origin + whole) * 1_000_000).cast(pl.Datetime("us", "UTC"))
    known = pl.Series(np.isfinite(seconds))
    return pl.select(pl.when(known).then(times)).to_series()


def _accounts(record: Record, ended: Floats, until: Floats) -> pl.DataFrame:
    traits, start, profiles = record.traits, record.start, record.profiles
    left = np.isfinite(ended)
    involuntary = record.end_kind == INVOLUNTARY
    notice = np.where(left & ~involuntary & (record.end_kind != NOT_RENEWED), ended, np.nan)
    terms = _terms_begun(record, until)
    term = record.world.term_weeks * WEEK
    onboarded = _before(profiles["onboarded"].to_numpy(), until)
    latest = np.fmax(np.where(left, ended, traits.started), onboarded)
    latest = np.fmax(latest, np.where(traits.annual, traits.started + (terms - 1) * term, -np.inf))
    renewal = np.where(traits.annual, traits.started + terms * term, np.nan)
    frame = pl.DataFrame(
        {
            "account_id": account_ids(np.arange(len(ended))),
            **{name: profiles[name] for name in ("name", "owner", "segment", "region", "plan")},
            "mrr": traits.mrr,
            "currency": [CURRENCY] * len(ended),
            "billing": np.where(traits.annual, "annual", "monthly"),
            "seats": profiles["seats"],
            "started_at": moments(traits.started, start),
            "renewal_at": moments(renewal, start),
            "onboarded_at": moments(onboarded, start),
            "notice_at": moments(notice, start),
            "ended_at": moments(ended, start),
            "end_reason": _words(("voluntary", "involuntary"), np.where(left, involuntary, -1)),
            "is_test": np.zeros(len(ended), dtype=np.bool_),
            "recorded_at": moments(traits.started, start),
            "updated_at": moments(latest, start),
        }
    )
    return frame.filter(pl.Series(traits.started < until))


def _contracts(record: Record, until: Floats) -> pl.DataFrame:
    """One row per term: annual accounts renew on anniversaries, monthly ones have a single row."""
    traits, profiles = record.traits, record.profiles
    terms = np.where(traits.started < until, _terms_begun(record, until), 0)
    account = np.repeat(np.arange(len(terms)), terms)
    nth = np.arange(len(account)) - np.repeat(np.cumsum(terms) - terms, terms)
    term = record.world.term_weeks * WEEK
    effective = traits.started[account] + nth * term
    renewal = np.where(traits.annual[account], effective + term, np.nan)
    known = moments(effective, record.start)
    return pl.DataFrame(
        {
            "account_id": account_ids(account),
            "effective_at": known,
            "mrr": traits.mrr[account],
            "billing": np.where(traits.annual, "annual", "monthly")[account],
            "plan": profiles["plan"].gather(account),
            "seats": profiles["seats"].gather(account),
            "renewal_at": moments(renewal, record.start),
            "recorded_at": known,
        }
    )


def _terms_begun(record: Record, until: Floats) -> Ints:
    """Terms that began before the account's last known moment; 1 for monthly accounts."""
    term = record.world.term_weeks * WEEK
    begun = np.ceil((until - record.traits.started) / term).astype(np.int64)
    return np.where(record.traits.annual, np.maximum(begun, 1), 1)


def _interactions(record: Record, ended: Floats, until: Floats) -> pl.DataFrame:
    contacts, start = record.contacts, record.start
    horizon = until[contacts.account]
    seen = contacts.opened < horizon
    number = np.flatnonzero(seen) + 1
    rows, horizon, ended = take(contacts, seen), horizon[seen], ended[contacts.account][seen]
    status = _status(rows, horizon, ended)
    responded = _before(rows.responded, horizon)
    escalated = _before(rows.escalated, horizon)
    has_escalation = np.where(np.isnan(escalated), -1, rows.escalation == DEMANDED)
    closed = status.outcome >= 0
    waited = LIVE[rows.channel] & (rows.opened + rows.wait < horizon)
    sla = np.array([s.sla_minutes for s in record.world.segments], dtype=np.float64)
    sla = sla[record.traits.segment[rows.account]]
    opened = moments(rows.opened, start)
    return pl.DataFrame(
        {
            "interaction_id": _ids("I", number - 1, 7),
            "account_id": account_ids(rows.account),
            "issue_id": _ids("Q", rows.issue, 7),
            "contact_id": _people(record, rows.account, rows.person),
            "channel": _words(CHANNELS, rows.channel),
            "direction": ["inbound"] * len(number),
            "category": _words(CATEGORIES, rows.category),
            "kind": _kinds(rows),
            "opened_at": opened,
            "first_response_at": moments(responded, start),
            "resolved_at": moments(status.resolved, start),
            "reopened_at": moments(_before(rows.reopened, horizon), start),
            "escalated_at": moments(escalated, start),
            "escalation": _words(("functional", "customer"), has_escalation),
            "reopens": (rows.reopened < horizon).astype(np.int64),
            "transfers": np.where(closed | np.isfinite(responded), rows.transfers, 0),
            "customer_replies": _optional(rows.replies, closed),
            "wait_seconds": _optional(np.round(rows.wait, 1), waited),
            "handle_seconds": _optional(np.round(rows.handle), closed & ~np.isnan(rows.handle)),
            "abandoned": rows.abandoned & closed,
            "outcome": _words(OUTCOMES, status.outcome),
            "sla_first_response_minutes": sla[:, 0],
            "sla_resolution_minutes": sla[:, 1],
            "recorded_at": opened,
            "updated_at": moments(status.updated, start),
        }
    )


@dataclass(frozen=True)
class _Status:
    outcome: Ints  # -1 while open
    resolved: Floats
    updated: Floats


def _status(rows: Contacts, horizon: Floats, ended: Floats) -> _Status:
    """Open, closed or reopened as of the horizon; leaving closes what was open."""
    closing = np.where(rows.reopened < horizon, rows.reclosed, rows.closed)
    done = closing < horizon
    dropped = ~done & np.isfinite(ended)
    outcome = np.where(done, rows.outcome, np.where(dropped, UNRESOLVED, -1))
    touched = rows.opened
    for moment in (rows.responded, rows.escalated, rows.reopened):
        touched = np.fmax(touched, _before(moment, horizon))
    updated = np.where(done, closing, np.where(dropped, ended, touched))
    return _Status(outcome, np.where(outcome == RESOLVED, closing, np.nan), updated)


def _surveys(record: Record, until: Floats) -> pl.DataFrame:
    surveys, start = record.surveys, record.start
    horizon = until[surveys.account]
    seen = surveys.sent < horizon
    number = np.flatnonzero(seen)
    rows, horizon, csat = take(surveys, seen), horizon[seen], record.on_contact[seen]
    responded = _before(rows.responded, horizon)
    sent = moments(rows.sent, start)
    return pl.DataFrame(
        {
            "survey_id": _ids("S", number, 7),
            "account_id": account_ids(rows.account),
            "interaction_id": pl.select(pl.when(pl.Series(csat)).then(_ids("I", rows.contact, 7))).to_series(),
            "contact_id": _people(record, rows.account, rows.person),
            "instrument": np.where(csat, "csat", "nps"),
            "scale_min": np.where(csat, 1.0, 0.0),
            "scale_max": np.where(csat, 5.0, 10.0),
            "low_is_good": np.zeros(len(number), dtype=np.bool_),
            "sent_at": sent,
            "responded_at": moments(responded, start),
            "score": _optional(rows.score.astype(np.float64), ~np.isnan(responded)),
            "recorded_at": sent,
        }
    )


def _before(seconds: Floats, horizon: Floats) -> Floats:
    """The moments that had already happened; NaN for the rest."""
    return np.where(seconds < horizon, seconds, np.nan)


def _ids(prefix: str, positions: Ints, width: int) -> pl.Series:
    return prefix + pl.Series(positions + 1).cast(pl.String).str.zfill(width)


def _words(words: tuple[str | None, ...], codes: Ints) -> pl.Series:
    """Names by code; -1 is null."""
    return pl.Series([*words, None], dtype=pl.String).gather(np.where(codes < 0, len(words), codes))


def _optional(values: Floats | Ints, known: Bools) -> pl.Series:
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()


def _kinds(rows: Contacts) -> pl.Series:
    code = np.where(rows.complaint, 2, np.where(rows.kind == QUESTION, 0, 1))
    return _words(("question", "problem", "complaint"), code)


def _people(record: Record, account: Ints, share: Floats) -> pl.Series:
    """A person of the account; the first ones get in touch most."""
    people = record.profiles["people"].to_numpy()[account]
    person = np.floor(share**2 * people).astype(np.int64) + 1
    return account_ids(account) + "-" + pl.Series(person).cast(pl.String)
