"""Silence: fewer contacts than their own habit, invitations ignored, failures nobody chased.

Where a rate of contacts is needed, .05 a day are usual, and two contacts' worth of it joins the own baseline:
2 / .05 = 40 days.
"""

from dataclasses import replace
from math import log

import pytest

from models.features import DEFAULT
from tests.core.test_feature_examples.ann import about, ago, answer, approach, contact, features, solved, survey

UNTRACKED = replace(DEFAULT, tracks_resolutions=False)


def test_contact_drop_28d():
    contacts = [solved(days) for days in (30, 90, 150, 210, 270, 330)]
    # 6 in the 337 days before: (6 + 2) / (337 + 40) a day, .594164 in 28 days; 0 came: ln(.5 / 1.094164)
    row = features(contacts=contacts)
    assert row["expected_28d"] == about(28 * 8 / 377)
    assert row["contact_drop_28d"] == about(log(0.5 / (28 * 8 / 377 + 0.5)))
    assert features(contacts=contacts, watched_days=87.9)["contact_drop_28d"] is None


def test_contact_drop_28d_is_cut_at_two():
    assert features(contacts=[solved(days / 10) for days in range(1, 100)])["contact_drop_28d"] == 2


def test_contact_drop_90d():
    contacts = [solved(days) for days in (10, 20, 30, 40, 100, 150, 200, 250, 300)]
    # 5 in the 275 days before: 7 / 315 a day, 2 in 90 days; 4 came: ln(4.5 / 2.5)
    assert features(contacts=contacts)["contact_drop_90d"] == about(log(1.8))


def test_contact_drop_90d_goes_by_the_days_watched():
    # 200 days watched: 110 of them before the window; 1 contact there: (1 + 2) / (110 + 40) a day, 1.8 in 90 days
    row = features(contacts=[solved(150)], watched_days=200)
    assert row["contact_drop_90d"] == about(log(0.5 / 2.3))
    assert row["history_days"] == 200


def test_silence_surprise():
    contacts = [solved(days) for days in (100, 150, 200, 250, 300)]
    # 7 / 315 a day, silent for 100 days
    assert features(contacts=contacts)["silence_surprise"] == about(100 * 7 / 315)
    # Never in touch in 400 days: 2 / 315 a day
    assert features(watched_days=400)["silence_surprise"] == about(400 * 2 / 315)


def test_silence_surprise_remembers_a_contact_of_long_ago():
    row = features(contacts=[solved(700)])
    assert (row["silence_days"], row["never_contacted"]) == (700, 0)
    assert row["silence_surprise"] == about(700 * 2 / 315)


def test_gap_ratio():
    contacts = [solved(days) for days in (60, 50, 45, 30, 30 + 0.5 / 24)]
    # Gaps of 10, 5 and 15 days (half an hour is the same visit): median 10; silent for 30
    assert features(contacts=contacts)["gap_ratio"] == about(3 * 10 / 10)
    # Two gaps are too few: 14 days are usual
    assert features(contacts=[solved(28), solved(30), solved(33)])["gap_ratio"] == 2


def test_zero_after_busy():
    busy = [solved(31 + 11 * number) for number in range(30)]
    # 30 in 335 days: 32 / 375 a day, 2.56 in 30 days
    assert features(contacts=busy)["zero_after_busy"] == 1
    assert features(contacts=[*busy, solved(29)])["zero_after_busy"] == 0
    # 20: 22 / 375 a day, 1.76 in 30 days
    assert features(contacts=busy[:20])["zero_after_busy"] == 0


def test_never_contacted():
    assert features(watched_days=60)["never_contacted"] == 1
    assert features(watched_days=59.9)["never_contacted"] == 0
    assert features(contacts=[solved(900)])["never_contacted"] == 0
    assert features(contacts=[solved(5, direction="outbound")])["never_contacted"] == 1


def test_nonresponse_streak():
    asked = [survey("csat", 100), survey("nps", 60), survey("csat", 14), survey("csat", 13.9)]
    # Answered 200 days ago; since then three had their 14 days
    assert features(surveys=[answer("csat", 200, 4), *asked])["nonresponse_streak"] == 3
    assert features(surveys=[*asked, answer("csat", 5, 4)])["nonresponse_streak"] == 0
    assert features()["nonresponse_streak"] is None
    # Answers to invitations nobody logged say nothing about those that stayed unanswered.
    assert features(surveys=[survey("csat", None, 30, 4)])["nonresponse_streak"] is None


def test_response_rate_change():
    recent = [answer("csat", 30, 4), survey("csat", 60), survey("csat", 90, 75, 4), survey("csat", 10)]
    before = [answer("csat", 200, 4), answer("csat", 300, 4)]
    # Recently 1 of 3 (one answer came after 15 days, one invitation is fresh), before 2 of 2; usual is .21:
    # (1 + 2.1) / 13 - (2 + 2.1) / 12
    assert features(surveys=[*recent, *before])["response_rate_change"] == about(3.1 / 13 - 4.1 / 12)
    assert features(surveys=recent)["response_rate_change"] is None


def test_abandoned_contacts_90d():
    contacts = [
        contact(40, category="a", outcome="auto_closed"),
        contact(30, category="b", abandoned=True),
        solved(25, category="b"),  # taken up again
        contact(3, category="c", outcome="abandoned"),  # may still be
    ]
    assert features(contacts=contacts)["abandoned_contacts_90d"] == 1


def test_quiet_failures_90d():
    contacts = [
        contact(40, category="a", outcome="unresolved"),  # given up
        contact(20, category="b"),  # open for 20 days
        contact(50, category="c", outcome="unresolved"),
        solved(40, category="c"),  # chased after 10 days
        contact(5, category="d"),
    ]
    assert features(contacts=contacts)["quiet_failures_90d"] == 2
    assert features(contacts=contacts, usual=UNTRACKED)["quiet_failures_90d"] is None


def test_quiet_failures_365d():
    contacts = [contact(days, outcome="unresolved") for days in (40, 200, 364, 366)]
    assert features(contacts=contacts)["quiet_failures_365d"] == 3


def test_self_service_drop_28d():
    sessions = [solved(30 + 30 * number, channel="portal") for number in range(10)]
    now = solved(3, channel="self_service")
    # 10 in 337 days, .830861 in 28 days; 1 came: ln(1.5 / 1.330861)
    assert features(contacts=[*sessions, now])["self_service_drop_28d"] == about(log(1.5 / (280 / 337 + 0.5)))
    assert features(contacts=[solved(3, channel="phone")])["self_service_drop_28d"] is None


def test_outreach_silence_180d():
    outreach = [
        approach(100),
        approach(60, outcome="no_answer"),
        approach(40, engaged_at=ago(35)),
        approach(5),  # may still be answered
        approach(50, held_out=True),  # deliberately not made
        approach(190),
    ]
    # 2 of 3 met silence; usual is .5: (2 + 5) / (3 + 10)
    assert features(outreach=outreach)["outreach_silence_180d"] == about(7 / 13)
    assert features(outreach=[approach(60, outcome="reached")])["outreach_silence_180d"] == about(5 / 11)
    assert features()["outreach_silence_180d"] is None


def test_active_contacts_ratio():
    contacts = [solved(days, contact_id=who) for days, who in ((300, "x"), (200, "z"), (20, "y"), (10, "x"))]
    # x and y of x, y and z
    assert features(contacts=[*contacts, solved(5)])["active_contacts_ratio"] == about(2 / 3)
    assert features(contacts=[solved(5)])["active_contacts_ratio"] == 1


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ({}, 365),
        ({"contacts": [solved(50, kind="complaint")]}, 50),
        ({"contacts": [contact(50, escalated_at=ago(35), escalation="customer")]}, 35),
        ({"contacts": [contact(50, direction="outbound", escalated_at=ago(35), escalation="customer")]}, 35),
        ({"contacts": [contact(50, escalated_at=ago(35), escalation="functional")]}, 365),
        ({"contacts": [solved(50, direction="outbound", kind="complaint")]}, 365),
        ({"surveys": [survey("csat", 25, 20, 2)]}, 20),
        ({"surveys": [survey("csat", 25, 20, 3)]}, 365),
        ({"surveys": [answer("ces", 20, 3)]}, 20),
        ({"surveys": [answer("nps", 20, 6)]}, 20),
        ({"surveys": [answer("nps", 20, 7)]}, 365),
        ({"contacts": [solved(50, kind="complaint")], "surveys": [answer("nps", 20, 0)]}, 20),
    ],
)
def test_days_since_voice(rows, days):
    assert features(**rows)["days_since_voice"] == days


def test_days_since_failure():
    failed = contact(40, outcome="unresolved")
    assert features(contacts=[solved(60), failed])["days_since_failure"] == 40
    assert features(contacts=[failed, solved(30)])["days_since_failure"] == 0
    assert features(contacts=[solved(30)])["days_since_failure"] == 0
    assert features(contacts=[contact(20)])["days_since_failure"] == 20
    assert features(contacts=[failed], usual=UNTRACKED)["days_since_failure"] is None
