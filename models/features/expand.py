"""From a history to rows of (question, visible event): the one place where the past is cut off.

A *question* is a pair (account, as_of), numbered `q` from 0. Events are sorted once by account, so the events
of a question are one slice; slices are gathered by index and cut to what had happened and was known. An instant
is an Int64 of microseconds; NEVER stands for "has not happened".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from models.history import History

DAY_US = 86_400_000_000
NEVER = 2**62
#: The longest look-back of any feature, plus the week a repeat may lie before its successor.
REACH_DAYS = 365 + 7
#: Events gathered at once; bounds memory, not results.
CHUNK_EVENTS = 3_000_000

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Events:
    """The rows of one table, sorted by account: `frame` (all Int64, Float64 or Boolean), where each account's slice
    starts (`offsets`, accounts + 1), and the two instants that decide visibility: when the row happened (`happened`)
    and from when it may be used (`visible_from`)."""

    frame: pl.DataFrame
    offsets: Ints
    happened: Ints
    visible_from: Ints

    @classmethod
    def sorted_by(cls, frame: pl.DataFrame, accounts: int, *order: str) -> "Events":
        """Sort a coded frame (columns `account`, `happened`, `visible_from`) by account, then `order`."""
        frame = frame.sort("account", *order)
        codes = frame["account"].to_numpy()
        offsets = np.searchsorted(codes, np.arange(accounts + 1)).astype(np.int64)
        happened, visible = frame["happened"].to_numpy(), frame["visible_from"].to_numpy()
        return cls(frame.drop("account", "visible_from"), offsets, happened, visible)

    def rows(self, accounts: Ints) -> Ints:
        """How many rows each of these accounts has."""
        counts: Ints = self.offsets[accounts + 1] - self.offsets[accounts]
        return counts

    def ask(self, accounts: Ints, at: Ints, since: Ints, until: Ints | None = None) -> pl.DataFrame:
        """The rows visible to each question: columns `q`, `at` and those of `frame`, in the order of `frame`.

        Row i is visible to question q if since[q] <= happened < (until or at)[q] and it may be used from at[q] on.
        """
        counts = self.rows(accounts)
        q = np.repeat(np.arange(len(accounts)), counts)
        starts = np.cumsum(counts) - counts
        index = np.arange(len(q)) - np.repeat(starts - self.offsets[accounts], counts)
        seen = (self.visible_from[index] <= at[q]) & (self.happened[index] >= since[q])
        if until is not None:
            seen &= self.happened[index] < until[q]
        q, index = q[seen], index[seen]
        asked = self.frame[index]
        return asked.with_columns(pl.Series("q", q).set_sorted(), pl.Series("at", at[q]))


def instant(column: str | pl.Expr) -> pl.Expr:
    """A time as microseconds; unknown is NEVER."""
    expr = pl.col(column) if isinstance(column, str) else column
    return expr.to_physical().fill_null(NEVER)


def usable_from(when: pl.Expr, delay: timedelta) -> pl.Expr:
    """From when a value that happened at `when` (microseconds) may be used: after it happened and once known."""
    lag = max(int(delay / timedelta(microseconds=1)), 1)
    return pl.when(when == NEVER).then(NEVER).otherwise(when + lag)


def microseconds(moment: datetime) -> int:
    """An instant as microseconds since 1970, exactly."""
    epoch = datetime(1970, 1, 1, tzinfo=moment.tzinfo)
    return (moment - epoch) // timedelta(microseconds=1)


def coded(history: History, table: str, codes: pl.DataFrame) -> pl.DataFrame:
    """A table's rows of described accounts with the account's number in `account`."""
    return history.frame(table).join(codes, on="account_id", how="inner").drop("account_id")


def chunks(rows: Ints) -> Iterator[slice]:
    """Consecutive slices of questions, each with about CHUNK_EVENTS events or one question."""
    total = np.cumsum(rows)
    start = 0
    while start < len(rows):
        done = total[start - 1] if start else 0
        stop = max(int(np.searchsorted(total, done + CHUNK_EVENTS, side="right")), start + 1)
        yield slice(start, stop)
        start = stop
