"""Whatever is simulated is valid by the data contract, at the end and at any earlier moment."""

from datetime import timedelta

import polars as pl
import pytest

from models.history import TABLES
from training.simulator import Simulated


@pytest.fixture(params=["base", "earlier"])
def seen(request: pytest.FixtureRequest) -> Simulated:
    simulated: Simulated = request.getfixturevalue(request.param)
    return simulated


def test_columns_are_the_contract_s(seen: Simulated) -> None:
    for name, frame in seen.tables.items():
        declared = TABLES[name].schema
        assert dict(frame.schema) == {column: declared[column] for column in frame.columns}
        assert list(frame.columns) == [column for column in declared if column in frame.columns]


def test_ids_are_unique_and_known(seen: Simulated) -> None:
    known = seen.tables["accounts"]["account_id"]
    contacts = seen.tables["interactions"]["interaction_id"]
    surveys = seen.tables["surveys"]
    assert known.is_unique().all()
    assert contacts.is_unique().all()
    assert surveys["survey_id"].is_unique().all()
    assert surveys["interaction_id"].drop_nulls().is_in(contacts.implode()).all()
    for frame in seen.tables.values():
        assert frame["account_id"].is_in(known.implode()).all()


def test_ids_number_what_happened_in_order(seen: Simulated) -> None:
    contacts, surveys = seen.tables["interactions"], seen.tables["surveys"]
    assert contacts["interaction_id"].to_list() == [f"I{i:07d}" for i in range(1, len(contacts) + 1)]
    assert contacts["opened_at"].is_sorted()
    assert surveys["survey_id"].to_list() == [f"S{i:07d}" for i in range(1, len(surveys) + 1)]
    assert surveys["sent_at"].is_sorted()


def test_choices_are_the_contract_s(seen: Simulated) -> None:
    for name, frame in seen.tables.items():
        for column in TABLES[name].columns:
            if column.choices and column.name in frame.columns:
                assert set(frame[column.name].drop_nulls().unique()) <= set(column.choices)


def test_nothing_lies_outside_the_window_or_after_the_account_left(seen: Simulated) -> None:
    ends = seen.tables["accounts"].select("account_id", "started_at", until=pl.col("ended_at").fill_null(seen.end))
    for name in ("interactions", "surveys"):
        frame = seen.tables[name].join(ends, on="account_id", suffix="_account")
        times = [c for c in frame.columns if c.endswith("_at") and c != "started_at"]
        latest = frame.select(pl.max_horizontal(times) <= pl.col("until")).to_series()
        earliest = frame.select(pl.min_horizontal(times)).to_series()
        assert latest.all()
        assert (earliest >= seen.start).all()
        assert (earliest > frame["started_at"]).all()
    assert (ends["until"] <= seen.end).all()
    assert (ends["started_at"] < ends["until"]).all()


def test_no_duration_is_negative(seen: Simulated) -> None:
    contacts = seen.tables["interactions"]
    order = ("opened_at", "first_response_at", "resolved_at", "updated_at")
    for i, first in enumerate(order):
        for later in order[i + 1 :]:
            assert (contacts[later] >= contacts[first]).drop_nulls().all()
    for moment in ("escalated_at", "reopened_at"):
        assert (contacts[moment] >= contacts["opened_at"]).drop_nulls().all()
        assert (contacts["updated_at"] >= contacts[moment]).drop_nulls().all()
    surveys = seen.tables["surveys"]
    assert (surveys["responded_at"] >= surveys["sent_at"]).drop_nulls().all()


def test_values_agree_with_each_other(seen: Simulated) -> None:
    contacts, surveys = seen.tables["interactions"], seen.tables["surveys"]
    resolved = (contacts["outcome"] == "resolved").fill_null(value=False)
    assert (resolved == contacts["resolved_at"].is_not_null()).all()
    assert (contacts["escalated_at"].is_null() == contacts["escalation"].is_null()).all()
    assert ((contacts["reopens"] > 0) == contacts["reopened_at"].is_not_null()).all()
    assert contacts.filter("abandoned")["first_response_at"].is_null().all()
    assert (surveys["score"].is_null() == surveys["responded_at"].is_null()).all()
    assert (surveys["score"] >= surveys["scale_min"]).drop_nulls().all()
    assert (surveys["score"] <= surveys["scale_max"]).drop_nulls().all()


def test_surveys_follow_resolved_contacts(seen: Simulated) -> None:
    asked = seen.tables["surveys"].filter(pl.col("instrument") == "csat")
    rows = asked.join(seen.tables["interactions"], on="interaction_id", suffix="_contact")
    assert len(rows) == len(asked)
    assert (rows["account_id"] == rows["account_id_contact"]).all()
    # A reopened contact was surveyed after its first resolution and may be open, or closed later.
    settled = rows.filter(pl.col("reopens") == 0)
    assert (settled["sent_at"] > settled["resolved_at"]).drop_nulls().all()
    assert settled["resolved_at"].null_count() == 0
    share = len(asked) / seen.tables["interactions"]["resolved_at"].count()
    assert share == pytest.approx(0.80, abs=0.01)


def test_repeats_come_back_within_a_week_on_the_same_category(seen: Simulated) -> None:
    issues = (
        seen.tables["interactions"]
        .group_by("issue_id")
        .agg(
            contacts=pl.len(),
            accounts=pl.col("account_id").n_unique(),
            categories=pl.col("category").n_unique(),
            people=pl.col("contact_id").n_unique(),
            gap=pl.col("opened_at").diff().max(),
        )
    )
    assert issues["contacts"].max() == 3
    assert issues.select(pl.col("accounts", "categories", "people").max()).row(0) == (1, 1, 1)
    assert issues["gap"].max() < timedelta(days=7)


def test_terms_say_what_was_agreed(seen: Simulated) -> None:
    terms = seen.tables["contracts"].sort("account_id", "effective_at")
    first = terms.group_by("account_id", maintain_order=True).first()
    accounts = seen.tables["accounts"].sort("account_id")
    assert (first["effective_at"] == accounts["started_at"]).all()
    last = terms.group_by("account_id", maintain_order=True).last()
    for column in ("renewal_at", "mrr", "billing", "plan", "seats"):
        assert last[column].equals(accounts[column])
    annual = terms.filter(pl.col("billing") == "annual")
    assert ((annual["renewal_at"] - annual["effective_at"]) == timedelta(weeks=52)).all()
    assert terms.filter(pl.col("billing") == "monthly")["renewal_at"].null_count() == len(
        terms.filter(pl.col("billing") == "monthly")
    )


def test_leaving_is_told_as_the_contract_says(seen: Simulated) -> None:
    left = seen.tables["accounts"].filter(pl.col("ended_at").is_not_null())
    voluntary = left.filter(pl.col("end_reason") == "voluntary")
    annual = voluntary.filter(pl.col("billing") == "annual")
    kept = annual.filter(pl.col("notice_at").is_null())
    assert (kept["ended_at"] == kept["renewal_at"]).all()
    early = annual.filter(pl.col("notice_at").is_not_null())
    assert (early["ended_at"] < early["renewal_at"]).all()
    noticed = voluntary.filter(pl.col("notice_at").is_not_null())
    assert (noticed["notice_at"] == noticed["ended_at"]).all()
    monthly = voluntary.filter(pl.col("billing") == "monthly")
    months = (monthly["ended_at"] - monthly["started_at"]).dt.total_seconds() / (28 * 86400)
    assert (months == months.round()).all()
    assert left.filter(pl.col("end_reason") == "involuntary")["notice_at"].null_count() == len(
        left.filter(pl.col("end_reason") == "involuntary")
    )


def test_the_earlier_view_is_the_later_one_before_it_happened(base: Simulated, earlier: Simulated) -> None:
    t = earlier.end
    before, after = earlier.tables, base.tables
    accounts = after["accounts"].filter(pl.col("started_at") < t)
    assert before["accounts"]["account_id"].equals(accounts["account_id"])
    gone = before["accounts"].filter(pl.col("ended_at").is_not_null())["account_id"]
    assert gone.equals(accounts.filter(pl.col("ended_at") < t)["account_id"])
    contacts = after["interactions"].filter(pl.col("opened_at") < t)
    assert before["interactions"]["interaction_id"].equals(contacts["interaction_id"])
    settled = before["interactions"].filter(pl.col("outcome").is_not_null() & (pl.col("reopens") == 0))
    same = contacts.filter(pl.col("interaction_id").is_in(settled["interaction_id"].implode()))
    untouched = (same["reopens"] == 0).to_list()
    assert settled.filter(untouched).equals(same.filter(untouched))
    invited = after["surveys"].filter(pl.col("sent_at") < t)
    assert before["surveys"]["survey_id"].equals(invited["survey_id"])
    terms = after["contracts"].filter(pl.col("effective_at") < t)
    assert before["contracts"].sort("account_id", "effective_at").equals(terms.sort("account_id", "effective_at"))
