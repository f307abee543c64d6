"""The label: the example of `models/labels.py` carried by hand, every boundary, and what must not matter."""

import re
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ContractError, SettingsError, UnknownAccount
from models.history import History
from models.labels import DEFAULTS, OUTCOMES, SUBTYPES, LabelParams, exits, label, look_back_curve, unheard, zero_runs
from models.voice import observed_since, voice_events

CUTOFF = datetime(2026, 12, 1, tzinfo=UTC)
NOTICE = datetime(2026, 7, 1, tzinfo=UTC)
START = datetime(2025, 1, 10, tzinfo=UTC)
SOURCE = datetime(2024, 6, 1, tzinfo=UTC)
HORIZON_SNAPSHOT = datetime(2026, 3, 31, tzinfo=UTC)


def on(month, day, hour=0, minute=0, year=2026):
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def days(count):
    return timedelta(days=count)


def accounts(**columns):
    row = {"account_id": "anna", "started_at": START, "notice_at": NOTICE, "ended_at": on(7, 31)} | columns
    return pl.DataFrame([row])


def contacts(*rows):
    """Contacts of Anna; the first row is another account's, which starts the source."""
    other = {"account_id": "bob", "opened_at": SOURCE, "outcome": "resolved", "resolved_at": SOURCE}
    filled = [{"account_id": "anna", "outcome": "resolved", "resolved_at": r["opened_at"]} | r for r in rows]
    numbered = [r | {"interaction_id": f"i{k}"} for k, r in enumerate([other, *filled])]
    return pl.DataFrame(numbered, infer_schema_length=None)


def history(*rows, account=None, **tables):
    frames = {"accounts": accounts(**(account or {})), "interactions": contacts(*rows)}
    return History.from_frames(frames | tables)


def survey(score, instrument="csat", responded_at=None, **columns):
    at = responded_at or on(6, 1)
    row = {"survey_id": "s1", "account_id": "anna", "instrument": instrument, "sent_at": at - days(1)}
    early = {"survey_id": "s0", "account_id": "bob", "instrument": "nps", "sent_at": SOURCE}
    return pl.DataFrame([early, row | {"responded_at": at, "score": score} | columns], infer_schema_length=None)


def snapshot(*moments):
    return pl.DataFrame({"account_id": ["anna"] * len(moments), "as_of": list(moments)})


def outcome_of(past, t=HORIZON_SNAPSHOT, cutoff=CUTOFF, params=DEFAULTS):
    return label(past, snapshot(t), cutoff, params).get_column("outcome")[0]


def cause_of(past, params=DEFAULTS):
    return exits(past, CUTOFF, params).get_column("cause").to_list()


EXAMPLE = (
    {"opened_at": on(1, 12), "kind": "question"},
    {"opened_at": on(2, 20), "kind": "complaint"},
)


class TestTheExample:
    def test_its_five_snapshots(self):
        moments = [on(3, 3), on(3, 31), on(6, 17), on(7, 1), on(7, 28)]
        rows = label(history(*EXAMPLE), snapshot(*moments), CUTOFF)
        assert rows["outcome"].to_list() == ["stay", "silent", "blackout", "blackout", "immature"]
        assert rows["subtype"].to_list() == [None, "dormant", None, None, None]
        assert rows["decided_at"].to_list() == [NOTICE] * 5
        assert rows["y_churn"].to_list() == [0, 1, None, None, None]
        assert rows["y_silent"].to_list() == [0, 1, None, None, None]

    def test_its_exit(self):
        assert exits(history(*EXAMPLE), CUTOFF).to_dicts() == [
            {"account_id": "anna", "decided_at": NOTICE, "resumed_at": None, "cause": "silent", "subtype": "dormant"}
        ]

    def test_rows_keep_their_order_and_columns(self):
        moments = [on(7, 28), on(3, 3), on(3, 31), on(3, 3)]
        rows = label(history(*EXAMPLE), snapshot(*moments), CUTOFF)
        assert rows["as_of"].to_list() == moments
        assert rows.columns == [
            "account_id", "as_of", "outcome", "subtype", "decided_at", "y_churn", "y_silent"
        ]  # fmt: skip


class TestBoundaries:
    @pytest.mark.parametrize(
        ("t", "outcome"),
        [
            (NOTICE - days(104) - timedelta(microseconds=1), "stay"),
            (NOTICE - days(104), "silent"),  # the end of the horizon belongs to it
            (NOTICE - days(14) - timedelta(microseconds=1), "silent"),
            (NOTICE - days(14), "blackout"),  # the end of the blackout belongs to it
            (NOTICE + days(19), "blackout"),  # decided, and perhaps nobody knew
        ],
    )
    def test_blackout_and_horizon(self, t, outcome):
        assert outcome_of(history(*EXAMPLE), t) == outcome

    @pytest.mark.parametrize(("late", "outcome"), [(0, "silent"), (1, "immature")])
    def test_maturity(self, late, outcome):
        t = NOTICE - days(50)
        settled = t + days(134) - timedelta(microseconds=late)
        assert outcome_of(history(*EXAMPLE), t, cutoff=settled) == outcome

    @pytest.mark.parametrize(
        ("at", "cause"),
        [
            (NOTICE - days(90) - timedelta(microseconds=1), "silent"),
            (NOTICE - days(90), "vocal"),
            (NOTICE - days(1) - timedelta(microseconds=1), "vocal"),
            (NOTICE - days(1), "silent"),  # exit voice: nobody had a chance to act
            (NOTICE, "silent"),
        ],
    )
    def test_the_look_back_window(self, at, cause):
        assert cause_of(history({"opened_at": at, "kind": "complaint"})) == [cause]

    @pytest.mark.parametrize(("observed", "cause"), [(81, "silent"), (80, "unlabelable")])
    def test_nine_tenths_of_the_look_back_observed(self, observed, cause):
        assert cause_of(history(account={"started_at": NOTICE - days(observed)})) == [cause]


class TestDecision:
    def test_without_a_notice_the_end_less_the_notice_period(self):
        past = history(account={"notice_at": None})
        assert exits(past, CUTOFF)["decided_at"].to_list() == [on(7, 31)]
        early = exits(past, CUTOFF, LabelParams(notice_period_days=30))
        assert early["decided_at"].to_list() == [NOTICE]

    def test_a_notice_after_the_end_is_the_sources_error(self):
        assert exits(history(account={"ended_at": on(6, 1)}), CUTOFF)["decided_at"].to_list() == [on(6, 1)]

    def test_a_notice_alone_is_a_decision(self):
        assert exits(history(account={"ended_at": None}), CUTOFF)["decided_at"].to_list() == [NOTICE]

    def test_nothing_after_the_cutoff_is_known(self):
        assert exits(history(*EXAMPLE), NOTICE).is_empty()
        assert exits(history(*EXAMPLE), NOTICE + timedelta(microseconds=1)).height == 1

    @pytest.mark.parametrize(
        ("reason", "cause"),
        [("involuntary", "involuntary"), ("voluntary", "silent"), (None, "silent"), ("moved", "silent")],
    )
    def test_reasons(self, reason, cause):
        assert cause_of(history(account={"end_reason": reason})) == [cause]

    def test_involuntary_comes_before_a_complaint(self):
        past = history({"opened_at": on(6, 1), "kind": "complaint"}, account={"end_reason": "involuntary"})
        rows = label(past, snapshot(HORIZON_SNAPSHOT), CUTOFF)
        assert rows.select("outcome", "y_churn", "y_silent").row(0) == ("involuntary", None, None)

    def test_unlabelable_counts_as_churn_and_not_as_silence(self):
        past = history(account={"started_at": NOTICE - days(60)})
        rows = label(past, snapshot(NOTICE - days(20)), CUTOFF)
        assert rows.select("outcome", "y_churn", "y_silent").row(0) == ("unlabelable", 1, None)

    def test_vocal_counts_as_churn_and_against_silence(self):
        rows = label(history({"opened_at": on(6, 1), "kind": "complaint"}), snapshot(HORIZON_SNAPSHOT), CUTOFF)
        assert rows.select("outcome", "subtype", "y_churn", "y_silent").row(0) == ("vocal", None, 1, 0)


def terms(*rows):
    return pl.DataFrame([{"account_id": "anna", "effective_at": at, "mrr": mrr} for at, mrr in rows])


class TestWithoutRevenue:
    def past(self, *rows):
        open_ended = {"notice_at": None, "ended_at": None}
        return history(account=open_ended, contracts=terms(*rows))

    def test_the_start_of_ninety_days_without_revenue_is_the_decision(self):
        past = self.past((START, 100.0), (NOTICE, 0.0))
        assert exits(past, CUTOFF)["decided_at"].to_list() == [NOTICE]
        assert outcome_of(past) == "silent"

    @pytest.mark.parametrize(("length", "found"), [(89, 0), (90, 1)])
    def test_a_shorter_break_is_none(self, length, found):
        past = self.past((START, 100.0), (NOTICE, 0.0), (NOTICE + days(length), 100.0))
        assert exits(past, CUTOFF).height == found

    def test_whoever_never_paid_has_not_stopped(self):
        assert zero_runs(self.past((START, 0.0), (NOTICE, 0.0)), LabelParams()).is_empty()

    def test_repeated_zeros_are_one_spell_and_unknown_amounts_none(self):
        past = self.past((START, 100.0), (on(2, 1), None), (NOTICE, 0.0), (on(8, 1), 0.0), (on(9, 1), None))
        assert exits(past, CUTOFF)["decided_at"].to_list() == [NOTICE]

    def test_a_spell_that_may_still_end_is_not_judged(self):
        past = self.past((START, 100.0), (NOTICE, 0.0))
        cutoff = NOTICE + days(89)
        assert exits(past, cutoff)["cause"].to_list() == ["pending"]
        t = cutoff - days(134)
        assert t + days(14) < NOTICE <= t + days(104)
        assert outcome_of(past, t, cutoff) == "immature"
        assert outcome_of(past, NOTICE - days(105), cutoff) == "stay"

    def test_whoever_pays_again_can_leave_again(self):
        past = self.past((START, 100.0), (on(1, 1), 0.0), (on(5, 1), 80.0), (on(8, 1), 0.0))
        moments = [on(10, 1, year=2025), on(1, 15), on(4, 30), on(5, 1), on(6, 1)]
        rows = label(past, snapshot(*moments), on(12, 31))
        assert rows["outcome"].to_list() == ["silent", "blackout", "blackout", "silent", "silent"]
        assert rows["decided_at"].to_list() == [on(1, 1)] * 3 + [on(8, 1)] * 2

    def test_a_notice_overrules_it(self):
        past = history(contracts=terms((START, 100.0), (on(1, 1), 0.0)))
        assert exits(past, CUTOFF)["decided_at"].to_list() == [NOTICE]


class TestVoice:
    @pytest.mark.parametrize(
        ("contact", "kinds"),
        [
            ({"kind": "complaint"}, ["complaint"]),
            ({"kind": "complaint", "direction": "outbound"}, []),
            ({"kind": "question"}, []),
            ({"kind": "problem", "outcome": "unresolved"}, []),
            ({"kind": "cancellation"}, []),
            ({"kind": None}, []),
            ({"escalated_at": on(6, 2), "escalation": "customer"}, ["escalation"]),
            ({"escalated_at": on(6, 2), "escalation": "functional"}, []),
            ({"escalated_at": on(6, 2), "escalation": None}, []),
            ({"escalated_at": None, "escalation": "customer"}, []),
            ({"kind": "complaint", "escalated_at": on(6, 2), "escalation": "customer"}, ["complaint", "escalation"]),
        ],
    )
    def test_contacts(self, contact, kinds):
        past = history({"opened_at": on(6, 1)} | contact)
        assert voice_events(past)["kind"].to_list() == kinds

    def test_each_event_has_its_own_time(self):
        past = history(
            {"opened_at": on(6, 1), "kind": "complaint", "escalated_at": on(6, 2), "escalation": "customer"},
            surveys=survey(1, responded_at=on(6, 3)),
        )
        assert voice_events(past)["at"].to_list() == [on(6, 1), on(6, 2), on(6, 3)]

    @pytest.mark.parametrize(
        ("score", "columns", "low"),
        [
            (2, {"instrument": "csat"}, True),
            (3, {"instrument": "csat"}, False),
            (3, {"instrument": "ces"}, True),
            (4, {"instrument": "ces"}, False),
            (6, {"instrument": "nps"}, True),
            (7, {"instrument": "nps"}, False),
            (0, {"instrument": "csat", "scale_min": 0, "scale_max": 1}, True),
            (1, {"instrument": "csat", "scale_min": 0, "scale_max": 1}, False),
            (3, {"instrument": "csat", "scale_max": 10}, True),  # (3 - 1) / 9 = .22
            (4, {"instrument": "csat", "scale_max": 10}, False),  # (4 - 1) / 9 = .33
            (4, {"instrument": "ces", "scale_max": 5, "low_is_good": True}, True),  # 1 - 3/4 = 1/4
            (3, {"instrument": "ces", "scale_max": 5, "low_is_good": True}, False),  # 1 - 2/4 = 1/2
            (1, {"instrument": "delight", "scale_min": 1, "scale_max": 5}, False),  # unknown instrument
            (1, {"instrument": "csat", "scale_min": 1, "scale_max": 1}, False),  # no scale at all
            (None, {"instrument": "csat"}, False),
        ],
    )
    def test_answers(self, score, columns, low):
        past = history(surveys=survey(score, **columns))
        assert voice_events(past)["kind"].to_list() == ["survey"] * low

    def test_a_low_answer_makes_an_exit_vocal_and_silence_does_not(self):
        assert cause_of(history(surveys=survey(1))) == ["vocal"]
        assert cause_of(history(surveys=survey(5))) == ["silent"]


class TestObservation:
    def test_the_later_of_contacts_and_surveys(self):
        late = pl.DataFrame([{"survey_id": "s", "account_id": "bob", "instrument": "nps", "sent_at": on(5, 1)}])
        assert observed_since(history(), CUTOFF) == SOURCE
        assert observed_since(history(surveys=late), CUTOFF) == on(5, 1)
        assert observed_since(history(surveys=late), on(5, 1)) == SOURCE

    def test_an_exit_before_the_survey_programme_is_unlabelable(self):
        late = pl.DataFrame([{"survey_id": "s", "account_id": "bob", "instrument": "nps", "sent_at": on(5, 1)}])
        assert cause_of(history(surveys=late)) == ["unlabelable"]

    def test_without_contacts_nobody_listened(self):
        past = History.from_frames({"accounts": accounts()})
        assert observed_since(past, CUTOFF) is None
        assert cause_of(past) == ["unlabelable"]

    def test_a_declared_start_counts(self):
        past = replace(history(), observed_from={"interactions": on(6, 1)})
        assert cause_of(past) == ["unlabelable"]


def every(step, first, last):
    return [first + days(k) for k in range(0, (last - first).days, step)]


class TestSubtypes:
    def subtype(self, *rows, **account):
        return exits(history(*rows, account=account), CUTOFF)["subtype"].to_list()

    def test_dormant_without_any_contact(self):
        assert self.subtype() == ["dormant"]

    def test_outbound_and_the_farewell_itself_are_no_contact(self):
        outbound = {"opened_at": on(6, 1), "direction": "outbound"}
        farewell = {"opened_at": NOTICE - timedelta(hours=2), "kind": "cancellation"}
        assert self.subtype(outbound, farewell) == ["dormant"]

    def test_dormant_needs_the_whole_look_back(self):
        assert self.subtype(started_at=NOTICE - days(90)) == ["dormant"]
        assert self.subtype(started_at=NOTICE - days(85)) == ["other"]

    def test_faded_below_half_of_a_baseline_of_two(self):
        # Baseline 2025-07-01 .. 2026-04-02: 275 days, 28 contacts, 9.2 in 90 days; then 3 in the look-back.
        busy = [{"opened_at": at} for at in every(10, on(7, 1, year=2025), on(4, 2))]
        few = [{"opened_at": on(6, day)} for day in (1, 2, 3)]
        assert len(busy) == 28
        assert self.subtype(*busy, *few) == ["faded"]
        # Half of 28 / 275 * 89 = 9.06 is 4.53: four contacts are below, five are not.
        more = [{"opened_at": on(6, day)} for day in (4, 5)]
        assert self.subtype(*busy, *few, more[0]) == ["faded"]
        assert self.subtype(*busy, *few, *more) == ["other"]

    def test_a_thin_baseline_proves_nothing(self):
        # 6 contacts in 275 days are 1.96 in 90 days, 7 are 2.29; half of the latter is 1.1: one contact is below.
        thin = [{"opened_at": on(9, day, year=2025)} for day in range(1, 8)]
        assert self.subtype(*thin[:6], {"opened_at": on(6, 1)}) == ["other"]
        assert self.subtype(*thin, {"opened_at": on(6, 1)}) == ["faded"]

    def test_a_short_baseline_proves_nothing(self):
        busy = [{"opened_at": at} for at in every(2, on(3, 1), on(4, 1))]
        assert self.subtype(*busy, {"opened_at": on(6, 1)}, started_at=on(3, 1)) == ["other"]

    @pytest.mark.parametrize(
        ("columns", "subtype"),
        [
            ({"outcome": "unresolved"}, "quiet_after_failure"),
            ({"outcome": "auto_closed"}, "quiet_after_failure"),
            ({"outcome": "abandoned"}, "quiet_after_failure"),
            ({"abandoned": True}, "quiet_after_failure"),
            ({"outcome": None, "resolved_at": None}, "quiet_after_failure"),  # still open
            ({"resolved_at": on(7, 2)}, "quiet_after_failure"),  # open when they decided
            ({"resolved_at": None}, "other"),  # resolved, nobody wrote down when
            ({}, "other"),
        ],
    )
    def test_quiet_after_failure(self, columns, subtype):
        assert self.subtype({"opened_at": on(6, 1)} | columns) == [subtype]


class TestLookBackCurve:
    def test_the_share_falls_with_the_look_back(self):
        # The complaint lies 131 days before the notice.
        curve = look_back_curve(history(*EXAMPLE))
        assert curve["look_back_days"].to_list() == [30, 60, 90, 180, 365]
        assert curve["silent_share"].to_list() == [1.0, 1.0, 1.0, 0.0, 0.0]
        assert curve["exits"].to_list() == [1] * 5

    def test_no_exits_no_share(self):
        curve = look_back_curve(history(*EXAMPLE), days=[90], cutoff=on(1, 1))
        assert curve.to_dicts() == [{"look_back_days": 90, "exits": 0, "silent": 0, "silent_share": None}]


class TestErrors:
    def test_an_unknown_account_is_named(self):
        with pytest.raises(UnknownAccount, match="'carl'"):
            label(history(), pl.DataFrame({"account_id": ["carl"], "as_of": [NOTICE]}), CUTOFF)

    def test_a_missing_column_is_named(self):
        with pytest.raises(ContractError, match="'as_of'"):
            label(history(), pl.DataFrame({"account_id": ["anna"]}), CUTOFF)

    @pytest.mark.parametrize(
        "values", [{"horizon_days": 0}, {"look_back_days": 0}, {"blackout_days": -1}, {"grace_days": 90}]
    )
    def test_parameters_without_a_meaning(self, values):
        with pytest.raises(SettingsError):
            LabelParams(**values)

    def test_no_snapshots_no_labels(self):
        assert label(
            history(), snapshot().cast({"account_id": pl.String, "as_of": pl.Datetime("us", "UTC")}), CUTOFF
        ).is_empty()


class TestTheDocumentation:
    page = (Path(__file__).parents[2] / "docs" / "label.md").read_text(encoding="utf-8")

    def test_every_parameter_with_its_default(self):
        for name, value in asdict(DEFAULTS).items():
            assert re.search(rf"^\| `{name}` (\(\w\) )?\| {value} \|", self.page, re.MULTILINE), name

    def test_every_outcome_and_subtype(self):
        for name in OUTCOMES:
            assert f"`{name}`" in self.page
        for name in SUBTYPES:
            assert f"**{name}**" in self.page


# ---------------------------------------------------------------- properties, on whole days so that edges are hit

EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
LAST_DAY = 900


@dataclass(frozen=True)
class Contact:
    day: int
    kind: str | None
    direction: str | None
    closed: int | None  # days until it was closed
    outcome: str | None
    escalated: int | None  # days until escalation
    escalation: str | None


@dataclass(frozen=True)
class Life:
    start: int
    notice: int | None
    end: int | None
    reason: str | None
    contacts: list[Contact] = field(default_factory=list)
    answers: list[tuple[int, int]] = field(default_factory=list)  # day, csat

    @property
    def tau(self):
        if self.notice is not None and (self.end is None or self.notice <= self.end):
            return self.notice
        return self.end


contact_days = st.integers(2, LAST_DAY)
a_contact = st.builds(
    Contact,
    day=contact_days,
    kind=st.sampled_from([None, "question", "problem", "complaint", "cancellation"]),
    direction=st.sampled_from([None, "inbound", "outbound"]),
    closed=st.none() | st.integers(0, 60),
    outcome=st.sampled_from([None, "resolved", "unresolved", "auto_closed", "abandoned"]),
    escalated=st.none() | st.integers(0, 20),
    escalation=st.sampled_from([None, "customer", "functional"]),
)
a_life = st.builds(
    Life,
    start=st.integers(2, 500),
    notice=st.none() | st.integers(300, 700),
    end=st.none() | st.integers(300, 700),
    reason=st.sampled_from([None, "voluntary", "involuntary"]),
    contacts=st.lists(a_contact, max_size=12),
    answers=st.lists(st.tuples(contact_days, st.integers(1, 5)), max_size=6),
)


def day(number):
    return None if number is None else EPOCH + days(number)


def recorded(lives, offset=0):
    """The history of some lives; a stranger's contact and survey of the first days start both sources."""

    def at(number):
        return None if number is None else day(number + offset)

    first = {"opened_at": at(0), "outcome": "resolved", "resolved_at": at(0), "account_id": "stranger"}
    asked = {"account_id": "stranger", "instrument": "csat", "sent_at": at(0)}
    described, interactions, surveys = [], [first], [asked]
    for name, life in named(lives):
        described.append(
            {
                "account_id": name,
                "started_at": at(life.start),
                "notice_at": at(life.notice),
                "ended_at": at(life.end),
                "end_reason": life.reason,
            }
        )
        interactions += [
            {
                "account_id": name,
                "opened_at": at(c.day),
                "kind": c.kind,
                "direction": c.direction,
                "outcome": c.outcome,
                "resolved_at": at(c.day + c.closed) if c.closed is not None and c.outcome == "resolved" else None,
                "updated_at": at(c.day + (c.closed or 0)),
                "escalated_at": at(c.day + c.escalated) if c.escalated is not None else None,
                "escalation": c.escalation,
            }
            for c in life.contacts
        ]
        surveys += [
            {
                "account_id": name,
                "instrument": "csat",
                "sent_at": at(sent - 1),
                "responded_at": at(sent),
                "score": score,
            }
            for sent, score in life.answers
        ]
    interactions = [row | {"interaction_id": str(k)} for k, row in enumerate(interactions)]
    surveys = [row | {"survey_id": str(k)} for k, row in enumerate(surveys)]
    frames = {"accounts": described, "interactions": interactions, "surveys": surveys}
    return History.from_frames({k: pl.DataFrame(v, infer_schema_length=None) for k, v in frames.items()})


def named(lives):
    return [(f"account {k}", life) for k, life in enumerate(lives)]


def every_pair(lives, at, offset=0):
    """Each life at each moment."""
    rows = [(name, day(t + offset)) for name, _ in named(lives) for t in at]
    return pl.DataFrame(rows, schema=["account_id", "as_of"], orient="row")


def told_by(life, since, until):
    """Whether a voice was heard on a day in [since, until), in plain Python."""
    heard = [c.day for c in life.contacts if c.kind == "complaint" and c.direction != "outbound"]
    heard += [c.day + c.escalated for c in life.contacts if c.escalated is not None and c.escalation == "customer"]
    heard += [at for at, score in life.answers if score <= 2]
    return any(since <= at < until for at in heard)


def expected_outcome(life, t, cutoff):
    """The definition once more, by other means: integers and early returns."""
    tau = life.tau
    if t + 134 > cutoff:
        return "immature"
    if tau is None or tau > t + 104:
        return "stay"
    if tau <= t + 14:
        return "blackout"
    if life.reason == "involuntary" and life.end is not None and life.end < cutoff:
        return "involuntary"
    if tau - max(life.start, 0) < 81:
        return "unlabelable"
    return "vocal" if told_by(life, tau - 90, tau - 1) else "silent"


some_lives = st.lists(a_life, min_size=1, max_size=8)
moments = st.lists(st.integers(100, 800), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(lives=some_lives, at=moments, cutoff=st.integers(701, LAST_DAY))
def test_the_definition_by_other_means(lives, at, cutoff):
    rows = label(recorded(lives), every_pair(lives, at), day(cutoff))
    expected = [expected_outcome(life, t, cutoff) for life in lives for t in at]
    assert rows["outcome"].to_list() == expected
    assert set(rows["outcome"]) <= set(OUTCOMES)
    assert set(rows["subtype"].drop_nulls()) <= set(SUBTYPES)
    assert rows["subtype"].is_not_null().to_list() == [outcome == "silent" for outcome in expected]


def other_end(life, later, answers):
    """The same life up to the decision; afterwards other contacts, answers and endings of open contacts."""
    tau = LAST_DAY if life.tau is None else life.tau
    before = [
        replace(c, closed=c.closed + 30, outcome="resolved") if c.closed and c.day + c.closed > tau else c
        for c in life.contacts
        if c.day < tau
    ]
    return replace(
        life,
        contacts=before + [replace(c, day=tau + c.day % 100) for c in later],
        answers=[a for a in life.answers if a[0] < tau] + [(tau + k, s) for k, s in enumerate(answers)],
    )


@settings(max_examples=40, deadline=None)
@given(
    lives=some_lives,
    later=st.lists(a_contact, max_size=6),
    answers=st.lists(st.integers(1, 5), max_size=3),
    at=moments,
)
def test_what_happens_after_the_decision_changes_nothing(lives, later, answers, at):
    changed = [other_end(life, later, answers) for life in lives]
    pairs = every_pair(lives, at)
    assert label(recorded(lives), pairs, day(1200)).equals(label(recorded(changed), pairs, day(1200)))


@settings(max_examples=25, deadline=None)
@given(lives=some_lives, at=moments, offset=st.integers(-300, 3000))
def test_shifting_all_times_changes_nothing(lives, at, offset):
    one = label(recorded(lives), every_pair(lives, at), day(LAST_DAY))
    other = label(recorded(lives, offset), every_pair(lives, at, offset), day(LAST_DAY + offset))
    back = other.with_columns(pl.col("as_of", "decided_at") - days(offset))
    assert one.equals(back)


@settings(max_examples=25, deadline=None)
@given(lives=some_lives, at=moments, cutoff=st.integers(501, LAST_DAY))
def test_only_what_was_known_at_the_cutoff_counts(lives, at, cutoff):
    past, pairs = recorded(lives), every_pair(lives, at)
    assert label(past, pairs, day(cutoff)).equals(label(past.known_at(day(cutoff)), pairs, day(cutoff)))


@settings(max_examples=25, deadline=None)
@given(lives=some_lives)
def test_a_longer_look_back_never_makes_an_exit_silent(lives):
    causes = [cause_of(recorded(lives), LabelParams(look_back_days=d)) for d in (30, 90, 180)]
    for shorter, longer in pairwise(causes):
        assert ("vocal", "silent") not in set(zip(shorter, longer, strict=True))


def fed(down_from, down_until):
    """Anna's exit beside a feed of a contact an hour for two years, that was down for a while."""
    hours = pl.datetime_range(SOURCE, CUTOFF, "1h", time_zone="UTC", eager=True).cast(pl.Datetime("us", "UTC"))
    told = hours.filter((hours < down_from) | (hours >= down_until))
    other = pl.DataFrame({"opened_at": told}).with_row_index("n").select(
        interaction_id=pl.format("o{}", "n"), account_id=pl.format("b{}", pl.col("n") % 20), opened_at="opened_at"
    )  # fmt: skip
    return History.from_frames({"accounts": accounts(), "interactions": other})


@pytest.mark.parametrize(("length", "cause"), [(8, "silent"), (10, "unlabelable"), (40, "unlabelable")])
def test_silence_while_the_feed_was_down_means_nothing(length, cause):
    past = fed(NOTICE - days(60), NOTICE - days(60) + days(length))
    assert cause_of(past) == [cause]
    # of a part, what the whole was told counts
    assert cause_of(past.of(["anna"])) == [cause]


def test_who_stayed_while_the_feed_was_down_is_not_learnt_from_either():
    """Of those who left then nobody knows how; kept alone, those who stayed would make leaving silently look rare."""
    whole, never = fed(on(3, 1), on(3, 23)), pl.lit(None, pl.Datetime("us", "UTC"))
    past = replace(whole, accounts=whole.accounts.with_columns(notice_at=never, ended_at=never))
    # down from 1 to 23 March: a decision from 10 March to 12 June could not have been read
    moments = [on(11, 20, year=2025), on(11, 30, year=2025), on(3, 1), on(5, 28), on(5, 30)]
    found = label(past, snapshot(*moments), CUTOFF)
    assert found["outcome"].to_list() == ["stay"] * 5
    assert found["y_churn"].to_list() == [0] * 5
    assert found["y_silent"].to_list() == [0, None, None, None, 0]


def test_decisions_that_nobody_could_have_read_by_hand():
    assert unheard([(on(3, 1), on(3, 23))], DEFAULTS) == [(on(3, 10), on(6, 12))]
    assert unheard([(on(3, 1), on(3, 9))], DEFAULTS) == []
    # six days and six days, ninety days apart at most: together twelve
    assert unheard([(on(3, 1), on(3, 7)), (on(4, 1), on(4, 7))], DEFAULTS) == [(on(4, 4), on(6, 2))]


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=3),
    st.lists(st.integers(0, 400 * 24), min_size=1, max_size=40),
)
def test_decisions_that_nobody_could_have_read_hour_by_hour(spells, hours):
    ends, down = SOURCE, []
    for pause, length in spells:
        down.append((ends + days(pause), ends + days(pause + length)))
        ends = down[-1][1]
    spans = unheard(down, DEFAULTS)
    for tau in (SOURCE + timedelta(hours=hour, minutes=30) for hour in hours):
        blind = sum(
            (max(min(until, tau) - max(since, tau - days(90)), timedelta(0)) for since, until in down), timedelta(0)
        )
        assert any(since < tau < until for since, until in spans) == (blind > days(9))


def test_a_feed_that_was_down_before_the_look_back_or_after_changes_nothing():
    assert cause_of(fed(NOTICE - days(150), NOTICE - days(95))) == ["silent"]
    assert cause_of(fed(NOTICE + days(1), NOTICE + days(60))) == ["silent"]


def test_an_account_that_falls_silent_is_not_a_feed_that_is_down():
    """Of a part that came from a store nobody knows what the whole was told: nothing is taken for a dead feed."""
    mine = [{"opened_at": NOTICE - days(120) - timedelta(hours=hour)} for hour in range(24 * 60)]
    part = History.from_frames(
        {"accounts": accounts(), "interactions": contacts(*mine)}, observed_from={"interactions": SOURCE}
    )
    assert cause_of(part) == ["silent"]
