"""Whether a rate changed abruptly: a step or a single odd week, beside the usual yearly wave.

The logarithm of a weekly rate is fitted by a level, a yearly wave (a slope where there is less than a year and a half)
and one change: a step from some week on, or one week by itself. The change that explains most is judged by its t value,
which knows how much the weeks vary anyway; since many weeks are tried, only a large one counts.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from models.monitor.coverage import Series
from models.monitor.drift import Floats

#: A step may lie this many weeks back at most.
RECENT_WEEKS = 26
#: Weeks needed, and events per week.
LEAST_WEEKS, LEAST_EVENTS = 26, 8.0
#: From here on a wave can be told from a slope.
WAVE_WEEKS = 78
YEAR_WEEKS = 365.25 / 7


@dataclass(frozen=True)
class Change:
    """A change of a rate: `weeks_ago` it began, the `factor` the rate was multiplied with, `t` (its size in standard
    errors), `chance` (of one as large where nothing changed, all tries counted), whether it `lasts`."""

    weeks_ago: int
    factor: float
    t: float
    chance: float
    lasts: bool


def change(series: Series) -> Change | None:
    """The change that explains most of the latest half year; None for a series too short or too thin."""
    first = int(np.argmax(series.exposure > 0)) if (series.exposure > 0).any() else len(series.counts)
    counts, exposure = series.counts[first:], series.exposure[first:]
    weeks = len(counts)
    if weeks < LEAST_WEEKS or counts.sum() < LEAST_EVENTS * weeks:
        return None
    exposure = np.maximum(exposure, 0.5)
    rate = np.log((counts + 0.5) / exposure)
    expected = exposure * counts.sum() / exposure.sum()
    weight = np.sqrt(expected)
    base = _base(weeks)
    tried = [(start, lasts) for start in range(max(weeks - RECENT_WEEKS, 8), weeks) for lasts in (True, False)]
    found = [_fit(base, _change(weeks, start, lasts=lasts), rate, weight) for start, lasts in tried]
    best = int(np.argmax([abs(t) for _, t in found]))
    (start, lasts), (size, t) = tried[best], found[best]
    freedom = weeks - base.shape[1] - 1
    chance = min(1.0, 2 * len(tried) * float(stdtr(freedom, -abs(t))))
    # One odd week that is the latest may be the first of many: it is called a step.
    return Change(weeks - start, float(np.exp(size)), float(t), chance, lasts or start == weeks - 1)


def _base(weeks: int) -> Floats:
    time = np.arange(weeks) - weeks + 1.0
    if weeks < WAVE_WEEKS:
        return np.column_stack([np.ones(weeks), time / weeks])
    angle = 2 * np.pi * time / YEAR_WEEKS
    return np.column_stack([np.ones(weeks), time / weeks, np.sin(angle), np.cos(angle)])


def _change(weeks: int, start: int, *, lasts: bool) -> Floats:
    shape = np.zeros(weeks)
    shape[start : None if lasts else start + 1] = 1.0
    return shape


def _fit(base: Floats, shape: Floats, rate: Floats, weight: Floats) -> tuple[float, float]:
    """Weighted least squares: the size of the change and its t value."""
    columns = np.column_stack([base, shape]) * weight[:, None]
    solved, _, rank, _ = np.linalg.lstsq(columns, rate * weight, rcond=None)
    if rank < columns.shape[1]:
        return 0.0, 0.0
    left = rate * weight - columns @ solved
    # Events vary at least as Poisson's do, however well the weeks happen to agree.
    variance = max(float(left @ left) / (len(rate) - columns.shape[1]), 1.0)
    error = np.sqrt(variance * np.linalg.inv(columns.T @ columns)[-1, -1])
    return float(solved[-1]), float(solved[-1] / error)
