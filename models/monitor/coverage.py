"""How much the sources tell, week by week: contacts per account, invitations per contact, answers per invitation.

A feed that died looks like customers who fell silent, and a survey that is sent to fewer looks like customers nobody
asked. So the sources are counted by themselves, before any account is: `weekly` gives counts and what they are counted
against, and `Sources` keeps the usual rates of the year before training.

    contacts                    inbound contacts per account and week; also by segment, channel and kind
    service: repeats            contacts on an issue that had one within the 7 days before, per inbound contact
    service: escalations        per inbound contact
    invitations: csat           per inbound contact (asked about a contact), else per account and week
    answers: csat               answered within 14 days, per invitation that had its 14 days
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.clock import INSTANT
from models.history import History
from models.monitor.drift import Floats
from models.surveys import RESPONSE_DAYS
from models.voice import inbound, source_start

WEEK = timedelta(days=7)
#: Weeks looked back on, at most: two years.
WEEKS = 104
#: Weeks the usual rates are measured over.
USUAL_WEEKS = 52
#: Levels of a column that are followed: those with at least this share of all contacts.
LEAST_SHARE = 0.05
#: A feed may always be this quiet.
LEAST_GAP = timedelta(days=2)
_MICROSECOND = timedelta(microseconds=1)
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Series:
    """One source week by week, the latest week last: events and what they are counted against."""

    name: str
    counts: Floats
    exposure: Floats

    @property
    def rate(self) -> float:
        """Events per unit of exposure over all weeks; NaN without exposure."""
        total = self.exposure.sum()
        return float(self.counts.sum() / total) if total > 0 else float("nan")

    def last(self, weeks: int) -> "Series":
        """The latest weeks only."""
        return Series(self.name, self.counts[-weeks:], self.exposure[-weeks:])


@dataclass(frozen=True)
class Sources:
    """What is usual: `rates` by series name (events per unit of exposure), the days a contact becomes known after it
    happened (`lag_days`, 99 of 100), the longest time without any contact becoming known (`longest_gap_days`), the
    share of accounts that were invited to any survey in 180 days."""

    rates: Mapping[str, float]
    lag_days: float
    longest_gap_days: float
    invited_share: float | None

    def to_plain(self) -> dict[str, Any]:
        """Numbers and texts only."""
        return {**vars(self), "rates": dict(self.rates)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Sources":
        """The inverse of `to_plain`."""
        return cls(**plain)


def measure(history: History, as_of: datetime) -> Sources:
    """What is usual in the year before `as_of`, as was known then."""
    known = history.known_at(as_of)
    lag = lag_days(known)
    found = weekly(known, as_of - timedelta(days=lag), USUAL_WEEKS)
    return Sources(
        rates={name: series.rate for name, series in found.items() if series.exposure.sum() > 0},
        lag_days=lag,
        longest_gap_days=_longest_gap(known, as_of),
        invited_share=invited_share(known, as_of),
    )


def lag_days(known: History) -> float:
    """After how many days 99 of 100 contacts were known; 14 at most."""
    late = (pl.col("recorded_at") - pl.col("opened_at")).dt.total_microseconds() / (86_400 * 1e6)
    found = known.interactions.select(late.quantile(0.99, "higher")).item()
    return float(np.clip(found, 0.0, 14.0)) if found is not None else 0.0


def invited_share(known: History, as_of: datetime) -> float | None:
    """The share of present accounts that got any invitation in 180 days; None where nobody is ever invited."""
    if not known.surveys.height:
        return None
    there = _present(known).filter((pl.col("from") < as_of) & (pl.col("until") > as_of))
    recent = known.surveys.filter(pl.col("sent_at") >= as_of - timedelta(days=180))
    invited = there.join(recent, on="account_id", how="semi").height
    return invited / there.height if there.height else None


def last_told(known: History) -> datetime | None:
    """When the last contact became known."""
    found: datetime | None = known.interactions["recorded_at"].max()  # type: ignore[assignment]
    return found


def weekly(known: History, until: datetime, weeks: int = WEEKS) -> dict[str, Series]:
    """Series by name over the whole weeks before `until`, as far back as contacts have been watched."""
    first = source_start(known, "interactions", until)
    weeks = 0 if first is None else min(weeks, (until - first) // WEEK)
    if weeks < 1:
        return {}
    accounts = _present(known)
    contacts = known.interactions.filter(inbound()).join(accounts, on="account_id", how="inner")
    found = _contacts(contacts, accounts, until, weeks)
    return found | _surveys(known, found["contacts"], until, weeks)


def _contacts(contacts: pl.DataFrame, accounts: pl.DataFrame, until: datetime, weeks: int) -> dict[str, Series]:
    there = _account_weeks(accounts, until, weeks)
    found = {"contacts": Series("contacts", _per_week(contacts["opened_at"], until, weeks), there)}
    for segment, part in _levels(accounts, "segment"):
        mine = contacts.filter(pl.col("segment") == segment)["opened_at"]
        name = f"contacts: segment={segment}"
        found[name] = Series(name, _per_week(mine, until, weeks), _account_weeks(part, until, weeks))
    for name, part in (
        ("repeats", _repeats(contacts)),
        ("escalations", contacts.filter(pl.col("escalated_at").is_not_null())),
    ):
        happened = _per_week(part["opened_at"], until, weeks)
        found[f"service: {name}"] = Series(f"service: {name}", happened, found["contacts"].counts)
    for column in ("channel", "kind"):
        for level, part in _levels(contacts, column):
            name = f"contacts: {column}={level}"
            found[name] = Series(name, _per_week(part["opened_at"], until, weeks), there)
    return found


def _repeats(contacts: pl.DataFrame) -> pl.DataFrame:
    """Contacts on an issue that had another one within the 7 days before."""
    named = contacts.filter(pl.col("issue_id").is_not_null()).sort("issue_id", "opened_at", "interaction_id")
    since = pl.col("opened_at") - pl.col("opened_at").shift(1).over("issue_id")
    return named.filter((since <= WEEK).fill_null(value=False))


def _surveys(known: History, every: Series, until: datetime, weeks: int) -> dict[str, Series]:
    sent = known.surveys.filter(pl.col("sent_at").is_not_null())
    sent = sent.join(_present(known), on="account_id", how="semi")
    found = {}
    for instrument, part in sorted(sent.partition_by("instrument", as_dict=True).items()):
        name = str(instrument[0])
        about_contacts = 2 * part["interaction_id"].null_count() < part.height
        against = every.counts if about_contacts else every.exposure
        invited = f"invitations: {name}"
        found[invited] = Series(invited, _per_week(part["sent_at"], until, weeks), against)
        due = pl.col("sent_at") + timedelta(days=RESPONSE_DAYS)
        in_time = (pl.col("responded_at") <= due).fill_null(value=False)
        asked, answered = (
            _per_week(rows.select(due.alias("due"))["due"], until, weeks) for rows in (part, part.filter(in_time))
        )
        said = f"answers: {name}"
        found[said] = Series(said, answered, asked)
    return found


def _levels(rows: pl.DataFrame, column: str) -> Iterable[tuple[str, pl.DataFrame]]:
    """The levels that are common enough to be followed, with their rows."""
    for (level,), part in sorted(rows.filter(pl.col(column).is_not_null()).partition_by(column, as_dict=True).items()):
        if part.height >= LEAST_SHARE * rows.height:
            yield str(level), part


def _present(known: History) -> pl.DataFrame:
    """Accounts with a start, tests left out: account_id, segment, from, until."""
    end = pl.coalesce("ended_at", pl.lit(_NEVER, INSTANT))
    return known.accounts.filter(~pl.col("is_test") & pl.col("started_at").is_not_null()).select(
        "account_id", "segment", pl.col("started_at").alias("from"), end.alias("until")
    )


def _per_week(times: pl.Series, until: datetime, weeks: int) -> Floats:
    """Events per week, the latest week last."""
    ago = (pl.Series([until], dtype=INSTANT) - times.drop_nulls()).dt.total_microseconds().to_numpy()
    week = -(-ago // (WEEK // _MICROSECOND)) - 1
    inside = (ago > 0) & (week < weeks)
    counts = np.bincount(week[inside].astype(np.int64), minlength=weeks)
    return counts[::-1].astype(np.float64)


def _account_weeks(accounts: pl.DataFrame, until: datetime, weeks: int) -> Floats:
    """Accounts that were customers in the middle of each week."""
    middles = pl.Series([until - WEEK * (weeks - i) + WEEK / 2 for i in range(weeks)], dtype=INSTANT).to_physical()
    begun, over = (np.sort(accounts[name].to_physical().to_numpy()) for name in ("from", "until"))
    here = np.searchsorted(begun, middles, "right") - np.searchsorted(over, middles, "right")
    return np.asarray(here, dtype=np.float64)


def _longest_gap(known: History, as_of: datetime) -> float:
    """The longest time of the year before in which no contact became known, in days."""
    told = known.interactions["recorded_at"].drop_nulls()
    told = told.filter(told >= as_of - WEEK * USUAL_WEEKS).sort()
    longest: timedelta | None = told.diff().max()  # type: ignore[assignment]
    return longest / timedelta(days=1) if longest is not None else 0.0
