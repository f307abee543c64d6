"""Training end to end: what a model promises, and that its parts add up."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.errors import ContractError, LeakageError, TooFewLabels
from models.features import FEATURES, compute
from models.history import History
from models.loading import load_model
from models.model import ChurnModel
from models.reasons import reasons
from models.scoring import score_history
from training import artefact, leakage
from training.simulator import Simulated
from training.train import Config, Trained, train


def test_it_reports_what_it_learnt_from(trained: Trained) -> None:
    rows = trained.report["rows"]
    assert trained.report["phase"] == "P2"
    assert rows["silent_events"] >= 30
    assert rows["churn_events"] > rows["silent_events"]
    assert rows["left_out"]["blackout"] > 0
    assert {row["look_back_days"] for row in trained.report["look_back_curve"]} == {30, 60, 90, 180, 365}


def test_metrics_come_with_intervals_and_rivals(trained: Trained) -> None:
    for target in ("churn", "silent"):
        found = trained.report["metrics"][target]
        assert found["auc"]["low"] < found["auc"]["value"] < found["auc"]["high"]
        assert 0.55 < found["auc"]["value"] < 0.95
        assert set(found["gain"]) == {"contract", "expert", "base"}
        assert found["quiet"]["n_rows"] < found["n_rows"]
        assert found["gain"]["base"]["log_loss"]["value"] > 0


def test_the_reference_is_the_frozen_base(trained: Trained) -> None:
    model = trained.model
    assert model.health.p_ref == pytest.approx(1 / (1 + np.exp(-model.churn.base)), abs=1e-12)


def test_everything_adds_up_for_every_account(simulated: Simulated, history: History, trained: Trained) -> None:
    scored = score_history(trained.model, history, simulated.end, fresh=True)
    scores = scored.scores
    points = scores.select(pl.sum_horizontal("^.*_points$")).to_series()
    assert scores.height > 300
    assert (50 + points - scores["health_unclipped"]).abs().max() < 1e-9  # type: ignore[operator]
    assert scores.filter((pl.col("p_silent") > pl.col("p_churn")) | (pl.col("p_silent") < 0)).height == 0
    assert (scores["p_silent"] + scores["p_vocal"] - scores["p_churn"]).abs().max() < 1e-12  # type: ignore[operator]
    for target, log_odds in (("churn", "log_odds_churn"), ("silent", "log_odds_silent")):
        base = getattr(trained.model, target).base
        told = reasons(trained.model, scored.features, target)
        sums = [base + sum(reason.log_odds for reason in row) for row in told]
        assert np.abs(np.array(sums) - scores[log_odds].to_numpy()).max() < 1e-9


def test_every_saved_table_moves_as_declared(trained: Trained) -> None:
    for target in ("churn", "silent"):
        card = getattr(trained.model, target)
        directed = [term for term in card.terms if term.kind != "category"]
        assert len(directed) > 40
        for term in directed:
            tables = np.array([term.table, *term.replicates])[:, : len(term.values)]
            assert len(tables) > 10
            assert (FEATURES[term.feature].direction(target) * np.diff(tables) >= 0).all(), term.feature


def test_every_reason_is_a_sentence_with_its_points(simulated: Simulated, history: History, trained: Trained) -> None:
    scored = score_history(trained.model, history, simulated.end, fresh=True)
    for row in reasons(trained.model, scored.features, "silent"):
        for reason in row:
            assert reason.sentence.endswith(f"{round(reason.points, 1) + 0.0:+.1f} points")
            assert "0 of 0" not in reason.sentence
            assert "{" not in reason.sentence
            assert " nan" not in reason.sentence


def test_the_saved_model_is_the_trained_one(
    tmp_path: Path, simulated: Simulated, history: History, trained: Trained
) -> None:
    created = datetime(2026, 3, 2, tzinfo=UTC)
    model_id = artefact.save(trained, tmp_path, created, Config(seed=3), None)
    model, manifest = load_model(tmp_path, model_id)
    assert manifest.phase == "P2"
    assert manifest.metrics["metrics"]["silent"]["auc"]["value"] == trained.report["metrics"]["silent"]["auc"]["value"]
    features = compute(history, simulated.end, trained.model.baselines)
    told = score_history(model, history, simulated.end, fresh=True).scores.drop("model_id")
    assert told.equals(score_history(trained.model, history, simulated.end, fresh=True).scores.drop("model_id"))
    assert ChurnModel.from_plain(model.to_plain(), "x").to_plain().keys() == trained.model.to_plain().keys()
    assert features.height
    for name in ("CARD.md", "report.html"):
        text = (tmp_path / model_id / name).read_text("utf-8")
        assert "{{" not in text
        assert "silent" in text


def test_the_same_history_and_seed_give_the_same_model(
    tmp_path: Path, simulated: Simulated, history: History, trained: Trained
) -> None:
    again = train(history, simulated.end, Config(seed=3))
    assert artefact.plain(again.report) == artefact.plain(trained.report)
    created = datetime(2026, 3, 2, tzinfo=UTC)
    one, two = (
        artefact.save(made, tmp_path / name, created, Config(), None) for made, name in ((trained, "a"), (again, "b"))
    )
    assert (tmp_path / "a" / one / "model.joblib").read_bytes() == (tmp_path / "b" / two / "model.joblib").read_bytes()


def test_what_happens_after_the_cutoff_changes_nothing(
    simulated: Simulated, history: History, trained: Trained
) -> None:
    """Training on a longer history as of an earlier moment is training on the shorter one."""
    cutoff = simulated.end - timedelta(weeks=20)
    whole = train(history, cutoff, Config(seed=3, blocks=2))
    cut = train(history.known_at(cutoff), cutoff, Config(seed=3, blocks=2))
    assert artefact.plain(whole.report) == artefact.plain(cut.report)
    assert whole.report["rows"]["snapshots"] < trained.report["rows"]["snapshots"]


def test_time_without_data_is_not_time_in_which_everybody_stayed(simulated: Simulated, history: History) -> None:
    with pytest.raises(ContractError, match=r"The last contact or survey is of .* is not known. Train as of"):
        train(history, simulated.end + timedelta(days=60), Config())


def test_without_exits_the_expert_serves_and_says_so(simulated: Simulated, history: History) -> None:
    unended = history.accounts.with_columns(
        *(pl.lit(None, history.accounts.schema[name]).alias(name) for name in ("notice_at", "ended_at", "end_reason"))
    )
    trained = train(History.from_frames({**simulated.tables, "accounts": unended}), simulated.end, Config())
    assert trained.report["phase"] == "P0"
    assert trained.report["metrics"] is None
    assert trained.model.status == "expert prior, uncalibrated"
    scores = score_history(trained.model, history, simulated.end, fresh=True).scores
    assert scores["p_churn"].mean() == pytest.approx(0.043, abs=0.01)
    assert (scores["p_silent"] <= scores["p_churn"]).all()


def test_a_history_without_customers_cannot_be_scored_for() -> None:
    empty = History.from_frames(
        {
            "interactions": pl.DataFrame(
                {"interaction_id": ["1"], "account_id": ["a"], "opened_at": [datetime(2026, 1, 1, tzinfo=UTC)]}
            )
        }
    )
    with pytest.raises(TooFewLabels, match="nobody to score"):
        train(empty, datetime(2026, 1, 20, tzinfo=UTC), Config())


def test_a_matrix_that_knows_the_future_is_refused(
    simulated: Simulated, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The independent arithmetic notices a feature computed with what was not known then."""
    honest = leakage.check

    def tampered(known, matrix, *args, **more):  # type: ignore[no-untyped-def]
        leaked = matrix.with_columns(pl.col("contact_drop_28d") + pl.col("y_churn") * 1e-12)
        return honest(known, leaked, *args, **more)

    monkeypatch.setattr(leakage, "check", tampered)
    with pytest.raises(LeakageError, match="contact_drop_28d"):
        train(history, simulated.end, Config(seed=3))
