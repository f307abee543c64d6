"""The same key more than once: exact duplicates are dropped, of different versions the newest stands."""

from datetime import timedelta

import polars as pl

from models.columns import Table

_POSITION = "\x00position"


def latest(frame: pl.DataFrame, table: Table) -> tuple[pl.DataFrame, int, int]:
    """One row per key, in file order; how many exact duplicates and how many older versions went.

    Newest is the greatest `updated_at` (unknown is oldest), on a tie the later row. It keeps the earliest
    `recorded_at` of its versions: that is when the row was first known.
    """
    key = list(table.key)
    repeated = frame.select(pl.struct(key).is_duplicated()).to_series()
    if not repeated.any():
        return frame, 0, 0
    frame = frame.with_row_index(_POSITION)
    several = frame.filter(repeated)
    distinct = several.unique(subset=list(table.names), keep="first", maintain_order=True)
    order = ["updated_at"] if "updated_at" in table.names else []
    newest = (
        distinct.with_columns(pl.col("recorded_at").min().over(key))
        .sort([*order, _POSITION], nulls_last=False)
        .unique(subset=key, keep="last", maintain_order=True)
    )
    together = pl.concat([frame.filter(~repeated), newest]).sort(_POSITION)
    return together.drop(_POSITION), several.height - distinct.height, distinct.height - newest.height


def stamp(frame: pl.DataFrame, table: Table, delay: timedelta) -> pl.DataFrame:
    """Fill an unknown `recorded_at` with the happened-at plus the delay the source declares."""
    happened = pl.coalesce(*(pl.col(name) for name in table.happened))
    return frame.with_columns(pl.col("recorded_at").fill_null(happened + pl.lit(delay, dtype=pl.Duration("us"))))
