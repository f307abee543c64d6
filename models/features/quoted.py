"""Numbers that sentences quote and no model sees: what was to be expected, and ratios said as ratios."""

import polars as pl

from models.features.formulas import own_rate, silence_days

#: Name -> value, over the facts and the features already computed.
QUOTED: dict[str, pl.Expr] = {
    **{f"expected_{days}d": own_rate(days) * days for days in (28, 30, 90)},
    "silence_days": silence_days(),
    "answer_ratio": pl.col("first_response_vs_target_90d").exp(),
    "closing_ratio": pl.col("resolution_p90_vs_target_180d").exp(),
    "variability": pl.col("resolution_variability_365d").exp(),
}
