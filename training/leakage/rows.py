"""Rows that stand twice, under two names: whichever side of a split one is on, the other tells its answer."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from training.leakage.codes import Codes, Table, Vector
from training.leakage.findings import Finding

#: Below this share, twins cannot move an AUC by a hundredth.
DOUBT = 0.01
#: From here on the folds no longer test what they say.
STOP = 0.05
#: A value is telling where fewer rows than this share have it ...
RARE = 0.01
#: ... and a row is recognised by them where chance would give it fewer twins than this.
BY_CHANCE = 0.01


def findings(rows: pl.DataFrame, columns: Sequence[str], table: Table) -> Iterator[Finding]:
    """Rows of different groups that agree in every column, and in values too rare to meet by chance."""
    if not rows.height:
        return
    twins = _twins(rows.select(columns), table.groups)
    if twins.mean() < DOUBT:
        return
    twins &= _by_chance(rows.select(columns)) < BY_CHANCE
    share = float(twins.mean())
    if share < DOUBT:
        return
    yield Finding(
        "rows",
        "error" if share >= STOP else "warning",
        None,
        f"{twins.sum():,} rows ({share:.1%}) stand again under another name, equal in every column: learnt from "
        "on one side of a split, they are recognised on the other.",
        "Remove the copies, or give rows that belong together one group.",
        {"rows": float(twins.sum()), "share": share},
    )


def _twins(values: pl.DataFrame, groups: Codes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether a row of another group has the same values."""
    keyed = pl.DataFrame({"values": values.hash_rows(), "group": groups})
    return keyed.select(pl.col("group").n_unique().over("values") > 1).to_series().to_numpy()


def _by_chance(values: pl.DataFrame) -> Vector:
    """How many other rows would share a row's rare values if columns had nothing to do with each other."""
    n = values.height
    shares = values.select(
        pl.when(pl.col(name).is_not_null() & (pl.len().over(name) < RARE * n))
        .then((pl.len().over(name) / n).log())
        .otherwise(0.0)
        .alias(name)
        for name in values.columns
    )
    total: Vector = shares.select(pl.sum_horizontal(pl.all())).to_series().to_numpy()
    return n * np.exp(total)
