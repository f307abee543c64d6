"""Looks at a model: nothing where nothing changed, the right name for what did."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest

from models.errors import ArtefactError, ContractError
from models.history import History
from models.model import ChurnModel
from models.monitor.findings import KINDS, Finding, ordered, worst
from models.monitor.inputs import feature_findings, score_findings
from models.monitor.outcomes import no_exits
from models.monitor.reference import Reference, take
from models.monitor.rows import MOST_ACCOUNTS, sampled, scored_rows
from models.monitor.watch import watch
from models.registry.plain import dumps, loads
from tests.monitor.conftest import CUT, SINCE, WEEKS, Served, faulty


def kinds(findings) -> set[str]:
    return {finding.kind for finding in findings}


def test_the_population_it_was_measured_on_has_not_drifted(served: Served) -> None:
    rows = scored_rows(served.model, served.history, [served.at(CUT)])
    assert feature_findings(served.model, served.reference, rows) == []
    assert score_findings(served.reference, rows) == []


def test_without_a_fault_nothing_is_found(served: Served) -> None:
    found = watch(served.model, served.history, served.at(WEEKS))
    assert [one for one in found.findings if one.severity != "info"] == []
    assert found.reference == served.at(CUT)
    assert {one.target for one in found.observed} == {"churn", "silent"}
    assert found.predictions["stored"] == 0


def test_the_order_of_rows_does_not_matter(served: Served) -> None:
    shuffled = {
        name: served.history.frame(name).sample(fraction=1, shuffle=True, seed=1)
        for name in ("accounts", "interactions", "surveys", "contracts")
    }
    at = served.at(WEEKS)
    one, other = (
        watch(served.model, history, at).to_plain() for history in (served.history, History.from_frames(shuffled))
    )
    assert one["findings"] == other["findings"]
    assert [row["exits"] for row in one["observed"]] == [row["exits"] for row in other["observed"]]


def test_nothing_after_the_moment_is_looked_at(served: Served) -> None:
    at = served.at(116)
    assert watch(served.model, served.history, at) == watch(served.model, served.history.known_at(at), at)


def test_a_stopped_feed_is_not_read_as_silence(served: Served) -> None:
    found = watch(served.model, faulty("dead_feed"), served.at(SINCE + 2))
    first = found.findings[0]
    assert (first.kind, first.severity, first.subject) == ("contact_coverage", "alarm", "contacts")
    assert "feed has stopped" in first.sentence
    assert kinds(found.findings) <= {"contact_coverage", "observed_expected"}
    assert abs(first.since - served.at(SINCE)) < timedelta(days=3)


def test_a_survey_policy_is_named(served: Served) -> None:
    found = watch(served.model, faulty("survey_cut"), served.at(SINCE + 6))
    (named,) = [one for one in found.findings if one.subject == "invitations: csat"]
    assert named.kind == "survey_coverage"
    assert "a survey policy changed, customers did not" in named.sentence
    assert named.numbers["factor"] == pytest.approx(0.25, abs=0.08)
    assert abs(named.since - served.at(SINCE)) <= timedelta(weeks=1)


def test_a_bot_that_takes_questions_is_no_withdrawal(served: Served) -> None:
    found = watch(served.model, faulty("self_service"), served.at(SINCE + 10))
    about = {one.subject: one for one in found.findings if one.kind == "contact_coverage"}
    assert about["contacts: kind=question"].numbers["factor"] == pytest.approx(0.6, abs=0.15)
    assert "customers do not change in one week" in about["contacts: kind=question"].sentence
    assert not [one for one in found.findings if one.severity == "alarm"]


def test_an_outage_is_one_odd_week(served: Served) -> None:
    found = watch(served.model, faulty("outage"), served.at(SINCE + 4))
    (one,) = [one for one in found.findings if one.subject == "contacts"]
    assert one.numbers["lasts"] is False
    assert one.numbers["every_segment"]
    assert one.severity == "info"


def test_a_new_mix_explains_the_features_that_follow_from_it(served: Served) -> None:
    rows = scored_rows(served.model, served.history, [served.at(CUT)])
    smb = rows.filter(pl.col("segment") == "smb")
    others = rows.filter(pl.col("segment") != "smb")
    mixed = pl.concat([smb, others.head(others.height // 4)])
    found = feature_findings(served.model, served.reference, mixed)
    assert "mix_shift" in kinds(found)
    assert "'smb' is" in next(one.sentence for one in found if one.kind == "mix_shift")
    assert not {one.subject for one in found if one.kind != "mix_shift"} & {"mrr_ln", "segment", "billing"}


def test_a_portfolio_that_moves_together_is_told_as_one(served: Served) -> None:
    then, now = served.at(CUT) - timedelta(days=84), served.at(CUT)
    rows = scored_rows(served.model, served.history, [then, now])
    moved = rows.with_columns(
        pl.when(pl.col("as_of") == now).then(pl.col("csat_level") - 0.1).otherwise("csat_level").alias("csat_level")
    )
    found = feature_findings(served.model, served.reference, moved)
    assert [one.kind for one in found] == ["portfolio_shift"]
    assert found[0].numbers["features"] == ["csat_level"]
    assert "every segment" in found[0].sentence


def test_a_minority_that_moves_a_lot_is_no_portfolio_shift(served: Served) -> None:
    then, now = served.at(CUT) - timedelta(days=84), served.at(CUT)
    rows = scored_rows(served.model, served.history, [then, now]).with_row_index("row")
    some = (pl.col("as_of") == now) & (pl.col("row") % 8 == 0)
    moved = rows.with_columns(pl.when(some).then(0.05).otherwise("csat_level").alias("csat_level")).drop("row")
    found = feature_findings(served.model, served.reference, moved)
    assert [(one.kind, one.subject) for one in found] == [("input_drift", "csat_level")]
    assert found[0].numbers["direction"] == "down"


def test_a_mean_risk_that_rose_is_an_alarm(served: Served) -> None:
    rows = scored_rows(served.model, served.history, [served.at(CUT)])
    risen = rows.with_columns(pl.col("p_churn") * 1.8, pl.col("log_odds_churn") + 0.6)
    (found,) = score_findings(served.reference, risen)
    assert (found.kind, found.severity, found.subject) == ("score_drift", "alarm", "churn")
    assert found.numbers["direction"] == "up"


def test_the_reference_survives_the_artefact(served: Served) -> None:
    plain = served.model.to_plain()
    again = ChurnModel.from_plain(loads(dumps(plain)), "m")
    assert again.reference is not None
    assert Reference.from_plain(again.reference) == served.reference


def test_an_artefact_without_a_reference_says_what_cannot_be_compared(served: Served) -> None:
    found = watch(replace(served.model, reference=None), served.history, served.at(WEEKS))
    assert kinds(found.findings) == {"no_reference"}
    assert "cannot be told" in found.findings[0].sentence
    assert found.estimated["churn"]["auc_at_training"] is None


def test_a_young_store_does_not_alarm_at_its_own_youth(served: Served) -> None:
    cutoff, later = served.at(30), served.at(60)
    taken = take(served.model, served.history.known_at(cutoff), cutoff)
    assert taken is not None
    assert (taken.settled, taken.as_of, dict(taken.features)) == (False, cutoff, {})
    assert taken.timing == pytest.approx([part / 9 for part in range(1, 10)])
    young = ChurnModel.from_plain(loads(dumps(replace(served.model, reference=taken.to_plain()).to_plain())), "m")
    at_once, found = watch(young, served.history, cutoff), watch(young, served.history, later)
    assert [(one.kind, one.severity) for one in at_once.findings] == [("no_reference", "info")]
    assert not kinds(found.findings) & {"score_drift", "input_drift", "portfolio_shift", "mix_shift"}
    (said,) = [one for one in found.findings if one.kind == "no_reference"]
    assert "less than a year" in said.sentence
    assert found.reference is None
    assert found.estimated["churn"]["auc_at_training"] is None
    # what needs no normal is told all the same
    assert {one.target for one in found.observed} == {"churn", "silent"}
    assert take(served.model, served.history.known_at(served.at(53)), served.at(53)).moments == 1


def test_a_source_that_records_no_exit_is_not_taken_for_loyalty(served: Served) -> None:
    ends = ("notice_at", "ended_at", "end_reason")
    tables = {name: served.history.frame(name) for name in ("accounts", "interactions", "surveys", "contracts")}
    # every account pays on as it did, and nobody ever says that it ended
    tables["accounts"] = tables["accounts"].drop(ends)
    tables["contracts"] = tables["contracts"].clear()
    deaf = History.from_frames(tables)
    found = watch(served.model, deaf, served.at(WEEKS))
    assert found.observed == ()
    (said,) = [one for one in found.findings if one.kind == "no_exits"]
    assert said.severity == "warning"
    assert said.numbers["expected"] > 3
    assert "ended_at" in said.action
    assert "observed_expected" not in kinds(found.findings)


def test_a_young_history_without_an_exit_is_no_warning() -> None:
    rows = pl.DataFrame({"account_id": ["a", "a", "b"], "p_churn": [0.5, 0.5, 0.25], "part": [1.0, 0.5, 1.0]})
    # 0.5 + 0.25 + 0.25 over three snapshots of two accounts: 1 / 1.5 accounts
    found = no_exits(rows)
    assert found.severity == "info"
    assert found.numbers["expected"] == pytest.approx(2 / 3)


def test_a_reference_of_another_form_is_refused(served: Served) -> None:
    plain = served.reference.to_plain()
    for broken in ({**plain, "form": 99}, {key: value for key, value in plain.items() if key != "scores"}):
        with pytest.raises(ArtefactError, match="reference"):
            Reference.from_plain(broken)


def test_nobody_to_watch(served: Served) -> None:
    with pytest.raises(ContractError, match="nothing to watch"):
        watch(served.model, served.history, served.at(-900))
    assert take(served.model, served.history, served.at(-900)) is None


def test_the_same_accounts_are_looked_at_every_time() -> None:
    ids = [f"a{i}" for i in range(50)]
    drawn = sampled(ids, 20)
    assert len(drawn) == 20
    assert drawn == sampled(ids[::-1], 20)
    assert set(sampled([*ids, "another"], 20)) - set(drawn) <= {"another"}
    assert sampled(ids) == sorted(ids)
    assert MOST_ACCOUNTS >= 1000


def test_findings_come_the_gravest_first() -> None:
    made = [Finding(kind, severity, "x", "", "") for kind in KINDS for severity in ("info", "alarm", "warning")]
    severities = [one.severity for one in ordered(made)]
    assert severities == sorted(severities, key=("alarm", "warning", "info").index)
    assert ordered(made) == ordered(made[::-1])
    assert worst(made) == "alarm"
    assert worst([]) is None


def test_worse_service_is_dated_before_anybody_leaves(served: Served) -> None:
    found = watch(served.model, faulty("fcr_drop"), served.at(WEEKS))
    (repeats,) = [one for one in found.findings if one.subject == "service: repeats"]
    assert (repeats.kind, repeats.severity, repeats.numbers["direction"]) == ("service_change", "warning", "up")
    assert abs(repeats.since - served.at(SINCE)) <= timedelta(weeks=3)
