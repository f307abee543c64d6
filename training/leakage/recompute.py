"""Rows of the training matrix computed again, each from a history out of which everything later has been cut.

The matrix comes from one pass over everything; a few of its rows are compared bit for bit with what their own past
alone gives.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from models.history import TABLES, History, happened_at
from training.leakage.findings import Finding

#: Moments whose rows are computed again.
MOMENTS = 4
#: Columns of a finding that are spelled out.
SHOWN = 5

#: Times of each table that must lie before the moment a history is known at.
_PAST = {
    "accounts": ("started_at", "onboarded_at", "notice_at", "ended_at"),
    "interactions": ("opened_at", "first_response_at", "resolved_at", "reopened_at", "escalated_at"),
    "surveys": ("sent_at", "responded_at"),
    "contracts": ("effective_at",),
    "outreach": ("at", "engaged_at"),
    "measures": ("at",),
}

Recompute = Callable[[History, pl.DataFrame], pl.DataFrame]


def recomputed(
    history: History,
    matrix: pl.DataFrame,
    features: Sequence[str],
    recompute: Recompute,
    sample: int,
    seed: int,
) -> tuple[int, list[Finding]]:
    """How many rows were computed again from their own past alone, and where the matrix says something else."""
    findings: list[Finding] = []
    names = [name for name in features if name in matrix.columns]
    compared = 0
    for t, rows in _sampled(matrix, sample, seed):
        past = history.known_at(t)
        findings += later_than(past, t)
        again = recompute(_cut(past, t), rows.select("account_id", "as_of"))
        order = rows.select("account_id").join(again, on="account_id", how="left", maintain_order="left")
        differing = [name for name in names if not _identical(rows[name], order[name])]
        compared += rows.height
        if differing:
            findings.append(_difference(rows, order, differing, t))
    return compared, findings


def _sampled(matrix: pl.DataFrame, sample: int, seed: int) -> Iterator[tuple[datetime, pl.DataFrame]]:
    generator = np.random.default_rng(seed)
    times = matrix["as_of"].unique().sort().to_list()
    chosen = sorted(generator.choice(len(times), min(MOMENTS, len(times), sample), replace=False))
    for k, position in enumerate(chosen):
        share = sample // len(chosen) + (k < sample % len(chosen))
        rows = matrix.filter(pl.col("as_of") == times[position])
        yield times[position], rows.sample(min(share, rows.height), seed=seed).sort("account_id")


def _cut(past: History, t: datetime) -> History:
    """The history without any row that began at `t` or later, or was recorded later: cut again, by plain filters."""
    frames: dict[str, Any] = {}
    for name, table in TABLES.items():
        before = (happened_at(table) < t).fill_null(value=True) & (pl.col("recorded_at") <= t).fill_null(value=True)
        frames[name] = past.frame(name).filter(before)
    return replace(past, **frames)


def later_than(past: History, t: datetime) -> list[Finding]:
    """Times in what is said to be the past of `t` that are not."""
    late = {
        f"{name}.{column}": count
        for name, columns in _PAST.items()
        for column in columns
        if (count := past.frame(name).filter(pl.col(column) >= t).height)
    }
    return [
        Finding(
            "past",
            "error",
            None,
            f"What was known at {t:%Y-%m-%d} holds {count} values of {column} that had not happened.",
            "Do not train with this version; report it with the table's columns.",
            {"values": float(count)},
        )
        for column, count in late.items()
    ]


def _identical(one: pl.Series, other: pl.Series) -> bool:
    """Whether two columns agree in every bit; unknown agrees with unknown only."""
    if one.dtype != other.dtype or not one.is_null().equals(other.is_null()):
        return False
    if not one.dtype.is_float():
        return one.equals(other, null_equal=True, check_names=False)
    first, second = (series.cast(pl.Float64).fill_null(0.0).to_numpy().view(np.uint64) for series in (one, other))
    return bool(np.array_equal(first, second))


def _difference(rows: pl.DataFrame, again: pl.DataFrame, names: Sequence[str], t: datetime) -> Finding:
    name = names[0]
    row = next(k for k in range(rows.height) if not _identical(rows[name][k : k + 1], again[name][k : k + 1]))
    more = f" ({', '.join(names[1:SHOWN])}{', ...' if len(names) > SHOWN else ''} differ, too)" if names[1:] else ""
    return Finding(
        "recomputed",
        "error",
        name,
        f"{name} of {rows['account_id'][row]!r} at {t:%Y-%m-%d} is {rows[name][row]!r} in the training matrix and "
        f"{again[name][row]!r} from its own past alone{more}.",
        "The column uses something that was not known then: leave it out or correct it.",
        {"columns": float(len(names))},
    )
