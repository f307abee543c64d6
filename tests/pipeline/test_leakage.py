"""The leakage arithmetic finds what was planted, each with its number and a way out, and nothing where nothing is."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.clock import isoformat
from models.errors import LeakageError, SettingsError
from models.features import FEATURES, compute
from models.history import History
from models.labels import LabelParams, label
from training.folds import forward_folds
from training.leakage import check
from training.leakage.accounts import WAY_OUT
from training.leakage.folds import fold_findings, label_findings
from training.leakage.histories import columns
from training.leakage.recompute import later_than, recomputed
from training.snapshots import snapshots

FIRST = datetime(2025, 1, 6, tzinfo=UTC)
CUTOFF = FIRST + timedelta(days=28 * 14 + 134)
DAY = timedelta(days=1)
ACCOUNTS = 48


def a_history():
    """48 accounts with a contact every ten days or so; every third one leaves at some time."""
    generator = np.random.default_rng(7)
    names = [f"a{k:02}" for k in range(ACCOUNTS)]
    leaves = [FIRST + float(generator.uniform(60, 480)) * DAY if k % 3 == 0 else None for k in range(ACCOUNTS)]
    contacts = [
        {
            "account_id": name,
            "opened_at": opened,
            "resolved_at": opened + float(generator.exponential(3)) * DAY,
            "outcome": "resolved",
            "kind": str(generator.choice(["question", "problem", "complaint"], p=[0.5, 0.45, 0.05])),
        }
        for name in names
        for opened in (FIRST + float(d) * DAY for d in generator.uniform(-300, 520, 80))
    ]
    accounts = pl.DataFrame(
        {
            "account_id": names,
            "started_at": [FIRST - 400 * DAY] * ACCOUNTS,
            "notice_at": leaves,
            "parent_id": ["a01" if k in (2, 3) else None for k in range(ACCOUNTS)],
            "mrr": generator.uniform(100, 900, ACCOUNTS),
        }
    )
    interactions = pl.DataFrame([row | {"interaction_id": str(k)} for k, row in enumerate(contacts)])
    return History.from_frames({"accounts": accounts, "interactions": interactions}).known_at(CUTOFF)


@pytest.fixture(scope="module")
def past():
    return a_history()


@pytest.fixture(scope="module")
def matrix(past):
    moments = [FIRST + timedelta(days=28 * k) for k in range(15)]
    pairs = past.accounts.select("account_id").join(
        pl.DataFrame({"as_of": moments}).cast(pl.Datetime("us", "UTC")), how="cross"
    )
    labels = label(past, pairs, CUTOFF)
    usable = labels["y_churn"].is_not_null()
    features = compute(past, pairs.filter(usable))
    return features.hstack(labels.filter(usable).drop("account_id", "as_of"))


@pytest.fixture(scope="module")
def folds(past, matrix):
    return forward_folds(matrix, past.accounts, groups=3)


def run(past, matrix, folds, **options):
    return check(past, matrix, folds, **({"recompute": compute, "sample": 24} | options))


class TestAnHonestMatrix:
    def test_passes_and_says_what_was_checked(self, past, matrix, folds):
        checked = run(past, matrix, folds)
        assert checked["folds"] == len(folds) == 12
        assert checked["purge_days"] == 104.0
        assert checked["rows_recomputed"] == 24
        assert checked["columns_compared"] == checked["columns_ranked_alone"] == len(FEATURES.names)
        assert 0.5 <= checked["highest_single_auc"]["auc"] <= 0.9
        assert checked["not_checked"] == {"y_silent": "8 accounts left; 10 are needed to rank by single columns."}


def broken(folds, **changes):
    """The same folds with the first one changed."""
    return replace(folds, folds=(replace(folds.folds[0], **changes), *folds.folds[1:]))


class TestFolds:
    def findings(self, past, matrix, folds, params=LabelParams()):  # noqa: B008
        return [found.what for found in fold_findings(matrix, folds, past.accounts, params)]

    def test_honest_ones_pass(self, past, matrix, folds):
        assert self.findings(past, matrix, folds) == []

    def test_a_label_that_reaches_into_the_test(self, past, matrix, folds):
        # Learnt up to 2025-03-03; with H = 120 its labels reach to 2025-07-15; tested from 2025-06-23: 22 days.
        assert folds.folds[0].train_to == FIRST + timedelta(days=56)
        assert folds.folds[0].test_from == FIRST + timedelta(days=168)
        found = self.findings(past, matrix, folds, LabelParams(horizon_days=120))
        assert len(found) == len(folds)
        assert found[0] == (
            "Fold (block 0, group 0) learns from 2025-03-03, whose labels reach 22.0 days into its test."
        )

    def test_the_test_moments_are_read_from_the_rows_not_from_the_fold(self, past, matrix, folds):
        lied = broken(folds, test_from=CUTOFF, train=folds.folds[-3].train)
        assert "days into its test" in self.findings(past, matrix, lied)[0]

    def test_an_account_on_both_sides(self, past, matrix, folds):
        first = folds.folds[0]
        same = np.flatnonzero((matrix["account_id"] == matrix["account_id"][int(first.test[0])]).to_numpy())
        found = self.findings(past, matrix, broken(folds, train=np.append(first.train, same[0])))
        name = matrix["account_id"][int(first.test[0])]
        assert found == [f"Fold (block 0, group 0) learns from 1 accounts it is tested on, such as {name!r}."]

    def test_a_family_on_both_sides(self, past, matrix, folds):
        # a02 and a03 are children of a01. Whoever tests a02 must not learn from a03.
        fold = next(f for f in folds if "a02" in matrix["account_id"][f.test].to_list())
        child = np.flatnonzero((matrix["account_id"] == "a03").to_numpy())[0]
        changed = replace(folds, folds=(replace(fold, train=np.append(fold.train, child)),))
        assert self.findings(past, matrix, changed) == [
            f"Fold (block 0, group {fold.group}) learns from 1 accounts it is tested on, such as 'a03'."
        ]

    def test_a_row_tested_twice(self, past, matrix, folds):
        twice = replace(folds, folds=(*folds.folds, folds.folds[0]))
        assert self.findings(past, matrix, twice) == [f"{len(folds.folds[0].test)} rows are tested more than once."]


class TestLabels:
    def test_honest_ones_pass(self, matrix):
        assert label_findings(matrix, LabelParams()) == []

    @pytest.mark.parametrize(
        ("y", "days", "wrong"),
        [
            (1, 14, 1),
            (1, 14.01, 0),
            (1, 104, 0),
            (1, 104.01, 1),
            (1, None, 1),
            (0, 104, 1),
            (0, 104.01, 0),
            (0, None, 0),
        ],
    )
    def test_each_against_its_dates(self, y, days, wrong):
        decided = None if days is None else FIRST + days * DAY
        row = pl.DataFrame(
            {"account_id": ["a"], "as_of": [FIRST], "y_churn": [y], "decided_at": [decided]},
            schema_overrides={"decided_at": pl.Datetime("us", "UTC")},
        )
        assert len(label_findings(row, LabelParams())) == wrong


def with_future(history, pairs):
    """A careless feature: contacts ever, whenever."""
    ever = history.interactions.group_by("account_id").agg(contacts_ever=pl.len().cast(pl.Float64))
    return pairs.join(ever, on="account_id", how="left", maintain_order="left")


class TestTheMatrixAgain:
    def test_a_column_that_saw_the_future(self, past, matrix):
        careless = matrix.hstack(with_future(past, matrix.select("account_id", "as_of")).select("contacts_ever"))
        compared, found = recomputed(past, careless, ["contacts_ever"], with_future, 12, 0)
        assert compared == 12
        assert len(found) == 4  # one per moment
        assert found[0].what.startswith("contacts_ever of 'a")
        assert "in the training matrix and" in found[0].what

    def test_one_bit_is_enough(self, past, matrix):
        def nudged(history, pairs):
            return compute(history, pairs).with_columns(
                mrr_ln=pl.Series(np.nextafter(compute(history, pairs)["mrr_ln"].to_numpy(), np.inf))
            )

        _, found = recomputed(past, matrix, FEATURES.names, nudged, 4, 0)
        assert [f.what.split()[0] for f in found] == ["mrr_ln"] * 4

    def test_unknown_is_not_zero(self, past, matrix):
        def zeros(history, pairs):
            return compute(history, pairs).with_columns(pl.col("days_to_renewal").fill_null(0.0))

        _, found = recomputed(past, matrix, ["days_to_renewal"], zeros, 4, 0)
        assert found[0].what.startswith("days_to_renewal")

    def test_every_later_row_is_gone_for_the_one_who_recomputes(self, past, matrix):
        seen = []

        def watching(history, pairs):
            t = pairs["as_of"][0]
            seen.append((t, history.interactions["opened_at"].max(), history.accounts["notice_at"].max()))
            return compute(history, pairs)

        recomputed(past, matrix, FEATURES.names, watching, 24, 0)
        assert len(seen) == 4
        assert all(opened < t and (notice is None or notice < t) for t, opened, notice in seen)

    def test_a_past_that_is_none_is_a_finding(self, past):
        assert later_than(past.known_at(FIRST), FIRST) == []
        late = [f.what for f in later_than(past, FIRST)]
        assert len(late) == 3
        assert any("accounts.notice_at" in what for what in late)
        assert any("interactions.opened_at" in what for what in late)
        assert any("interactions.resolved_at" in what for what in late)


class TestTheRefusal:
    @pytest.fixture
    def honeypots(self, matrix):
        return matrix.with_columns(
            account_status=pl.when(pl.col("y_churn") == 1).then(pl.lit("gone")).otherwise(pl.lit("fine")),
            contacts_x=pl.col("y_churn").cast(pl.Float64) + 0.0,
        )

    def check(self, past, honeypots, folds, **options):
        def compute_both(history, pairs):
            return honeypots.join(pairs, on=["account_id", "as_of"], how="semi", maintain_order="right")

        names = ["account_status", "contacts_x", "mrr_ln"]
        return run(past, honeypots, folds, **({"features": names, "recompute": compute_both} | options))

    def test_all_findings_at_once_numbered_with_a_way_out(self, past, honeypots, folds):
        with pytest.raises(LeakageError) as refused:
            self.check(past, honeypots, folds)
        lines = str(refused.value).splitlines()
        assert lines[0] == "Training would have seen the future in 5 ways; nothing was fitted."
        assert [line.strip()[:2] for line in lines[1:4]] == ["1.", "2.", "3."]
        assert "'account_status' changes at 100% of exits" in lines[4]
        assert "'account_status' alone ranks those who left with an AUC of 1.000" in lines[1]
        assert "'contacts_x' alone" in lines[2]
        assert "'account_status' sounds as if" in lines[3]
        assert all("Leave it out" in line for line in lines[1:4])
        assert lines[6].endswith("--allow-leak account_status --allow-leak contacts_x")

    def test_what_the_suspects_are_worth_is_said(self, past, honeypots, folds):
        with pytest.raises(LeakageError) as refused:
            self.check(past, honeypots, folds)
        last = str(refused.value).splitlines()[-1]
        assert last.startswith("A quick model")
        assert "1.000 with all columns" in last
        assert last.endswith("without the suspects (account_status, contacts_x).")

    def test_what_the_user_vouches_for_passes_and_is_recorded(self, past, honeypots, folds):
        checked = self.check(past, honeypots, folds, allowed=["account_status", "contacts_x"], who="mia", when=CUTOFF)
        assert checked["allowed"] == ["account_status", "contacts_x"]
        assert {(o["who"], o["when"], o["finding"]["kind"], o["finding"]["column"]) for o in checked["overrides"]} == {
            ("mia", isoformat(CUTOFF), kind, name)
            for name, kinds in (("account_status", ("auc", "name", "moves")), ("contacts_x", ("auc", "moves")))
            for kind in kinds
        }
        assert checked["twice"]["with"] == 1.0
        assert checked["twice"]["without"] < 0.9
        assert checked["columns_ranked_alone"] == checked["columns_compared"] == 3
        json.dumps(checked)

    def test_nobody_can_vouch_against_the_arithmetic(self, past, matrix, folds):
        careless = matrix.hstack(with_future(past, matrix.select("account_id", "as_of")).select("contacts_ever"))
        with pytest.raises(LeakageError, match="contacts_ever"):
            run(
                past,
                careless,
                folds,
                features=["contacts_ever"],
                recompute=with_future,
                allowed=["contacts_ever"],
                who="mia",
                when=CUTOFF,
            )

    def test_a_column_that_is_not_there_cannot_be_allowed(self, past, matrix, folds):
        with pytest.raises(SettingsError, match="'contacts_evre'"):
            run(past, matrix, folds, allowed=["contacts_evre"])


class TestARewrittenPast:
    """What recomputing cannot see: the source itself says something else than it said then."""

    def found(self, simulated, **changed):
        past = History.from_frames(simulated.tables | changed).known_at(simulated.end)
        pairs = snapshots(past, simulated.end)
        labels = label(past, pairs, simulated.end)
        usable = labels["y_churn"].is_not_null()
        matrix = compute(past, pairs.filter(usable)).hstack(labels.filter(usable).drop("account_id", "as_of"))
        doubts = columns(matrix, FEATURES.names)
        return {(f.column, f.kind) for f in doubts.found if f.way_out == WAY_OUT or f.kind == "auc"}

    def test_the_past_as_it_was(self, simulated):
        assert self.found(simulated) == set()

    def test_a_segment_that_became_former(self, simulated):
        accounts = simulated.tables["accounts"]
        gone = pl.col("ended_at").is_not_null() & (pl.col("account_id").hash(7) % 3 > 0)
        former = accounts.with_columns(segment=pl.when(gone).then(pl.lit("former")).otherwise("segment"))
        assert ("segment", "value") in self.found(simulated, accounts=former)

    def test_contacts_that_were_erased(self, simulated):
        gone = simulated.tables["accounts"].filter(pl.col("ended_at").is_not_null())["account_id"].implode()
        kept = {
            name: simulated.tables[name].filter(~pl.col("account_id").is_in(gone))
            for name in ("interactions", "surveys")
        }
        assert ("first_response_vs_target_90d", "missing") in self.found(simulated, **kept)

    def test_surveys_that_began_late_are_no_leak(self, simulated):
        surveys = simulated.tables["surveys"]
        late = surveys.filter(pl.col("sent_at") > simulated.end - timedelta(days=400))
        assert self.found(simulated, surveys=late) == set()
