"""Business hours: how many business minutes lie between two instants, and when so many are over.

Worked examples, Monday to Friday 09:00 to 17:00 in Europe/Berlin, 1 May 2026 (a Friday) a holiday:
    opened               answered             business minutes
    Fri  6 Mar 16:30     Mon  9 Mar 09:15     30 + 15 = 45              a weekend (3,885 minutes of any kind)
    Thu 30 Apr 16:00     Mon  4 May 10:00     60 + 60 = 120             a holiday and a weekend
    Fri 27 Mar 16:00     Mon 30 Mar 09:30     60 + 30 = 90              clocks go forward in between
Round the clock, from noon on 28 March to noon on 29 March 2026 (clocks go forward), it is 23 * 60 = 1,380.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

Instants = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DAY = 24 * 60
WEEK = 7 * DAY
MINUTE = 60_000_000
#: A target of more than ten years is none.
LONGEST = 3650.0 * DAY


@dataclass(frozen=True)
class Schedule:
    """Open periods of a week, as minutes (from, to) since Sunday's midnight of local time; days without any."""

    zone: str
    week: tuple[tuple[int, int], ...]
    holidays: frozenset[date] = frozenset()

    @property
    def by_day(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Open periods of Sunday to Saturday, as minutes since the day's midnight; overlapping ones joined."""
        days: list[list[tuple[int, int]]] = [[] for _ in range(7)]
        for start, end in sorted(self.week):
            for day in range(start // DAY, (end - 1) // DAY + 1):
                opens, closes = max(start - day * DAY, 0), min(end - day * DAY, DAY)
                mine = days[day % 7]
                if mine and opens <= mine[-1][1]:
                    opens, closes = mine[-1][0], max(mine.pop()[1], closes)
                mine.append((opens, closes))
        return tuple(map(tuple, days))

    @property
    def minutes_a_week(self) -> int:
        """Business minutes of a week without holidays."""
        return sum(closes - opens for day in self.by_day for opens, closes in day)


class Clock:
    """A schedule over a span of time. Instants are microseconds since 1970 UTC; all arrays have one length."""

    def __init__(self, schedule: Schedule, first: datetime, last: datetime) -> None:
        periods = _periods(schedule, first, last)
        self._opens, self._closes = (np.array([p[i] for p in periods], dtype=np.int64) for i in (0, 1))
        self._worked = np.concatenate([[0], np.cumsum(self._closes - self._opens)])

    @classmethod
    def covering(cls, schedule: Schedule, starts: Instants, ends: Instants, minutes: Floats) -> "Clock":
        """For questions about these instants, and about so many business minutes after a start."""
        first, last = (datetime.fromtimestamp(t / 1e6, UTC) for t in (starts.min(), max(starts.max(), ends.max())))
        weeks = minutes.max(initial=0.0) / schedule.minutes_a_week + 2
        ahead = timedelta(days=7 * (weeks + sum(day >= first.date() for day in schedule.holidays)))
        return cls(schedule, first, last + ahead)

    def worked(self, at: Instants) -> Instants:
        """Microseconds of business before each instant, from the beginning of the span."""
        begun = np.searchsorted(self._opens, at, side="right")
        left = np.maximum(self._closes[np.maximum(begun - 1, 0)] - at, 0) * (begun > 0)
        worked: Instants = self._worked[begun] - left
        return worked

    def between(self, starts: Instants, ends: Instants) -> Floats:
        """Business minutes from each start to its end."""
        minutes: Floats = (self.worked(ends) - self.worked(starts)) / MINUTE
        return minutes

    def over(self, starts: Instants, minutes: Floats) -> Floats:
        """Minutes of any kind from each start until so many business minutes are over: the first such instant."""
        due = self.worked(starts) + np.round(minutes * MINUTE).astype(np.int64)
        begun = np.clip(np.searchsorted(self._worked, due, side="left"), 1, len(self._opens))
        at = self._opens[begun - 1] + due - self._worked[begun - 1]
        minutes_over: Floats = np.maximum(at - starts, 0) / MINUTE
        return minutes_over


def _periods(schedule: Schedule, first: datetime, last: datetime) -> list[tuple[int, int]]:
    zone, days = ZoneInfo(schedule.zone), schedule.by_day
    found: list[tuple[int, int]] = []
    day, end = first.astimezone(zone).date() - timedelta(days=1), last.astimezone(zone).date() + timedelta(days=1)
    while day <= end:
        if day not in schedule.holidays:
            found += [(_instant(day, o, zone), _instant(day, c, zone)) for o, c in days[day.isoweekday() % 7]]
        day += timedelta(days=1)
    return found


def _instant(day: date, minute: int, zone: ZoneInfo) -> int:
    """A local time of a day (24:00 is the next midnight), as microseconds since 1970."""
    midnight = datetime.combine(day + timedelta(days=minute // DAY), time())
    local = (midnight + timedelta(minutes=minute % DAY)).replace(tzinfo=zone)
    return round(local.timestamp() * 1e6)
