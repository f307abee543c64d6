"""Rows of the contract into the store, by key, as often as one likes.

    stored    T1  updated 10:00  recorded 10:01  open
    incoming  T1  updated 12:00  recorded 12:05  resolved   -> updated:   resolved, updated 12:00, recorded 10:01
    incoming  T1  updated 12:00  recorded 12:30  resolved   -> unchanged: the same row arrived again
    incoming  T1  updated 11:00  recorded 11:02  escalated  -> stale:     a newer version is here already

A version without `updated_at` is older than any that has one; between equals the later arrival wins. So the same
rows in any batches end in the same state. Callers who tell what is now (`upsert_rows` with the present) mean such a
version as of its arrival, where it differs from the stored one. `recorded_at` keeps the earliest arrival whatever
happens to the rest. A column the frame does not have is left as it is (null in a new row); a null in a column it has
replaces the stored value.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.expression import ColumnCollection

from models.accounts import ACCOUNTS
from models.columns import Table
from models.errors import ContractError
from models.history import TABLES
from models.store import bulk
from models.store.answer_events import tell_of_answers
from models.store.engine import writing
from models.store.erased import without
from models.store.tables import CONTRACT
from models.store.types import SQL_TYPES, TEXT
from models.surveys import SURVEYS

Columns = ColumnCollection[str, sa.ColumnElement[Any]]

T = TypeVar("T")

#: Rows per transaction of a `Sink`: a second's work at most, so that other writers get their turn.
BATCH_ROWS = 20_000

_OUTCOME = {"row_no": pl.Int64(), "outcome": pl.String()}
OUTCOMES = ("inserted", "updated", "unchanged", "stale", "repeated", "erased")


@dataclass(frozen=True)
class Counts:
    """What became of the rows of an upsert. `repeated`: superseded by another row of the same key in the batch.
    `erased`: of an account that was erased, and not kept."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    repeated: int = 0
    erased: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, name) + getattr(other, name) for name in OUTCOMES))

    @property
    def rows(self) -> int:
        """All rows offered."""
        return sum(getattr(self, name) for name in OUTCOMES)


class Sink:
    """Where an import writes: batches of `batch_rows`, each in a transaction of its own.

    When `write` returns, its rows are kept whatever happens to the process. `delay` is how much later than it
    happened the source usually tells, for rows that do not say when they were recorded. `clock` tells the present where
    others shall be told of low answers; None: they are not.
    """

    def __init__(
        self,
        engine: Engine,
        delay: timedelta = timedelta(0),
        batch_rows: int = BATCH_ROWS,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.engine = engine
        self.delay = delay
        self.batch_rows = batch_rows
        self.clock = clock

    def write(self, table_name: str, frame: pl.DataFrame) -> Counts:
        """Upsert the frame into the contract table; see `upsert` for what is refused."""
        parts = frame.iter_slices(self.batch_rows)
        return sum((upsert(self.engine, table_name, part, self.delay, self._now()) for part in parts), Counts())

    def _now(self) -> datetime | None:
        return None if self.clock is None else self.clock()


def upsert(
    target: Engine | Connection,
    table_name: str,
    frame: pl.DataFrame,
    delay: timedelta = timedelta(0),
    at: datetime | None = None,
) -> Counts:
    """Upsert rows into a contract table in one transaction (or in the connection's, if one is open).

    `frame` has contract columns by name; every required column must be there and filled. `at`: the present, where
    others shall be told of low answers among the rows. Raises `ContractError` for other frames. With other writers of
    the same keys in PostgreSQL at the same moment, the rows are right and the counts are those of the moment before.
    """
    declared = _declared(table_name)
    rows = _conform(declared, frame, delay)
    with writing(target) as conn:
        kept = without(conn, rows)
        final = _collapse(declared, kept)
        counts = _write(conn, declared, final, _tally, at)
    return Counts(**counts, repeated=kept.height - final.height, erased=rows.height - kept.height)


def upsert_rows(
    target: Engine | Connection,
    table_name: str,
    frame: pl.DataFrame,
    delay: timedelta = timedelta(0),
    at: datetime | None = None,
) -> pl.Series:
    """The same, saying for each row of the frame, in order, which of `OUTCOMES` it was. With `at` versions without
    `updated_at` are as of then."""
    declared = _declared(table_name)
    rows = _conform(declared, frame, delay).with_row_index("row_no")
    with writing(target) as conn:
        kept = without(conn, rows)
        outcomes = _write(conn, declared, _collapse(declared, kept, at), _each, at, now=at)
    left_out = ~rows["row_no"].is_in(kept["row_no"].to_list())
    return (
        rows.select(pl.col("row_no").cast(pl.Int64), left_out.alias("left_out"))
        .join(outcomes, on="row_no", how="left", maintain_order="left")
        .select(pl.when("left_out").then(pl.lit("erased")).otherwise(pl.col("outcome").fill_null("repeated")))
        .to_series()
        .alias("outcome")
    )


def _write(
    conn: Connection,
    declared: Table,
    final: pl.DataFrame,
    look: Callable[[Connection, "_Statements"], tuple[T, bool]],
    at: datetime | None,
    now: datetime | None = None,
) -> T:
    """Upsert rows of distinct keys; gives what `look` saw of their outcomes beforehand.

    `look` also says whether any row is stale. `now`: as of when versions are that do not say.
    """
    columns = tuple(name for name in declared.names if name in final.columns)
    do = _statements(declared.name, conn.dialect.name, columns)
    conn.execute(do.create)
    conn.execute(do.clear)
    bulk.append(conn, _STAGES[declared.name], final)
    if now is not None and "updated_at" in columns and final["updated_at"].has_nulls():
        conn.execute(do.arrive, {"now": now})
    seen, stale = look(conn, do)
    if at is not None and declared is SURVEYS:
        tell_of_answers(conn, final, at)
    conn.execute(do.merge)
    if stale:
        conn.execute(do.keep_first_arrival)
    conn.execute(do.clear)
    return seen


def _tally(conn: Connection, do: "_Statements") -> tuple[dict[str, int], bool]:
    counts = {outcome: int(number) for outcome, number in conn.execute(do.tally)}
    return counts, "stale" in counts


def _each(conn: Connection, do: "_Statements") -> tuple[pl.DataFrame, bool]:
    outcomes = bulk.select(conn, do.classify, _OUTCOME)
    return outcomes, "stale" in outcomes["outcome"]


def _declared(table_name: str) -> Table:
    if table_name not in TABLES:
        raise ContractError(f"No table of the contract is called {table_name!r}; the tables are {', '.join(TABLES)}.")
    return TABLES[table_name]


def _conform(declared: Table, frame: pl.DataFrame, delay: timedelta) -> pl.DataFrame:
    """The frame's contract columns in contract types, `recorded_at` filled in."""
    unknown = [name for name in frame.columns if name not in declared.names]
    if unknown:
        raise ContractError(f"Table {declared.name} has no column {unknown[0]!r}.")
    _refuse_empty(declared, frame)
    typed = pl.DataFrame([_cast(declared, frame[name]) for name in declared.names if name in frame.columns])
    moments = [pl.col(name) + delay for name in declared.happened if name in typed.columns]
    known = [pl.col("recorded_at"), *moments] if "recorded_at" in typed.columns else moments
    return typed.with_columns(pl.coalesce(known).alias("recorded_at")) if known else typed


def _refuse_empty(declared: Table, frame: pl.DataFrame) -> None:
    for column in declared.columns:
        if column.required and (column.name not in frame.columns or frame[column.name].null_count()):
            raise ContractError(f"Table {declared.name} has rows without {column.name!r}, which every row needs.")
    moments = [name for name in declared.happened if name in frame.columns]
    never = not moments or frame.select(pl.all_horizontal(pl.col(moments).is_null()).any()).item()
    if never and declared is not ACCOUNTS:
        raise ContractError(f"Table {declared.name} has rows without any of {', '.join(declared.happened)}.")


def _cast(declared: Table, column: pl.Series) -> pl.Series:
    wanted = declared.schema[column.name]
    try:
        return column.cast(wanted)
    except pl.exceptions.InvalidOperationError as error:
        raise ContractError(
            f"Column {column.name!r} of table {declared.name} holds {column.dtype}, not {wanted}."
        ) from error


def _collapse(declared: Table, rows: pl.DataFrame, now: datetime | None = None) -> pl.DataFrame:
    """One row per key: what would be left if the rows had arrived one after the other."""
    key = list(declared.key)
    if not rows.select(pl.struct(key).is_duplicated().any()).item():
        return rows
    if "recorded_at" in rows.columns:
        rows = rows.with_columns(pl.col("recorded_at").min().over(key))
    if "updated_at" in rows.columns:
        moment = pl.col("updated_at") if now is None else pl.col("updated_at").fill_null(now)
        rows = rows.sort(moment, nulls_last=False, maintain_order=True)
    return rows.unique(key, keep="last", maintain_order=True)


def _stage_table(declared: Table) -> sa.Table:
    return sa.Table(
        f"incoming_{declared.name}",
        sa.MetaData(),
        sa.Column("row_no", sa.BigInteger),
        *(sa.Column(column.name, SQL_TYPES[column.type]) for column in declared.columns),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DELETE ROWS",
    )


_STAGES = {name: _stage_table(declared) for name, declared in TABLES.items()}


@dataclass(frozen=True)
class _Statements:
    """What an upsert says to the database. Building them takes longer than running them on a few rows."""

    create: sa.Executable
    clear: sa.Executable
    arrive: sa.Executable
    classify: sa.Select[Any]
    tally: sa.Select[Any]
    keep_first_arrival: sa.Executable
    merge: sa.Executable


@cache
def _statements(table_name: str, dialect: str, columns: tuple[str, ...]) -> _Statements:
    declared, stage = TABLES[table_name], _STAGES[table_name]
    return _Statements(
        CreateTable(stage, if_not_exists=True),
        stage.delete(),
        _arrive(declared, stage, columns),
        _classify(declared, stage, columns),
        _tallied(_classify(declared, stage, columns)),
        _keep_first_arrival(declared, stage),
        _merge(dialect, declared, stage, columns),
    )


def _same_key(declared: Table, stage: sa.Table) -> sa.ColumnElement[bool]:
    stored = CONTRACT[declared.name]
    return sa.and_(*(stored.c[name] == stage.c[name] for name in declared.key))


def _accepted(stored: sa.Table, new: Columns) -> sa.ColumnElement[bool]:
    """Whether a new version may replace the stored one: it is not older."""
    if "updated_at" not in stored.c:
        return sa.true()
    return sa.or_(stored.c.updated_at.is_(None), new.updated_at >= stored.c.updated_at)


def _arrive(declared: Table, stage: sa.Table, columns: tuple[str, ...]) -> sa.Executable:
    """Staged versions that do not say when they changed, where the stored one does: as of `now` if they differ."""
    stored = CONTRACT[declared.name]
    if "updated_at" not in stored.c:
        return sa.select(sa.literal(1))
    said, now = stored.c.updated_at, sa.bindparam("now", type_=stored.c.updated_at.type)
    others = [name for name in _values(declared, columns) if name != said.name]
    differs = sa.or_(sa.false(), *(stored.c[name].is_distinct_from(stage.c[name]) for name in others))
    moment = sa.select(sa.case((differs & (said < now), now), else_=said)).where(_same_key(declared, stage))
    moment = moment.correlate(stage)
    return stage.update().values(updated_at=moment.scalar_subquery()).where(stage.c.updated_at.is_(None))


def _earlier(stored: sa.Table, new: Columns) -> sa.ColumnElement[bool]:
    """Whether the new version was recorded before the stored one."""
    unknown = sa.and_(stored.c.recorded_at.is_(None), new.recorded_at.is_not(None))
    return sa.or_(unknown, new.recorded_at < stored.c.recorded_at)


def _differs(declared: Table, new: Columns, columns: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """Whether replacing the stored version by the new one would change anything."""
    stored = CONTRACT[declared.name]
    changes = (stored.c[name].is_distinct_from(new[name]) for name in _values(declared, columns))
    return sa.or_(_earlier(stored, new), *changes)


def _values(declared: Table, columns: tuple[str, ...]) -> list[str]:
    return [name for name in columns if name not in (*declared.key, "recorded_at")]


def _classify(declared: Table, stage: sa.Table, columns: tuple[str, ...]) -> sa.Select[Any]:
    """row_no and outcome of every staged row, before anything is written."""
    stored = CONTRACT[declared.name]
    outcome = sa.case(
        (stored.c[declared.key[0]].is_(None), "inserted"),
        (sa.func.coalesce(sa.not_(_accepted(stored, stage.c)), sa.true()), "stale"),
        (_differs(declared, stage.c, columns), "updated"),
        else_="unchanged",
    )
    joined = stage.outerjoin(stored, _same_key(declared, stage))
    return sa.select(stage.c.row_no, sa.cast(outcome, TEXT).label("outcome")).select_from(joined)


def _tallied(classified: sa.Select[Any]) -> sa.Select[Any]:
    """outcome and number of rows."""
    outcomes = classified.subquery()
    return sa.select(outcomes.c.outcome, sa.func.count()).group_by(outcomes.c.outcome)


def _merge(dialect: str, declared: Table, stage: sa.Table, columns: tuple[str, ...]) -> sa.Executable:
    """Insert new keys; replace accepted versions that differ. In key order, so that two writers cannot deadlock."""
    stored = CONTRACT[declared.name]
    written = list(dict.fromkeys([*columns, "recorded_at"]))
    rows = sa.select(*(stage.c[name] for name in written)).where(sa.true())
    rows = rows.order_by(*(stage.c[name] for name in declared.key))
    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    insert = make(stored).from_select(written, rows)
    new = insert.excluded
    replaced: dict[str, Any] = {name: new[name] for name in _values(declared, columns)}
    replaced["recorded_at"] = sa.case((_earlier(stored, new), new.recorded_at), else_=stored.c.recorded_at)
    return insert.on_conflict_do_update(
        index_elements=list(declared.key),
        set_=replaced,
        where=sa.and_(_accepted(stored, new), _differs(declared, new, columns)),
    )


def _keep_first_arrival(declared: Table, stage: sa.Table) -> sa.Executable:
    """A version too old to be kept may still have been recorded first."""
    stored = CONTRACT[declared.name]
    return (
        stored.update()
        .values(recorded_at=stage.c.recorded_at)
        .where(_same_key(declared, stage), _earlier(stored, stage.c))
    )
