"""Each doubt about a column: what it must catch, and the near miss it must not."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from models.errors import ContractError, LeakageError
from models.features import FEATURES
from training.leakage import Roles, doubts, examine, require
from training.leakage.names import certain, doubtful

N = 600
Y = np.array([1] * 120 + [0] * 480)


def a_table(y=Y, seed=0, **columns):
    """Accounts of which a fifth left, a little sooner when they called often; and the columns of the test."""
    generator = np.random.default_rng(seed)
    n = len(y)
    honest = {
        "calls": generator.poisson(2 + 1.0 * y),
        "spend": generator.normal(size=n),
        "plan": generator.choice(["basic", "pro", "team"], n),
    }
    return pl.DataFrame({"id": [f"a{k}" for k in range(n)], "y": y, **honest, **columns})


def found(frame, label="y", group="id", **options):
    """(column, kind, severity) of everything that was found."""
    skipped = {label, group, *(value for value in options.values() if isinstance(value, str))}
    names = [name for name in frame.columns if name not in skipped]
    return {(f.column, f.kind, f.severity) for f in doubts(frame, names, Roles(label, group, **options)).found}


class TestAlone:
    def auc(self, **columns):
        frame = a_table(**columns)
        return doubts(frame, list(columns), Roles("y", "id")).aucs[next(iter(columns))]

    def test_either_direction(self):
        assert self.auc(up=Y.astype(float)) == self.auc(down=-Y.astype(float)) == 1.0

    def test_by_hand(self):
        # Half of those who left above every stay, the others level with all: 1/2 + 1/2 * 1/2.
        x = np.zeros(N)
        x[:60] = 1.0
        assert self.auc(x=x) == pytest.approx(0.75, abs=0.01)

    def test_neither_high_nor_low_but_in_the_middle(self):
        x = np.random.default_rng(0).normal(size=N) * np.where(Y == 1, 0.1, 1) + np.where(Y == 1, 0, 3)
        assert self.auc(x=np.where(np.arange(N) % 2, x, -x)) > 0.9

    def test_being_known_at_all_can_be_the_answer(self):
        noise = np.random.default_rng(0).normal(size=N)
        assert self.auc(interview=[v if y else None for v, y in zip(noise, Y, strict=True)]) == 1.0

    def test_a_telling_text(self):
        assert self.auc(mood=["closing" if y else "fine" for y in Y]) == 1.0

    def test_an_id_is_not_an_answer(self):
        assert self.auc(customer=[f"customer {k}" for k in range(N)]) == 0.5

    def test_rows_of_one_account_do_not_tell_of_each_other(self):
        # Ten rows each: a text of their own would be the answer if rows were dealt one by one.
        y = np.repeat(Y, 10)
        frame = pl.DataFrame({"id": np.repeat(np.arange(N), 10), "y": y}).with_columns(owner=pl.col("id").cast(str))
        assert doubts(frame, ["owner"], Roles("y", "id")).aucs["owner"] == 0.5
        assert doubts(frame, ["owner"], Roles("y")).aucs["owner"] > 0.99

    def test_noise_is_none(self):
        assert self.auc(noise=np.random.default_rng(1).normal(size=N)) < 0.6

    def test_above_nine_tenths_it_stops(self):
        strong = Y + np.random.default_rng(2).normal(scale=0.35, size=N)
        weaker = Y + np.random.default_rng(2).normal(scale=0.75, size=N)
        assert ("x", "auc", "error") in found(a_table(x=strong))
        assert found(a_table(x=weaker)) == set()

    def test_with_few_exits_it_is_a_doubt(self):
        # Eleven left, nine of them alone have the value: AUC .909, and at least .791: it may be chance.
        y = np.array([1] * 11 + [0] * 120)
        x = np.zeros(131)
        x[:9] = 1.0
        assert ("x", "auc", "warning") in found(a_table(y=y, x=x))

    def test_too_few_exits_to_tell(self):
        y = np.array([1] * 9 + [0] * 100)
        findings = doubts(a_table(y=y, x=y), ["x"], Roles("y", "id"))
        assert findings.aucs == {}
        assert findings.not_checked == {"y": "9 accounts left; 10 are needed to rank by single columns."}

    def test_a_label_that_is_none(self):
        with pytest.raises(ContractError, match="'y' must be 0, 1 or unknown"):
            doubts(a_table(y=Y + 1), ["calls"], Roles("y", "id"))

    def test_rows_without_a_label_are_left_out(self):
        frame = a_table().with_columns(y=pl.when(pl.col("id") == "a0").then(None).otherwise(pl.col("y")))
        roles = Roles("y", "id")
        assert doubts(frame, ["calls"], roles) == doubts(frame[1:], ["calls"], roles)


CERTAIN = (
    *("status", "account_status", "Customer Status", "CustomerStatus", "final_invoice", "csm_notes", "churn_survey"),
    *("account_score_next", "Churn Score", "Churn Reason", "Churn Category", "Cancel Reason", "cancellation_date"),
    *("end_date", "EndDate", "exit_interview", "CLTV", "reason", "y", "target", "left_at", "closed_code", "is_churner"),
    *("subscription_status", "terminated", "churn_risk", "risk_score", "last_invoice_amount"),
)
ORDINARY = (
    *("trend", "weekend_contacts", "spend", "seats", "days_to_renewal", "response_minutes", "response_rate"),
    *(
        "credit_score",
        "friend_list",
        "extended",
        "extended_warranty",
        "calendar_days",
        "vendor",
        "sending",
        "attendance",
    ),
    *("contract_end", "trial_end_date", "marital_status", "contact_reason", "csat_score", "nps_last", "days_left"),
    *(
        "score_mean",
        "category",
        "notice_period",
        "release_notes",
        "targets_missed_share",
        "class_size",
        "invoice_count",
    ),
    *("next_renewal", "lifetime_days", "satisfaction_score", "excited", "payment_status", "leftover_credits"),
)


class TestNames:
    @pytest.mark.parametrize("name", CERTAIN)
    def test_written_afterwards(self, name):
        assert certain(name)

    @pytest.mark.parametrize("name", ORDINARY)
    def test_innocent(self, name):
        assert not certain(name)

    @pytest.mark.parametrize("name", ["model_score", "order_category", "resolved_by"])
    def test_ordinary_words_are_a_doubt_only_with_a_number(self, name):
        assert doubtful(name)
        assert found(a_table(**{name: np.random.default_rng(0).normal(size=N)})) == set()
        noticeable = Y + np.random.default_rng(0).normal(scale=0.9, size=N)
        assert found(a_table(**{name: noticeable})) == {(name, "name", "warning")}

    def test_words_of_the_label_itself(self):
        assert certain("attrited_flag", "is_attrited")
        assert not certain("customer_flag", "is_attrited_customer_flag")

    def test_a_name_alone_warns_and_with_a_number_stops(self):
        noise = np.random.default_rng(0).normal(size=N)
        assert found(a_table(csm_notes=noise)) == {("csm_notes", "name", "warning")}
        assert ("csm_notes", "name", "error") in found(a_table(csm_notes=Y + 0.5 * noise))

    def test_our_own_features_have_been_read(self):
        frame = a_table(escalations_90d=np.zeros(N)).rename({"spend": "churned_before"})
        names = ["escalations_90d", "churned_before"]
        assert {f.column for f in doubts(frame, names, Roles("y", "id"), read=FEATURES.names).found} == {
            "churned_before"
        }

    def test_hardly_any_of_our_own_names_would_need_it(self):
        assert [name for name in FEATURES.names if certain(name)] == []


class TestTogether:
    def overall(self, parts):
        return {(f.kind, f.severity) for f in examine(a_table(**parts), list(parts), "y", "id").found}

    def test_twice_says_what_the_suspects_are_worth(self):
        findings = examine(a_table(status=Y), ["calls", "spend", "status"], "y", "id")
        assert findings.suspects == ("status",)
        assert findings.twice["with"] == 1.0
        assert 0.55 < findings.twice["without"] < 0.85
        assert findings.twice["suspects"] == ["status"]

    def test_all_columns_together_too_good_to_be_true(self):
        # Twelve columns that are worth .7 each, of their own noise, know the answer together.
        generator = np.random.default_rng(0)
        parts = {f"part_{k}": Y * 0.8 + generator.normal(size=N) for k in range(12)}
        assert self.overall(parts) == {("overall", "warning")}
        assert self.overall(dict(list(parts.items())[:3])) == set()

    def test_allowed_by_kind_where_there_is_no_column(self):
        generator = np.random.default_rng(0)
        parts = {f"part_{k}": Y * 1.5 + generator.normal(size=N) for k in range(14)}
        findings = examine(a_table(**parts), list(parts), "y", "id")
        assert [(f.kind, f.severity) for f in findings.errors] == [("overall", "error")]
        with pytest.raises(LeakageError, match="--allow-leak overall"):
            require(findings)
        kept = require(findings, ["overall"], "mia", datetime(2026, 3, 1, tzinfo=UTC))
        assert [o["finding"]["kind"] for o in kept["overrides"]] == ["overall"]

    def test_the_same_seed_finds_the_same(self):
        frame = a_table(status=Y)
        names = ["calls", "spend", "plan", "status"]
        assert examine(frame, names, "y", "id", seed=4) == examine(frame, names, "y", "id", seed=4)
