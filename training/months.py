"""The lists that would have been issued, day by day, and what became of the customers on them.

Carried through this module: on 3 March 2025, 500 customers were quiet, 30 of them left silently within the horizon; the
team can call 50, and of the 50 ranked highest 19 left.

    listed 50, left 19      precision 19 / 50 = .38, Wilson .26 to .52
    base                    30 / 500 = .06
    lift                    .38 / .06 = 6.3
    found                   19 of 30 = .63

On one day every account is there once, so the day's interval is Wilson's. Over several days accounts come back: the
summary's intervals draw accounts with replacement, all their days together.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from models.lists import ranked
from training.intervals import Estimate, draws, interval, wilson
from training.sample import Sample, Vector

#: How a list may be ordered -> the rank of `models.lists` that orders it.
ORDERS: Mapping[str, str] = {"probability": "rank_by_probability", "loss": "rank_by_loss"}


def with_ranks(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows (account_id, as_of, p and, where known, mrr) with `rank_by_probability` and `rank_by_loss` of their
    day, ranked as the product ranks its list; sorted by day and account."""
    mrr = pl.col("mrr") if "mrr" in rows.columns else pl.lit(None, pl.Float64)
    ready = rows.with_columns(p_silent="p", expected_revenue_loss=pl.col("p") * mrr)
    days = [ranked(day) for _, day in sorted(ready.partition_by("as_of", as_dict=True).items())]
    none = ready.clear().with_columns(**{name: pl.lit(None, pl.Int64) for name in ORDERS.values()})
    listed = pl.concat([none, *(day.select(none.columns) for day in days)])
    return listed.drop("p_silent", "expected_revenue_loss").sort("as_of", "account_id")


def by_month(rows: pl.DataFrame, capacity: int, *, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
    """What lists of `capacity` customers would have been worth.

    rows: one per (account_id, as_of) that could have been listed, with p and y (1: left silently within the horizon,
    0: anything else) and, where there, mrr. Any order.

    capacity; months: one entry per day in order, {as_of, accounts, listed, left, left_of_all, precision (estimate),
    base_rate, lift, found (share of those who left that were listed), by_loss {left, revenue_lost, revenue_share}};
    summary: `summary` of the same rows.
    """
    listed = with_ranks(rows)
    days = sorted(listed.partition_by("as_of", as_dict=True).items())
    return {
        "capacity": capacity,
        "months": [_month(day, capacity) for _, day in days],
        "summary": summary(listed, capacity, resamples=resamples, seed=seed),
    }


def _month(day: pl.DataFrame, capacity: int) -> dict[str, Any]:
    called = day.filter(pl.col("rank_by_probability") <= capacity)
    left, everybody = int(called["y"].sum()), int(day["y"].sum())
    precision = left / called.height
    base = everybody / day.height
    return {
        "as_of": day["as_of"][0],
        "accounts": day.height,
        "listed": called.height,
        "left": left,
        "left_of_all": everybody,
        "precision": Estimate(precision, *wilson(precision, called.height)).to_plain(),
        "base_rate": base,
        "lift": precision / base if base else None,
        "found": left / everybody if everybody else None,
        "by_loss": _by_loss(day, capacity),
    }


def _by_loss(day: pl.DataFrame, capacity: int) -> dict[str, Any]:
    """The same day's list in the other order: first the revenue at risk."""
    called = day.filter(pl.col("rank_by_loss") <= capacity)
    lost = _lost(day)
    return {
        "left": int(called["y"].sum()),
        "revenue_lost": lost,
        "revenue_share": _lost(called) / lost if lost else None,
    }


def _lost(rows: pl.DataFrame) -> float:
    """A month's revenue of those who left; unknown counts nothing."""
    return float((rows["y"] * rows["mrr"]).fill_null(0).sum()) if "mrr" in rows.columns else 0.0


def summary(listed: pl.DataFrame, capacity: int, *, resamples: int = 200, seed: int = 0) -> dict[str, Any]:
    """All days together, of rows with ranks: moments, places (lines on all lists), accounts (different ones on them),
    left (lines), precision, base_rate and lift (estimates; accounts drawn with replacement), and the same of the list
    by loss as by_loss {left, precision, revenue_share}. A day counts by the length of its list."""
    sample = Sample.of(listed)
    ordered = listed.sort("account_id", "as_of")
    places = {order: _on_list(ordered, rank, capacity) for order, rank in ORDERS.items()}
    on = places["probability"]
    drawn = list(draws(sample, resamples, seed))
    ones = np.ones(len(sample.y))
    rate, base, lift = _rates(sample, on, ones)
    found = np.array([_rates(sample, on, w) for w in drawn]).reshape(-1, 3)
    by_loss = places["loss"]
    money = np.array([_money(sample, by_loss, w) for w in drawn])
    return {
        "moments": listed["as_of"].n_unique(),
        "places": int(on.sum()),
        "accounts": len(np.unique(sample.account[on == 1])),
        "left": int((on * sample.y).sum()),
        "precision": Estimate(rate, *interval(found[:, 0])).to_plain(),
        "base_rate": Estimate(base, *interval(found[:, 1])).to_plain(),
        "lift": Estimate(lift, *interval(found[:, 2])).to_plain(),
        "by_loss": {
            "left": int((by_loss * sample.y).sum()),
            "precision": Estimate(_rates(sample, by_loss, ones)[0], np.nan, np.nan).to_plain()["value"],
            "revenue_share": Estimate(_money(sample, by_loss, ones), *interval(money)).to_plain(),
        },
    }


def _on_list(ordered: pl.DataFrame, rank: str, capacity: int) -> Vector:
    return (ordered[rank] <= capacity).cast(pl.Float64).to_numpy()


def _rates(sample: Sample, on: Vector, w: Vector) -> Sequence[float]:
    """Precision of the lines, base rate of all rows, and one over the other; NaN where undefined."""
    lines, everybody = float((w * on).sum()), float(w.sum())
    rate = float((w * on * sample.y).sum()) / lines if lines else np.nan
    base = float((w * sample.y).sum()) / everybody if everybody else np.nan
    return rate, base, rate / base if base else np.nan


def _money(sample: Sample, on: Vector, w: Vector) -> float:
    lost = float((w * sample.lost).sum())
    return float((w * on * sample.lost).sum()) / lost if lost else np.nan
