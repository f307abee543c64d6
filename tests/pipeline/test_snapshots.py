"""Which account is looked at when: the example of `training/snapshots.py`, every standing, and the past alone."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ContractError, SettingsError, TooFewLabels
from models.history import History
from models.labels import LabelParams, label
from models.standing import STANDINGS, eligible, standings
from training.snapshots import census, excluded, moments, snapshots

CUTOFF = datetime(2026, 12, 1, tzinfo=UTC)
SOURCE = datetime(2025, 3, 1, tzinfo=UTC)
LAST = datetime(2026, 7, 20, tzinfo=UTC)


def days(count):
    return timedelta(days=count)


def account(name, **columns):
    return {"account_id": name, "started_at": SOURCE} | columns


def history(*described, delay=0, source=SOURCE, **tables):
    first = pl.DataFrame([{"interaction_id": "1", "account_id": "anna", "opened_at": source}])
    frames = {
        "accounts": pl.DataFrame(list(described) or [account("anna")], infer_schema_length=None),
        "interactions": first,
    }
    return History.from_frames(frames | tables, delay=days(delay))


def standing_at(t, columns, delay=0, **tables):
    past = history({"account_id": "anna", "started_at": SOURCE} | columns, delay=delay, **tables)
    return standings(past, [t]).get_column("standing")[0]


class TestMoments:
    def test_the_example(self):
        at = moments(history(), CUTOFF)
        assert len(at) == 15
        assert at[0] == datetime(2025, 6, 23, tzinfo=UTC)
        assert at[-1] == LAST
        assert {b - a for a, b in pairwise(at)} == {days(28)}

    def test_the_first_may_lie_exactly_a_look_back_after_the_source_began(self):
        assert moments(history(source=LAST - days(90 + 28)), CUTOFF) == [LAST - days(28), LAST]
        late = LAST - days(90 + 28) + timedelta(microseconds=1)
        assert moments(history(source=late), CUTOFF) == [LAST]

    def test_every_label_can_be_trusted(self):
        past = history(account("anna", notice_at=CUTOFF - days(100)))
        assert "immature" not in label(past, snapshots(past, CUTOFF), CUTOFF)["outcome"].to_list()

    def test_too_short_a_history_says_how_much_is_missing(self):
        with pytest.raises(TooFewLabels, match="span 223 days up to the cutoff; a labelled snapshot needs 224"):
            moments(history(source=CUTOFF - days(223)), CUTOFF)
        assert len(moments(history(source=CUTOFF - days(224)), CUTOFF)) == 1

    def test_contacts_after_the_cutoff_do_not_exist(self):
        with pytest.raises(ContractError, match="no interactions"):
            moments(history(source=CUTOFF + days(1)), CUTOFF)

    def test_other_parameters(self):
        params = LabelParams(look_back_days=30, horizon_days=180)
        at = moments(history(), CUTOFF, every_days=7, params=params)
        assert at[-1] == CUTOFF - days(14 + 180 + 30)
        assert SOURCE + days(30) <= at[0] < SOURCE + days(37)

    def test_a_step_of_nothing_is_refused(self):
        with pytest.raises(SettingsError, match="every_days"):
            moments(history(), CUTOFF, every_days=0)


class TestStanding:
    @pytest.mark.parametrize(
        ("columns", "standing"),
        [
            ({}, "eligible"),
            ({"is_test": True, "ended_at": LAST - days(9)}, "test"),
            ({"started_at": LAST}, "unknown"),
            ({"recorded_at": LAST + days(1)}, "unknown"),
            ({"recorded_at": LAST}, "eligible"),
            ({"started_at": LAST - days(30) + timedelta(seconds=1)}, "young"),
            ({"started_at": LAST - days(30)}, "eligible"),
            ({"started_at": None}, "undated"),
            ({"notice_at": LAST}, "eligible"),  # has not happened before t
            ({"notice_at": LAST - timedelta(seconds=1)}, "leaving"),
            ({"ended_at": LAST - days(1), "notice_at": LAST - days(9)}, "gone"),
            ({"ended_at": LAST}, "eligible"),
        ],
    )
    def test_each(self, columns, standing):
        assert standing_at(LAST, columns) == standing

    def test_what_was_not_reported_yet_was_not_known(self):
        told = {"notice_at": LAST - timedelta(hours=30)}
        assert standing_at(LAST, told, delay=1) == "leaving"
        assert standing_at(LAST, told, delay=2) == "eligible"

    def test_a_decision_nobody_knew_is_no_snapshot_to_learn_from(self):
        past = history(account("anna", notice_at=LAST - timedelta(hours=30)), delay=2)
        rows = label(past, standings(past, [LAST]), CUTOFF)
        assert rows["outcome"].to_list() == ["blackout"]

    @pytest.mark.parametrize(
        ("zero_days_before", "paid_days_before", "standing"),
        [(89, None, "eligible"), (90, None, "unpaid"), (200, 50, "eligible"), (200, 0, "unpaid"), (200, -5, "unpaid")],
    )
    def test_without_revenue(self, zero_days_before, paid_days_before, standing):
        rows = [(SOURCE, 100.0), (LAST - days(zero_days_before), 0.0)]
        if paid_days_before is not None:
            rows.append((LAST - days(paid_days_before), 100.0))
        terms = [{"account_id": "anna", "effective_at": at, "mrr": mrr} for at, mrr in rows]
        assert standing_at(LAST, {}, contracts=pl.DataFrame(terms)) == standing

    def test_moments_and_accounts_come_sorted(self):
        past = history(account("bob"), account("anna"))
        rows = standings(past, [LAST, LAST - days(28)])
        assert rows.sort("as_of", "account_id").equals(rows)
        assert rows.height == 4


class TestSnapshots:
    def past(self):
        return history(
            account("anna"),
            account("bob", started_at=LAST - days(40)),
            account("carl", is_test=True),
            account("dora", notice_at=LAST - days(30), ended_at=LAST - days(10)),
        )

    def test_the_eligible_ones(self):
        rows = snapshots(self.past(), CUTOFF).filter(pl.col("as_of") >= LAST - days(28))
        assert rows.rows() == [("anna", LAST - days(28)), ("anna", LAST), ("bob", LAST)]

    def test_what_was_left_out_is_counted(self):
        # Bob had not started at the first 13 moments.
        counts = {"unknown": 13, "test": 15, "gone": 1, "leaving": 1, "young": 1}
        assert list(excluded(self.past(), CUTOFF).items()) == list(counts.items())
        assert sum(counts.values()) + snapshots(self.past(), CUTOFF).height == 4 * 15
        assert census(self.past(), CUTOFF).height == 4 * 15


class TestEligibleForAScore:
    def test_any_age(self):
        past = history(
            account("anna"),
            account("bob", started_at=LAST - days(1)),
            account("carl", started_at=None),
            account("dora", notice_at=LAST - days(1)),
            account("emil", is_test=True),
        )
        rows = eligible(past, LAST)
        assert rows.select("account_id", "young").rows() == [("anna", False), ("bob", True), ("carl", True)]
        assert rows["as_of"].unique().to_list() == [LAST]


hours = st.integers(-400 * 24, 60 * 24)
lives = st.lists(
    st.tuples(hours, hours | st.none(), hours | st.none(), st.booleans(), hours | st.none(), hours | st.none()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(lives=lives, delay=st.integers(0, 3))
def test_a_standing_needs_nothing_but_what_was_known(lives, delay):
    def at(hour):
        return None if hour is None else LAST + timedelta(hours=hour)

    described = [
        account(str(k), started_at=at(started), notice_at=at(notice), ended_at=at(ended), is_test=test)
        for k, (started, notice, ended, test, _, _) in enumerate(lives)
    ]
    terms = [
        {"account_id": str(k), "effective_at": at(hour), "mrr": mrr}
        for k, life in enumerate(lives)
        for hour, mrr in ((-401 * 24, 50.0), (life[4], 0.0), (life[5], 50.0))
        if hour is not None
    ]
    past = history(*described, delay=delay, contracts=pl.DataFrame(terms))
    now, then = standings(past, [LAST]), standings(past.known_at(LAST), [LAST])
    # Whoever was not known then has no row in that past.
    assert now.filter(pl.col("standing") != "unknown").equals(then)
    assert set(now["standing"]) <= set(STANDINGS)
