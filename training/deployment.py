"""A base rate in service that differs from the one in training: only the base of a scorecard moves.

If those who leave still look as they did, only more or fewer of them do, the odds of everybody change by one factor:

    log-odds' = log-odds + logit(rate in service) - logit(rate the scorecard predicts for the rows it learnt from)

    2.3 % predicted in training, 4 % in service: odds times 1.77, log-odds + .57 for every account

The predicted rate is not always the counted one: calibration on later data may have moved the level already, and a
declared rate must not move it twice.

The rate is declared, or estimated from predictions without labels by expectation maximisation (Saerens, Latinne,
Decaestecker, Neural Computation 2002): the mean of the shifted probabilities of today's customers is the next rate,
until it stays. An estimate whose interval holds the rate in training moves nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import SettingsError
from models.health import expit
from models.scorecard import Columns, Scorecard, Target
from training.fitting import log_odds_of

Floats = npt.NDArray[np.float64]

_STEPS, _SETTLED = 1_000, 1e-8
_RESAMPLES = 200


@dataclass(frozen=True)
class Deployment:
    """What is known of the customers the model will serve: the shares that leave within the horizon, or that these
    are to be estimated. Raises `SettingsError` for rates that make no sense."""

    base_rate_churn: float | None = None
    base_rate_silent: float | None = None
    estimate: bool = False

    def __post_init__(self) -> None:
        for name in ("base_rate_churn", "base_rate_silent"):
            rate = getattr(self, name)
            if rate is not None and not (isinstance(rate, float) and 0 < rate < 1):
                raise SettingsError(f"[deployment] {name} must be a share between 0 and 1, such as 0.04.")
        if not isinstance(self.estimate, bool):
            raise SettingsError("[deployment] estimate must be true or false.")
        churn, silent = self.base_rate_churn, self.base_rate_silent
        if self.estimate and (churn is not None or silent is not None):
            raise SettingsError("[deployment] either declares base rates or has them estimated, not both.")
        if churn is not None and silent is not None and silent > churn:
            raise SettingsError("[deployment] base_rate_silent is part of base_rate_churn and cannot be larger.")

    def declared(self, target: Target) -> float | None:
        """The declared rate of one scorecard."""
        return self.base_rate_churn if target == "churn" else self.base_rate_silent


@dataclass(frozen=True)
class Shift:
    """How far a scorecard's base moves, and why (for the report)."""

    target: Target
    log_odds: float
    report: dict[str, Any]

    def applied(self, card: Scorecard) -> Scorecard:
        """The scorecard with its base moved."""
        refits = tuple(base + self.log_odds for base in card.base_replicates)
        return replace(card, base=card.base + self.log_odds, base_replicates=refits)


def shift(
    card: Scorecard, learnt: pl.DataFrame, today: pl.DataFrame | None, deployment: Deployment, seed: int
) -> Shift:
    """The shift of one scorecard. learnt: the labelled rows it was fitted on; today: customers without labels, needed
    where the rate is to be estimated."""
    labelled = learnt.drop_nulls(f"y_{card.target}")
    counted = float(labelled[f"y_{card.target}"].cast(pl.Float64).mean())  # type: ignore[arg-type]
    declared = deployment.declared(card.target)
    if declared is None and (today is None or not today.height):
        facts = {"source": "training", "rate_in_training": counted, "rate": counted, "shift": 0.0}
        return Shift(card.target, 0.0, facts)
    trained = float(expit(log_odds_of(card, labelled)).mean())
    told = {"rate_in_training": counted, "rate_predicted_in_training": trained}
    if declared is not None:
        return _moved(card.target, trained, declared, {"source": "declared", **told})
    assert today is not None
    z = log_odds_of(card, today)
    rate = estimated(z, trained)
    generator = np.random.default_rng(seed)
    again = [estimated(z[generator.integers(0, len(z), len(z))], trained) for _ in range(_RESAMPLES)]
    low, high = (float(bound) for bound in np.quantile(again, [0.025, 0.975]))
    facts = {"source": "estimated", **told, "estimate": {"value": rate, "low": low, "high": high}, "accounts": len(z)}
    return _moved(card.target, trained, trained if low <= trained <= high else rate, facts)


def shift_of_table(card: Scorecard, columns: Columns, y: Floats, deployment: Deployment) -> Shift:
    """The shift of a table's scorecard to a declared rate; `columns` and `y` (n,) are the rows it was fitted on."""
    counted, declared = float(y.mean()), deployment.declared(card.target)
    if declared is None:
        facts = {"source": "training", "rate_in_training": counted, "rate": counted, "shift": 0.0}
        return Shift(card.target, 0.0, facts)
    trained = float(expit(card.log_odds(columns)).mean())
    told = {"source": "declared", "rate_in_training": counted, "rate_predicted_in_training": trained}
    return _moved(card.target, trained, declared, told)


def _moved(target: Target, trained: float, rate: float, facts: dict[str, Any]) -> Shift:
    by = _logit(rate) - _logit(trained)
    return Shift(target, by, {**facts, "rate": rate, "shift": by})


def estimated(log_odds: Floats, trained: float) -> float:
    """The base rate of rows (n,) without labels, predicted by a model trained at the rate `trained`."""
    rate = trained
    for _ in range(_STEPS):
        following = float(np.clip(expit(log_odds + _logit(rate) - _logit(trained)).mean(), 1e-6, 1 - 1e-6))
        if abs(following - rate) < _SETTLED:
            return following
        rate = following
    return rate


def _logit(rate: float) -> float:
    return float(np.log(rate) - np.log1p(-rate))
