"""The classifier keeps scikit-learn's promises, and its own: contributions that sum, directions that hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.scorecard import Scorecard
from training import lines
from training.estimator import ScorecardClassifier


@parametrize_with_checks([ScorecardClassifier(effort="lines")])
def test_it_keeps_scikit_learns_promises(estimator, check) -> None:
    check(estimator)


def table(rows: int = 400, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "plan": rng.choice(["annual", "monthly", "pilot"], rows, p=[0.5, 0.49, 0.01]),
            "calls": rng.poisson(2, rows).astype(float),
            "minutes": rng.gamma(2, 90, rows),
            "constant": 1.0,
        }
    )
    odds = -2 + 1.2 * (frame["plan"] == "monthly") + 0.5 * frame["calls"]
    frame.loc[rng.random(rows) < 0.1, ["calls", "plan"]] = np.nan
    return frame, np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "left", "left not")[:]


X, Y = table()
EVENT = (Y == "left").astype(int)


@pytest.mark.parametrize("effort", ["lines", "quick"])
def test_contributions_sum_and_the_card_is_the_model(effort: str) -> None:
    model = ScorecardClassifier(effort=effort).fit(X, EVENT, groups=np.arange(len(X)) // 2)
    assert model.fitter_ == ("lines" if effort == "lines" else "boosted")
    assert isinstance(model.scorecard_, Scorecard)
    found = model.explain(X.set_index(np.arange(1000, 1400)))
    assert found.index[0] == 1000
    assert np.abs(found.sum(axis=1).to_numpy() - model.decision_function(X)).max() < 1e-9
    assert ((model.predict_proba(X)[:, 1] > 0.5) == EVENT).mean() > 0.6


def test_texts_missing_and_never_seen_have_a_place() -> None:
    model = ScorecardClassifier(effort="lines").fit(X, EVENT)
    strange = pd.DataFrame({"plan": [None, "moon"], "calls": [np.nan, 1e9], "minutes": [1.0, -5.0], "constant": 1.0})
    assert np.isfinite(model.decision_function(strange)).all()
    assert model.columns_ == ["plan", "calls", "minutes", "constant"]


def test_arrays_and_frames_of_numbers_are_one() -> None:
    numbers = X[["calls", "minutes"]]
    by_frame = ScorecardClassifier(effort="lines").fit(numbers, EVENT)
    by_array = ScorecardClassifier(effort="lines").fit(numbers.to_numpy(), EVENT)
    assert np.array_equal(by_frame.decision_function(numbers), by_array.decision_function(numbers.to_numpy()))


def test_directions_hold() -> None:
    """Calls raise the risk here; told that they may not, the model leaves them out."""
    free = ScorecardClassifier(effort="lines").fit(X, EVENT).explain(X)["calls"]
    kept = ScorecardClassifier(effort="lines", directions={"calls": 1}).fit(X, EVENT).explain(X)["calls"]
    held = ScorecardClassifier(effort="lines", directions={"calls": -1}).fit(X, EVENT).explain(X)
    assert np.array_equal(free, kept)
    assert free.std() > 0.1
    assert "calls" not in held


@pytest.mark.parametrize("directions", [{"moon": 1}, {"plan": 1}, {"calls": 2}])
@pytest.mark.parametrize("effort", ["lines", "quick"])
def test_directions_that_make_no_sense_are_refused(directions: dict[str, int], effort: str) -> None:
    with pytest.raises(ValueError, match=next(iter(directions))):
        ScorecardClassifier(effort=effort, directions=directions).fit(X, EVENT)


def test_few_exits_are_fitted_by_lines_and_it_says_so() -> None:
    rare = np.zeros(len(X), dtype=int)
    rare[np.flatnonzero(EVENT)[:15]] = 1
    assert ScorecardClassifier(effort="full").fit(X, rare).fitter_ == "lines"


def test_groups_come_by_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    honest = ScorecardClassifier.fit

    def fit(self, X, y, groups=None):  # type: ignore[no-untyped-def]
        seen.append(groups)
        return honest(self, X, y, groups)

    monkeypatch.setattr(ScorecardClassifier, "fit", fit)
    accounts = np.arange(len(X)) // 4
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(ScorecardClassifier(effort="lines").set_fit_request(groups=True))
        cross_validate(model, X, EVENT, cv=GroupKFold(2), params={"groups": accounts}, error_score="raise")
    assert all(set(found) < set(accounts) for found in seen)
    assert len(seen) == 2


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(ValueError, match="single value"):
        ScorecardClassifier().fit(X[["constant"]], EVENT)
    with pytest.raises(ValueError, match="one of full, quick, lines"):
        ScorecardClassifier(effort="much").fit(X, EVENT)
    assert clone(ScorecardClassifier(seed=4)).seed == 4


@pytest.mark.parametrize("effort", ["lines", "quick"])
def test_a_column_of_numbers_may_be_unknown_throughout(effort: str) -> None:
    model = ScorecardClassifier(effort=effort).fit(X, EVENT)
    unknown = model.decision_function(X.assign(calls=np.nan))
    assert np.array_equal(model.decision_function(X.assign(calls=None)), unknown)
    assert np.array_equal(model.decision_function(X.assign(calls=pd.Series(pd.NA, X.index, object))), unknown)


def test_a_feature_may_be_called_base() -> None:
    named = X[["calls"]].rename(columns={"calls": "base"})
    model = ScorecardClassifier(effort="lines").fit(named, EVENT)
    found = model.explain(named)
    assert list(found.columns) == ["base", "base"]
    assert np.abs(found.sum(axis=1).to_numpy() - model.decision_function(named)).max() < 1e-9


def test_what_is_neither_number_nor_text_is_named() -> None:
    dated = X.assign(since=pd.Timestamp("2026-01-02"))
    with pytest.raises(ValueError, match=r"Column 'since' holds Timestamp.*give numbers or texts"):
        ScorecardClassifier(effort="lines").fit(dated, EVENT)
    with pytest.raises(ValueError, match=r"Column 'mixed' holds 'many' \(str\)"):
        ScorecardClassifier(effort="lines").fit(X.assign(mixed=["many", 2] * 200), EVENT)
    with pytest.raises(ValueError, match="infinity in column 'calls'"):
        ScorecardClassifier(effort="lines").fit(X.assign(calls=np.inf), EVENT)
    for unknown in (None, np.nan):
        labels = np.array([unknown, *Y[1:]], dtype=object)
        with pytest.raises(ValueError, match=r"y is unknown .* in 1 rows"):
            ScorecardClassifier(effort="lines").fit(X, labels)


def test_a_line_is_the_regression_it_was_read_from() -> None:
    """Two columns in the open: the card's log-odds are the library's own."""
    from sklearn.linear_model import LogisticRegression

    numbers = X[["minutes"]].to_numpy()
    card = lines.fit({"minutes": numbers[:, 0]}, EVENT.astype(float))
    scaled = (numbers - numbers.mean()) / numbers.std()
    theirs = LogisticRegression(C=1.0, max_iter=1000).fit(scaled, EVENT)
    assert np.abs(card.log_odds({"minutes": numbers[:, 0]}) - theirs.decision_function(scaled)).max() < 1e-9
