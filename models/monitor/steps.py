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
    expected = exposure * counts.sum() / exposure.sum()
    weight = np.sqrt(expected)
    rate = np.log((counts + 0.5) / np.maximum(exposure, 0.5)) * weight
    starts = range(max(weeks - RECENT_WEEKS, 8), weeks)
    tried = [(start, lasts) for start in starts for lasts in (True, False)]
    shapes = np.column_stack([_shape(weeks, start, lasts=lasts) for start, lasts in tried]) * weight[:, None]
    base = _base(weeks) * weight[:, None]
    freedom = weeks - base.shape[1] - 1
    sizes, values = _fits(base, shapes, rate, freedom)
    best = int(np.argmax(np.abs(values)))
    chance = min(1.0, 2 * len(tried) * float(stdtr(freedom, -abs(values[best]))))
    start, lasts = tried[best]
    # One odd week that is the latest may be the first of many: it is called a step.
    return Change(weeks - start, float(np.exp(sizes[best])), float(values[best]), chance, lasts or start == weeks - 1)


def _base(weeks: int) -> Floats:
    time = np.arange(weeks) - weeks + 1.0
    if weeks < WAVE_WEEKS:
        return np.column_stack([np.ones(weeks), time / weeks])
    angle = 2 * np.pi * time / YEAR_WEEKS
    return np.column_stack([np.ones(weeks), time / weeks, np.sin(angle), np.cos(angle)])


def _shape(weeks: int, start: int, *, lasts: bool) -> Floats:
    shape = np.zeros(weeks)
    shape[start : None if lasts else start + 1] = 1.0
    return shape


def _fits(base: Floats, shapes: Floats, rate: Floats, freedom: int) -> tuple[Floats, Floats]:
    """Least squares of the rate on the base and one shape, for each shape: its size and its t value.

    What the base explains is taken out of both first; then each shape stands alone (Frisch and Waugh).
    """
    basis, _ = np.linalg.qr(base)
    left, free = rate - basis @ (basis.T @ rate), shapes - basis @ (basis.T @ shapes)
    lengths = np.maximum((free**2).sum(axis=0), 1e-9)
    sizes = free.T @ left / lengths
    variances = (float(left @ left) - sizes**2 * lengths) / freedom
    # Events vary at least as Poisson's do, however well the weeks happen to agree.
    return sizes, sizes / np.sqrt(np.maximum(variances, 1.0) / lengths)
