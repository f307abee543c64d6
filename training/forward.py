"""What the forward folds decide, and the fit that follows: which kind of model, how corrected, at what price.

The predictions that are reported are those of the kind that is served, corrected as it is served.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from models.features import Feature
from models.scorecard import Scorecard, Target
from training import fitting
from training.black_box import cost_of
from training.calibration import Calibrated, Forward, calibrate
from training.cross import OutOfFold, out_of_fold
from training.deployment import Deployment, Shift, shift
from training.expert import Expert
from training.folds import Folds
from training.selection import Selection, select

_QUESTIONS: dict[Target, str] = {"churn": "who leaves", "silent": "who leaves silently"}


@dataclass(frozen=True)
class Forwarded:
    """One target's predictions (of the served kind, corrected), what was decided about it, and the price of the
    additive form (empty where no black box was asked)."""

    made: OutOfFold
    selection: Selection
    calibrated: Calibrated
    cost: dict[str, Any]

    def final(self, matrix: pl.DataFrame, expert: Expert, features: Sequence[Feature], seed: int) -> Scorecard:
        """The model that is served: fitted on everything, corrected, centred on the rows it learnt from."""
        tau = self.made.chosen.final
        prepared = fitting.Material.of(matrix, self.made.target, expert, features).prepare()
        fitted = fitting.path(prepared, (fitting.RECALIBRATED, tau))[-1]
        if self.selection.kind == "pairs":
            card = fitting.extended_scorecard(prepared, fitted, fitting.extended(prepared, fitted), tau, seed)
        else:
            card = fitting.scorecard(prepared, fitted, fitting.resampled(prepared, fitted, tau, seed))
        return fitting.centred(self.calibrated.final.applied(card), matrix)


def forwarded(
    matrix: pl.DataFrame,
    folds: Folds,
    expert: Expert,
    phase: str,
    features: Sequence[Feature],
    seed: int,
    progress: Callable[[str], None],
    *,
    priced: bool = True,
) -> list[Forwarded]:
    """Predict, choose and calibrate for each target. `matrix`: features, facts and labels of the rows of `folds`.
    `priced`: whether a black box is asked what the additive form costs."""
    taus: tuple[float | None, ...] = (fitting.RECALIBRATED,) if phase == "P1" else fitting.TAUS
    found = []
    for target, question in _QUESTIONS.items():
        progress(f"forward folds: {question}")
        made = out_of_fold(matrix, folds, target, expert, taus, features, challenge=phase == "P3")
        progress(f"choosing and calibrating: {question}")
        selection = select(made, matrix, seed)
        calibrated = calibrate(_forward(made, selection.kind, matrix))
        made = replace(made, fitted=calibrated.z)
        cost = {}
        if priced and phase == "P3":
            progress(f"asking a black box what the additive form costs: {question}")
            cost = cost_of(made, matrix, folds, expert, features, seed)
        found.append(Forwarded(made, selection, calibrated, cost))
    return found


def _forward(made: OutOfFold, kind: str, matrix: pl.DataFrame) -> Forward:
    tested = matrix[made.rows]
    accounts = tested["account_id"].rank("dense").to_numpy().astype(np.intp) - 1
    segments = np.array(tested["segment"].to_list(), dtype=object)
    return Forward(made.kinds[kind], made.y, accounts, segments, made.block, made.told)


def final(
    forward: Sequence[Forwarded],
    matrix: pl.DataFrame,
    today: pl.DataFrame | None,
    expert: Expert,
    features: Sequence[Feature],
    deployment: Deployment,
    seed: int,
) -> tuple[list[Scorecard], list[Shift]]:
    """The scorecards that are served, with the base rate they will meet; `today`: see `training.deployment.shift`."""
    fits = [each.final(matrix, expert, features, seed) for each in forward]
    shifts = [shift(card, matrix, today, deployment, seed) for card in fits]
    return [moved.applied(card) for card, moved in zip(fits, shifts, strict=True)], shifts
