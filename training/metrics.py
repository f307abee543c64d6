"""What is reported about a model: every metric with an interval, where it matters, beside its baselines.

Rows of one account overlap in time and share their exit, so intervals come from drawing *accounts* with
replacement: all rows of an account as often as it was drawn. Two models are compared on the same draws.

    three accounts    a (3 rows), b (1 row), c (2 rows)
    one draw          b, a, b      -> rows of a count once, the row of b twice, those of c not at all
    200 draws         the middle 95 % of the 200 values are the interval
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import ContractError
from training.intervals import Estimate, draws, interval, share_by_account
from training.lift import lift_table, revenue_table
from training.profit import ProfitParams, expected_profit
from training.sample import BINS, METRICS, NAMES, TOP_SHARE, Sample, Vector, hanley_mcneil, measure, row_bins

#: What a comparison of two models reports.
COMPARED = ("auc", "pr_auc", "brier", "log_loss", "top_decile_lift")
#: Of these, those that only look at the order.
RANKED = ("auc", "pr_auc", "top_decile_lift")
#: The baseline that tells nobody apart: the column `p_base`.
BASE = "base"
#: What is reported of a part of the customers.
OF_A_PART = ("auc", "pr_auc", "observed_expected", "calibration_slope", "top_decile_lift", "precision_at_k")
#: What is reported of each segment.
OF_A_SEGMENT = ("auc", "pr_auc", "observed_expected", "calibration_slope", "top_decile_lift", "revenue_captured")


#: What each segment gains over each baseline.
GAINED_IN_A_SEGMENT = ("auc", "top_decile_lift")

#: The counts beside every set of metrics.
COUNTS = ("n_rows", "n_accounts", "n_moments", "n_event_rows", "n_events", "base_rate")


@dataclass(frozen=True)
class Resampled:
    """The metrics of a sample (`value`) and of every draw of its accounts (`drawn`: one number per draw)."""

    value: dict[str, float]
    drawn: dict[str, Vector]

    @classmethod
    def of(cls, sample: Sample, names: Sequence[str], resamples: int, seed: int) -> "Resampled":
        """The same number of accounts and the same seed give the same draws."""
        drawn = [name for name in names if name != "ece"]
        found = [measure(sample, w, drawn) for w in draws(sample, resamples, seed)]
        return cls(measure(sample, None, names), {name: np.array([draw[name] for draw in found]) for name in drawn})

    def estimates(self) -> dict[str, Estimate]:
        """Every metric with its interval.

        ece has none: a resample is always less smooth than the sample, so the interval would miss the value.
        """
        nothing = np.empty(0)
        return {name: Estimate(value, *interval(self.drawn.get(name, nothing))) for name, value in self.value.items()}

    def over(self, other: "Resampled") -> dict[str, Estimate]:
        """How much better this is than the other on the same draws; positive is better."""
        signs = {"higher": 1.0, "lower": -1.0}
        better = {metric.name: signs[metric.better] for metric in METRICS if metric.better in signs}
        return {
            name: Estimate(
                better[name] * (self.value[name] - value),
                *interval(better[name] * (self.drawn[name] - other.drawn[name])),
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


def evaluate(
    rows: pl.DataFrame,
    *,
    against: Sequence[str] = (),
    k: int = 20,
    resamples: int = 200,
    seed: int = 0,
    profit: ProfitParams | None = None,
) -> dict[str, Any]:
    """Everything reported about predictions of one target, as plain values for the artefact and the report.

    rows: one per (account_id, as_of), with y (0 or 1) and p; where there, mrr (revenue_captured), segment, quiet
    (true: no voice in the look-back), decided_at (lead time) and one column `p_<name>` for each name in `against`:
    the predictions of a baseline for the same rows, made by the same folds.

    n_rows, n_accounts, n_moments, n_event_rows, n_events (accounts that left: the effective sample size),
    base_rate; every metric as {value, low, high} (95 %, by account; null: undefined); `auc_if_independent`
    (Hanley-McNeil, one row per account: how much any claim is worth at this many exits); `reliability`, bins;
    `lift_table`, `revenue_table` (`training.lift`); `profit` (`training.profit`, with the given assumptions);
    `gain`: name -> metric -> {value, low, high}, positive: better than that baseline; `quiet`: the same counts,
    OF_A_PART and gain inside the quiet set; `segments`: name -> counts, OF_A_SEGMENT and gain; `lead_time`.
    Raises `ContractError` for rows without y and p, or values they cannot have.
    """
    missing = {"account_id", "as_of", "y", "p", *(f"p_{name}" for name in against)} - set(rows.columns)
    if missing:
        raise ContractError(f"An evaluation needs a column {min(missing)!r}.")
    draw = {"resamples": resamples, "seed": seed}
    result = part(rows, NAMES, k, draw, against)
    result["auc_if_independent"] = _independent(result)
    sample = Sample.of(rows, k=k)
    result["reliability"] = reliability(sample)
    result["lift_table"] = lift_table(sample, draws(sample, **draw))
    result["revenue_table"] = revenue_table(sample, draws(sample, **draw))
    rivals = {name: Sample.of(rows, p=f"p_{name}", k=k) for name in against}
    result["profit"] = expected_profit(sample, draws(sample, **draw), profit or ProfitParams(), rivals)
    if "quiet" in rows.columns:
        result["quiet"] = part(rows.filter(pl.col("quiet")), OF_A_PART, k, draw, against)
    if "segment" in rows.columns:
        parts = rows.with_columns(pl.col("segment").fill_null("unknown")).partition_by("segment", as_dict=True)
        result["segments"] = {
            str(key[0]): part(rows, OF_A_SEGMENT, k, draw, against, GAINED_IN_A_SEGMENT)
            for key, rows in sorted(parts.items())
        }
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


def part(
    rows: pl.DataFrame,
    names: Sequence[str],
    k: int,
    draw: dict[str, int],
    against: Sequence[str] = (),
    compared: Sequence[str] = COMPARED,
) -> dict[str, Any]:
    """Of some rows: counts, the named metrics as estimates and, where there are baselines, the `gain` over each in
    the metrics `compared`.

    draw: `resamples` and `seed`."""
    wanted = [name for name in NAMES if name in names or (against and name in compared)]
    model = Resampled.of(Sample.of(rows, k=k), wanted, **draw)
    estimates = {name: found for name, found in model.estimates().items() if name in names}
    result = _counts(rows) | _plain(estimates)
    if against:
        result["gain"] = {name: _plain(model.over(_rival(rows, name, k, draw, compared))) for name in against}
    return result


def _rival(rows: pl.DataFrame, name: str, k: int, draw: dict[str, int], compared: Sequence[str]) -> Resampled:
    """A baseline, measured on the same draws.

    The base rate differs a little from fold to fold, and is the lower in a fold the more of its tested rows left: taken
    for a ranking, it would rank worse than chance and flatter whatever is held against it. It ranks nobody.
    """
    found = Resampled.of(Sample.of(rows, p=f"p_{name}", k=k), compared, **draw)
    if name != BASE:
        return found
    ranked = [name for name in RANKED if name in compared]
    alike = Resampled.of(Sample.of(rows.with_columns(alike=pl.lit(0.5)), p="alike", k=k), ranked, **draw)
    return Resampled(found.value | alike.value, found.drawn | alike.drawn)


def _independent(counted: dict[str, Any]) -> dict[str, float | None]:
    value = counted["auc"]["value"]
    if value is None:
        return {"low": None, "high": None}
    stayed = counted["n_accounts"] - counted["n_events"]
    low, high = hanley_mcneil(value, counted["n_events"], stayed)
    return {name: None if np.isnan(bound) else bound for name, bound in (("low", low), ("high", high))}


def reliability(sample: Sample, bins: int = BINS) -> list[dict[str, float]]:
    """Bins of equal mass from the highest risk down: rows, accounts, predicted and observed share, with the 95 %
    interval of the observed one (low, high), rows of one account taken together."""
    if not len(sample.y):
        return []
    place = row_bins(sample, bins)
    return [_reliable(sample, place == i) for i in range(bins) if (place == i).any()]


def _reliable(sample: Sample, inside: npt.NDArray[np.bool_]) -> dict[str, float]:
    observed = share_by_account(sample.y[inside], sample.account[inside])
    return {
        "rows": float(inside.sum()),
        "accounts": float(len(np.unique(sample.account[inside]))),
        "predicted": float(sample.p[inside].mean()),
        "observed": observed.value,
        "low": observed.low,
        "high": observed.high,
    }


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
