"""Facts about the account itself: its age, its terms as of each question, and how long it has been watched.

Where a history of terms is known, the terms in force are the last that took effect. Without one the account's row
stands in for what rarely changes: its billing is taken to have always held, and an annual term is rolled back to the
anniversary that lay ahead. What it pays today, and when another term ends, says nothing about the past.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.contacts import Facts
from models.features.expand import DAY_US, EVER, NEVER, Events, Rows, Source, Span, instant, microseconds
from models.features.groups import Flags, Floats, Ints
from models.history import History

_YEAR_US = 365 * DAY_US
#: A change of terms this fresh may already be part of an exit, so it is left out of changes.
SETTLED_DAYS = 14
CHANGE_DAYS = 180

_ANNUAL = (pl.col("billing") == "annual").fill_null(value=False).cast(pl.Int64).alias("annual")
_ACCOUNT_COLUMNS = (
    "account_id",
    "segment",
    "billing",
    _ANNUAL,
    "mrr",
    pl.col("seats").cast(pl.Float64),
    instant("started_at").alias("started_at"),
    instant("renewal_at").alias("renewal_at"),
    instant("onboarded_at").alias("onboarded_at"),
    pl.max_horizontal(
        pl.col("started_at").to_physical().fill_null(-NEVER) + 1,
        pl.col("recorded_at").to_physical().fill_null(-NEVER),
    ).alias("visible_from"),
)
_EFFECTIVE = pl.col("effective_at").to_physical()
_TERMS = Source(
    "contracts",
    (
        pl.col("mrr"),
        pl.col("seats").cast(pl.Float64),
        instant("renewal_at").alias("renewal_at"),
        pl.col("billing").is_not_null().cast(pl.Int64).alias("has_billing"),
        _ANNUAL,
    ),
    happened=_EFFECTIVE,
    recent=_EFFECTIVE,
    by=("recent",),
)


@dataclass(frozen=True)
class Accounts:
    """Described accounts in order of their id, as a frame and its numbers as arrays; an account's number is its
    position. From `visible_from` on an account is one we know."""

    frame: pl.DataFrame
    columns: dict[str, npt.NDArray[Any]]

    @classmethod
    def of(cls, history: History) -> "Accounts":
        """The accounts of a history."""
        frame = history.accounts.select(_ACCOUNT_COLUMNS).sort("account_id")
        numbers = [name for name, dtype in frame.schema.items() if dtype.is_numeric()]
        return cls(frame, {name: frame[name].to_numpy() for name in numbers})

    @cached_property
    def codes(self) -> pl.DataFrame:
        """account_id and `account`, its number."""
        return pl.DataFrame({"account_id": self.frame["account_id"], "account": np.arange(self.frame.height)})

    def known_at(self, accounts: Ints, at: Ints) -> Flags:
        """Whether each account was known at its moment."""
        known: Flags = self.columns["visible_from"][accounts] <= at
        return known


@dataclass(frozen=True)
class Terms:
    """Commercial terms over time: the events, and the billing texts of their rows."""

    events: Events
    billing: pl.Series

    @classmethod
    def of(cls, history: History, codes: pl.DataFrame, span: Span) -> "Terms":
        """The terms that took effect before the span's end."""
        frame = _TERMS.cut(history, Span(-EVER, span.until))
        return cls(_TERMS.events(frame, codes), frame["billing"])

    def ask(self, accounts: Ints, at: Ints) -> Rows:
        """The terms that had taken effect and were known at each question, the oldest first."""
        return self.events.ask(accounts, at, reach=EVER)


@dataclass(frozen=True)
class InForce:
    """The terms in force per question: `row` numbers rows of the terms; `known` says where there are any."""

    row: Ints
    known: Flags
    events: Events

    @classmethod
    def before(cls, rows: Rows, days: int = 0) -> "InForce":
        """The last terms that took effect before as_of - days."""
        early = rows["recent"] < rows.at - days * DAY_US
        # Terms come in the order they took effect, so the last of them is the one that counts.
        place = rows.groups.most(np.arange(len(rows)), early)
        known = ~np.isnan(place)
        row = np.zeros(rows.questions, dtype=np.int64)
        row[known] = rows.index[place[known].astype(np.int64)]
        return cls(row, known, rows.events)

    def __getitem__(self, column: str) -> Floats:
        """A column of the terms; NaN where there are none or it is unknown."""
        found = np.full(len(self.row), np.nan)
        found[self.known] = self.events.columns[column][self.row[self.known]]
        return found


def account_facts(accounts: Accounts, numbers: Ints, at: Ints, terms: Rows, observed: Ints, lag: int) -> Facts:
    """All facts of the questions from their accounts' rows and the terms visible to them. `observed`: since when
    contacts were being recorded. `billing_row` points into the accounts' billing texts, then the terms'."""
    own = {name: column[numbers] for name, column in accounts.columns.items()}
    now = InForce.before(terms)
    settled, earlier = InForce.before(terms, SETTLED_DAYS), InForce.before(terms, SETTLED_DAYS + CHANGE_DAYS)
    started = own["started_at"]
    since = np.where(started == NEVER, observed, np.maximum(started, observed))
    onboarded = own["onboarded_at"] <= at - lag
    done = np.where(onboarded, own["onboarded_at"], at)
    written = now["has_billing"] == 1
    annual = np.where(written, now["annual"] == 1, own["annual"])
    return {
        "billing_row": np.where(written, accounts.frame.height + now.row, numbers),
        "mrr_now": np.where(now.known, now["mrr"], own["mrr"]),
        "mrr_then": np.where(now.known, now["mrr"], np.nan),
        "seats_now": np.where(now.known, now["seats"], own["seats"]),
        "renewal_days": _renewal_days(now, own["renewal_at"], at, annual),
        "tenure_days": np.where(started == NEVER, np.nan, np.maximum(at - started, 0) / DAY_US),
        "history_days": np.maximum(at - since, 0) / DAY_US,
        "onboarded": onboarded.astype(np.int64),
        "onboarding_days": np.where(started == NEVER, np.nan, np.maximum(done - started, 0) / DAY_US),
        "settled_mrr": settled["mrr"],
        "settled_seats": settled["seats"],
        "before_mrr": earlier["mrr"],
        "before_seats": earlier["seats"],
    }


def _renewal_days(now: InForce, own: Ints, at: Ints, annual: Flags) -> Floats:
    """Days to the end of the term; NaN where no term is known or it has run out."""
    renewal = np.where(now.known, np.nan_to_num(now["renewal_at"], nan=NEVER), own)
    ahead = renewal - at
    written = np.where(ahead >= 0, ahead, np.where(annual, ahead % _YEAR_US, np.nan))
    # Without a history of terms the row's date is today's: for those who left it is their end, so only an annual
    # term can be rolled back to the anniversary that lay ahead.
    rolled = np.where(annual, ahead % _YEAR_US, np.nan)
    return np.where(renewal >= NEVER, np.nan, np.where(now.known, written, rolled)) / DAY_US


def observed_since(watched: Sequence[tuple[datetime, datetime]], at: Ints) -> Ints:
    """Since when contacts were being recorded, as known at each moment (microseconds); that moment if not yet.
    `watched` are the steps of `History.watched`."""
    known_from = np.array([microseconds(step[0]) for step in watched], dtype=np.int64)
    since = np.array([NEVER, *(microseconds(step[1]) for step in watched)], dtype=np.int64)
    return np.minimum(since[np.searchsorted(known_from, at, side="right")], at)
