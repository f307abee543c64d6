"""Champion against challenger: the same rows, none that one of them may have learnt from, and a verdict that holds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models import registry
from models.clock import isoformat
from models.errors import ArtefactError, ContractError
from models.history import History
from models.labels import LabelParams, label
from models.model import ChurnModel
from training import artefact, simulator
from training.compare import Entrant, forward, judge, refitted
from training.simulator import Simulated
from training.snapshots import snapshots
from training.train import Config, Trained, train

MADE = datetime(2026, 3, 2, tzinfo=UTC)
GAINED = ("auc", "pr_auc", "brier", "log_loss", "top_decile_lift")


@pytest.fixture(scope="module")
def manifest(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> registry.Manifest:
    root: Path = tmp_path_factory.mktemp("artefacts")
    return registry.show(root, artefact.save(trained, root, MADE, Config(seed=3), None))


def entrant(model: ChurnModel, manifest: registry.Manifest, cutoff: datetime) -> Entrant:
    """A model that is said to have been trained at this cutoff."""
    return Entrant(model, replace(manifest, metrics={**manifest.metrics, "cutoff": isoformat(cutoff)}))


def contrary(model: ChurnModel) -> ChurnModel:
    """The model with every effect of both scorecards turned round."""

    def turned(term):  # type: ignore[no-untyped-def]
        values = tuple(-value for value in term.values)
        return replace(term, values=values, missing=-term.missing, unseen=-term.unseen, replicates=())

    cards = {
        name: replace(getattr(model, name), terms=tuple(map(turned, getattr(model, name).terms)), base_replicates=())
        for name in ("churn", "silent")
    }
    return replace(model, **cards)


def test_a_model_is_as_good_as_itself(trained, manifest, history, simulated):
    since = simulated.end - timedelta(weeks=70)
    found = forward(*(entrant(trained.model, manifest, since) for _ in range(2)), history, simulated.end)
    assert (found.how, found.verdict) == ("forward", "tie")
    for target in ("churn", "silent"):
        for name in GAINED:
            assert set(found.targets[target]["gain"][name].values()) == {0.0}
        assert found.targets[target]["champion"]["auc"] == found.targets[target]["challenger"]["auc"]


def test_a_contrary_model_is_worse_and_the_other_way_round_better(trained, manifest, history, simulated):
    since = simulated.end - timedelta(weeks=70)
    good, bad = (entrant(m, manifest, since) for m in (trained.model, contrary(trained.model)))
    worse, better = forward(good, bad, history, simulated.end), forward(bad, good, history, simulated.end)
    assert (worse.verdict, better.verdict) == ("worse", "better")
    assert "The challenger is worse on silent exits: gain in log loss -" in worse.sentence
    for name in GAINED:
        one, other = worse.targets["silent"]["gain"][name], better.targets["silent"]["gain"][name]
        assert one["value"] == -other["value"] < 0
        assert (one["low"], one["high"]) == pytest.approx((-other["high"], -other["low"]))
    assert worse.targets["silent"]["quiet_gain"]["auc"]["value"] < 0
    for who in ("champion", "challenger"):
        assert {*GAINED, "observed_expected", "calibration_slope"} <= set(worse.targets["silent"][who])


def test_only_rows_after_both_were_trained_count(trained, manifest, history, simulated):
    early, late = (simulated.end - timedelta(weeks=weeks) for weeks in (90, 60))
    known, params = history.known_at(simulated.end), trained.model.label
    pairs = snapshots(known, simulated.end, 28, params)
    labels = pairs.hstack(label(known, pairs, simulated.end, params).select("y_churn", "y_silent"))
    expected = labels.filter(pl.col("as_of") >= late, pl.col("y_churn").is_not_null(), pl.col("y_silent").is_not_null())
    found = forward(*(entrant(trained.model, manifest, at) for at in (late, early)), history, simulated.end)
    assert found.rows == expected.height < labels.height
    assert found.exits == expected.filter(pl.col("y_silent") == 1)["account_id"].n_unique()


def test_where_too_little_has_happened_since_it_says_so(trained, manifest, history, simulated):
    fresh = entrant(trained.model, manifest, simulated.end)
    found = forward(
        entrant(trained.model, manifest, simulated.end - timedelta(weeks=60)), fresh, history, simulated.end
    )
    assert (found.verdict, found.rows, found.targets) == ("too_little", 0, {})
    assert "0 are known to have left silently, and 10 are needed" in found.sentence
    assert "--refit" in found.sentence
    assert found.to_record("a", "b", "when", "who").gains == {}


def test_models_that_predict_different_things_are_not_compared(trained, manifest, history, simulated):
    other = replace(trained.model, label=LabelParams(horizon_days=60))
    label_ = {**manifest.label, "horizon_days": 60}
    with pytest.raises(ContractError, match="different things, so they cannot be compared: horizon_days differs"):
        forward(
            entrant(trained.model, manifest, simulated.end),
            entrant(other, replace(manifest, label=label_), simulated.end),
            history,
            simulated.end,
        )
    with pytest.raises(ContractError, match="horizon_days differs"):
        refitted(manifest, replace(manifest, label=label_), history, simulated.end)


def test_an_artefact_that_says_nothing_of_its_training_is_not_compared(trained, manifest, history, simulated):
    mute = Entrant(trained.model, replace(manifest, metrics={}))
    with pytest.raises(ArtefactError, match="does not say what it was trained on"):
        forward(mute, mute, history, simulated.end)
    with pytest.raises(ArtefactError, match="does not hold its configuration"):
        refitted(replace(manifest, config=None), manifest, history, simulated.end)


def test_the_folds_find_the_fitted_model_better_than_the_base_rate(trained):
    tested = {target: rows.with_columns(p_champion="p_base") for target, rows in trained.tested.items()}
    found = judge("folds", tested, "0" * 64)
    assert found.verdict == "better"
    report = trained.report["metrics"]["silent"]["gain"]["base"]
    assert found.targets["silent"]["gain"]["log_loss"]["value"] == report["log_loss"]["value"]
    assert f"{trained.report['metrics']['silent']['n_events']} of which left silently" in found.sentence


def test_configurations_are_compared_on_the_same_folds(tmp_path):
    """Fitted anew, the same configuration predicts the very same; its folds are those of the challenger."""
    small: Simulated = simulator.simulate(90, 80, "default", 11)
    history, config = History.from_frames(small.tables), Config(seed=5, blocks=2, groups=2)
    made = train(history, small.end, config)
    challenger = registry.show(tmp_path, artefact.save(made, tmp_path, MADE, config, None))
    champion = replace(challenger, config={**(challenger.config or {}), "seed": 1, "blocks": 3, "groups": 3})
    found = refitted(champion, challenger, history, small.end, tested_before=made.tested)
    assert (found.how, found.verdict) == ("folds", "tie")
    assert found.rows == made.tested["silent"].height
    assert {found.targets[t]["gain"][name]["value"] for t in ("churn", "silent") for name in GAINED} == {0.0}
