"""What is reported about a model: every metric with an interval, where it matters, beside its baselines.

Rows of one account overlap in time and share their exit, so intervals come from drawing *accounts* with
replacement: all rows of an account as often as it was drawn. Two models are compared on the same draws.

    three accounts    a (3 rows), b (1 row), c (2 rows)
    one draw          b, a, b      -> rows of a count once, the row of b twice, those of c not at all
    200 draws         the middle 95 % of the 200 values are the interval
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from models.errors import ContractError
from training.sample import BINS, METRICS, NAMES, TOP_SHARE, Sample, Vector, hanley_mcneil, mass_bins, measure

#: What a comparison of two models reports.
COMPARED = ("auc", "pr_auc", "brier", "log_loss", "top_decile_lift")
#: What is reported of a part of the customers.
OF_A_PART = ("auc", "pr_auc", "observed_expected", "calibration_slope", "top_decile_lift", "precision_at_k")
#: What is reported of each segment.
OF_A_SEGMENT = ("auc", "observed_expected", "top_decile_lift")


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    def to_plain(self) -> dict[str, float | None]:
        """For JSON: NaN as null."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else float(number) for name, number in fields.items()}


@dataclass(frozen=True)
class Resampled:
    """The metrics of a sample (`value`) and of every draw of its accounts (`drawn`: one number per draw)."""

    value: dict[str, float]
    drawn: dict[str, Vector]

    @classmethod
    def of(cls, sample: Sample, names: Sequence[str], resamples: int, seed: int) -> "Resampled":
        """The same number of accounts and the same seed give the same draws."""
        drawn = [name for name in names if name != "ece"]
        draws = [measure(sample, w, drawn) for w in _draws(sample, resamples, seed)]
        return cls(measure(sample, None, names), {name: np.array([draw[name] for draw in draws]) for name in drawn})

    def estimates(self) -> dict[str, Estimate]:
        """Every metric with its interval.

        ece has none: a resample is always less smooth than the sample, so the interval would miss the value.
        """
        nothing = np.empty(0)
        return {name: Estimate(value, *_interval(self.drawn.get(name, nothing))) for name, value in self.value.items()}

    def over(self, other: "Resampled") -> dict[str, Estimate]:
        """How much better this is than the other on the same draws; positive is better."""
        signs = {"higher": 1.0, "lower": -1.0}
        better = {metric.name: signs[metric.better] for metric in METRICS if metric.better in signs}
        return {
            name: Estimate(
                better[name] * (self.value[name] - value),
                *_interval(better[name] * (self.drawn[name] - other.drawn[name])),
            )
            for name, value in other.value.items()
        }


def estimate(sample: Sample, names: Sequence[str] = NAMES, resamples: int = 200, seed: int = 0) -> dict[str, Estimate]:
    """The named metrics with intervals from drawing accounts with replacement (all rows of one, or none)."""
    return Resampled.of(sample, names, resamples, seed).estimates()


def paired(
    model: Sample, other: Sample, names: Sequence[str] = COMPARED, resamples: int = 200, seed: int = 0
) -> dict[str, Estimate]:
    """How much better `model` is than `other` on the same rows, positive is better, with paired intervals.

    Both are measured on the same draws of accounts, so what is hard for both cancels. Raises `ContractError`
    for samples of different rows, and for metrics of which neither more nor less is better.
    """
    if not (np.array_equal(model.account, other.account) and np.array_equal(model.y, other.y)):
        raise ContractError("Two models can only be compared on the same rows.")
    directed = {metric.name for metric in METRICS if metric.better in ("higher", "lower")} - {"ece"}
    if not set(names) <= directed:
        raise ContractError("Only metrics that should be high or low can be gained.")
    one, two = (Resampled.of(sample, names, resamples, seed) for sample in (model, other))
    return one.over(two)


def _draws(sample: Sample, resamples: int, seed: int) -> Iterator[Vector]:
    """For each resample, how often each row's account was drawn."""
    generator, n = np.random.default_rng(seed), sample.accounts
    for _ in range(resamples if n else 0):
        drawn = np.bincount(generator.integers(0, n, n), minlength=n)
        yield drawn[sample.account].astype(np.float64)


def _interval(values: Vector) -> tuple[float, float]:
    """The middle 95 %; NaN unless nearly every resample had a value."""
    defined = values[~np.isnan(values)]
    if not len(values) or len(defined) < 0.9 * len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def evaluate(
    rows: pl.DataFrame,
    *,
    against: Sequence[str] = (),
    k: int = 20,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Everything reported about predictions of one target, as plain values for the artefact and the report.

    rows: one per (account_id, as_of), with y (0 or 1) and p; where there, mrr (revenue_captured), segment, quiet
    (true: no voice in the look-back), decided_at (lead time) and one column `p_<name>` for each name in `against`:
    the predictions of a baseline for the same rows, made by the same folds.

    n_rows, n_accounts, n_moments, n_event_rows, n_events (accounts that left: the effective sample size),
    base_rate; every metric as {value, low, high} (95 %, by account; null: undefined); `auc_if_independent`
    (Hanley-McNeil, one row per account: how much any claim is worth at this many exits); `reliability`, bins;
    `gain`: name -> metric -> {value, low, high}, positive: better than that baseline; `quiet`: the same counts,
    OF_A_PART and gain inside the quiet set; `segments`: name -> counts and OF_A_SEGMENT; `lead_time`.
    Raises `ContractError` for rows without y and p, or values they cannot have.
    """
    missing = {"account_id", "as_of", "y", "p", *(f"p_{name}" for name in against)} - set(rows.columns)
    if missing:
        raise ContractError(f"An evaluation needs a column {min(missing)!r}.")
    draw = {"resamples": resamples, "seed": seed}
    result = _part(rows, NAMES, k, draw, against)
    result["auc_if_independent"] = _independent(result)
    result["reliability"] = reliability(Sample.of(rows, k=k))
    if "quiet" in rows.columns:
        result["quiet"] = _part(rows.filter(pl.col("quiet")), OF_A_PART, k, draw, against)
    if "segment" in rows.columns:
        parts = rows.with_columns(pl.col("segment").fill_null("unknown")).partition_by("segment", as_dict=True)
        result["segments"] = {str(key[0]): _part(part, OF_A_SEGMENT, k, draw) for key, part in sorted(parts.items())}
    if "decided_at" in rows.columns:
        result["lead_time"] = lead_time(rows)
    result["bootstrap"] = {"by": "account", "k": k, **draw}
    return result


def _counts(rows: pl.DataFrame) -> dict[str, Any]:
    left = rows.filter(pl.col("y") == 1)
    return {
        "n_rows": rows.height,
        "n_accounts": rows.get_column("account_id").n_unique(),
        "n_moments": rows.get_column("as_of").n_unique(),
        "n_event_rows": left.height,
        "n_events": left.get_column("account_id").n_unique(),
        "base_rate": left.height / rows.height if rows.height else None,
    }


def _plain(estimates: dict[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: value.to_plain() for name, value in estimates.items()}


def _part(
    rows: pl.DataFrame, names: Sequence[str], k: int, draw: dict[str, int], against: Sequence[str] = ()
) -> dict[str, Any]:
    """Counts, metrics and, where there are baselines, the gain over each."""
    wanted = [name for name in NAMES if name in names or (against and name in COMPARED)]
    model = Resampled.of(Sample.of(rows, k=k), wanted, **draw)
    estimates = {name: found for name, found in model.estimates().items() if name in names}
    result = _counts(rows) | _plain(estimates)
    if against:
        others = {name: Sample.of(rows, p=f"p_{name}", k=k) for name in against}
        result["gain"] = {
            name: _plain(model.over(Resampled.of(other, COMPARED, **draw))) for name, other in others.items()
        }
    return result


def _independent(counted: dict[str, Any]) -> dict[str, float | None]:
    value = counted["auc"]["value"]
    if value is None:
        return {"low": None, "high": None}
    stayed = counted["n_accounts"] - counted["n_events"]
    low, high = hanley_mcneil(value, counted["n_events"], stayed)
    return {name: None if np.isnan(bound) else bound for name, bound in (("low", low), ("high", high))}


def reliability(sample: Sample, bins: int = BINS) -> list[dict[str, float]]:
    """Bins of equal mass from the highest risk down: rows, predicted and observed share."""
    if not len(sample.y):
        return []
    mass, left, expected = mass_bins(sample, np.ones(len(sample.y)), bins)
    return [
        {"rows": float(n), "predicted": float(e / n), "observed": float(o / n)}
        for n, o, e in zip(mass, left, expected, strict=True)
        if n
    ]


def lead_time(rows: pl.DataFrame) -> dict[str, float | None]:
    """How early those who left had been among the tenth ranked highest at some moment.

    share_flagged of the accounts that left, and the median of the days from the first such moment to the decision.
    """
    left = rows.filter(pl.col("y") == 1)
    place = pl.col("p").rank("ordinal", descending=True).over("as_of")
    top = rows.sort("account_id").filter(place <= (TOP_SHARE * pl.len().over("as_of")).ceil())
    early = top.filter(pl.col("y") == 1).group_by("account_id").agg(days=(pl.col("decided_at") - pl.col("as_of")).max())
    median = early.select(pl.col("days").median()).item()
    accounts = left.get_column("account_id").n_unique()
    return {
        "share_flagged": early.height / accounts if accounts else None,
        "median_days": median / timedelta(days=1) if median is not None else None,
    }
