"""Impossible timelines and unknown accounts: accepted, counted, said aloud.

A ticket older than the customer is usually a wrong start date, a moved account or invented data. The rows are
kept (each alone is well-formed), but a history with many of them supports no conclusion.
"""

from collections.abc import Mapping

import polars as pl

from models.accounts import ACCOUNTS
from models.columns import Table

BEFORE = "happened before the account started"
AFTER = "happened after the account ended"

#: What must be known of accounts the store already holds.
LIVES: dict[str, pl.DataType] = {name: ACCOUNTS.schema[name] for name in ("account_id", "started_at", "ended_at")}


def lives(accounts: pl.DataFrame, known: pl.DataFrame | None = None) -> pl.DataFrame:
    """Account, start and end: of the accounts imported now, and of those known already."""
    now = accounts.select(*LIVES)
    if known is None:
        return now
    return pl.concat([now, known.select(*LIVES).join(now, on="account_id", how="anti")])


def account_warnings(accounts: pl.DataFrame) -> dict[str, int]:
    """Counts of accounts whose own dates contradict each other."""
    start = pl.col("started_at")
    found = accounts.select(
        (pl.col("ended_at") < start).sum().alias("ended before they started"),
        (pl.col("notice_at") < start).sum().alias("gave notice before they started"),
        (pl.col("onboarded_at") < start).sum().alias("onboarded before they started"),
        (pl.col("ended_at") < pl.col("notice_at")).sum().alias("ended before they gave notice"),
    )
    return _counted(found.row(0, named=True))


def warnings(frame: pl.DataFrame, table: Table, lived: pl.DataFrame) -> dict[str, int]:
    """Counts of rows that happened before their account started or after it ended."""
    happened = pl.coalesce(*(pl.col(name) for name in table.happened))
    found = (
        frame.select("account_id", happened.alias("happened"))
        .join(lived, on="account_id", how="inner")
        .select(
            (pl.col("happened") < pl.col("started_at")).sum().alias(BEFORE),
            (pl.col("happened") > pl.col("ended_at")).sum().alias(AFTER),
        )
    )
    return _counted(found.row(0, named=True))


def orphans(frame: pl.DataFrame, lived: pl.DataFrame) -> tuple[int, int]:
    """Rows, and accounts they name, that nobody has described."""
    lost = frame.select("account_id").join(lived, on="account_id", how="anti")
    return lost.height, lost["account_id"].n_unique()


def _counted(counts: Mapping[str, int | None]) -> dict[str, int]:
    return {name: int(count) for name, count in counts.items() if count}
