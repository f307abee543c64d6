"""The depth of the evaluation on a trained base: parts agree with the whole, longer horizons, the model in service."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from models.history import History
from models.labels import LabelParams, label
from training import artefact
from training.drifted import drifted
from training.horizons import horizons
from training.metrics import evaluate
from training.previous import Previous, compare, untested
from training.sample import Sample, measure
from training.simulator import Simulated
from training.train import Trained

TARGETS = ("churn", "silent")


@pytest.mark.parametrize("target", TARGETS)
def test_tables_add_up_to_the_counts_of_the_report(trained: Trained, target: str) -> None:
    found = trained.report["metrics"][target]
    for table in (found["lift_table"], found["revenue_table"]):
        assert sum(entry["rows"] for entry in table) == pytest.approx(found["n_rows"])
        assert sum(entry["exits"] for entry in table) == pytest.approx(found["n_event_rows"])
    assert found["lift_table"][0]["lift"] == pytest.approx(found["top_decile_lift"])
    assert found["revenue_table"][0]["share"] == pytest.approx(found["revenue_captured"])
    assert sum(entry["rows"] for entry in found["reliability"]) == found["n_rows"]
    for entry in found["reliability"]:
        assert entry["low"] <= entry["observed"] <= entry["high"]
    assert sum(part["n_rows"] for part in found["segments"].values()) == found["n_rows"]
    for name, part in found["segments"].items():
        rows = trained.tested[target].filter(pl.col("segment") == name)
        auc, alone = (measure(Sample.of(rows, p=p), names=("auc",))["auc"] for p in ("p", "p_contract"))
        gain = part["gain"]["contract"]["auc"]["value"]
        assert set(part["gain"]) == {"contract", "expert", "base"}
        assert gain == pytest.approx(auc - alone) if part["n_event_rows"] else gain is None


def test_silent_exits_are_described_once_each(trained: Trained) -> None:
    told = trained.report["rows"]
    assert 0 < sum(told["subtypes"].values()) <= told["silent_events"]


def test_the_lists_are_those_of_the_quiet_set(trained: Trained) -> None:
    silent = trained.report["metrics"]["silent"]
    months, quiet = silent["by_month"]["months"], silent["quiet"]
    assert len(months) == quiet["n_moments"]
    assert sum(month["accounts"] for month in months) == quiet["n_rows"]
    assert sum(month["left_of_all"] for month in months) == quiet["n_event_rows"]
    assert silent["by_month"]["summary"]["base_rate"]["value"] == pytest.approx(quiet["base_rate"])
    assert silent["by_month"]["summary"]["precision"]["value"] > 1.5 * quiet["base_rate"]
    mean = np.mean([month["precision"]["value"] for month in months])
    assert mean == pytest.approx(quiet["precision_at_k"]["value"])


def test_profit_names_its_assumptions_and_rivals(trained: Trained) -> None:
    found = trained.report["metrics"]["silent"]["profit"]
    assert found["assumptions"] == {
        "accepted": 0.3, "incentive": 0.05, "contact_cost": 15.0, "months": 12.0, "margin": 1.0
    }  # fmt: skip
    assert found["per_account"]["value"] >= 0
    assert 0 <= found["fraction"] <= 1
    assert set(found["baselines"]) == {"contract", "expert", "base"}


def test_half_a_year_counts_at_least_the_exits_of_three_months(trained: Trained) -> None:
    found = trained.report["metrics"]["churn"]["horizons"]
    assert found["90"]["auc"] == trained.report["metrics"]["churn"]["auc"]
    longer = found["180"]
    assert (longer["population"], longer["horizon_days"]) == ("annual", 180)
    assert longer["n_event_rows"] >= longer["same_rows"]["n_event_rows"]
    assert longer["n_rows"] < found["90"]["n_rows"]
    assert longer["n_moments"] == found["90"]["n_moments"] - 4  # 90 further days of which 28 lie between moments


@pytest.fixture(scope="module")
def rows(simulated: Simulated, history: History) -> pl.DataFrame:
    """Labelled rows with a prediction that knows nothing."""
    times = [simulated.end - timedelta(days=134 + 28 * i) for i in range(8)]
    accounts = history.accounts.filter(pl.col("started_at") < times[-1])["account_id"]
    pairs = pl.DataFrame({"as_of": times}).join(accounts.to_frame(), how="cross").select("account_id", "as_of")
    labels = label(history, pairs, simulated.end)
    generator = np.random.default_rng(5)
    facts = history.accounts.select("account_id", "segment", "billing", "mrr")
    return (
        labels.select("account_id", "as_of", "decided_at", y="y_silent")
        .drop_nulls("y")
        .join(facts, on="account_id", how="left", maintain_order="left")
        .with_columns(
            quiet=pl.lit(value=True),
            p=pl.lit(generator.random(labels["y_silent"].is_not_null().sum())),
            p_contract=pl.lit(0.1),
        )
    )


def test_a_longer_horizon_is_labelled_anew(simulated: Simulated, history: History, rows: pl.DataFrame) -> None:
    own = evaluate(rows, against=("contract",), resamples=5)
    params = LabelParams()
    found = horizons(history, rows, "silent", simulated.end, params, own, against=("contract",), resamples=5)["180"]
    annual = rows.filter(pl.col("billing") == "annual")
    asked = label(history, annual.select("account_id", "as_of"), simulated.end, replace(params, horizon_days=180))
    assert found["n_rows"] == asked["y_silent"].is_not_null().sum()
    assert found["n_event_rows"] == asked["y_silent"].sum()
    assert set(found["gain"]) == {"contract"}


def test_a_horizon_without_exits_says_why(simulated: Simulated, history: History, rows: pl.DataFrame) -> None:
    own = evaluate(rows, resamples=0)
    monthly = rows.filter(pl.col("billing") == "monthly")
    found = horizons(history, monthly, "silent", simulated.end, LabelParams(), own, resamples=0)["180"]
    assert "auc" not in found
    assert found["why"].startswith("0 accounts billed annually are known to have left within 180 days")


def test_a_model_with_a_longer_horizon_has_only_its_own(simulated: Simulated, history: History, rows) -> None:
    own = evaluate(rows, resamples=0)
    assert set(horizons(history, rows, "silent", simulated.end, LabelParams(horizon_days=200), own)) == {"200"}


def test_the_model_in_service_is_compared_on_later_rows_only(
    simulated: Simulated, history: History, trained: Trained, rows: pl.DataFrame
) -> None:
    middle = sorted(rows["as_of"].unique())[3]
    served = Previous(trained.model, middle)
    found = compare(served, history, {"silent": rows, "churn": rows}, resamples=20)
    assert (found["status"], found["why"]) == ("compared", None)
    later = rows.filter(pl.col("as_of") >= middle)
    assert found["silent"]["n_rows"] == later.height
    # A model that has seen these very exits against dice: the comparison must show it, in its direction.
    assert found["silent"]["gain"]["auc"]["high"] < 0
    old, new = found["silent"]["previous"]["auc"]["value"], found["silent"]["auc"]["value"]
    assert found["silent"]["gain"]["auc"]["value"] == pytest.approx(new - old)


def test_a_model_that_knows_the_tested_rows_is_not_compared(
    simulated: Simulated, history: History, trained: Trained, rows: pl.DataFrame
) -> None:
    found = compare(Previous(trained.model, simulated.end), history, {"silent": rows})
    assert found["status"] == "too_recent"
    assert "only 0 accounts left" in found["why"]
    assert "silent" not in found
    assert trained.report["previous"] == {
        "status": "none", "why": "No model is in service.", "model_id": None, "cutoff": None
    }  # fmt: skip


def test_what_has_changed_since_the_model_before_is_told(simulated: Simulated, history: History, trained: Trained):
    """The same model over a world that lost two of three contacts in its last quarter, and over the one it knows."""
    served = Previous(trained.model, simulated.end)
    same = drifted(served, trained.model, history.known_at(simulated.end), simulated.end)["drift"]
    assert same["lists"] == {"k": 20, "shared": 20}
    assert same["means"]["silent"]["this"] == same["means"]["silent"]["previous"] > 0
    assert [found["kind"] for found in same["findings"]] == []
    lost = (pl.col("opened_at") >= simulated.end - timedelta(weeks=13)) & (pl.col("opened_at").dt.minute() < 40)
    fewer = {**simulated.tables, "interactions": simulated.tables["interactions"].filter(~lost)}
    known = History.from_frames(fewer).known_at(simulated.end)
    told = drifted(served, trained.model, known, simulated.end)["drift"]["findings"]
    assert any("Contacts per account fell" in found["sentence"] for found in told)
    assert drifted(Previous(), trained.model, known, simulated.end) == {}
    assert untested(Previous()) == {"status": "none", "why": Previous.why, "model_id": None, "cutoff": None}
    assert untested(served)["why"] == "Nothing was fitted, so there are no tested rows to compare on."


def test_everything_is_plain_enough_for_the_manifest(trained: Trained) -> None:
    told = artefact.plain(trained.report)
    month = told["metrics"]["silent"]["by_month"]["months"][0]
    assert isinstance(month["as_of"], str)
    assert set(month) >= {"listed", "left", "base_rate", "precision"}
