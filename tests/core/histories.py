"""Strategies for contract histories: few rows, but every kind of row and every awkward moment.

Times lie around `NOW`, mostly at the edges of the windows features look through (7, 14, 28, 90, ... days) and a
microsecond to either side of them, before and after the moments that are asked about.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import settings
from hypothesis import strategies as st

from models.clock import INSTANT
from models.history import TABLES, History

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EDGES = (-200, -20, -1, 0, 1, 6, 7, 8, 13, 14, 15, 28, 30, 60, 89, 90, 91, 104, 180, 181, 194, 360, 365, 366, 372, 400)

Row = dict[str, Any]

#: How properties of histories are tried: a machine at work may take its time, and a patient person ask for more.
properties = settings(deadline=None, max_examples=int(os.environ.get("EBBTIDE_TEST_EXAMPLES", "30")))


@dataclass(frozen=True)
class Drawn:
    """Rows as a source would deliver them, per table, and what is declared about the source."""

    tables: Mapping[str, list[Row]]
    delay: timedelta = timedelta(0)
    observed_from: Mapping[str, datetime] | None = None

    def history(self) -> History:
        """The rows as a history."""
        frames = {name: frame(name, rows) for name, rows in self.tables.items()}
        return History.from_frames(frames, self.delay, self.observed_from)

    def with_tables(self, tables: Mapping[str, list[Row]]) -> "Drawn":
        """Other rows of the same source."""
        return replace(self, tables=tables)

    def shifted(self, by: timedelta) -> "Drawn":
        """Everything happened later (or earlier) by the same time."""
        tables = {name: [_shifted(row, by) for row in rows] for name, rows in self.tables.items()}
        declared = self.observed_from and {name: when + by for name, when in self.observed_from.items()}
        return Drawn(tables, self.delay, declared)


def frame(name: str, rows: list[Row]) -> pl.DataFrame:
    """Rows of a contract table as a frame of its schema."""
    return pl.DataFrame(rows, schema=TABLES[name].schema, orient="row")


def _shifted(row: Row, by: timedelta) -> Row:
    return {key: value + by if isinstance(value, datetime) else value for key, value in row.items()}


class Dice:
    """Choices read off a row's bytes, one or two each: a row is one draw, and zeros make the plainest one."""

    def __init__(self, thrown: bytes) -> None:
        self._bytes = iter(thrown)

    def pick(self, *options: Any) -> Any:
        """One of the options."""
        return options[next(self._bytes) % len(options)]

    def maybe(self, *options: Any) -> Any:
        """One of the options, or unknown."""
        return self.pick(None, *options)

    def ago(self) -> datetime:
        """A moment at the edge of a window, beside one, or anywhere."""
        edge, beside = self.pick(*EDGES), next(self._bytes)
        nudge = (timedelta(0), MICROSECOND, -MICROSECOND, timedelta(hours=beside))[beside % 4]
        return NOW - timedelta(days=edge) - nudge

    def after(self, begin: datetime) -> datetime | None:
        """Unknown, a moment after another (now and then before it), or one at the edge of a window."""
        kind, days, minutes = next(self._bytes) % 4, self.pick(0, 1, 7, 14, 15, 60, -2), next(self._bytes)
        if kind == 0:
            return None
        return self.ago() if kind == 1 else begin + timedelta(days=days, minutes=minutes * minutes)


ACCOUNT_IDS = ("ann", "bo", "cy", "di")
STRANGER = "nobody"
_IDS = ("ann", "ann", "bo", "cy", "di", STRANGER)


def _account(number: int, dice: Dice) -> Row:
    started = dice.pick(None, dice.ago(), dice.ago())
    return {
        "account_id": ACCOUNT_IDS[number],
        "segment": dice.maybe("smb", "mid"),
        "mrr": dice.maybe(0.0, 99.5, 4000.0),
        "billing": dice.maybe("monthly", "annual", "quarterly"),
        "seats": dice.maybe(1, 5, 9),
        "started_at": started,
        "renewal_at": dice.maybe(dice.ago()),
        "onboarded_at": dice.maybe(dice.ago()),
        "notice_at": dice.maybe(None, dice.ago()),
        "ended_at": dice.maybe(None, dice.ago()),
        "end_reason": dice.maybe("voluntary", "involuntary"),
        "is_test": dice.maybe(False, False, True),
        "recorded_at": dice.maybe(None, dice.ago()),
        "updated_at": dice.maybe(dice.ago()),
    }


def _contact(number: int, dice: Dice) -> Row:
    opened = dice.ago()
    return {
        "interaction_id": f"i{number}",
        "account_id": dice.pick(*_IDS),
        "issue_id": dice.maybe(None, "q1", "q2"),
        "contact_id": dice.maybe("x", "y"),
        "channel": dice.maybe("email", "phone", "portal"),
        "direction": dice.maybe("inbound", "inbound", "outbound"),
        "category": dice.maybe("billing", "billing", "login"),
        "kind": dice.maybe("question", "problem", "complaint"),
        "opened_at": opened,
        "first_response_at": dice.after(opened),
        "resolved_at": dice.after(opened),
        "reopened_at": dice.after(opened),
        "escalated_at": dice.after(opened),
        "escalation": dice.maybe("customer", "functional"),
        "reopens": dice.maybe(0, 1, 2),
        "transfers": dice.maybe(0, 1, 3),
        "abandoned": dice.maybe(None, False, True),
        "outcome": dice.maybe(None, "resolved", "unresolved", "auto_closed", "abandoned"),
        "sla_first_response_minutes": dice.maybe(0.0, 60.0),
        "sla_resolution_minutes": dice.maybe(30.0, 1440.0),
        "recorded_at": dice.after(opened),
        "updated_at": dice.after(opened),
    }


def _survey(number: int, dice: Dice) -> Row:
    asked = dice.ago()
    responded = dice.after(asked)
    instrument = dice.pick("csat", "csat", "nps", "ces", "thumbs")
    lowest, highest = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "thumbs": (0, 1)}[instrument]
    score = dice.maybe(*map(float, range(lowest, highest + 1)))
    return {
        "survey_id": f"s{number}",
        "account_id": dice.pick(*_IDS),
        "instrument": instrument,
        "scale_min": dice.maybe(float(lowest)),
        "scale_max": dice.maybe(float(highest)),
        "low_is_good": dice.maybe(None, True),
        "sent_at": asked if responded is None else dice.pick(asked, asked, None),
        "responded_at": responded,
        "score": None if responded is None else score,
        "recorded_at": dice.after(asked),
    }


def _terms(number: int, dice: Dice) -> Row:
    # Two terms of one account never take effect at the same instant: they would be one row.
    effective = dice.ago() + number * MICROSECOND * 7
    return {
        "account_id": dice.pick(*_IDS),
        "effective_at": effective,
        "mrr": dice.maybe(0.0, 50.0, 75.0, 4100.0),
        "billing": dice.maybe("monthly", "annual"),
        "seats": dice.maybe(2, 4, 8),
        "renewal_at": dice.maybe(dice.ago()),
        "recorded_at": dice.after(effective),
    }


def _outreach(number: int, dice: Dice) -> Row:
    at = dice.ago()
    return {
        "outreach_id": f"o{number}",
        "account_id": dice.pick(*_IDS),
        "at": at,
        "kind": "call",
        "engaged_at": dice.after(at),
        "outcome": dice.maybe("reached", "no_answer", "saved"),
        "held_out": dice.maybe(None, False, True),
        "recorded_at": dice.after(at),
    }


def _measure(number: int, dice: Dice) -> Row:
    at = dice.ago() + number * MICROSECOND * 7
    return {
        "account_id": dice.pick(*_IDS),
        "name": dice.pick("logins", "seats_used"),
        "value": dice.pick(0.0, 12.5, 400.0),
        "at": at,
        "recorded_at": dice.after(at),
    }


def _rows(build: Callable[[int, Dice], Row], most: int, least: int = 0) -> st.SearchStrategy[list[Row]]:
    one = st.binary(min_size=80, max_size=80)
    thrown = st.sampled_from(range(least, most + 1)).flatmap(lambda n: st.lists(one, min_size=n, max_size=n))
    return thrown.map(lambda rows: [build(number, Dice(row)) for number, row in enumerate(rows)])


def moments() -> st.SearchStrategy[datetime]:
    """Moments to ask about: now, or one of the edges before it."""
    return st.sampled_from((0, 1, 14, 28, 90, 91, 180)).map(lambda days: NOW - timedelta(days=days))


def histories(contacts: int = 14, surveys: int = 8) -> st.SearchStrategy[Drawn]:
    """A source's rows, each id once: one to four accounts, orphans, late rows, reopened and open tickets, answers
    without invitations, terms known and not."""
    tables = st.fixed_dictionaries(
        {
            "accounts": _rows(_account, len(ACCOUNT_IDS), 1),
            "interactions": _rows(_contact, contacts, 3),
            "surveys": _rows(_survey, surveys),
            "contracts": _rows(_terms, 5),
            "outreach": _rows(_outreach, 4),
            "measures": _rows(_measure, 8),
        }
    )
    delays = st.sampled_from((timedelta(0), timedelta(0), timedelta(hours=6), timedelta(days=2)))
    declared = st.none() | st.sampled_from((500, 200, 40, -3)).map(
        lambda days: dict.fromkeys(("interactions", "surveys"), NOW - timedelta(days=days))
    )
    return st.builds(Drawn, tables, delays, declared)


def pairs(history: History, moments: list[datetime]) -> pl.DataFrame:
    """Every account at every moment."""
    when = pl.DataFrame({"as_of": moments}, schema={"as_of": INSTANT})
    return history.accounts.select("account_id").join(when, how="cross")
