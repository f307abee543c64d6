"""The same ranking asked about longer horizons.

A model fitted for 90 days ranks customers; whether the order also holds for half a year is what annual contracts ask,
whose exits cluster at renewals. Rows, folds and predictions stay as they are; only the question changes:

    t = 3 March 2025, B = 14 d
    H = 90     left by 15 June?
    H = 180    left by 13 September?    known for sure (R = 30 d) on 13 October

What a row's model had learnt lay before t either way, so the longer question needs no other folds. Its probabilities
are for its own horizon: a longer one reports ranking, never calibration.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl

from models.history import History
from models.labels import LabelParams, label
from models.scorecard import Target
from training.metrics import COUNTS, part

#: Of a ranking alone.
OF_A_RANKING = ("auc", "pr_auc", "top_decile_lift", "revenue_captured")
OF_THE_QUIET = ("auc", "top_decile_lift")
#: Of its comparison with a baseline.
GAINED = ("auc", "pr_auc", "top_decile_lift")
#: The longer horizon, and whose.
LONGER_DAYS, LONGER_BILLING = 180, "annual"
#: With fewer exits a horizon has no numbers of its own.
LEAST_EXITS = 10


def horizons(
    known: History,
    rows: pl.DataFrame,
    target: Target,
    cutoff: datetime,
    params: LabelParams,
    own: Mapping[str, Any],
    *,
    against: Sequence[str] = (),
    k: int = 20,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """horizon in days (text) -> population, horizon_days and either counts, OF_A_RANKING, `gain` over each baseline and
    `quiet`, or `why` there are none.

    rows: as for `training.metrics.evaluate`, with billing and quiet; own: what it found of them. The model's own
    horizon counts everybody; half a year the accounts billed annually at t, beside the same rows at the model's own
    horizon (`same_rows`).
    """
    draw = {"resamples": resamples, "seed": seed}
    measured = {name: own[name] for name in (*COUNTS, *OF_A_RANKING)}
    gained = {name: {m: own["gain"][name][m] for m in GAINED} for name in against}
    quiet = {name: own["quiet"][name] for name in (*COUNTS, *OF_THE_QUIET)}
    told: dict[str, Any] = {"population": "all", "horizon_days": params.horizon_days}
    found = {str(params.horizon_days): told | measured | {"gain": gained, "quiet": quiet}}
    if params.horizon_days >= LONGER_DAYS:
        return found
    longer = _longer(known, rows, target, cutoff, params)
    told = {"population": LONGER_BILLING, "horizon_days": LONGER_DAYS}
    exits = longer.filter(pl.col("y") == 1)["account_id"].n_unique()
    if exits < LEAST_EXITS:
        told["why"] = (
            f"{exits} accounts billed annually are known to have left within {LONGER_DAYS} days of a tested moment "
            f"whose outcome is certain by now; {LEAST_EXITS} are needed."
        )
    else:
        told |= _ranking(longer, k, draw, against)
        same = rows.join(longer.select("account_id", "as_of"), on=["account_id", "as_of"], how="semi")
        told["same_rows"] = part(same, OF_THE_QUIET, k, draw)
    return found | {str(LONGER_DAYS): told}


def _ranking(rows: pl.DataFrame, k: int, draw: dict[str, int], against: Sequence[str]) -> dict[str, Any]:
    found = part(rows, OF_A_RANKING, k, draw, against)
    found["gain"] = {name: {m: gain[m] for m in GAINED} for name, gain in found.get("gain", {}).items()}
    found["quiet"] = part(rows.filter(pl.col("quiet")), OF_THE_QUIET, k, draw)
    return found


def _longer(known: History, rows: pl.DataFrame, target: Target, cutoff: datetime, params: LabelParams) -> pl.DataFrame:
    """The annual rows whose outcome at the longer horizon is certain, with that outcome as y."""
    annual = rows.filter(pl.col("billing") == LONGER_BILLING)
    asked = replace(params, horizon_days=LONGER_DAYS)
    labels = label(known, annual.select("account_id", "as_of"), cutoff, asked)
    return annual.with_columns(y=labels[f"y_{target}"]).drop_nulls("y")
