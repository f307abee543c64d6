"""The back-test: only what was known then, graded with what is known now, and months that say why they are missing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from models.errors import ContractError, SettingsError, TooFewLabels
from models.history import History
from models.labels import LabelParams, label
from training import expert as experts
from training.backtest import Backtest, Plan, backtest, backtest_expert, calendar
from training.backtest_commands import table_of
from training.describe_backtest import describe
from training.simulator import Simulated
from training.train import Config, Trained, train

CONFIG = Config(seed=3, capacity=15)
DAY = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def done(simulated: Simulated, history: History) -> Backtest:
    """Two months, one fit."""
    return backtest(history, simulated.end, CONFIG, Plan(months=2, refit_every=6))


@pytest.fixture(scope="module")
def by_tables(simulated: Simulated, history: History) -> Backtest:
    return backtest_expert(history, simulated.end, CONFIG, Plan(months=8), experts.load())


class TestTheCalendar:
    def test_firsts_of_months_whose_outcome_is_certain(self, simulated: Simulated, history: History) -> None:
        now = datetime(2024, 12, 1, tzinfo=UTC)
        known = history.known_at(now)
        days, ungraded = calendar(known, now, CONFIG, 3)
        # 1 December less 134 days is 20 July.
        assert days == [datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7)]
        assert [entry["as_of"].month for entry in ungraded] == [12, 11, 10, 9, 8]
        assert ungraded[-1]["certain_from"] == datetime(2024, 12, 13, tzinfo=UTC)

    def test_it_ends_where_no_look_back_lies_before(self, simulated: Simulated, history: History) -> None:
        days, ungraded = calendar(history, simulated.end, CONFIG, 1000)
        first = history.interactions["opened_at"].min()
        assert days[0] >= first + timedelta(days=90) > days[0] - timedelta(days=31)
        assert ungraded[-1]["why"].endswith("no whole look-back lies before it.")

    def test_too_short_a_history(self, history: History) -> None:
        first = history.interactions["opened_at"].min()
        with pytest.raises(TooFewLabels, match="needs 224"):
            calendar(history, first + timedelta(days=200), CONFIG, 12)

    def test_without_contacts(self, history: History) -> None:
        nothing = replace(history, interactions=history.interactions.clear())
        with pytest.raises(ContractError, match="no interactions"):
            calendar(nothing, DAY, CONFIG, 12)

    def test_a_plan_of_nothing(self) -> None:
        with pytest.raises(SettingsError, match="at least 1 month"):
            Plan(months=0)


class TestTheLists:
    def test_counts_add_up(self, done: Backtest) -> None:
        months, rows = done.report["months"], done.rows
        assert len(months) == 2
        for month in months:
            day = rows.filter((pl.col("as_of") == month["as_of"]) & pl.col("quiet"))
            listed = day.filter(pl.col("rank_by_probability") <= 15)
            assert (month["accounts"], month["listed"]) == (day.height, 15)
            assert month["left"] == (listed["outcome"] == "silent").sum() == month["outcomes"].get("silent", 0)
            assert sum(month["outcomes"].values()) == 15
            assert month["fitted_at"] == months[0]["as_of"]
            assert 0 <= month["contract"]["left"] <= month["left_of_all"]
            assert listed["p_silent"].min() >= day.filter(pl.col("rank_by_probability") > 15)["p_silent"].max()
        assert done.report["summary"]["places"] == 30

    def test_graded_with_what_is_known_now(self, done: Backtest, simulated: Simulated, history: History) -> None:
        again = label(history, done.rows.select("account_id", "as_of"), simulated.end)
        assert done.rows["outcome"].to_list() == again["outcome"].to_list()
        assert "immature" not in done.rows["outcome"].to_list()

    def test_what_happened_after_the_list_does_not_move_it(self, simulated: Simulated, history: History) -> None:
        plan = Plan(months=1)
        honest = backtest_expert(history, simulated.end, CONFIG, plan, experts.load())
        day = honest.report["months"][0]["as_of"]
        later = {
            name: history.frame(name).filter(pl.col("recorded_at") <= day)
            for name in ("interactions", "surveys", "contracts")
        }
        cut = backtest_expert(replace(history, **later), simulated.end, CONFIG, plan, experts.load())
        assert cut.report["months"][0]["as_of"] == day
        scores = ("account_id", "p_silent", "p_churn", "quiet", "rank_by_probability")
        assert cut.rows.select(scores).equals(honest.rows.select(scores))

    def test_it_fits_as_train_does(self, simulated: Simulated, history: History, trained: Trained) -> None:
        bare = train(history, simulated.end, Config(seed=3), thorough=False).model
        for target in ("churn", "silent"):
            assert str(getattr(bare, target)) == str(getattr(trained.model, target))

    def test_the_table_names_every_column(self, done: Backtest) -> None:
        table = table_of(done.report)
        assert [column.header for column in table.columns][-2:] == ["contract's", "expert's"]
        assert {len(list(column.cells)) for column in table.columns} == {2}


class TestLateKnowledge:
    def test_an_exit_recorded_late_was_on_the_list(self, simulated: Simulated, history: History) -> None:
        """With a month's delay, customers whose notice lay before the day are scored, and no hit."""
        late = replace(history, delay=timedelta(days=30))
        plan = Plan(months=3)
        prompt = backtest_expert(history, simulated.end, CONFIG, plan, experts.load()).rows
        delayed = backtest_expert(late, simulated.end + timedelta(days=30), CONFIG, plan, experts.load()).rows
        days = set(prompt["as_of"].unique()) & set(delayed["as_of"].unique())
        assert len(days) >= 2
        pairs = delayed.join(prompt, on=["account_id", "as_of"], how="anti").filter(pl.col("as_of").is_in(list(days)))
        decided = pairs.filter(pl.col("decided_at") <= pl.col("as_of"))
        assert decided.height > 0
        assert set(decided["outcome"]) == {"blackout"}
        assert (prompt["decided_at"] > prompt["as_of"]).all()


class TestTheExpertsFile:
    def test_the_file_in_use_gains_nothing_over_itself(self, by_tables: Backtest) -> None:
        gain = by_tables.report["metrics"]["silent"]["gain"]["expert"]["auc"]
        assert (gain["value"], gain["low"], gain["high"]) == pytest.approx((0, 0, 0), abs=1e-9)
        assert by_tables.report["summary"]["expert"]["left"] == by_tables.report["summary"]["left"]
        assert by_tables.report["refit_every"] is None

    def test_the_wrong_way_round_is_seen_to_be_worse(
        self, simulated: Simulated, history: History, by_tables: Backtest
    ) -> None:
        usual = experts.load()
        turned = replace(
            usual, terms=tuple(replace(term, values=tuple(-v for v in term.values)) for term in usual.terms)
        )
        found = backtest_expert(history, simulated.end, CONFIG, Plan(months=8), turned).report
        assert found["metrics"]["silent"]["gain"]["expert"]["auc"]["high"] < 0
        value = found["metrics"]["silent"]["auc"]["value"]
        assert value == pytest.approx(1 - by_tables.report["metrics"]["silent"]["auc"]["value"], abs=0.02)

    def test_nothing_is_fitted(self, by_tables: Backtest) -> None:
        assert {month["phase"] for month in by_tables.report["months"]} == {"P0"}
        assert "fitted_at" not in by_tables.report["months"][0]


def estimate(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def report(**changes):
    found = {
        "months": [{"phase": "P2"}, {"phase": "P0"}],
        "summary": {
            "moments": 12,
            "places": 240,
            "accounts": 138,
            "left": 38,
            "precision": estimate(0.158, 0.10, 0.23),
            "base_rate": estimate(0.033, 0.02, 0.04),
            "lift": estimate(4.8, 3.1, 6.9),
            "by_loss": {"left": 21, "precision": 0.09, "revenue_share": estimate(0.71, 0.32, 0.87)},
            "contract": {"left": 30},
            "expert": {"left": 36},
        },
        "metrics": {
            "silent": {
                "observed_expected": estimate(1.12, 0.87, 1.42),
                "quiet": {
                    "auc": estimate(0.79, 0.72, 0.84),
                    "gain": {
                        "contract": {"auc": estimate(0.02, 0.01, 0.03)},
                        "expert": {"auc": estimate(0.041, 0.017, 0.069)},
                    },
                },
            }
        },
        "ungraded": [
            {"as_of": datetime(2024, 5, 1, tzinfo=UTC), "why": "The contacts begin late."},
            {"as_of": DAY, "why": "too recent", "certain_from": DAY + timedelta(days=134)},
        ],
    }
    return found | changes


class TestTheSentences:
    def test_each_says_its_numbers(self) -> None:
        assert list(describe(report(), LabelParams())) == [
            "In 12 months the lists had 240 places (138 different customers); 38 of them left silently 14 to 104 days "
            "later: 16 % (95 % interval 10% to 23%), against 3.3 % of all quiet customers: 4.8 times as many (95 % "
            "interval 3.1 to 6.9).",
            "On as many places, contract terms alone would have listed 30 of those who left, and the expert's tables "
            "alone 36.",
            "Ordered by revenue at risk the lists would have held 21 of them and 71 % of the revenue the quiet ones "
            "took along (95 % interval 32% to 87%).",
            "Among quiet customers, one who left silently stood above one who did not in 79 of 100 cases (95 % "
            "interval 72% to 84%); in AUC that is +0.020 (+0.010 to +0.030) over contract terms alone and +0.041 "
            "(+0.017 to +0.069) over the expert's tables.",
            "For 100 silent exits predicted, 112 happened (95 % interval 87 to 142).",
            "In 1 of these months too little was known to fit anything, and the expert's scorecard served, "
            "uncalibrated.",
            "Not graded yet: 2025-03-01; what became of the first of these lists is certain from 2025-07-13 on.",
            "Not run: 2024-05-01. The contacts begin late.",
        ]

    @pytest.mark.parametrize(
        ("auc", "lift", "shown"),
        [
            ((0.53, 0.45, 0.61), (4.8, 3.1, 6.9), False),
            ((0.56, 0.51, 0.60), (1.1, 0.7, 1.4), False),
            ((0.56, 0.51, 0.60), (1.6, 1.1, 2.4), True),
        ],
    )
    def test_what_may_be_chance_is_called_that(self, auc, lift, shown) -> None:
        nothing = {"auc": estimate(0.0, -0.1, 0.1)}
        quiet = {"auc": estimate(*auc), "gain": {"contract": nothing, "expert": nothing}}
        silent = {"observed_expected": estimate(1.0), "quiet": quiet}
        summary = report()["summary"] | {"lift": estimate(*lift)}
        said = " ".join(describe(report(metrics={"silent": silent}, summary=summary), LabelParams()))
        assert ("not shown to be better than as many customers drawn at random" in said) is not shown
        assert "Service signals are not shown to add to what contract terms alone would have listed." in said

    def test_months_without_exits_cannot_judge_a_list(self) -> None:
        nothing = estimate(None)
        summary = report()["summary"] | {"left": 0, "precision": estimate(0.0, 0.0, 0.0), "lift": nothing}
        summary["by_loss"] = {"left": 0, "precision": 0.0, "revenue_share": nothing}
        silent = {"observed_expected": nothing, "quiet": {"auc": nothing, "gain": {"expert": {"auc": nothing}}}}
        first, second, *_ = describe(report(summary=summary, metrics={"silent": silent}), LabelParams())
        assert first.endswith("nobody else did either, so the lists cannot be judged.")
        assert second.startswith("In 1 of these months too little was known to fit anything")
