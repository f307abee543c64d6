"""What speaks against putting a model in service, what it takes to do so anyway, and that both are remembered."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import ArtefactError, PromotionRefused
from models.registry import (
    Comparison,
    Facts,
    current,
    events,
    history,
    keep,
    latest,
    promote,
    put,
    rollback,
    show,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
CONFIG = {"seed": 0, "as_of": "2026-11-01T00:00:00Z"}


def estimate(value: float, low: float, high: float) -> dict:
    return {"value": value, "low": low, "high": high}


def measured(**changes: dict) -> dict:
    """What training reports of a sound model."""
    target = {
        "auc": estimate(0.78, 0.74, 0.82),
        "observed_expected": estimate(1.0, 0.9, 1.1),
        "calibration_slope": estimate(1.0, 0.8, 1.2),
        "gain": {"expert": {"log_loss": estimate(0.001, -0.001, 0.003)}},
    }
    metrics = {"churn": target, "silent": {**target, **changes}}
    return {"metrics": metrics, "rows": {"silent_events": 80, "churn_events": 120}}


SOUND = Facts("fitted", "P2", {"a": "1"}, 0.04, {"horizon_days": 90}, metrics=measured(), config=CONFIG)
EXPERT = Facts("expert prior, uncalibrated", "P0", {"a": "1"}, 0.04, {"horizon_days": 90}, config=CONFIG)
OTHER = replace(SOUND, config={**CONFIG, "seed": 1})


def stored(root: Path, facts: Facts, minutes: int = 0) -> str:
    return put(root, {"x": minutes}, facts, NOW + timedelta(minutes=minutes))


def serving(root: Path, facts: Facts) -> str:
    """An artefact in service."""
    model_id = stored(root, facts)
    promote(root, model_id, "ana", NOW, "the first")
    return model_id


def compared(champion: str, challenger: str, verdict: str, when: str = "2026-11-21T10:00:00Z") -> Comparison:
    return Comparison(champion, challenger, "forward", verdict, f"it is {verdict}", {}, 900, 30, "0" * 64, when, "ana")


def refused(root: Path, model_id: str) -> str:
    with pytest.raises(PromotionRefused) as found:
        promote(root, model_id, "bob", NOW, "newer")
    return str(found.value)


OFF = estimate(1.6, 1.3, 1.9)
OVERRULED = {"overrides": [{"who": "mia", "when": "2026-11-20T08:00:00Z", "finding": {"column": "status"}}]}


@pytest.mark.parametrize(
    "facts",
    [SOUND, EXPERT, replace(SOUND, metrics={})],
    ids=["sound", "expert", "nothing measured"],
)
def test_with_nothing_in_service_there_is_nothing_to_be_worse_than(facts, tmp_path):
    assert serving(tmp_path, facts) == current(tmp_path).model_id
    assert current(tmp_path).objections == ()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"observed_expected": OFF},
            "observed / expected of leaving silently is 1.30 to 1.90, all of it outside 0.8 to",
        ),
        ({"observed_expected": estimate(0.6, 0.5, 0.79)}, "is 0.50 to 0.79, all of it outside 0.8 to 1.25"),
        ({"calibration_slope": estimate(0.5, 0.4, 0.69)}, "calibration slope of leaving silently is 0.40 to 0.69"),
        ({"auc": estimate(0.55, 0.49, 0.61)}, "no better than chance"),
    ],
)
def test_a_model_that_is_not_calibrated_or_tells_nothing_is_refused(changes, sentence, tmp_path):
    serving(tmp_path, SOUND)
    assert sentence in refused(tmp_path, stored(tmp_path, replace(SOUND, metrics=measured(**changes)), 1))


def test_a_table_that_ranks_like_chance_does_not_replace_one_that_does_not(tmp_path):
    def table(auc: dict) -> Facts:
        return replace(SOUND, metrics={"metrics": {"churn": {"auc": auc}}, "rows": {"churn_events": 120}})

    serving(tmp_path, table(estimate(0.78, 0.74, 0.82)))
    assert "may rank exits no better than chance" in refused(
        tmp_path, stored(tmp_path, table(estimate(0.52, 0.46, 0.58)), 1)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"observed_expected": estimate(0.7, 0.5, 0.81)},  # the interval reaches into the bounds
        {"observed_expected": estimate(1.3, 1.25, 1.5)},
        {"calibration_slope": estimate(None, None, None)},
        {"auc": estimate(0.6, 0.51, 0.7)},
    ],
)
def test_what_cannot_be_told_for_certain_refuses_nothing(changes, tmp_path):
    serving(tmp_path, SOUND)
    promote(tmp_path, stored(tmp_path, replace(SOUND, metrics=measured(**changes)), 1), "bob", NOW, "newer")


def test_probabilities_that_are_wrong_are_refused_even_where_nothing_is_in_service(tmp_path):
    off = stored(tmp_path, replace(SOUND, metrics=measured(observed_expected=OFF)))
    assert "it is not calibrated" in refused(tmp_path, off)
    assert current(tmp_path) is None
    assert "it is not calibrated" in promote(tmp_path, off, "bob", NOW, "a first list", force=True).objections[0]


def test_an_overruled_leak_is_refused_even_where_nothing_is_in_service(tmp_path):
    leaky = stored(tmp_path, replace(SOUND, metrics={**measured(), "leakage": OVERRULED}))
    assert "its leakage finding about status was overruled by mia" in refused(tmp_path, leaky)
    assert current(tmp_path) is None
    change = promote(tmp_path, leaky, "bob", NOW, "we know what it means", force=True)
    assert change.objections == ("its leakage finding about status was overruled by mia",)


def test_the_experts_scorecard_does_not_replace_a_fitted_model_but_is_replaced_by_one(tmp_path):
    expert = serving(tmp_path, EXPERT)
    another = stored(tmp_path, replace(EXPERT, config=None), 1)
    promote(tmp_path, another, "bob", NOW, "edited with the team")
    fitted = stored(tmp_path, OTHER, 2)
    promote(tmp_path, fitted, "bob", NOW, "enough exits now")
    assert "never calibrated on exits (phase P0), and the model in service was (phase P2)" in refused(tmp_path, expert)


def test_a_table_has_no_phase_to_speak_of(tmp_path):
    serving(tmp_path, replace(SOUND, phase="table"))
    said = refused(tmp_path, stored(tmp_path, replace(EXPERT, config=None), 1))
    assert "it was never calibrated on exits (phase P0), and the model in service was" in said
    assert "table" not in said


def test_a_fitted_model_that_lost_to_the_expert_on_its_own_folds_does_not_replace_him(tmp_path):
    serving(tmp_path, EXPERT)
    lost = measured(gain={"expert": {"log_loss": estimate(-0.002, -0.003, -0.001)}})
    assert "worse than the expert's score alone" in refused(tmp_path, stored(tmp_path, replace(OTHER, metrics=lost), 1))


def test_of_a_table_no_command_is_named_that_reads_histories(tmp_path):
    label = {"column": "left", "id": "customer", "as_of_column": None}
    serving(tmp_path, replace(SOUND, label=label))
    said = refused(tmp_path, stored(tmp_path, replace(OTHER, label=label), 1))
    assert "train it with the model in service in place" in said
    assert "--data" not in said


def test_a_model_of_a_table_that_held_its_own_when_trained_is_promoted(tmp_path):
    label = {"column": "left", "id": "customer", "as_of_column": None}
    served = serving(tmp_path, replace(SOUND, label=label))
    gain = {"auc": estimate(0.0, -0.01, 0.01), "log_loss": estimate(0.0, -0.01, 0.01)}
    told = {"status": "compared", "model_id": served, "churn": {"gain": gain}}
    lost = {**told, "churn": {"gain": {**gain, "log_loss": estimate(-0.02, -0.03, -0.01)}}}
    for previous, minutes in ((lost, 1), ({"status": "none", "model_id": served}, 2)):
        new = replace(OTHER, label=label, metrics={**measured(), "previous": previous})
        assert "has not been compared" in refused(tmp_path, stored(tmp_path, new, minutes))
    new = replace(OTHER, label=label, metrics={**measured(), "previous": told})
    promote(tmp_path, stored(tmp_path, new, 3), "bob", NOW, "held its own")


def test_another_recipe_needs_a_comparison(tmp_path):
    served, new = serving(tmp_path, SOUND), stored(tmp_path, OTHER, 1)
    assert f"has not been compared with the model in service: give --data FOLDER or --db, or run `ebbtide compare " \
        f"{served} {new}`" in refused(tmp_path, new)  # fmt: skip
    keep(tmp_path, compared(served, new, "too_little"))
    assert "has not been compared" in refused(tmp_path, new)
    keep(tmp_path, compared(served, new, "tie"))
    assert promote(tmp_path, new, "bob", NOW, "as good and simpler").objections == ()


def test_the_same_recipe_on_more_data_needs_none_and_on_less_data_does(tmp_path):
    serving(tmp_path, SOUND)
    fewer = {**measured(), "rows": {"silent_events": 40, "churn_events": 120}}
    assert "has not been compared" in refused(tmp_path, stored(tmp_path, replace(SOUND, metrics=fewer), 1))
    later = replace(SOUND, config={**CONFIG, "as_of": "2026-12-01T00:00:00Z"})
    assert "has not been compared" in refused(tmp_path, stored(tmp_path, replace(later, git_revision="b"), 2))
    promote(tmp_path, stored(tmp_path, later, 3), "bob", NOW, "a month more")


def test_a_worse_model_is_refused_whichever_way_it_was_compared(tmp_path):
    served, new = serving(tmp_path, SOUND), stored(tmp_path, OTHER, 1)
    keep(tmp_path, compared(served, new, "worse"))
    assert "a comparison found it worse: it is worse" in refused(tmp_path, new)
    keep(tmp_path, compared(new, served, "better"))
    # "better" is said of the challenger, which was the other one that time.
    assert f"a comparison found it worse: The challenger was {served}. it is better" in refused(tmp_path, new)
    keep(tmp_path, compared(new, served, "worse"))
    assert latest(tmp_path, served, new).verdict == "better"
    promote(tmp_path, new, "bob", NOW, "better after all")


def test_one_that_held_its_own_against_the_model_in_service_when_trained_needs_no_comparison(tmp_path):
    served = serving(tmp_path, SOUND)
    gain = {"auc": estimate(0.0, -0.01, 0.01), "log_loss": estimate(0.0, -0.01, 0.01)}
    told = {"status": "compared", "model_id": served, "churn": {"gain": gain}, "silent": {"gain": gain}}
    lost = {**told, "silent": {"gain": {**gain, "auc": estimate(-0.02, -0.03, -0.01)}}}
    another = {**told, "model_id": "20200101T000000Z-00000000"}
    for previous, minutes in ((lost, 1), (another, 2), ({"status": "too_recent", "model_id": served}, 3)):
        metrics = {**measured(), "previous": previous}
        assert "has not been compared" in refused(tmp_path, stored(tmp_path, replace(OTHER, metrics=metrics), minutes))
    held = replace(OTHER, metrics={**measured(), "previous": told})
    promote(tmp_path, stored(tmp_path, held, 4), "bob", NOW, "held its own")


def test_another_question_is_not_comparable(tmp_path):
    serving(tmp_path, SOUND)
    new = stored(tmp_path, replace(SOUND, label={"horizon_days": 60}), 1)
    assert "predicts something else than the model in service" in refused(tmp_path, new)


def test_a_model_in_service_that_cannot_be_read_is_none_to_be_worse_than(tmp_path):
    served, new = serving(tmp_path, SOUND), stored(tmp_path, OTHER, 1)
    (tmp_path / served / "model.joblib").unlink()
    promote(tmp_path, new, "bob", NOW, "repair")


def test_refusals_and_forced_changes_stay_in_the_record_in_their_order(tmp_path):
    served, new = serving(tmp_path, SOUND), stored(tmp_path, OTHER, 1)
    refused(tmp_path, new)
    forced = promote(tmp_path, new, "eve", NOW, "the old one cannot be explained", force=True)
    rollback(tmp_path, "ana", NOW, "alarm")
    refused(tmp_path, new)
    assert [(e.number, e.action, e.who, len(e.objections)) for e in events(tmp_path)] == [
        (1, "promote", "ana", 0),
        (1, "refuse", "bob", 1),
        (2, "promote", "eve", 1),
        (3, "rollback", "ana", 0),
        (3, "refuse", "bob", 1),
    ]
    assert [change.action for change in history(tmp_path)] == ["promote", "promote", "rollback"]
    assert history(tmp_path)[1] == forced
    assert current(tmp_path).model_id == served
    # Who reads an older record finds it as it was.
    first = json.loads((tmp_path / "history.jsonl").read_text().splitlines()[0])
    assert sorted(first) == ["action", "model_id", "number", "previous", "when", "who", "why"]


def test_forcing_what_nothing_speaks_against_is_an_ordinary_promotion(tmp_path):
    serving(tmp_path, SOUND)
    assert promote(tmp_path, stored(tmp_path, SOUND, 1), "bob", NOW, "newer", force=True).objections == ()


def test_who_and_why_are_needed_before_anything_is_weighed(tmp_path):
    serving(tmp_path, SOUND)
    with pytest.raises(ArtefactError, match="who makes it and why"):
        promote(tmp_path, stored(tmp_path, OTHER, 1), "bob", NOW, " ", force=True)
    assert len(events(tmp_path)) == 1


def test_damaged_records_are_named(tmp_path):
    served, new = serving(tmp_path, SOUND), stored(tmp_path, OTHER, 1)
    keep(tmp_path, compared(served, new, "better"))
    torn = (tmp_path / "comparisons.jsonl").read_bytes()
    (tmp_path / "comparisons.jsonl").write_bytes(torn + torn[:30])
    assert latest(tmp_path, served, new).verdict == "better", "a line without an end was not written"
    keep(tmp_path, compared(served, new, "tie"))
    assert latest(tmp_path, served, new).verdict == "tie"
    for line in ("{}\n", "null\n", json.dumps({**vars(compared(served, new, "fine"))}) + "\n"):
        (tmp_path / "comparisons.jsonl").write_text(line)
        with pytest.raises(ArtefactError, match=r"comparisons\.jsonl of the artefact store is damaged"):
            latest(tmp_path, served, new)
    with pytest.raises(ArtefactError, match="is not a model id"):
        keep(tmp_path, compared("../etc", new, "tie"))
    assert show(tmp_path, served).phase == "P2"
