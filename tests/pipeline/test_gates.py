"""Data gates: what the counts allow, worked by hand, and that the sentences say the same numbers."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.history import History
from models.labels import LabelParams, exits
from training import fitting
from training.gates import MONTH, THRESHOLDS, gates
from training.simulator import Simulated
from training.train import Trained

START = datetime(2025, 1, 6, tzinfo=UTC)
LABELS = {"account_id": pl.String, "as_of": pl.Datetime("us", "UTC"), "outcome": pl.String}


def labels(silent: int, vocal: int, stayed: int, moments: int = 2, last: timedelta = timedelta(days=28)):
    """Accounts of each outcome, each looked at on every moment."""
    outcomes = ["silent"] * silent + ["vocal"] * vocal + ["stay"] * stayed
    times = [START + last * i / max(moments - 1, 1) for i in range(moments)]
    rows = [(f"a{i}", t, outcome) for i, outcome in enumerate(outcomes) for t in times]
    y = pl.col("outcome")
    return pl.DataFrame(rows, schema=LABELS, orient="row").with_columns(
        y_churn=y.is_in(["silent", "vocal"]).cast(pl.Int8), y_silent=(y == "silent").cast(pl.Int8)
    )


def known(n: int, cause: str = "silent"):
    return pl.DataFrame(
        {"account_id": [f"x{i}" for i in range(n)], "cause": [cause] * n},
        schema={"account_id": pl.String, "cause": pl.String},
    )


def found(silent=34, vocal=12, stayed=854, known_exits=46, blocked="", **more):
    span = 16 * MONTH - timedelta(days=90)
    table = labels(silent, vocal, stayed, **{"last": span, **more})
    return gates(table, known(known_exits), START - timedelta(days=90), START + timedelta(days=700), blocked)


def test_the_example_of_the_module_by_hand():
    got = found()
    assert got["phase"] == "P2"
    assert got["exits"] == {"silent": 34, "vocal": 12, "any": 46}
    assert (got["accounts"], got["moments"], got["snapshots"]) == (900, 2, 1800)
    assert got["labelled_months"] == pytest.approx(16)
    assert got["claim"]["low"] == pytest.approx(0.654, abs=5e-4)
    assert got["claim"]["high"] == pytest.approx(0.846, abs=5e-4)
    assert got["next"] == {
        "phase": "P3",
        "needs": 300,
        "missing": 266,
        "per_month": pytest.approx(2.125),
        "months": 126,
    }
    assert got["months"] == pytest.approx(790 / 30.4375)


def test_its_sentences():
    assert found()["sentences"] == [
        "34 accounts are known to have left silently and 12 after saying so (46 of their own will in all), among 900 "
        "accounts looked at on 2 days; the history covers 26 months.",
        "That is phase P2: every feature may move away from the expert's tables, held back by the folds.",
        "With 34 silent exits an AUC of .75 means .65 to .85 (95 %, Hanley-McNeil).",
        "P3 begins at 300 silent exits: 266 more, about 126 months at the present rate of 2.1 a month.",
    ]


@pytest.mark.parametrize(("silent", "vocal", "said"), [(10, 0, True), (9, 0, False), (10, 1, False)])
def test_a_source_without_a_voice_is_said_to_be_one(silent, vocal, said):
    """Where nobody can complain everybody leaves silently, and a perfect list of them is a list of any churn."""
    told = found(silent=silent, vocal=vocal)["sentences"]
    assert any("every exit looks silent" in sentence for sentence in told) == said


@pytest.mark.parametrize(("silent", "phase"), [(0, "P0"), (9, "P0"), (10, "P1"), (29, "P1"), (30, "P2"), (299, "P2")])
def test_the_phase_is_the_fit_s_own(silent, phase):
    assert found(silent=silent)["phase"] == phase == fitting.phase(silent)


def test_an_account_counts_once_however_often_it_was_looked_at():
    assert found(moments=2)["exits"] == found(moments=9)["exits"]


def test_what_cannot_be_tested_is_not_fitted_whatever_the_counts():
    got = found(silent=50, blocked="The snapshots span 28 days.")
    assert got["phase"] == "P0"
    assert "What stands in the way: The snapshots span 28 days." in got["sentences"]
    assert got["next"]["missing"] == 0
    assert not any("begins at" in sentence for sentence in got["sentences"])


def test_without_exits_nothing_is_claimed():
    got = found(silent=0, vocal=0, known_exits=7)
    assert got["claim"] == {"auc": 0.75, "low": None, "high": None}
    assert got["next"]["months"] is None
    assert any(sentence.startswith("7 further exits are known") for sentence in got["sentences"])
    assert any("no rate to count by yet" in sentence for sentence in got["sentences"])


def test_an_empty_history_is_an_answer_too():
    got = gates(labels(0, 0, 0), known(0), None, START, "The contacts span 0 days.")
    assert (got["phase"], got["accounts"], got["months"], got["labelled_months"]) == ("P0", 0, 0.0, 0.0)


@given(st.integers(0, 400), st.integers(0, 20), st.integers(1, 50))
def test_the_next_phase_is_the_first_one_not_reached(silent, vocal, stayed):
    got = found(silent=silent, vocal=vocal, stayed=stayed)
    step = got["next"]
    if got["phase"] == "P3":
        assert step is None
        return
    assert THRESHOLDS[step["phase"]] == step["needs"]
    assert step["missing"] == max(0, step["needs"] - silent)
    assert all(needs <= silent for phase, needs in THRESHOLDS.items() if phase <= got["phase"])
    if step["months"] is not None:
        assert (step["months"] - 1) * step["per_month"] < step["missing"] <= step["months"] * step["per_month"] + 1e-6


def test_a_training_run_announces_them_before_it_fits(
    simulated: Simulated, history: History, trained: Trained, told: list[str]
) -> None:
    got = trained.report["gates"]
    assert told.index(" ".join(got["sentences"])) == 1  # after labelling, before features and fits
    assert got["exits"]["silent"] == trained.report["rows"]["silent_events"]
    assert got["exits"]["any"] == trained.report["rows"]["churn_events"]
    voluntary = pl.col("cause").is_in(["silent", "vocal", "unlabelable"])
    known = exits(history, simulated.end, LabelParams()).filter(voluntary)
    assert got["known_exits"] == known["account_id"].n_unique()
