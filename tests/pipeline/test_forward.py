"""What the folds decide: without a signal there is none in the numbers, and the sentences say so."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from models.features import FEATURES, compute, measure
from models.history import History
from models.labels import LabelParams, label
from training import evaluation, expert
from training.black_box import cost_of
from training.cross import OutOfFold
from training.describe import describe
from training.fitting import log_odds_of
from training.folds import Folds, forward_folds
from training.forward import Forwarded, forwarded
from training.metrics import evaluate
from training.simulator import Simulated
from training.snapshots import snapshots
from training.train import Trained


@pytest.fixture(scope="module")
def permuted(simulated: Simulated, history: History) -> tuple[pl.DataFrame, list[Forwarded]]:
    """Rows whose labels were dealt anew among the accounts of each moment, and what the folds made of them."""
    params = LabelParams()
    pairs = snapshots(history, simulated.end, 28, params)
    labels = label(history, pairs, simulated.end, params)
    usable = labels["y_churn"].is_not_null()
    pairs, labels = pairs.filter(usable), labels.filter(usable)
    features = compute(history, pairs, measure(history, simulated.end))
    rng, order = np.random.default_rng(5), np.arange(pairs.height)
    moments = pairs["as_of"].to_numpy()
    for moment in np.unique(moments):
        rows = np.flatnonzero(moments == moment)
        order[rows] = rng.permutation(rows)
    dealt = labels.select("outcome", "subtype", "decided_at", "y_churn", "y_silent")[order]
    matrix = features.hstack(dealt)
    folds = forward_folds(pairs, history.accounts, params, least=6)
    with threadpool_limits(limits=1, user_api="blas"):
        return matrix, forwarded(matrix, folds, expert.load(), "P2", FEATURES, 0, lambda _: None)


def test_permuted_labels_leave_no_signal_and_the_sentences_say_so(
    permuted: tuple[pl.DataFrame, list[Forwarded]],
) -> None:
    matrix, found = permuted
    rows = {each.made.target: evaluation.tested_rows(matrix, each.made, 90) for each in found}
    metrics = {target: evaluate(tested, against=evaluation.RIVALS, resamples=60) for target, tested in rows.items()}
    for measured in metrics.values():
        assert measured["auc"]["value"] == pytest.approx(0.5, abs=0.05)
    said = describe(metrics["churn"], metrics["silent"])
    assert said.verdict == "nothing"
    assert sum(sentence.startswith("There is no signal of who left") for sentence in said.sentences) == 2


def test_a_signal_that_is_there_is_not_denied(trained: Trained) -> None:
    assert not any("no signal" in sentence for sentence in trained.report["verdicts"])


def test_the_report_says_how_the_model_was_chosen_and_corrected(trained: Trained) -> None:
    for target in ("churn", "silent"):
        assert trained.report["selection"][target]["kind"] == "logistic"
        assert "too few silent exits" in trained.report["selection"][target]["why"]
        assert trained.report["calibration"][target]["kind"] in ("none", "level", "line", "segments")
        assert trained.report["deployment"][target]["shift"] == 0
    assert trained.report["additive_cost"] == {}


def test_reported_predictions_are_the_corrected_ones_of_the_served_kind(
    permuted: tuple[pl.DataFrame, list[Forwarded]],
) -> None:
    for each in permuted[1]:
        made = each.made
        untold = np.isin(made.block, [block for block, told in made.told.items() if not told])
        assert untold.any()
        assert (made.fitted[untold] == made.kinds[each.selection.kind][untold]).all()


@pytest.fixture(scope="module")
def folds(permuted: tuple[pl.DataFrame, list[Forwarded]], history: History) -> Folds:
    return forward_folds(permuted[0].select("account_id", "as_of"), history.accounts, LabelParams(), least=6)


def _gain(matrix: pl.DataFrame, made: OutOfFold, folds: Folds, y: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What a black box makes of another outcome, beside predictions that tell nobody apart."""
    dealt = matrix.with_columns(pl.Series(f"y_{made.target}", y.astype(np.int8)))
    blind = replace(made, y=y[made.rows].astype(np.float64), fitted=np.zeros(len(made.rows)))
    found: dict[str, Any] = cost_of(blind, dealt, folds, expert.load(), FEATURES, 0)["gain"]["auc"]
    return found


def test_a_black_box_finds_what_two_features_do_only_together_and_nothing_where_nothing_is(
    permuted: tuple[pl.DataFrame, list[Forwarded]], folds: Folds
) -> None:
    matrix, (found, _) = permuted
    one, other = (
        matrix[name].rank("ordinal").to_numpy() > matrix.height / 2 for name in ("contact_drop_90d", "mrr_ln")
    )
    assert _gain(matrix, found.made, folds, one ^ other)["low"] > 0.3
    nothing = _gain(matrix, found.made, folds, matrix["y_churn"].fill_null(0).to_numpy() == 1)
    assert nothing["low"] < 0 < nothing["high"]


def test_a_black_box_is_told_the_experts_score(permuted: tuple[pl.DataFrame, list[Forwarded]], folds: Folds) -> None:
    """One that had to put the score together from fifty columns would be a handicapped rival."""
    matrix, (found, _) = permuted
    score = log_odds_of(expert.load().scorecard("churn"), matrix)
    assert _gain(matrix, found.made, folds, score > np.quantile(score, 0.9))["value"] > 0.495
