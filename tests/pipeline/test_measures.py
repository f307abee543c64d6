"""The users' own numbers from a history to a model, its reasons and its scores."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from models.errors import ContractError, SettingsError
from models.history import History
from models.loading import load_model
from models.reasons import reasons
from models.scoring import score_features, score_history
from training import artefact, config
from training import measures as own
from training.measures import Declared
from training.simulator import Simulated
from training.train import Config, Trained, train

DELAY = "measure:payment_delay"
CONFIG = Config(seed=3, blocks=2, measures={"payment_delay": Declared("payment delay", "days", direction=1)})


def measured(simulated: Simulated) -> pl.DataFrame:
    """Days by which bills were paid late, every 28 days: three as a rule, more in the months before an exit; and a
    measure only a handful of accounts have."""
    dice = np.random.default_rng(5)
    accounts = simulated.tables["accounts"].select("account_id", "ended_at")
    last = simulated.end
    parts = [
        accounts.filter(pl.col("ended_at").is_null() | (pl.col("ended_at") > at)).select(
            "account_id",
            name=pl.lit("payment_delay"),
            late=((pl.col("ended_at") - at) < timedelta(days=200)).fill_null(value=False),
            at=pl.lit(at),
        )
        for at in (last - timedelta(days=28 * n) for n in range(25))
    ]
    rows = pl.concat(parts)
    noise = pl.Series(dice.gamma(2.0, 1.5, rows.height))
    delays = rows.with_columns(value=noise + 3.0 * pl.col("late")).drop("late")
    rare = accounts.head(3).select(
        "account_id", name=pl.lit("rare"), at=pl.lit(last - timedelta(days=250)), value=pl.lit(1.0)
    )
    return pl.concat([delays, rare.select(delays.columns)])


@pytest.fixture(scope="module")
def lived(simulated: Simulated) -> History:
    return History.from_frames({**simulated.tables, "measures": measured(simulated)})


@pytest.fixture(scope="module")
def taught(simulated: Simulated, lived: History) -> Trained:
    return train(lived, simulated.end, CONFIG)


def test_a_measure_is_learnt_in_its_declared_direction(taught: Trained) -> None:
    assert taught.report["measures"] == {"used": [DELAY], "left_out": ["rare"]}
    for card in (taught.model.churn, taught.model.silent):
        (term,) = [term for term in card.terms if term.feature == DELAY]
        assert len(term.knots) == 5
        assert np.diff(term.values).min() >= 0
    (term,) = [term for term in taught.model.churn.terms if term.feature == DELAY]
    assert term.values[-1] - term.values[0] > 0.5


def test_the_folds_saw_it_too(trained: Trained, taught: Trained) -> None:
    without, with_it = (made.report["metrics"]["churn"]["auc"]["value"] for made in (trained, taught))
    assert with_it > without + 0.02


def test_a_reason_says_the_number_and_what_is_usual(simulated: Simulated, lived: History, taught: Trained) -> None:
    scored = score_history(taught.model, lived, simulated.end, fresh=True)
    told = [reason for row in reasons(taught.model, scored.features, "churn") for reason in row]
    (first, *_) = [reason for reason in told if reason.feature == DELAY]
    assert first.label == "payment delay"
    assert first.sentence.startswith(f"payment delay {first.value:.3g} days; usual here ")
    assert first.component == "commercial"


def test_it_is_saved_and_scores_alike(tmp_path: Path, simulated: Simulated, lived: History, taught: Trained) -> None:
    model_id = artefact.save(taught, tmp_path, datetime(2026, 3, 2, tzinfo=UTC), CONFIG, None)
    model, manifest = load_model(tmp_path, model_id)
    assert model.columns == taught.model.columns
    assert list(manifest.features)[-1] == DELAY
    one, other = (score_history(m, lived, simulated.end, fresh=True).scores for m in (model, taught.model))
    assert one.drop("model_id").equals(other.drop("model_id"))


def test_unknown_is_neither_zero_nor_an_error(simulated: Simulated, history: History, taught: Trained) -> None:
    features = score_history(taught.model, history, simulated.end, fresh=True).features
    assert features[DELAY].null_count() == features.height
    unknown, none, late = (
        score_features(taught.model, features.with_columns(pl.lit(value, pl.Float64).alias(DELAY)))["p_churn"]
        for value in (None, 0.0, 30.0)
    )
    assert (late > unknown).all()
    assert (unknown != none).all()


def test_a_model_without_measures_passes_them_over(
    simulated: Simulated, history: History, lived: History, trained: Trained
) -> None:
    one, other = (score_history(trained.model, known, simulated.end, fresh=True).scores for known in (history, lived))
    assert one.equals(other)


@pytest.mark.parametrize(
    ("values", "knots"),
    [
        ([], ()),
        ([1.0] * 49, ()),
        ([1.0] * 80, (1.0,)),
        ([0.0] * 999 + [1.0], (0.0, 1.0)),
        (list(range(101)), (1.0, 25.0, 50.0, 75.0, 99.0)),
    ],
    ids=["nothing", "too few", "constant", "rare", "spread"],
)
def test_knots_lie_at_quantiles(values: list[float], knots: tuple[float, ...]) -> None:
    assert own.knots_of(np.array(values, dtype=np.float64)) == pytest.approx(knots)


def test_the_configuration_declares_measures(tmp_path: Path) -> None:
    path = tmp_path / "train.toml"
    path.write_text('[measures.payment_delay]\nlabel = "payment delay"\nunit = "days"\ndirection = 1\n')
    assert config.load(path).measures == CONFIG.measures


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[measures.a]\ndirection = 2", r"\[measures.a\] sets direction to 2; it is one of -1, 0, 1"),
        ("[measures.a]\ndirection = true", "sets direction to True"),
        ('[measures.a]\ncomponent = "money"', "sets component to 'money'; it is one of effort"),
        ("[measures.a]\nlabel = 3", "needs a text as label"),
        ("[measures.a]\nsign = 1", "sets 'sign'; it may set label, unit"),
        ("measures = 3", r"\[measures.NAME\]"),
    ],
)
def test_a_slip_in_the_configuration_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "train.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=said):
        config.load(path)


def test_what_cannot_be_learnt_is_refused_in_words(history: History) -> None:
    with pytest.raises(SettingsError, match="declares the measure 'nps', which the history lacks; it has none"):
        own.of_history(history, {"nps": Declared()})
    account = history.accounts["account_id"][0]
    rows = [{"account_id": account, "name": f"m{n}", "value": 1.0} for n in range(201)]
    at = pl.lit(datetime(2026, 1, 1, tzinfo=UTC)).alias("at")
    crowd = History.from_frames({"accounts": history.accounts, "measures": pl.DataFrame(rows).with_columns(at)})
    with pytest.raises(ContractError, match="201 kinds of measure, 'm0' among them; 200 can be learnt"):
        own.of_history(crowd, {})
    assert len(own.of_history(crowd, {"m0": Declared(use=False)})) == 200
