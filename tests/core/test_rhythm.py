"""A source is quiet against its own rhythm: weekends and single holidays are none of its silence."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rhythm import blind_spells, hour_of, observed_days, quiet

FRIDAY = datetime(2026, 5, 29, 17, 59, tzinfo=UTC)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


def office(per_hour: int = 8, weeks: int = 8, last: datetime = FRIDAY) -> list[tuple[int, int]]:
    """Ten hours on each working day."""
    first = hour_of(last - weeks * WEEK)
    moments = (datetime.fromtimestamp(hour * 3600, UTC) for hour in range(first, hour_of(last) + 1))
    return [(hour_of(at), per_hour) for at in moments if at.weekday() < 5 and 8 <= at.hour < 18]


@pytest.mark.parametrize(
    ("present", "due"),
    [
        (datetime(2026, 6, 1, 8, tzinfo=UTC), None),
        (datetime(2026, 6, 1, 18, tzinfo=UTC), None),
        (datetime(2026, 6, 2, 12, 45, tzinfo=UTC), None),
        (datetime(2026, 6, 2, 13, tzinfo=UTC), 120),
        (datetime(2026, 6, 2, 18, tzinfo=UTC), 160),
    ],
)
def test_the_example(present, due):
    found = quiet(office(), FRIDAY, present)
    assert (found is None) == (due is None)
    if found is not None:
        assert found.since == FRIDAY
        assert found.due == pytest.approx(due, abs=0.2)


def test_a_small_source_needs_longer():
    # ten a day: three days of it
    assert quiet(office(per_hour=1), FRIDAY, datetime(2026, 6, 3, 17, tzinfo=UTC)) is None
    assert quiet(office(per_hour=1), FRIDAY, datetime(2026, 6, 3, 18, tzinfo=UTC)) is not None


def test_a_source_that_pauses_at_times_is_given_that_time():
    holidays = [(hour, n) for hour, n in office() if not hour_of(FRIDAY) - 800 < hour < hour_of(FRIDAY) - 632]
    assert quiet(holidays, FRIDAY, FRIDAY + 10 * DAY) is None
    assert quiet(holidays, FRIDAY, FRIDAY + 17 * DAY) is not None


@pytest.mark.parametrize("weeks", [0, 1])
def test_a_young_source_has_no_rhythm(weeks):
    assert quiet(office(weeks=weeks), FRIDAY, FRIDAY + 60 * DAY) is None


def test_no_history_is_not_quiet():
    assert quiet([], FRIDAY, FRIDAY + WEEK) is None
    assert blind_spells(pl.Series([], dtype=pl.Datetime("us", "UTC")), FRIDAY) == []


def arrivals(seed: int, per_day: float, days: int) -> list[datetime]:
    """Poisson, weekends at a fifth."""
    chance, start = np.random.default_rng(seed), FRIDAY - days * DAY
    found = []
    for day in range(days):
        at = start + day * DAY
        count = chance.poisson(per_day * (0.2 if at.weekday() >= 5 else 1.0))
        found += [at + timedelta(seconds=float(s)) for s in chance.uniform(0, 86_400, count)]
    return sorted(found)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), per_day=st.sampled_from([1.0, 5.0, 40.0, 300.0]))
def test_a_source_that_goes_on_is_never_quiet(seed, per_day):
    moments = pl.Series(arrivals(seed, per_day, 140), dtype=pl.Datetime("us", "UTC"))
    assert blind_spells(moments, FRIDAY) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), per_day=st.sampled_from([5.0, 40.0, 300.0]))
def test_a_source_that_was_down_is_found_and_nothing_else(seed, per_day):
    down, up = FRIDAY - 60 * DAY, FRIDAY - 35 * DAY
    moments = [at for at in arrivals(seed, per_day, 140) if not down <= at < up]
    [(since, again)] = blind_spells(pl.Series(moments, dtype=pl.Datetime("us", "UTC")).shuffle(1), FRIDAY)
    assert (since, again) == (max(at for at in moments if at < down), min(at for at in moments if at >= up))


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), hours=st.integers(1, 2000))
def test_once_quiet_it_stays_quiet_until_something_comes(seed, hours):
    moments = arrivals(seed, 20.0, 70)
    counted = sorted(Counter(map(hour_of, moments)).items())
    now, later = (quiet(counted, moments[-1], moments[-1] + n * HOUR) for n in (hours, hours + 24))
    assert now is None or (later is not None and later.due >= now.due)


def test_days_that_were_watched():
    start, end = FRIDAY - 90 * DAY, FRIDAY
    blind = [(FRIDAY - 100 * DAY, FRIDAY - 85 * DAY), (FRIDAY - 10 * DAY, FRIDAY - 4 * DAY)]
    assert observed_days(start - DAY, start, end, blind) == 90 - 5 - 6
    assert observed_days(FRIDAY - 7 * DAY, start, end, blind) == 7 - 3
    assert observed_days(None, start, end, []) == 0
    assert observed_days(FRIDAY + DAY, start, end, []) == 0


def test_nothing_is_quiet_as_of_before_its_last_word():
    last = datetime(2026, 6, 1, 12, tzinfo=UTC)
    hours = [(hour_of(last) - ago, 10) for ago in range(24 * 28)]
    assert quiet(hours, last, last + timedelta(days=2)) is not None
    assert quiet(hours, last, last - timedelta(days=1)) is None
