"""The out-of-fold predictions of a training run, measured: by target, by segment, by horizon, by month, against
baselines and against the model in service. What every number means is said in `docs/evaluation.md`."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import polars as pl

from models.health import expit
from models.history import History
from models.labels import LabelParams
from models.scorecard import Target
from models.scoring import is_quiet
from training.cross import OutOfFold
from training.groups import groups
from training.horizons import horizons
from training.metrics import evaluate
from training.months import by_month
from training.previous import Previous, compare
from training.profit import ProfitParams

#: What every model is measured against: contract terms alone, the expert's score recalibrated, the base rate.
RIVALS = ("contract", "expert", "base")


def measured(
    known: History,
    cutoff: datetime,
    tested: Mapping[Target, pl.DataFrame],
    label: LabelParams,
    previous: Previous,
    *,
    capacity: int,
    profit: ProfitParams,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(metrics by target, comparison with the model in service), plain values.

    tested: what `tested_rows` says of each target. On top of `training.metrics.evaluate` each target has `horizons`,
    and `silent` has `by_month`: the lists of `capacity` quiet customers that would have been issued on the tested days.
    """
    regions = known.accounts.select("account_id", "region")

    def of_target(target: Target) -> dict[str, Any]:
        rows = tested[target]
        found = evaluate(rows, against=RIVALS, k=capacity, seed=seed, profit=profit)
        found["horizons"] = horizons(
            known, rows, target, cutoff, label, found, against=("contract", "expert"), k=capacity, seed=seed
        )
        found["groups"] = groups(rows.join(regions, on="account_id", how="left", maintain_order="left"), seed=seed)
        if target == "silent":
            found["by_month"] = by_month(rows.filter(pl.col("quiet")), capacity, seed=seed)
        return found

    # Sums over long arrays let other threads run meanwhile: the targets are measured side by side.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        metrics = dict(zip(tested, pool.map(of_target, tested), strict=True))
    return dict(metrics), compare(previous, known, tested, k=capacity, seed=seed)


def tested_rows(matrix: pl.DataFrame, made: OutOfFold, look_back_days: int) -> pl.DataFrame:
    """The tested rows with their facts, outcome, prediction and those of the baselines, as `evaluate` reads them."""
    tested = matrix[made.rows]
    facts = tested.select(
        "account_id",
        "as_of",
        "segment",
        "billing",
        "decided_at",
        _surveys().alias("surveys"),
        pl.col("mrr_now").cast(pl.Float64).alias("mrr"),
        is_quiet(tested["days_since_voice"], look_back_days).alias("quiet"),
    )
    rivals = {f"p_{name}": pl.Series(expit(getattr(made, name))) for name in RIVALS}
    return facts.with_columns(pl.Series("y", made.y), pl.Series("p", expit(made.fitted)), **rivals)


def _surveys() -> pl.Expr:
    """Whether the account can be heard through surveys: it answers, is asked and does not, or is not asked."""
    asked = (pl.col("invitations_365d") > 0).fill_null(value=False)
    return (
        pl.when(pl.col("responses_365d") > 0).then(pl.lit("answers"))
        .when(asked).then(pl.lit("asked, never answers"))
        .otherwise(pl.lit("not asked"))
    )  # fmt: skip
