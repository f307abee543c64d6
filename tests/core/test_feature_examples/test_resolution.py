"""Resolution: promises kept, speed, what lies open, escalations and complaints."""

from dataclasses import replace
from math import e, exp, log, sqrt

import pytest

from models.features import DEFAULT
from tests.core.test_feature_examples.ann import about, ago, contact, features, solved

UNTRACKED = replace(DEFAULT, tracks_answers=False, tracks_resolutions=False)


def test_first_response_vs_target_90d():
    contacts = [
        contact(20, answered=60, sla_first_response_minutes=120.0),  # half the target
        contact(8 / 24),  # 8 hours waiting where 2 are usual: four times
        solved(5),  # closed without a response on record: it does not wait
    ]
    # (ln .5 + ln 4) / 2 = ln 2 / 2
    row = features(contacts=contacts)
    assert row["first_response_vs_target_90d"] == about(log(2) / 2)
    assert row["answer_ratio"] == about(sqrt(2))
    assert features()["first_response_vs_target_90d"] is None
    assert features(contacts=contacts, usual=UNTRACKED)["first_response_vs_target_90d"] is None


def test_targets_missed_share_90d():
    targets = {"sla_first_response_minutes": 120.0, "sla_resolution_minutes": 1440.0}
    contacts = [
        contact(20, answered=60, minutes=1440, **targets),  # both kept
        contact(8 / 24, answered=300, **targets),  # answered late; a day is not over yet
        contact(30, answered=60, minutes=60),  # nothing was promised
    ]
    # 1 of 3 due targets; usual is .15: (1 + 1.5) / (3 + 10)
    row = features(contacts=contacts)
    assert (row["targets_missed_90d"], row["targets_90d"]) == (1, 3)
    assert row["targets_missed_share_90d"] == about(2.5 / 13)


def test_targets_missed_share_90d_an_open_contact_misses_when_its_time_is_over():
    late = contact(3, sla_first_response_minutes=120.0, sla_resolution_minutes=1440.0)
    assert features(contacts=[late])["targets_missed_share_90d"] == about(3.5 / 12)
    assert features(contacts=[late], usual=UNTRACKED)["targets_missed_share_90d"] == about(0.15)


def test_resolution_p90_vs_target_180d():
    contacts = [
        contact(days, minutes=minutes, sla_resolution_minutes=100.0)
        for days, minutes in ((10, 100), (20, 200), (30, 1000))
    ]
    # ratios 1, 2, 10; the 90th percentile lies at place .9 x 2 = 1.8: ln 2 + .8 (ln 10 - ln 2)
    expected = log(2) + 0.8 * log(5)
    row = features(contacts=contacts)
    assert row["resolution_p90_vs_target_180d"] == about(expected)
    assert row["closing_ratio"] == pytest.approx(exp(expected), rel=1e-5)
    # An open contact counts with the time elapsed: 2 days where 1300 minutes are usual
    assert features(contacts=[contact(2)])["resolution_p90_vs_target_180d"] == about(log(2880 / 1300))
    assert features(contacts=contacts, usual=UNTRACKED)["resolution_p90_vs_target_180d"] is None


def test_open_backlog_days():
    reopened = contact(40, minutes=1440, reopened_at=ago(20), updated_at=ago(20))
    assert features(contacts=[contact(12.5), contact(3), solved(60)])["open_backlog_days"] == 12.5
    assert features(contacts=[reopened])["open_backlog_days"] == 40
    assert features(contacts=[contact(9, outcome="unresolved")])["open_backlog_days"] == 0
    assert features()["open_backlog_days"] == 0
    assert features(contacts=[contact(3)], usual=UNTRACKED)["open_backlog_days"] is None


def test_reopen_rate_180d():
    contacts = [
        solved(100, reopened_at=ago(95), updated_at=ago(95)),  # 5 days later, and still open
        solved(70, reopened_at=ago(50), updated_at=ago(50)),  # 20 days later: too late to count
        solved(50),
        solved(10),  # solved too recently to say
        solved(190),
    ]
    # 1 of 3; usual is .031: (1 + .31) / (3 + 10)
    row = features(contacts=contacts)
    assert (row["reopened_180d"], row["resolved_180d"]) == (1, 3)
    assert row["reopen_rate_180d"] == about(1.31 / 13)


def test_reopen_rate_180d_counts_a_contact_solved_again():
    again = contact(60, minutes=9 * 1440, reopened_at=ago(57), reopens=1)
    assert features(contacts=[again])["reopen_rate_180d"] == about(1.31 / 11)


def test_resolution_variability_365d():
    contacts = [contact(days, minutes=10) for days in (20, 60, 100, 140)]
    slow = contact(200, minutes=10 * e**5)
    # ln minutes l, l, l, l, l + 5: mean l + 1, squares 4 x 1 + 16 = 20, variance 20 / 4
    row = features(contacts=[*contacts, slow])
    assert row["resolution_variability_365d"] == pytest.approx(sqrt(5), rel=1e-4)
    assert row["variability"] == pytest.approx(exp(sqrt(5)), rel=1e-4)
    # Four are too few to tell: what is usual.
    few = features(contacts=contacts)
    assert (few["resolution_variability_365d"], few["variability"]) == (1.85, None)


def test_escalations_90d():
    contacts = [contact(100, escalated_at=ago(days)) for days in (10, 90, 95)]
    assert features(contacts=contacts)["escalations_90d"] == 2


def test_escalation_recency():
    contacts = [contact(200, escalated_at=ago(60)), contact(200, escalated_at=ago(120)), contact(200)]
    assert features(contacts=contacts)["escalation_recency"] == about(exp(-1) + exp(-2))


def test_complaint_recency():
    contacts = [solved(30, kind="complaint"), solved(400, kind="complaint"), solved(5, kind="problem")]
    assert features(contacts=contacts)["complaint_recency"] == about(exp(-0.5))


def test_complaints_unresolved_365d():
    contacts = [
        solved(30, kind="complaint"),
        contact(60, kind="complaint", outcome="auto_closed"),
        contact(90, kind="complaint"),  # open
        contact(370, kind="complaint"),
        contact(20, kind="problem"),
    ]
    row = features(contacts=contacts)
    assert (row["complaints_unresolved_365d"], row["complaints_365d"]) == (2, 3)
    assert features(contacts=contacts, usual=UNTRACKED)["complaints_unresolved_365d"] is None
