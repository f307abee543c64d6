"""A source's own rhythm, and whether it has fallen silent against it.

A dead feed looks exactly like silent customers, so it must be told by itself. What is due in an hour is what came in
that hour of the week over the eight weeks before: a feed that rests at weekends owes nothing on a Sunday.

    80 contacts on each working day, the last one on Friday 18:00
    Monday 08:00    62 hours, nothing was due                            alive
    Monday 18:00    a whole day of 80 was due: it may be a holiday       alive
    Tuesday 13:00   120 were due, one and a half of its busiest days     quiet since Friday 18:00
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

HOUR = timedelta(hours=1)
#: Weeks the rhythm is taken from, and how many it takes at least.
WEEKS, LEAST_WEEKS = 8, 2
#: It is quiet once so many were due, and so many of its busiest usual days, and so many times what was due in the
#: longest pause of those weeks.
LEAST_DUE, BUSIEST_DAYS, PAUSES = 30.0, 1.5, 2.0
_WEEK = 168
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Counts = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quiet:
    """A source that has told nothing since `since` although `due` things were, by its own rhythm."""

    since: datetime
    due: float


def hour_of(moment: datetime) -> int:
    """The hour a moment lies in, counted from 1970."""
    return (moment - _EPOCH) // HOUR


def from_hour(hour: int) -> datetime:
    """When an hour begins."""
    return _EPOCH + hour * HOUR


def quiet(hours: Sequence[tuple[int, int]], last: datetime, present: datetime) -> Quiet | None:
    """Whether a source is quiet at a moment.

    `hours`: how many things came in which hour (`hour_of`), of at least `WEEKS` weeks up to `last`, the latest of them.
    None: it is alive, or too young to have a rhythm.
    """
    if present <= last:  # asked as of an earlier moment, or told by a clock that goes ahead
        return None
    counts = _counts(hours, hour_of(last))
    weeks = len(counts) // _WEEK
    if weeks < LEAST_WEEKS:
        return None
    end = hour_of(last)
    phase = np.arange(end - len(counts) + 1, end + 1) % _WEEK
    rate = np.bincount(phase, counts, _WEEK) / weeks
    due = _due(rate, last, present)
    clock = np.cumsum(rate[phase])[counts > 0]
    pause = float(np.diff(clock).max(initial=0.0))
    busiest = float(rate.reshape(7, 24).sum(axis=1).max())
    limit = max(LEAST_DUE, BUSIEST_DAYS * busiest, PAUSES * pause)
    return Quiet(last, due) if due >= limit else None


def _counts(hours: Sequence[tuple[int, int]], end: int) -> Counts:
    """Things per hour over the whole weeks up to and with the hour `end`."""
    known = [(hour, number) for hour, number in hours if end - WEEKS * _WEEK < hour <= end]
    if not known:
        return np.zeros(0)
    first = min(hour for hour, _ in known)
    counts = np.zeros((end - first + 1) // _WEEK * _WEEK)
    for hour, number in known:
        if (place := hour - end - 1 + len(counts)) >= 0:
            counts[place] += number
    return counts


def _due(rate: Counts, since: datetime, until: datetime) -> float:
    """How many were due between two moments."""
    first, last = hour_of(since), hour_of(until)
    spans: Counts = np.ones(last - first + 1)
    spans[0] -= (since - _EPOCH) % HOUR / HOUR
    spans[-1] -= 1 - (until - _EPOCH) % HOUR / HOUR
    return float(rate[np.arange(first, last + 1) % _WEEK] @ spans)


#: Of an hour in which things came: which, how many, when the first and the last.
Hour = tuple[int, int, datetime, datetime]


def blind_spells(moments: pl.Series, until: datetime) -> list[tuple[datetime, datetime]]:
    """From when to when a source told nothing although it should have, by the rhythm before each pause.

    `moments`: when things happened, in any order. The last spell ends at `until` if it goes on.
    """
    at, hour = pl.col("at"), (pl.col("at").dt.timestamp("us") // (HOUR // timedelta(microseconds=1))).alias("hour")
    known = pl.DataFrame({"at": moments.drop_nulls()}).filter(at < until)
    found = known.group_by(hour).agg(pl.len(), at.min().alias("first"), at.max().alias("last")).sort("hour")
    return spells_between(found.rows(), until)


def spells_between(hours: Sequence[Hour], until: datetime) -> list[tuple[datetime, datetime]]:
    """The same from counts per hour, in order of time."""
    numbers = [(hour, number) for hour, number, _, _ in hours]
    ends = [*(first for _, _, first, _ in hours[1:]), until] if hours else []
    spells = []
    for i, ((_, _, _, since), again) in enumerate(zip(hours, ends, strict=True)):
        # Less than a day is never quiet: half of the busiest day would still be to come.
        if again - since > timedelta(days=1) and quiet(numbers[: i + 1], since, again) is not None:
            spells.append((since, again))
    return spells


#: Within so many days of its return a source tells what it owes, or does not.
_CATCH_UP = timedelta(days=3)


def caught_up(hours: Sequence[tuple[int, int]], since: datetime, back: datetime, until: datetime) -> bool:
    """Whether a source that told nothing between `since` and `back` told afterwards what it owed: within three days
    half of it beyond the usual. `hours` are of when it told, as for `quiet`."""
    counts = _counts(hours, hour_of(since))
    weeks = len(counts) // _WEEK
    if weeks < LEAST_WEEKS:
        return False
    end = min(back + _CATCH_UP, until)
    phase = np.arange(hour_of(since) - len(counts) + 1, hour_of(since) + 1) % _WEEK
    rate = np.bincount(phase, counts, _WEEK) / weeks
    told = sum(number for hour, number in hours if hour_of(back) <= hour <= hour_of(end))
    return told >= _due(rate, back, max(end, back)) + _due(rate, since, back) / 2


def observed_days(
    since: datetime | None, start: datetime, end: datetime, blind: Sequence[tuple[datetime, datetime]]
) -> float:
    """On how many days between two moments a source was watched: from `since` on (None: never), but for the spells in
    which it was blind."""
    if since is None:
        return 0.0
    begun = max(since, start)
    lost = sum((max(timedelta(0), min(to, end) - max(at, begun)) for at, to in blind), timedelta(0))
    return max(timedelta(0), end - begun - lost) / timedelta(days=1)
