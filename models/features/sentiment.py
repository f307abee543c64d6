"""Sentiment: what they answered, and where it is heading."""

import polars as pl

from models.features.feature import Basis, Feature
from models.features.formulas import halved, level

_NPS_HALF_LIFE = 180.0


def _weighted(name: str, weight: float) -> tuple[pl.Expr, pl.Expr]:
    """An instrument's half-life weighted sum and weight in the feedback score."""
    return pl.col(f"{name}_sum_365d") * weight, pl.col(f"{name}_weight_365d") * weight


_parts = [_weighted("csat", 0.4), _weighted("ces", 0.3), _weighted("nps", 0.3)]
_answers = pl.col("csat_365d") + pl.col("ces_365d") + pl.col("nps_365d")
_base_feedback = 0.4 * pl.col("base_csat") + 0.3 * pl.col("base_ces") + 0.3 * pl.col("base_nps")

SENTIMENT: list[Feature] = [
    Feature(
        name="csat_level",
        label="Satisfaction (CSAT)",
        component="sentiment",
        unit="mean CSAT, 1-5, half-life 90 days, drawn to the segment's by 3 answers",
        window_days=365,
        missing="no answer in 365 days: unknown",
        churn=-1,
        silent=-1,
        value=1 + 4 * level("csat", "csat"),
        basis=Basis("line", (2.5, 4.0, 5.0)),
        sentence="satisfaction {csat_level:.1f} of 5 over {csat_365d:# answer}",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="csat_trend",
        label="Trend of satisfaction",
        component="sentiment",
        unit="slope of CSAT (1-5) per 90 days, shrunk by n / (n + 4)",
        window_days=365,
        missing="no two answers 14 days apart: unknown",
        churn=-1,
        silent=-1,
        value=(4 * pl.col("csat_slope_365d") * pl.col("csat_365d") / (pl.col("csat_365d") + 4)).clip(-4.0, 4.0),
        basis=Basis("line", (-1.0, 0.0, 1.0)),
        sentence="satisfaction moves by {csat_trend:+.1f} points in 90 days",
        usual="usual is no change",
    ),
    Feature(
        name="nps_last",
        label="Last NPS answer",
        component="sentiment",
        unit="0-10, drawn to the segment's mean with a half-life of 180 days",
        window_days=365,
        missing="no answer in 365 days: unknown",
        churn=-1,
        silent=-1,
        value=10
        * (
            pl.col("base_nps")
            + (pl.col("nps_last") - pl.col("base_nps")) * halved(pl.col("nps_last_days"), _NPS_HALF_LIFE)
        ),
        basis=Basis("line", (3.0, 7.0, 10.0)),
        sentence="last would-recommend answer, weighed for its age: {nps_last:.1f} of 10",
        usual="usual is {:.1f}",
    ),
    Feature(
        name="sentiment_volatility",
        label="Mixed answers",
        component="sentiment",
        unit="standard deviation of all scores as shares of their scales",
        window_days=365,
        missing="fewer than 3 answers: unknown",
        churn=1,
        silent=1,
        value=pl.col("scores_sd_365d"),
        basis=Basis("line", (0.0, 0.4)),
        sentence="{scores_365d:# answer} in a year differ by {sentiment_volatility:.0%} of the scale",
        usual="usual is {:.0%}",
    ),
    Feature(
        name="feedback_score",
        label="Feedback score",
        component="sentiment",
        unit="0-100: CSAT .4, CES .3, NPS .3 as shares of their scales, half-life 90 days, drawn to usual by 3 answers",
        window_days=365,
        missing="no answer in 365 days: unknown",
        churn=-1,
        silent=-1,
        value=pl.when(_answers > 0).then(
            100
            * (sum((top for top, _ in _parts), pl.lit(0.0)) + _base_feedback)
            / (sum((bottom for _, bottom in _parts), pl.lit(0.0)) + 1.0)
        ),
        basis=Basis("line", (50.0, 80.0, 100.0)),
        sentence="feedback adds up to {feedback_score:.0f} of 100",
        usual="usual is {:.0f}",
    ),
]
