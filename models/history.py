"""Everything known about accounts, with both clocks, and the only door to the past.

*Happened-at* is a column's own time; *known-at* is `recorded_at`, or the happened-at plus the source's
`delay` where nobody wrote it down. A question asked as of t may use a value only if it happened before t
and was known by t:

    a ticket opened 1 February, resolved and reopened in March, asked as of 15 February
    -> the row is there, `resolved_at`, `reopened_at`, `reopens`, `outcome` are not.

`known_at(t)` answers with a whole history; `rows_known` and `values_known` are the same rules as Polars
expressions whose `at` may differ from row to row, which is how features are computed for thousands of
moments in one pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, reduce
from typing import Any

import polars as pl

from models.accounts import ACCOUNTS, CONTRACTS, MEASURES, OUTREACH
from models.clock import INSTANT
from models.columns import Table
from models.errors import ContractError, NaiveTime
from models.interactions import INTERACTIONS
from models.surveys import SURVEYS

TABLES: dict[str, Table] = {
    table.name: table for table in (ACCOUNTS, INTERACTIONS, SURVEYS, CONTRACTS, OUTREACH, MEASURES)
}

#: Outcomes that close a contact even where nobody wrote down when.
CLOSING = ("resolved", "unresolved", "auto_closed", "abandoned")

#: Days a customer has to react to an outreach before it counts as unanswered.
ENGAGE_DAYS = 14

#: Pairs (known from, since), the first ascending, the second descending.
Steps = Sequence[tuple[datetime, datetime]]


@dataclass(frozen=True)
class History:
    """Typed frames of the six contract tables; build one with `from_frames`.

    `delay`: how long after it happened the source reports a value. `observed_from` declares since when a table's
    source has been watched (table name -> instant); see `watched`. A caller who reads a few accounts of many must
    declare the whole portfolio's.
    """

    accounts: pl.DataFrame
    interactions: pl.DataFrame
    surveys: pl.DataFrame
    contracts: pl.DataFrame
    outreach: pl.DataFrame
    measures: pl.DataFrame
    delay: timedelta = timedelta(0)
    observed_from: Mapping[str, datetime] | None = None
    #: What `watched` answered for the whole history this one was cut from.
    _watched: Mapping[str, Steps] | None = None
    #: The contacts of that whole history: account_id, opened_at, recorded_at.
    _contacts: pl.DataFrame | None = None

    @classmethod
    def from_frames(
        cls,
        tables: Mapping[str, pl.DataFrame],
        delay: timedelta = timedelta(0),
        observed_from: Mapping[str, datetime] | None = None,
    ) -> "History":
        """Build a history from contract frames; absent tables are empty, absent columns unknown.

        Rows are deduplicated by their key: the newest `updated_at` wins and the earliest `recorded_at` stays.
        Raises `ContractError` for an unknown table, a missing required column, or a row without a required value.
        """
        unknown = sorted(set(tables) - set(TABLES))
        if unknown:
            raise ContractError(
                f"No table of the contract is called {unknown[0]!r}; the tables are {', '.join(TABLES)}."
            )
        frames: dict[str, Any] = {name: conform(table, tables.get(name), delay) for name, table in TABLES.items()}
        return cls(**frames, delay=delay, observed_from=observed_from)

    def frame(self, name: str) -> pl.DataFrame:
        """The frame of one contract table by its name."""
        frame: pl.DataFrame = getattr(self, name)
        return frame

    def known_at(self, at: datetime) -> "History":
        """The history as it was known at `at`: later rows are gone, later values are unknown."""
        moment = pl.lit(at, INSTANT)
        frames: dict[str, Any] = {
            name: self.frame(name)
            .filter(rows_known(table, moment, self.delay))
            .with_columns(**values_known(name, moment, self.delay))
            for name, table in TABLES.items()
        }
        watched = self._watched and {
            name: [step for step in steps if step[0] <= at] for name, steps in self._watched.items()
        }
        return replace(self, **frames, _watched=watched)

    def orphans(self) -> pl.DataFrame:
        """Accounts that rows refer to and nobody has described: account_id, table, rows."""
        counts = [
            self.frame(name)
            .join(self.accounts, on="account_id", how="anti")
            .group_by("account_id")
            .agg(pl.lit(name).alias("table"), pl.len().alias("rows"))
            for name in TABLES
            if name != "accounts"
        ]
        return pl.concat(counts).sort("account_id", "table")

    def of(self, account_ids: list[str]) -> "History":
        """The part of the history about these accounts, which remembers since when the whole was `watched`."""
        wanted = pl.DataFrame({"account_id": account_ids}, schema={"account_id": pl.String})
        frames: dict[str, Any] = {name: self.frame(name).join(wanted, on="account_id", how="semi") for name in TABLES}
        watched = {name: self.watched(name) for name in ("interactions", "surveys")}
        return replace(self, **frames, _watched=watched, _contacts=self._told())

    def without(self, spells: Sequence[tuple[datetime, datetime]]) -> "History":
        """The history as if time had stood still while the contact feed told nothing: contacts from before such a spell
        move up to its end, so that nobody's silence is counted in which nobody was listening.

            spell 3 to 20 March    contact of 2 March 18:00 -> 19 March 18:00

        The contacts after it repeat none from before it: what lies between them is not known.
        """
        frame = self.interactions
        for since, until in spells:
            start, end = pl.lit(since, INSTANT), pl.lit(until, INSTANT)
            moved = {
                name: pl.col(name) + pl.max_horizontal(end - pl.max_horizontal(pl.col(name), start), timedelta(0))
                for name in (*_EVENT_TIMES["interactions"], "updated_at")
            }
            before = pl.when(pl.col("opened_at") <= start).then(pl.format("{}\0{}", "category", pl.lit(str(since))))
            frame = frame.with_columns(**moved, category=before.otherwise("category"))
        return replace(self, interactions=frame) if len(spells) else self

    def contacts_told(self, at: datetime) -> pl.DataFrame:
        """What the feed told of contacts by a moment, of the whole history this was cut from: account_id, opened_at.

        Empty where the whole is not known: of a part read from a store with its `observed_from`."""
        told = self._told().filter((pl.col("opened_at") < at) & (pl.col("recorded_at") <= at))
        return told.select("account_id", "opened_at")

    def _told(self) -> pl.DataFrame:
        if self._contacts is not None:
            return self._contacts
        told = self.interactions.select("account_id", "opened_at", "recorded_at")
        return told if "interactions" not in (self.observed_from or {}) else told.clear()

    def watched(self, name: str) -> Steps:
        """Since when a table's source has been watched, as known at each moment.

        As declared by `observed_from`; else since the earliest row of the whole table that was known. Rows that became
        known later and lie further back make it a flight of steps: (known from, since). Empty without rows.
        """
        declared = (self.observed_from or {}).get(name)
        if declared is not None:
            return [(declared, declared)]
        if self._watched is not None and name in self._watched:
            return self._watched[name]
        return _steps(TABLES[name], self.frame(name), self.delay)

    def last_event(self, *, planned: bool = True) -> datetime | None:
        """The latest instant at which anything happened or became known; None for an empty history.

        Dates of accounts and contracts may lie ahead: an end or an upgrade that is planned has not happened. Without
        `planned` they are left out.
        """
        latest = [
            self.frame(name).select(pl.max_horizontal(pl.col(c).max() for c in columns)).item()
            for name, columns in _EVENT_TIMES.items()
            if planned or name not in ("accounts", "contracts")
        ]
        return max((moment for moment in latest if moment is not None), default=None)


def _steps(table: Table, frame: pl.DataFrame, delay: timedelta) -> Steps:
    since = happened_at(table)
    known_from = pl.max_horizontal(since + timedelta(microseconds=1), pl.coalesce("recorded_at", since + delay))
    rows = frame.lazy().select(known_from=known_from, since=since)
    # Only rows that lie before the first one known can be further steps: usually none.
    first = rows.filter(pl.col("known_from") == pl.col("known_from").min()).select(pl.all().min())
    further = rows.join(first, how="cross", suffix="_first").filter(pl.col("since") < pl.col("since_first"))
    steps = pl.concat([first, further.select("known_from", "since")]).sort("known_from", "since").collect()
    further_back = (pl.col("since") < pl.col("since").cum_min().shift(1)).fill_null(value=True)
    return steps.drop_nulls().filter(further_back).rows()


_EVENT_TIMES: dict[str, tuple[str, ...]] = {
    "accounts": ("started_at", "onboarded_at", "notice_at", "ended_at"),
    "interactions": ("opened_at", "first_response_at", "resolved_at", "reopened_at", "escalated_at", "recorded_at"),
    "surveys": ("sent_at", "responded_at", "recorded_at"),
    "contracts": ("recorded_at",),
    "outreach": ("at", "engaged_at", "recorded_at"),
    "measures": ("at", "recorded_at"),
}


def happened_at(table: Table) -> pl.Expr:
    """When a row of the table came to be."""
    return pl.coalesce(*table.happened)


def rows_known(table: Table, at: pl.Expr, delay: timedelta) -> pl.Expr:
    """Whether a row had happened before `at` and was known by then. An account without a start has always been."""
    known = pl.col("recorded_at") if table is ACCOUNTS else pl.coalesce("recorded_at", happened_at(table) + delay)
    condition = (happened_at(table) < at) & (known <= at)
    return condition.fill_null(value=True) if table is ACCOUNTS else condition


def value_known(column: str | pl.Expr, at: pl.Expr, delay: timedelta) -> pl.Expr:
    """Whether the value of a time column had happened before `at` and was known by then (unknown: false)."""
    when = pl.col(column) if isinstance(column, str) else column
    return ((when < at) & (when + delay <= at)).fill_null(value=False)


def closed_at() -> pl.Expr:
    """When a contact was closed: its last resolution, else, if it has an outcome, its last change (or its opening)."""
    closed = pl.col("outcome").is_in(CLOSING) | pl.col("abandoned").fill_null(value=False)
    return pl.coalesce("resolved_at", pl.when(closed).then(pl.coalesce("updated_at", "opened_at")))


def totals_at() -> pl.Expr:
    """From when a contact's totals count: once it is closed or, while it is open, from its last change."""
    open_again = (pl.col("reopened_at") > pl.col("resolved_at")).fill_null(value=False)
    changed = pl.when(pl.col("updated_at").is_not_null()).then(pl.max_horizontal("updated_at", "reopened_at"))
    return pl.when(open_again).then(changed).otherwise(pl.coalesce(closed_at(), "updated_at"))


_TOTALS = ("reopens", "transfers", "customer_replies", "wait_seconds", "handle_seconds")


def values_known(table: str, at: pl.Expr, delay: timedelta) -> dict[str, pl.Expr]:
    """Column -> masked column for every value that may lie after `at` although its row does not."""

    def kept(condition: pl.Expr, *columns: str) -> dict[str, pl.Expr]:
        return {column: pl.when(condition).then(pl.col(column)) for column in columns}

    def own_time(*columns: str) -> dict[str, pl.Expr]:
        return reduce(lambda d, c: d | kept(value_known(c, at, delay), c), columns, {})

    if table == "accounts":
        ended = value_known("ended_at", at, delay)
        return own_time("onboarded_at", "notice_at") | kept(ended, "ended_at", "end_reason")
    if table == "interactions":
        return (
            own_time("first_response_at", "resolved_at", "reopened_at", "updated_at")
            | kept(value_known("escalated_at", at, delay), "escalated_at", "escalation")
            | kept(value_known(closed_at(), at, delay), "outcome", "abandoned")
            | kept(value_known(totals_at(), at, delay), *_TOTALS)
        )
    if table == "surveys":
        return kept(value_known("responded_at", at, delay), "responded_at", "score", "comment")
    if table == "outreach":
        # What came of an outreach is known once the customer reacted, or once the wait for it is over.
        answered = value_known(pl.coalesce("engaged_at", pl.col("at") + timedelta(days=ENGAGE_DAYS)), at, delay)
        return own_time("engaged_at") | kept(answered, "outcome")
    return {}


def conform(table: Table, frame: pl.DataFrame | None, delay: timedelta) -> pl.DataFrame:
    """The frame in contract schema: columns in order, types cast, defaults of the contract filled, keys unique."""
    if frame is None:
        return _empty(table.name)
    _refuse_missing(table, frame)
    if frame.is_empty():
        return _empty(table.name)
    typed = _typed(table, frame)
    _refuse_empty(table, typed)
    known = pl.coalesce("recorded_at", happened_at(table) + delay)
    typed = typed.with_columns(known.alias("recorded_at"), **_defaults(table.name))
    return _unique(table, typed)


@cache
def _empty(table: str) -> pl.DataFrame:
    return TABLES[table].empty()


def _typed(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of the contract in its order and types; those that are absent are unknown."""
    _refuse_naive(table, frame)
    schema = table.schema
    if list(frame.schema.items()) == list(schema.items()):
        return frame
    try:
        return frame.select(
            pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype).alias(name)
            for name, dtype in schema.items()
        )
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"Table {table.name} does not fit the data contract: {reason}.") from None


def _refuse_naive(table: Table, frame: pl.DataFrame) -> None:
    naive = [
        name
        for name, dtype in frame.schema.items()
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is None and name in table.schema
    ]
    if naive:
        raise NaiveTime(f"The times in {table.name}.{naive[0]} have no offset; say which zone they are in.")


def _refuse_missing(table: Table, frame: pl.DataFrame) -> None:
    missing = [column.name for column in table.columns if column.required and column.name not in frame.columns]
    if missing:
        raise ContractError(f"Table {table.name} lacks the required column {missing[0]!r}.")


def _refuse_empty(table: Table, frame: pl.DataFrame) -> None:
    for name in (column.name for column in table.columns if column.required):
        if empty := frame[name].null_count():
            raise ContractError(
                f"Table {table.name}: {empty} of {frame.height} rows lack {name!r}; every row needs it."
            )
    if table is SURVEYS and frame["sent_at"].has_nulls() and frame.filter(happened_at(table).is_null()).height:
        raise ContractError("Table surveys has rows with neither 'sent_at' nor 'responded_at'.")


def _defaults(table: str) -> dict[str, pl.Expr]:
    """What an unknown value means where the contract says so."""
    if table == "accounts":
        return {
            "segment": pl.col("segment").fill_null("unknown"),
            "is_test": pl.col("is_test").fill_null(value=False),
            "end_reason": pl.when(pl.col("ended_at").is_not_null()).then(pl.col("end_reason").fill_null("voluntary")),
        }
    if table == "interactions":
        return {
            "direction": pl.col("direction").fill_null("inbound"),
            "escalation": pl.when(pl.col("escalated_at").is_not_null()).then(
                pl.col("escalation").fill_null("functional")
            ),
        }
    return {}


def _unique(table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """One row per key: the newest version, with the earliest arrival; ties broken by content, not by row order."""
    keys = list(table.key)
    repeated = frame.select(keys).is_duplicated()
    if not repeated.any():
        return frame
    newest = ["updated_at"] if "updated_at" in frame.columns else []
    rest = [name for name in frame.columns if name not in (*keys, *newest)]
    versions = frame.filter(repeated).sort([*keys, *newest, *rest], nulls_last=False)
    first = pl.col("recorded_at").min().over(keys)
    versions = versions.with_columns(first.alias("recorded_at")).unique(keys, keep="last", maintain_order=True)
    return pl.concat([frame.filter(~repeated), versions])
