"""Business hours: worked out by hand over weekends, holidays and changed clocks; and what holds for every schedule."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.imports.hours import DAY, WEEK, Clock, Schedule
from models.imports.mapping import load
from models.imports.run import read_folder
from tests.imports.test_vendors import ZENDESK, lay_out, rows

OFFICE = tuple((day * DAY + 9 * 60, day * DAY + 17 * 60) for day in range(1, 6))
BERLIN = Schedule("Europe/Berlin", OFFICE, frozenset({date(2026, 5, 1)}))
ALWAYS = Schedule("Europe/Berlin", ((0, WEEK),))


def micros(*local: str, zone: str = "Europe/Berlin") -> np.ndarray:
    moments = [datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) for text in local]
    return np.array([round(moment.timestamp() * 1e6) for moment in moments], dtype=np.int64)


def between(schedule: Schedule, start: str, end: str) -> float:
    a, b = micros(start), micros(end)
    return float(Clock.covering(schedule, a, b, np.zeros(1)).between(a, b)[0])


def due(schedule: Schedule, start: str, minutes: float) -> datetime:
    a, wanted = micros(start), np.array([minutes])
    over = Clock.covering(schedule, a, a, wanted).over(a, wanted)[0]
    return (datetime.fromtimestamp(a[0] / 1e6, UTC) + timedelta(minutes=over)).astimezone(ZoneInfo(schedule.zone))


@pytest.mark.parametrize(
    ("schedule", "start", "end", "minutes"),
    [
        pytest.param(BERLIN, "2026-03-06 16:30", "2026-03-09 09:15", 30 + 15, id="weekend"),
        pytest.param(BERLIN, "2026-04-30 16:00", "2026-05-04 10:00", 60 + 60, id="holiday-and-weekend"),
        pytest.param(BERLIN, "2026-03-27 16:00", "2026-03-30 09:30", 60 + 30, id="clocks-forward"),
        pytest.param(BERLIN, "2025-10-24 16:00", "2025-10-27 09:30", 60 + 30, id="clocks-back"),
        pytest.param(ALWAYS, "2026-03-28 12:00", "2026-03-29 12:00", 23 * 60, id="round-the-clock-forward"),
        pytest.param(ALWAYS, "2025-10-25 12:00", "2025-10-26 12:00", 25 * 60, id="round-the-clock-back"),
        pytest.param(BERLIN, "2026-03-07 10:00", "2026-03-08 20:00", 0, id="never-open"),
        pytest.param(BERLIN, "2026-03-09 10:00", "2026-03-09 10:00", 0, id="no-time"),
    ],
)
def test_minutes_by_hand(schedule: Schedule, start: str, end: str, minutes: float) -> None:
    assert between(schedule, start, end) == minutes


def test_when_they_are_over_by_hand() -> None:
    assert due(BERLIN, "2026-03-06 16:30", 60).isoformat() == "2026-03-09T09:30:00+01:00"
    assert due(BERLIN, "2026-04-30 16:30", 60).isoformat() == "2026-05-04T09:30:00+02:00"
    assert due(BERLIN, "2026-03-27 16:30", 60).isoformat() == "2026-03-30T09:30:00+02:00"
    # the last business minute of Friday is over on Friday, not on Monday morning
    assert due(BERLIN, "2026-03-06 16:30", 30).isoformat() == "2026-03-06T17:00:00+01:00"


def test_open_periods_that_overlap_count_once() -> None:
    twice = Schedule("UTC", ((DAY, DAY + 120), (DAY + 60, DAY + 180)))
    assert twice.minutes_a_week == 180
    assert between(Schedule("Europe/Berlin", twice.week), "2026-03-09 00:00", "2026-03-10 00:00") == 180


PERIODS = st.lists(
    st.tuples(st.integers(0, WEEK - 1), st.integers(1, 900)).map(lambda p: (p[0], min(p[0] + p[1], WEEK))),
    min_size=1,
    max_size=6,
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe"])
MOMENTS = st.integers(1_700_000_000, 1_800_000_000).map(lambda s: s * 1_000_000)


@settings(max_examples=60, deadline=None)
@given(PERIODS, ZONES, MOMENTS, st.integers(0, 20_000), st.integers(0, 40 * DAY))
def test_a_target_is_met_in_any_minutes_exactly_when_it_is_met_in_business_minutes(
    week: list[tuple[int, int]], zone: str, start: int, target: int, later: int
) -> None:
    schedule = Schedule(zone, tuple(week))
    a, b, wanted = np.array([start]), np.array([start + later * 60_000_000]), np.array([float(target)])
    clock = Clock.covering(schedule, a, b, wanted)
    over, took = float(clock.over(a, wanted)[0]), float(clock.between(a, b)[0])
    assert over >= target
    assert clock.between(a, a + np.round(np.array([over]) * 6e7).astype(np.int64))[0] == pytest.approx(target)
    if took != target:  # between two open periods a target is used up and not yet passed
        assert (later <= over) == (took < target)


SLA = {
    "ticket_sla_policy_data": """
        ticket_id,sla_policy_id,policy_applied_at
        75,1,2025-05-02 14:30:00
        71,1,2025-05-21 09:00:00
        72,2,2025-05-23 09:00:00""",
    # the later version of policy 1 is not what ticket 75 was promised
    "sla_policy_metric_history_data": """
        sla_policy_id,index,sla_policy_updated_at,business_hours,metric,priority,target
        1,0,2025-01-01 00:00:00,TRUE,first_reply_time,normal,60
        1,0,2025-01-01 00:00:00,TRUE,total_resolution_time,normal,960
        1,0,2025-05-10 00:00:00,TRUE,first_reply_time,normal,30
        2,0,2025-01-01 00:00:00,FALSE,first_reply_time,urgent,45""",
    "schedule_data": """
        id,start_time,end_time,time_zone,created_at,_fivetran_deleted
        9,1980,2460,Berlin,2024-01-01 00:00:00,FALSE
        9,3420,3900,Berlin,2024-01-01 00:00:00,FALSE
        9,4860,5340,Berlin,2024-01-01 00:00:00,FALSE
        9,6300,6780,Berlin,2024-01-01 00:00:00,FALSE
        9,7740,8220,Berlin,2024-01-01 00:00:00,FALSE
        8,0,60,Berlin,2025-01-01 00:00:00,FALSE
        7,60,0,Berlin,2025-01-01 00:00:00,FALSE
        6,0,60,Middle of nowhere,2025-01-01 00:00:00,FALSE""",
    "schedule_holiday_data": """
        id,schedule_id,start_date,end_date,_fivetran_deleted
        1,9,2025-05-05,2025-05-05,FALSE
        2,9,2025-05-09,2025-05-01,FALSE""",
}


#: Opened on Friday 2 May 2025 at 14:30Z (16:30 in Berlin), answered on Tuesday at 07:15Z; Monday is a holiday there.
FRIDAY = {
    "ticket_data": "75,2025-05-02 14:30:00,900,5,solved,problem,11,2025-05-07 15:00:00,email,",
    "ticket_comment_data": """7,2025-05-02 14:30:00,TRUE,75,5
        6,2025-05-06 07:15:00,TRUE,75,1""",
    "ticket_field_history_data": """priority,75,2025-05-02 14:30:00,5,normal
        status,75,2025-05-07 15:00:00,1,solved
        priority,75,2025-05-06 09:00:00,1,urgent""",
}
EXPORT = ZENDESK | SLA | {name: f"{ZENDESK[name]}\n{lines}" for name, lines in FRIDAY.items()}


def test_zendesk_promises_in_business_hours(tmp_path: Path) -> None:
    frames, summary = read_folder(lay_out(tmp_path, EXPORT), "zendesk")
    tickets = rows(frames["interactions"])
    # 30 of 60 minutes on Friday, 30 on Tuesday from 09:00 (07:00Z): due on 6 May at 07:30Z, 89 hours later
    assert tickets["75"]["sla_first_response_minutes"] == 89 * 60
    # 960: 30 on Friday, 480 on Tuesday, 450 on Wednesday 7 May until 16:30 (14:30Z): five days later
    assert tickets["75"]["sla_resolution_minutes"] == 5 * DAY
    # nobody set a priority for 71; minutes of any kind stay as they are
    assert tickets["71"]["sla_first_response_minutes"] is None
    assert tickets["72"]["sla_first_response_minutes"] == 45
    found = summary.tables["interactions"]
    assert [(p["file"], p["line"]) for p in found.problems.to_dicts()] == [
        ("schedule_data.csv", 8),
        ("schedule_data.csv", 9),
        ("schedule_holiday_data.csv", 3),
    ]
    # ticket 70 took 120 of any kind, all of them in business hours: Thursday 1 May from 11:00 to 13:00 in Berlin
    took = summary.to_plain()["tables"]["interactions"]["business_hours"]["first_response"]
    assert took == {"rows": 2, "median_business_minutes": (120 + 45) / 2, "median_minutes": (120 + 88.75 * 60) / 2}
    said = "  first response, median of 2: 82.5 business minutes (2,722.5 of any kind)"
    assert said in summary.lines()


def test_without_a_schedule_a_promise_in_business_hours_is_unknown_and_counted(tmp_path: Path) -> None:
    files = {name: text for name, text in EXPORT.items() if not name.startswith("schedule")}
    frames, summary = read_folder(lay_out(tmp_path, files), "zendesk")
    assert rows(frames["interactions"])["75"]["sla_first_response_minutes"] is None
    assert summary.tables["interactions"].unscheduled == 2
    assert "  targets in business hours without a schedule, left unknown: 2" in summary.lines()


def test_every_zone_zendesk_names_is_one() -> None:
    hours = load("zendesk").tables["interactions"].hours
    assert hours is not None
    for zone in hours.zone[0].values.values():
        assert datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
