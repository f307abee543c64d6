"""Facts about an account's contacts: how often, how hard it was, what was left lying, when a voice was raised.

Contacts arrive in the order (question, issue, opening), so a contact's neighbours on its issue are the rows before and
after it. Two contacts belong to one issue if they share an issue id or, where there is none, follow each other on one
topic within 7 days:

    billing, phone   1 March
    billing, email   5 March    4 days later: a repeat, on the issue of 1 March, on another channel
    billing, phone  20 March   15 days later: a new issue
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from models.features.baselines import Baselines
from models.features.expand import DAY_US, Rows, Source, instant
from models.features.groups import Flags, Floats, Groups, Ints, grid, spread
from models.history import closed_at, totals_at
from models.interactions import REPEAT_DAYS

Facts = dict[str, Ints | Floats]

#: Contacts this close together are one visit when gaps between contacts are measured.
SAME_VISIT_US = 3_600_000_000
#: Days after which an unanswered matter counts as given up, and which a reopening may take to count.
QUIET_DAYS = 14
#: Past escalations and complaints fade by exp(-age / DECAY_DAYS).
DECAY_DAYS = 60
SELF_SERVICE = ("self_service", "portal")
_MINUTE_US = 60_000_000
#: Binary grids: logarithms, logarithms whose squares are summed too, and weights that decay.
_LN_BITS, _SPREAD_BITS, _WEIGHT_BITS = 20, 16, 30

_INBOUND = pl.col("direction") == "inbound"
_GAVE_UP = (pl.col("outcome").is_in(["abandoned", "auto_closed"]) | pl.col("abandoned")).fill_null(value=False)
_FAILED = (_GAVE_UP | (pl.col("outcome") == "unresolved")).fill_null(value=False)
_DEMANDED = ((pl.col("escalation") == "customer") & pl.col("escalated_at").is_not_null()).fill_null(value=False)
#: Without an id or a topic nothing says that two contacts are about one problem.
_ISSUE = pl.coalesce(
    pl.when(pl.col("issue_id").is_not_null()).then(pl.col("issue_id").hash(1)),
    pl.when(pl.col("category").is_not_null()).then(pl.col("category").hash(2)),
    pl.col("interaction_id").hash(3),
)


def _code(column: str) -> pl.Expr:
    """A text as a whole number of 0 to 2^45, -1 if unknown."""
    known = pl.col(column).is_not_null()
    return pl.when(known).then(pl.col(column).hash(4) // 2**19).otherwise(-1).cast(pl.Int64)


_OPENED = pl.col("opened_at").to_physical()
_COLUMNS = (
    _INBOUND.alias("inbound"),
    _ISSUE.reinterpret(signed=True).alias("issue"),
    pl.col("issue_id").is_not_null().alias("has_issue_id"),
    _code("channel").alias("channel"),
    pl.col("channel").is_in(SELF_SERVICE).fill_null(value=False).alias("self_service"),
    _code("contact_id").alias("person"),
    (pl.col("kind") == "complaint").fill_null(value=False).alias("complaint"),
    _DEMANDED.alias("demanded"),
    _GAVE_UP.alias("gave_up"),
    _FAILED.alias("failed"),
    instant(closed_at()).alias("closed_at"),
    instant("resolved_at").alias("resolved_at"),
    instant("reopened_at").alias("reopened_at"),
    instant("first_response_at").alias("answered_at"),
    instant("escalated_at").alias("escalated_at"),
    instant(totals_at()).alias("totals_at"),
    pl.col("reopens").fill_null(0),
    pl.col("transfers").fill_null(0),
    pl.col("sla_first_response_minutes").alias("target_answer"),
    pl.col("sla_resolution_minutes").alias("target_resolution"),
)

#: Contacts of all directions.
CONTACTS = Source("interactions", _COLUMNS, _OPENED, _OPENED, by=("issue", "recent"), tie="interaction_id")
#: No more than when they were opened, for those that lie further back than anything else is looked at.
OPENINGS = Source("interactions", (_INBOUND.alias("inbound"),), _OPENED, _OPENED)


def older_contact(rows: Rows) -> Floats:
    """Days since the latest inbound one of these contacts."""
    return rows.groups.least(rows.at - rows["recent"], rows["inbound"]) / DAY_US


@dataclass(frozen=True)
class Contacts:
    """Inbound contacts as each question sees them, one element per contact.

    Ages are microseconds before the question. `before` and `after` are the distances to the contacts before and after
    it on the same key (issue id or topic), NEVER-like large where there is none; `lag` is how long after it happened a
    value may be used.
    """

    rows: Rows
    lag: int

    def within(self, days: int) -> Flags:
        """Whether it was opened in the half-open window [as_of - days, as_of)."""
        return self.age <= days * DAY_US

    def known(self, column: str) -> Flags:
        """Whether the value of a time column had happened and was known."""
        return self.rows[column] <= self.rows.at - self.lag

    @cached_property
    def opened(self) -> Ints:
        return self.rows["recent"]

    @cached_property
    def age(self) -> Ints:
        return self.rows.at - self.opened

    @cached_property
    def reopened(self) -> Flags:
        return self.known("reopened_at")

    @cached_property
    def closed(self) -> Flags:
        """Closed and not open again."""
        open_again = self.reopened & (self.rows["reopened_at"] > self.rows["resolved_at"])
        return self.known("closed_at") & ~open_again

    @cached_property
    def failed(self) -> Flags:
        """Closed without a solution."""
        failed: Flags = self.rows["failed"]
        return self.closed & failed

    @cached_property
    def left_lying(self) -> Flags:
        """Failed, or open for 14 days."""
        return self.failed | (~self.closed & (self.age >= QUIET_DAYS * DAY_US))

    @cached_property
    def _same_key(self) -> Flags:
        """(contacts + 1) whether the contact before position i and the one at i share question and key."""
        same = np.zeros(len(self.rows) + 1, dtype=np.bool_)
        issue, q = self.rows["issue"], self.rows.q
        same[1:-1] = (issue[1:] == issue[:-1]) & (q[1:] == q[:-1])
        return same

    @cached_property
    def before(self) -> Ints:
        gap = np.diff(self.opened, prepend=0)
        return np.where(self._same_key[:-1], gap, _FAR)

    @cached_property
    def after(self) -> Ints:
        gap = np.diff(self.opened, append=0)
        return np.where(self._same_key[1:], gap, _FAR)

    @cached_property
    def repeat(self) -> Flags:
        """Whether an earlier contact on the same issue lies within 7 days before it."""
        return self.before <= REPEAT_DAYS * DAY_US

    @cached_property
    def first(self) -> Flags:
        """Whether it opens an issue."""
        return np.where(self.rows["has_issue_id"], self.before == _FAR, ~self.repeat)

    @cached_property
    def unfollowed(self) -> Flags:
        """Whether no further contact on the issue came within 7 days."""
        return self.after > REPEAT_DAYS * DAY_US

    @cached_property
    def switched(self) -> Flags:
        """Whether the contact before it on its issue came by another channel."""
        channel: Ints = self.rows["channel"]
        earlier: Ints = np.roll(channel, 1)
        other: Flags = (channel != earlier) & (channel >= 0) & (earlier >= 0)
        return other & ~self.first

    @cached_property
    def transfers(self) -> Ints:
        return np.where(self.known("totals_at"), self.rows["transfers"], 0)

    @cached_property
    def reopenings(self) -> Ints:
        return np.where(self.known("totals_at"), self.rows["reopens"], 0)

    def minutes_until(self, happened: Flags, column: str) -> Floats:
        """Minutes from the opening to what happened, else the minutes elapsed; at least one."""
        until = np.where(happened, self.rows[column], self.rows.at)
        return np.maximum((until - self.opened) / _MINUTE_US, 1.0)


_FAR = 2**62


def contact_facts(rows: Rows, lag: int, usual: Baselines) -> Facts:
    """All facts of the questions from the contacts visible to them; `usual` says what the source records and what
    stands in for targets nobody set."""
    contacts = Contacts(rows.only(rows["inbound"]), lag)
    return {
        **_volume(contacts),
        **_failures(contacts),
        **_effort(contacts),
        **_responses(contacts, usual),
        **_resolutions(contacts, usual),
        **_escalations(contacts),
        **_complaints(contacts),
        "days_since_demand": _days_since_demand(rows, lag),
    }


def _volume(contacts: Contacts) -> Facts:
    groups, rows = contacts.rows.groups, contacts.rows
    visits, gaps = groups.gaps(contacts.age, contacts.within(365))
    apart = gaps >= SAME_VISIT_US
    known = rows["person"] >= 0
    return {
        **{f"contacts_{d}d": groups.count(contacts.within(d)) for d in (28, 30, 90, 365)},
        **{f"self_service_{d}d": groups.count(rows["self_service"] & contacts.within(d)) for d in (28, 365)},
        **{f"people_{d}d": groups.distinct(rows["person"], known & contacts.within(d)) for d in (90, 365)},
        "days_since_contact": groups.least(contacts.age, _any(rows)) / DAY_US,
        "gaps_365d": visits.count(apart),
        "gap_days_365d": visits.quantile(gaps, 0.5, apart) / DAY_US,
    }


def _failures(contacts: Contacts) -> Facts:
    groups, age = contacts.rows.groups, contacts.age
    week, fortnight = REPEAT_DAYS * DAY_US, QUIET_DAYS * DAY_US
    quiet = contacts.left_lying & (age >= fortnight) & (contacts.after > fortnight)
    given_up = contacts.closed & contacts.rows["gave_up"] & contacts.unfollowed & (age >= week)
    issue = contacts.first & (age >= week) & contacts.within(180)
    fixed = contacts.closed & ~contacts.rows["failed"] & contacts.unfollowed
    lying = contacts.left_lying & contacts.within(365)
    return {
        "abandoned_90d": groups.count(given_up & contacts.within(90)),
        **{f"quiet_failures_{d}d": groups.count(quiet & contacts.within(d)) for d in (90, 365)},
        "days_since_lying": groups.least(age, lying) / DAY_US,
        "issues_180d": groups.count(issue),
        "issues_not_fixed_180d": groups.count(issue & ~fixed),
        **{f"repeats_{d}d": groups.count(contacts.repeat & contacts.within(d)) for d in (90, 365)},
    }


def _effort(contacts: Contacts) -> Facts:
    """Effort of an issue: its contacts + transfers + channel switches + reopenings."""
    rows, recent = contacts.rows, contacts.within(90)
    steps = 1 + contacts.transfers + contacts.switched + contacts.reopenings
    starts = np.flatnonzero(contacts.first)
    last = np.append(starts[1:], len(rows)) - 1 if len(starts) else starts
    efforts = np.add.reduceat(steps, starts)
    issues = Groups(rows.q[starts], rows.questions)
    closed, closed_at = contacts.closed[last], rows["closed_at"][last]
    lately = closed & (rows.at[last] - closed_at <= 180 * DAY_US)
    return {
        "transfers_90d": rows.groups.total(contacts.transfers, recent),
        "switches_90d": rows.groups.count(contacts.switched & recent),
        "issues_90d": issues.count(recent[last]),
        "effort_90d": issues.total(efforts, recent[last]),
        "hardest_issue_90d": issues.most(efforts, recent[last]),
        "closed_issue_effort_180d": issues.latest(efforts, closed_at, lately),
    }


def _responses(contacts: Contacts, usual: Baselines) -> Facts:
    """First responses, and service targets kept and missed (a target is due once it is met or missed)."""
    groups, recent = contacts.rows.groups, contacts.within(90)
    answered = contacts.known("answered_at")
    minutes = contacts.minutes_until(answered, "answered_at")
    target = contacts.rows["target_answer"]
    # A contact that was closed without a first response on record does not wait for one.
    timed = recent & (answered | ~contacts.closed) & usual.tracks_answers
    ratio = minutes / np.maximum(np.where(np.isnan(target), usual.answer_minutes, target), 1.0)
    late_answer = timed & (minutes > target)
    answer_due = late_answer | (timed & answered & ~np.isnan(target))
    closing = contacts.minutes_until(contacts.closed, "closed_at")
    goal = contacts.rows["target_resolution"]
    late_closing = recent & (closing > goal) & usual.tracks_resolutions
    closing_due = late_closing | (recent & contacts.closed & ~np.isnan(goal))
    return {
        "answers_90d": groups.count(timed),
        "answers_ln_90d": groups.total(grid(np.log(ratio), _LN_BITS), timed),
        "targets_90d": groups.count(answer_due) + groups.count(closing_due),
        "targets_missed_90d": groups.count(late_answer) + groups.count(late_closing),
    }


def _resolutions(contacts: Contacts, usual: Baselines) -> Facts:
    rows, groups = contacts.rows, contacts.rows.groups
    minutes = contacts.minutes_until(contacts.closed, "closed_at")
    target = rows["target_resolution"]
    ratio = minutes / np.maximum(np.where(np.isnan(target), usual.resolution_minutes, target), 1.0)
    # Quantiles are taken of whole numbers, hence of logarithms in steps of the grid, lifted above zero.
    steps = np.rint(np.maximum(np.log(ratio) + _LIFT, 0.0) * 2.0**_LN_BITS).astype(np.int64)
    resolved = contacts.known("resolved_at")
    since = rows.at - rows["resolved_at"]
    settled = resolved & (since >= QUIET_DAYS * DAY_US) & (since <= 180 * DAY_US)
    soon = rows["reopened_at"] <= rows["resolved_at"] + QUIET_DAYS * DAY_US
    reopened = np.where(contacts.reopened, soon, contacts.reopenings > 0)
    solved = contacts.closed & resolved & contacts.within(365)
    ln_minutes = grid(np.log(minutes), _SPREAD_BITS)
    solved_count, solved_ln = groups.count(solved), groups.total(ln_minutes, solved)
    solved_ln2 = groups.total(ln_minutes * ln_minutes, solved)
    return {
        "closing_ln_p90_180d": groups.quantile(steps, 0.9, contacts.within(180)) / 2.0**_LN_BITS - _LIFT,
        "open_contacts": groups.count(~contacts.closed & contacts.within(365)),
        "open_days": groups.most(contacts.age, ~contacts.closed & contacts.within(365)) / DAY_US,
        "resolved_180d": groups.count(settled),
        "reopened_180d": groups.count(settled & reopened),
        "solved_365d": solved_count,
        "solved_ln_365d": solved_ln,
        "solved_ln2_365d": solved_ln2,
        "solved_sd_365d": spread(solved_count, solved_ln, solved_ln2, least=5),
    }


#: More than the logarithm of any ratio of minutes that fits a lifetime, so that ratios become whole numbers above 0.
_LIFT = 32.0


def _escalations(contacts: Contacts) -> Facts:
    groups, escalated = contacts.rows.groups, contacts.known("escalated_at")
    age = contacts.rows.at - contacts.rows["escalated_at"]
    return {
        "escalations_90d": groups.count(escalated & (age <= 90 * DAY_US)),
        "escalations_weight_365d": groups.total(_decayed(age, escalated), escalated & (age <= 365 * DAY_US)),
    }


def _complaints(contacts: Contacts) -> Facts:
    groups, age = contacts.rows.groups, contacts.age
    complaint = contacts.rows["complaint"]
    year = complaint & contacts.within(365)
    return {
        "complaints_365d": groups.count(year),
        "complaints_weight_365d": groups.total(_decayed(age, complaint), year),
        "complaints_unresolved_365d": groups.count(year & (~contacts.closed | contacts.failed)),
        "days_since_complaint": groups.least(age, complaint) / DAY_US,
    }


def _decayed(age: Ints, where: Flags) -> Floats:
    """exp(-age / 60 days) on a grid; 0 elsewhere."""
    days = np.where(where, age, 0) / DAY_US
    return grid(np.exp(-days / DECAY_DAYS), _WEIGHT_BITS)


def _days_since_demand(rows: Rows, lag: int) -> Floats:
    """Days since the customer had a contact of any direction escalated."""
    when = rows["escalated_at"]
    return rows.groups.least(rows.at - when, rows["demanded"] & (when <= rows.at - lag)) / DAY_US


def _any(rows: Rows) -> Flags:
    return np.ones(len(rows), dtype=np.bool_)
