"""Engagement and silence: did they fall quiet, and compared with what?"""

import polars as pl

from models.features.feature import Basis, Feature
from models.features.formulas import drop, own_rate, shrunk, silence_days

_NEVER_MIN_DAYS = 60

SILENCE: list[Feature] = [
    Feature(
        name="contact_drop_28d",
        label="Contacts against own habit, 28 days",
        component="silence",
        unit="log ratio of contacts in 28 days to the own expectation, cut to -2..2",
        window_days=28,
        missing="fewer than 60 days of own baseline: unknown",
        churn=0,
        silent=-1,
        value=drop(28),
        basis=Basis("line", (-2.0, -1.0, 0.0, 1.0, 2.0)),
        sentence="{contacts_28d:n} contacts in 28 days where its own habit expects {expected_28d:.1f}",
        usual="usual is as many as expected",
        note="Two-sided for leaving at all: more contacts than usual can be trouble, fewer can be withdrawal.",
    ),
    Feature(
        name="contact_drop_90d",
        label="Contacts against own habit, 90 days",
        component="silence",
        unit="log ratio of contacts in 90 days to the own expectation, cut to -2..2",
        window_days=90,
        missing="fewer than 60 days of own baseline: unknown",
        churn=0,
        silent=-1,
        value=drop(90),
        basis=Basis("line", (-2.0, -1.0, 0.0, 1.0, 2.0)),
        sentence="{contacts_90d:n} contacts in 90 days where its own habit expects {expected_90d:.1f}",
        usual="usual is as many as expected",
    ),
    Feature(
        name="silence_surprise",
        label="Surprise of the silence",
        component="silence",
        unit="contacts expected since the last one, by the own baseline",
        window_days=365,
        missing="fewer than 60 days of own baseline: unknown",
        churn=1,
        silent=1,
        value=own_rate(90) * silence_days(),
        basis=Basis("line", (0.0, 1.0, 3.0, 8.0)),
        sentence="silent for {silence_days:.0f} days, in which {silence_surprise:.1f} contacts were to be expected",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="gap_ratio",
        label="Silence against own rhythm",
        component="silence",
        unit="days since the last contact / median days between own contacts",
        window_days=365,
        missing="fewer than 3 own gaps: the segment's median gap stands in",
        churn=1,
        silent=1,
        value=(
            silence_days()
            / pl.when(pl.col("gaps_365d") >= 3).then("gap_days_365d").otherwise("base_gap_days").clip(0.5)
        ),
        basis=Basis("line", (0.0, 1.0, 4.0, 12.0)),
        sentence="{silence_days:.0f} days since the last contact, {gap_ratio:.1f} times its usual gap",
        usual="usual is {:.1f} times",
    ),
    Feature(
        name="zero_after_busy",
        label="Silent after being busy",
        component="silence",
        unit="1 if no contact in 30 days where at least 2 were to be expected",
        window_days=30,
        missing="fewer than 60 days of own baseline: 0",
        churn=0,
        silent=1,
        value=((pl.col("contacts_30d") == 0) & (own_rate(30) * 30 >= 2))
        .fill_null(value=False)
        .cast(pl.Float64),
        basis=Basis("line", (0.0, 1.0)),
        sentence="no contact in 30 days where {expected_30d:.1f} were to be expected",
        usual="usual is to hear from them",
    ),
    Feature(
        name="never_contacted",
        label="Never contacted us",
        component="silence",
        unit="1 if there was no inbound contact in at least 60 watched days",
        window_days=None,
        missing="watched for fewer than 60 days: 0",
        churn=0,
        silent=1,
        value=(pl.col("days_since_contact").is_null() & (pl.col("history_days") >= _NEVER_MIN_DAYS)).cast(
            pl.Float64
        ),
        basis=Basis("line", (0.0, 1.0)),
        sentence="has never contacted us in {history_days:.0f} days",
        usual="usual is to hear from them",
    ),
    Feature(
        name="nonresponse_streak",
        label="Survey invitations ignored in a row",
        component="silence",
        unit="invitations unanswered in a row, each given 14 days, within 365 days",
        window_days=365,
        missing="no invitation known: unknown, never a streak",
        churn=1,
        silent=1,
        value=pl.when(pl.col("invitations_365d") > 0).then(pl.col("unanswered_in_a_row").cast(pl.Float64)),
        basis=Basis("line", (0.0, 2.0, 4.0, 10.0)),
        sentence="the last {unanswered_in_a_row:n} survey invitations were left unanswered",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="response_rate_change",
        label="Change in survey response rate",
        component="silence",
        unit="shrunk response rate of the last 180 days minus that of the 180 before",
        window_days=360,
        missing="no invitations in both halves: unknown",
        churn=0,
        silent=-1,
        value=pl.when((pl.col("invitations_180d") > 0) & (pl.col("invitations_181_360d") > 0)).then(
            shrunk("answered_180d", "invitations_180d", "response_rate")
            - shrunk("answered_181_360d", "invitations_181_360d", "response_rate")
        ),
        basis=Basis("line", (-0.4, 0.0, 0.4)),
        sentence="answered {answered_180d:n} of {invitations_180d:n} surveys in 180 days, "
        "{answered_181_360d:n} of {invitations_181_360d:n} in the 180 before",
        usual="usual is no change",
    ),
    Feature(
        name="abandoned_contacts_90d",
        label="Abandoned contacts",
        component="silence",
        unit="contacts in 90 days the customer left or let lapse, not followed up within 7 days",
        window_days=90,
        missing="none: 0",
        churn=1,
        silent=1,
        value=pl.col("abandoned_90d").cast(pl.Float64),
        basis=Basis("line", (0.0, 1.0, 3.0)),
        sentence="{abandoned_90d:n} contacts in 90 days were abandoned and not taken up again",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="quiet_failures_90d",
        label="Failures nobody chased, 90 days",
        component="silence",
        unit="contacts of 90 days that failed or lay open for 14 days, with no further contact on the issue",
        window_days=90,
        missing="none: 0",
        churn=1,
        silent=1,
        value=pl.col("quiet_failures_90d").cast(pl.Float64),
        basis=Basis("line", (0.0, 1.0, 3.0)),
        sentence="{quiet_failures_90d:n} unsolved problems in 90 days were never chased",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="quiet_failures_365d",
        label="Failures nobody chased, 365 days",
        component="silence",
        unit="contacts of 365 days that failed or lay open for 14 days, with no further contact on the issue",
        window_days=365,
        missing="none: 0",
        churn=1,
        silent=1,
        value=pl.col("quiet_failures_365d").cast(pl.Float64),
        basis=Basis("line", (0.0, 2.0, 8.0)),
        sentence="{quiet_failures_365d:n} unsolved problems in a year were never chased",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="self_service_drop_28d",
        label="Self-service against own habit, 28 days",
        component="silence",
        unit="log ratio of portal and self-service sessions in 28 days to the own expectation, cut to -2..2",
        window_days=28,
        missing="no such sessions in a year: unknown",
        churn=0,
        silent=-1,
        value=pl.when((pl.col("self_service_365d") > 0) & (pl.col("history_days") - 28 >= 60)).then(
            (
                (pl.col("self_service_28d") + 0.5)
                / (
                    (pl.col("self_service_365d") - pl.col("self_service_28d"))
                    / (pl.col("history_days").clip(0, 365) - 28)
                    * 28
                    + 0.5
                )
            )
            .log()
            .clip(-2.0, 2.0)
        ),
        basis=Basis("line", (-2.0, 0.0, 2.0)),
        sentence="{self_service_28d:n} self-service sessions in 28 days, {self_service_365d:n} in a year",
        usual="usual is no change",
    ),
    Feature(
        name="outreach_silence_180d",
        label="Our outreach left unanswered",
        component="silence",
        unit="shrunk share of outreach in 180 days met with silence for 14 days",
        window_days=180,
        missing="no outreach: unknown",
        churn=0,
        silent=1,
        value=pl.when(pl.col("outreach_180d") > 0).then(
            shrunk("outreach_no_answer_180d", "outreach_180d", "outreach_silence_rate")
        ),
        basis=Basis("line", (0.0, 1.0)),
        sentence="{outreach_no_answer_180d:n} of {outreach_180d:n} approaches by us in 180 days met silence",
        usual="usual is {:.0%}",
        note="Outreach aimed by this model feeds back into it: keep a random hold-out.",
    ),
    Feature(
        name="active_contacts_ratio",
        label="People still in touch",
        component="silence",
        unit="distinct people in 90 days / in 365 days",
        window_days=365,
        missing="no people known in 365 days: 1",
        churn=0,
        silent=-1,
        value=pl.when(pl.col("people_365d") > 0)
        .then(pl.col("people_90d") / pl.col("people_365d"))
        .otherwise(1.0),
        basis=Basis("line", (0.0, 1.0)),
        sentence="{people_90d:n} of the {people_365d:n} people of the last year were in touch in 90 days",
        usual="usual is {:.0%}",
    ),
    Feature(
        name="days_since_voice",
        label="Days since last voiced dissatisfaction",
        component="silence",
        unit="days since a complaint, a demanded escalation or a low score, at most 365",
        window_days=365,
        missing="none in 365 days: 365",
        churn=-1,
        silent=0,
        value=pl.min_horizontal("days_since_complaint", "days_since_low_score")
        .fill_null(365.0)
        .clip(0.0, 365.0),
        basis=Basis("steps", (30.0, 90.0, 180.0, 365.0)),
        sentence="last voiced dissatisfaction {days_since_voice:.0f} days ago",
        usual="usual is {:.0f} days",
        note="It borders on the definition of the silent label; it uses the past only.",
    ),
    Feature(
        name="days_since_failure",
        label="Quiet since a failure",
        component="silence",
        unit="days since the last failed contact if nothing has been heard since, else 0",
        window_days=365,
        missing="no failure, or heard from since: 0",
        churn=1,
        silent=1,
        value=pl.when(pl.col("days_since_failure") <= pl.col("days_since_contact"))
        .then("days_since_failure")
        .otherwise(0.0)
        .fill_null(0.0),
        basis=Basis("line", (0.0, 60.0, 240.0)),
        sentence="nothing heard for {days_since_failure:.0f} days after a contact that failed",
        usual="usual is no such silence",
    ),
]
