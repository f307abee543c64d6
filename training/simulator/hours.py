"""Time inside the simulator: seconds since the start of the log, weeks, hours people work.

Times are floats of seconds since ``start`` (negative before it); renewals are whole seconds, so
that an exit at a renewal compares equal to it. Weeks count from ``start``, whatever its weekday.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from training.simulator.columns import Bools, Floats, Ints

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0
WEEK = 7 * DAY
YEAR_WEEKS = 365.25 / 7

# Share of a working day's contacts by hour, UTC; a weekend day sees a tenth of them.
HOURS = (0, 0, 0, 0, 0, 1, 2, 4, 8, 11, 11, 10, 7, 9, 10, 9, 8, 6, 3, 2, 2, 1, 1, 0)
WEEKEND = 0.1


@dataclass(frozen=True)
class Calendar:
    """Business hours and season as seen from the start of the log."""

    start: datetime

    def hour_weights(self) -> Floats:
        """Probability of each of the 168 hours of a simulated week."""
        days = [WEEKEND if day >= 5 else 1.0 for day in range(7)]
        monday_first = np.outer(days, HOURS).ravel()
        weights = np.roll(monday_first, -(self.start.weekday() * 24 + self.start.hour))
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def seconds_of_week(self, rng: np.random.Generator, rows: int) -> Floats:
        """When in the week something happens: whole seconds, mostly in business hours."""
        edges = np.cumsum(self.hour_weights())
        hour = np.minimum(np.searchsorted(edges, rng.random(rows), side="right"), 167)
        return np.floor((hour + rng.random(rows)) * HOUR)

    def moments(self, rng: np.random.Generator, week: Ints) -> Floats:
        """A moment inside each given week."""
        return week * WEEK + self.seconds_of_week(rng, len(week))

    def weekend(self, seconds: Floats) -> Bools:
        """Does this moment fall on a Saturday or Sunday?"""
        since_monday = self.start.weekday() * DAY + self.start.hour * HOUR
        return np.asarray(np.mod(seconds + since_monday, WEEK) >= 5 * DAY)

    def season(self, week: int, amplitude: float) -> float:
        """Factor on contact rates: a yearly wave with its peak in early spring."""
        weeks_of_year = self.start.timetuple().tm_yday / 7 + week
        return 1.0 + amplitude * float(np.sin(2 * np.pi * weeks_of_year / YEAR_WEEKS))
