"""From a history to rows of (question, visible event): the one place where the past is cut off.

A *question* is a pair (account, as_of), numbered `q` from 0. Events are sorted once by account, so the events of a
question are one slice; slices are gathered by index and cut to what had happened and was known. An instant is a whole
number of microseconds; NEVER stands for "has not happened".
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.features.groups import MOST_QUESTIONS, Flags, Groups, Ints
from models.history import TABLES, History

DAY_US = 86_400_000_000
NEVER = 2**62
#: A reach without end.
EVER = 2**62
#: The longest look-back of any feature, plus the week a repeat may lie before its successor.
REACH_US = (365 + 7) * DAY_US
#: Events gathered at once; bounds memory, not results.
CHUNK_EVENTS = 250_000


def instant(column: str | pl.Expr) -> pl.Expr:
    """A time as microseconds; unknown is NEVER."""
    expr = pl.col(column) if isinstance(column, str) else column
    return expr.to_physical().fill_null(NEVER)


def microseconds(moment: datetime) -> int:
    """An instant as microseconds since 1970, exactly."""
    epoch = datetime(1970, 1, 1, tzinfo=moment.tzinfo)
    return (moment - epoch) // timedelta(microseconds=1)


def lag_of(delay: timedelta) -> int:
    """How long after it happened a value may be used, microseconds: once known, and never at that very instant."""
    return max(delay // timedelta(microseconds=1), 1)


@dataclass(frozen=True)
class Span:
    """The instants that matter to a set of questions: [since, until), microseconds."""

    since: int
    until: int

    @classmethod
    def of(cls, at: Ints) -> "Span":
        """As far back as any feature looks from any of these moments, up to the last of them."""
        return cls(int(at.min()) - REACH_US, int(at.max())) if len(at) else cls(0, 0)


@dataclass(frozen=True, eq=False)
class Source:
    """How a contract table becomes events. `columns` are numbers; `happened` and `recent` are when a row came to be and
    until when it is remembered (microseconds); rows of an account come in the order of `by`, then of the text `tie`."""

    table: str
    columns: tuple[pl.Expr, ...]
    happened: pl.Expr
    recent: pl.Expr
    by: tuple[str, ...] = ()
    tie: str | None = None

    def cut(self, history: History, span: Span) -> pl.DataFrame:
        """The rows that can matter to questions of a span."""
        frame = history.frame(self.table)
        return frame if frame.is_empty() else frame.filter(self.recent >= span.since, self.happened < span.until)

    def events(self, frame: pl.DataFrame, codes: pl.DataFrame) -> "Events":
        """Rows of the table as events of the accounts numbered in `codes`."""
        if frame.is_empty():
            return Events.of(codes.height, np.empty(0, np.int64), self._nothing, self.by, None)
        numbers = frame.select("account_id").join(codes, on="account_id", how="left", maintain_order="left")["account"]
        known = np.nan_to_num(numbers.to_numpy(), nan=-1).astype(np.int64)
        tie = frame[self.tie] if self.tie else None
        return Events.of(codes.height, known, arrays(frame.select(self._all)), self.by, tie)

    @cached_property
    def _all(self) -> tuple[pl.Expr, ...]:
        visible = pl.max_horizontal(self.happened + 1, pl.col("recorded_at").to_physical())
        return (self.recent.alias("recent"), visible.alias("visible_from"), *self.columns)

    @cached_property
    def _nothing(self) -> dict[str, npt.NDArray[Any]]:
        return arrays(TABLES[self.table].empty().select(self._all))


@dataclass(frozen=True)
class Events:
    """The rows of one table that matter, to be asked account by account.

    `columns` are as long as the table was; `order` sorts their rows by account, and `offsets` (accounts + 1) says where
    each account's slice of `order` starts. `recent` is the instant by which a row is still remembered, `visible_from`
    the one from which it may be used, both microseconds and in sorted order.
    """

    columns: dict[str, npt.NDArray[Any]]
    order: Ints
    offsets: Ints
    recent: Ints
    visible_from: Ints

    @classmethod
    def of(
        cls,
        accounts: int,
        numbers: Ints,
        columns: dict[str, npt.NDArray[Any]],
        by: Sequence[str] = (),
        tie: pl.Series | None = None,
    ) -> "Events":
        """Rows of accounts (`numbers`; -1: of nobody described) with columns of numbers, among them `recent` and
        `visible_from`, sorted by account, then `by`, then the text `tie`: the order they came in is forgotten."""
        keys = [numbers, *(columns[name] for name in by)]
        order = np.lexsort(keys[::-1]) if by else _grouped(numbers)
        if tie is not None:
            order = _untied(order, keys, tie)
        offsets = np.searchsorted(numbers[order], np.arange(accounts + 1)).astype(np.int64)
        return cls(columns, order, offsets, columns["recent"][order], columns["visible_from"][order])

    def rows(self, accounts: Ints) -> Ints:
        """How many rows each of these accounts has."""
        counts: Ints = self.offsets[accounts + 1] - self.offsets[accounts]
        return counts

    def ask(self, accounts: Ints, at: Ints, reach: int = REACH_US) -> "Rows":
        """The rows visible to each question (account, at), no older than `reach` microseconds."""
        counts = self.rows(accounts)
        q = np.repeat(np.arange(len(accounts)), counts)
        first = self.offsets[accounts] - (np.cumsum(counts) - counts)
        place = np.arange(len(q)) + first[q]
        asked = at[q]
        seen = (self.visible_from[place] <= asked) & (self.recent[place] >= asked - reach)
        return Rows(self, self.order[place[seen]], q[seen], asked[seen], len(accounts))


def _grouped(numbers: Ints) -> Ints:
    """The rows sorted by account: numbers and rows packed into one number each, which sorts ten times faster."""
    packed = (numbers << 32) | np.arange(len(numbers))
    packed.sort()
    return packed & (2**32 - 1)


def _untied(order: Ints, keys: Sequence[Ints], tie: pl.Series) -> Ints:
    """The order with rows that are equal in all keys sorted by a text. Such rows are rare, texts slow to sort."""
    same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
    for key in keys:
        ordered = key[order]
        same &= ordered[1:] == ordered[:-1]
    if not same.any():
        return order
    tied = order[np.append(same, False) | np.append(False, same)]
    rank = np.zeros(len(order), dtype=np.int64)
    rank[tied] = tie.gather(tied).rank("dense").to_numpy()
    return np.lexsort((rank, *keys[::-1]))


@dataclass(frozen=True)
class Rows:
    """Rows as the questions see them: those of a question side by side, in the order of the events."""

    events: Events
    index: Ints
    q: Ints
    at: Ints
    questions: int

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        found = self._gathered.get(name)
        if found is None:
            found = self._gathered[name] = self.events.columns[name][self.index]
        return found

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def _gathered(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    @cached_property
    def groups(self) -> Groups:
        """The rows grouped by question."""
        return Groups(self.q, self.questions)

    def only(self, where: Flags) -> "Rows":
        """The rows that meet a condition."""
        return Rows(self.events, self.index[where], self.q[where], self.at[where], self.questions)


def arrays(frame: pl.DataFrame) -> dict[str, npt.NDArray[Any]]:
    """The columns of a frame of numbers; an unknown fraction is NaN."""
    return {column.name: column.to_numpy() for column in frame.iter_columns()}


def chunks(rows: Ints) -> Iterator[slice]:
    """Consecutive slices of questions, each with about CHUNK_EVENTS events, or one question."""
    total = np.cumsum(rows)
    start = 0
    while start < len(rows):
        done = total[start - 1] if start else 0
        stop = int(np.searchsorted(total, done + CHUNK_EVENTS, side="right"))
        stop = min(max(stop, start + 1), start + MOST_QUESTIONS // 2)
        yield slice(start, stop)
        start = stop
