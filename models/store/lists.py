"""Risk lists: frozen when published, read page by page.

A list is written under a new `list_id` while nobody can see it (`building`), and one transaction makes it the
current one of its kind (`published`). Readers therefore see the old list or the new one, and a reader who holds a
cursor goes on reading the list it was given, until that list is too old to be kept (`retired`, then deleted).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError, UnknownList
from models.lists import ranked
from models.store import bulk
from models.store.books import EVERYBODY, Book, inside
from models.store.engine import writing
from models.store.erased import without
from models.store.errors import StoreError
from models.store.list_events import tell_of_list
from models.store.runs import exclusive
from models.store.tables import RANKS, current_list, risk_list_entries, risk_lists
from models.store.types import schema

#: What `publish_list` takes, column -> type; it numbers the ranks itself.
ENTRY_SCHEMA = {
    name: dtype for name, dtype in schema(risk_list_entries).items() if name not in ("list_id", *RANKS, "place")
}

BATCH_ROWS = 20_000
#: Published lists kept per kind, so that cursors and reports into yesterday's list go on working.
KEEP_LISTS = 4


@dataclass(frozen=True)
class RiskList:
    """A published list: how many entries, out of which population, with which parameters."""

    list_id: int
    kind: str
    as_of: datetime
    model_id: str
    created_at: datetime
    entries: int
    population: dict[str, Any]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Filters:
    """What to narrow a list to; None: everybody. `min_mrr` leaves out accounts whose mrr is unknown."""

    owner: str | None = None
    segment: str | None = None
    region: str | None = None
    band: str | None = None
    min_mrr: float | None = None


def publish_list(
    engine: Engine,
    kind: str,
    entries: pl.DataFrame,
    *,
    as_of: datetime,
    model_id: str,
    population: Mapping[str, Any],
    parameters: Mapping[str, Any],
    created_at: datetime,
    keep: int = KEEP_LISTS,
) -> int:
    """Write a list and make it the current one of its kind in one step; gives its list_id.

    `entries` has the columns of `ENTRY_SCHEMA`, one row per account. Ranks run from 1: by expected_revenue_loss
    (unknown last; equals by p_silent) and by p_silent, both falling, ties by account id. What dead runs left
    unfinished is removed. Raises `RunInProgress` while another process publishes, `ContractError` for a missing
    column or an account that is there twice, `StoreError` if the database lost an entry.
    """
    with writing(engine) as conn:
        numbered = _ranked(without(conn, entries))
    with exclusive(engine, f"publish-{kind}"):
        _sweep(engine, kind)
        row = {"kind": kind, "as_of": as_of, "model_id": model_id, "created_at": created_at}
        counts = {"entries": numbered.height, "population": dict(population), "parameters": dict(parameters)}
        list_id = _begin_list(engine, row | counts)
        numbered = numbered.with_columns(pl.lit(list_id, pl.Int64).alias("list_id"))
        for part in numbered.iter_slices(BATCH_ROWS):
            with writing(engine) as conn:
                bulk.append(conn, risk_list_entries, part)
        _tell_planner(engine)
        _make_current(engine, kind, list_id, numbered.height)
        _retire(engine, kind, keep)
        _sweep(engine, kind)
    return list_id


def current(conn: Connection, kind: str = "silent") -> RiskList:
    """The current list of a kind. Raises `UnknownList` before the first one was published."""
    query = sa.select(risk_lists).join(current_list, current_list.c.list_id == risk_lists.c.list_id)
    row = conn.execute(query.where(current_list.c.kind == kind)).one_or_none()
    if row is None:
        raise UnknownList(f"No {kind} list has been published yet; run: ebbtide score")
    return _risk_list(row)


def get_list(conn: Connection, list_id: int) -> RiskList:
    """A published list. Raises `UnknownList`, also for one that is not finished or no longer kept."""
    query = sa.select(risk_lists).where(risk_lists.c.list_id == list_id, risk_lists.c.status == "published")
    row = conn.execute(query).one_or_none()
    if row is None:
        raise unknown(list_id)
    return _risk_list(row)


def unknown(list_id: int) -> UnknownList:
    """The refusal of a list that is not there, or not there for the caller."""
    return UnknownList(f"There is no list {list_id}, or it is too old to be kept; start from the current one.")


def page(
    conn: Connection,
    list_id: int,
    rank_by: str = "rank_by_loss",
    filters: Filters | None = None,
    *,
    after_rank: int = 0,
    limit: int = 100,
    book: Book = EVERYBODY,
) -> list[dict[str, Any]]:
    """Entries of a list in order of `rank_by` (`rank_by_loss` or `rank_by_probability`), from after `after_rank`.

    Each has every column of the table. The list is not checked to exist: call `current` or `get_list` first. Of a book
    that leaves somebody out, ranks count its accounts alone: a place in the whole list would tell how many others
    stand above.
    """
    chosen = _chosen(filters or Filters())
    query = _book_query(rank_by, chosen, book) if book.restricted else _page_query(rank_by, chosen)
    values = _values(list_id, filters or Filters()) | {"after_rank": after_rank, "limit": limit}
    return [dict(row._mapping) for row in conn.execute(query.limit(_LIMIT), values)]


def frame(
    conn: Connection, list_id: int, rank_by: str = "rank_by_loss", filters: Filters | None = None
) -> pl.DataFrame:
    """All entries of a list as a frame, in order of `rank_by`."""
    query = _page_query(rank_by, _chosen(filters or Filters()))
    values = _values(list_id, filters or Filters()) | {"after_rank": 0}
    return bulk.select_many(conn, query.params(values), schema(risk_list_entries))


def count(conn: Connection, list_id: int, filters: Filters | None = None, book: Book = EVERYBODY) -> int:
    """How many entries the filters and the book leave."""
    chosen, mine = _chosen(filters or Filters()), inside(book, risk_list_entries.c.account_id)
    query = sa.select(sa.func.count()).select_from(risk_list_entries).where(*_conditions(chosen), *mine)
    found = conn.scalar(query, _values(list_id, filters or Filters()))
    return int(found or 0)


def fitting(conn: Connection, list_id: int, rank_by: str, filters: Filters, book: Book = EVERYBODY) -> list[str]:
    """The accounts that the filters and the book leave, in order of a ranking."""
    columns = risk_list_entries.c
    fit = (*_conditions(_chosen(filters)), *inside(book, columns.account_id))
    query = sa.select(columns.account_id).where(*fit).order_by(columns[rank_by])
    return list(conn.scalars(query, _values(list_id, filters)))


_LIMIT = sa.bindparam("limit", type_=sa.Integer)


@cache
def _page_query(rank_by: str, chosen: tuple[str, ...]) -> sa.Select[Any]:
    """Entries in order of a ranking; parameters are `after_rank` and those of the chosen filters."""
    rank = risk_list_entries.c[rank_by]
    query = sa.select(risk_list_entries).where(*_conditions(chosen), rank > sa.bindparam("after_rank"))
    return query.order_by(rank)


def _book_query(rank_by: str, chosen: tuple[str, ...], book: Book) -> sa.Select[Any]:
    """The same of a book's accounts, which are ranked among themselves before the filters narrow them."""
    columns = risk_list_entries.c
    place = sa.func.row_number().over(order_by=columns[rank_by])
    others = [column for column in columns if column.name not in RANKS]
    mine = sa.and_(columns.list_id == sa.bindparam("list_id"), *inside(book, columns.account_id))
    ranked_alone = sa.select(*others, *(place.label(rank) for rank in RANKS)).where(mine).subquery()
    rank = ranked_alone.c[rank_by]
    conditions = _conditions(chosen, ranked_alone.c)
    return (
        sa.select(ranked_alone)
        .where(*conditions, rank > sa.bindparam("after_rank", type_=sa.BigInteger))
        .order_by(rank)
    )


def _chosen(filters: Filters) -> tuple[str, ...]:
    return tuple(name for name, value in vars(filters).items() if value is not None)


def _values(list_id: int, filters: Filters) -> dict[str, Any]:
    return {"list_id": list_id} | {name: getattr(filters, name) for name in _chosen(filters)}


def _conditions(chosen: tuple[str, ...], columns: Any = risk_list_entries.c) -> list[sa.ColumnElement[bool]]:
    conditions = [columns[name] == sa.bindparam(name) for name in ("list_id", *chosen) if name != "min_mrr"]
    return [*conditions, columns.mrr >= sa.bindparam("min_mrr")] if "min_mrr" in chosen else conditions


def _ranked(entries: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in ENTRY_SCHEMA if name not in entries.columns]
    if missing:
        raise ContractError(f"The list lacks the column {missing[0]!r}.")
    if entries["account_id"].is_duplicated().any():
        raise ContractError("The list has an account twice.")
    return ranked(entries.select(*ENTRY_SCHEMA).cast(ENTRY_SCHEMA))  # type: ignore[arg-type]


def _begin_list(engine: Engine, row: Mapping[str, Any]) -> int:
    with writing(engine) as conn:
        insert = risk_lists.insert().values(**row, status="building").returning(risk_lists.c.list_id)
        return int(conn.execute(insert).scalar_one())


def _tell_planner(engine: Engine) -> None:
    """PostgreSQL takes a list_id it has never counted for one of few rows, and would sort the list for each page.

    SQLite chooses by the shape of the query alone.
    """
    if engine.dialect.name == "postgresql":
        with writing(engine) as conn:
            conn.execute(sa.text("ANALYZE risk_list_entries"))


def _make_current(engine: Engine, kind: str, list_id: int, declared: int) -> None:
    with writing(engine) as conn:
        written = count(conn, list_id)
        if written != declared:
            raise StoreError(f"List {list_id} has {written} entries where {declared} were written.")
        conn.execute(risk_lists.update().where(risk_lists.c.list_id == list_id).values(status="published"))
        tell_of_list(conn, kind, list_id)
        make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
        pointer = make(current_list).values(kind=kind, list_id=list_id)
        conn.execute(pointer.on_conflict_do_update(index_elements=["kind"], set_={"list_id": list_id}))


def _retire(engine: Engine, kind: str, keep: int) -> None:
    """Hide all but the newest `keep` lists; hidden first, so that nobody sees one half deleted."""
    published = sa.and_(risk_lists.c.kind == kind, risk_lists.c.status == "published")
    kept = sa.select(risk_lists.c.list_id).where(published).order_by(risk_lists.c.list_id.desc()).limit(max(keep, 1))
    with writing(engine) as conn:
        newest = conn.scalars(kept).all()
        old = risk_lists.update().where(published, risk_lists.c.list_id.not_in(newest))
        conn.execute(old.values(status="retired"))


def _sweep(engine: Engine, kind: str) -> None:
    """Delete lists nobody can see: retired ones and, since we hold the right to publish, those of dead runs."""
    hidden = sa.select(risk_lists.c.list_id).where(
        risk_lists.c.kind == kind, risk_lists.c.status.in_(("building", "retired"))
    )
    with engine.connect() as conn:
        list_ids = conn.scalars(hidden).all()
    for list_id in list_ids:
        while _delete_some(engine, list_id):
            pass
        with writing(engine) as conn:
            conn.execute(risk_lists.delete().where(risk_lists.c.list_id == list_id))


def _delete_some(engine: Engine, list_id: int) -> int:
    rank = risk_list_entries.c.rank_by_loss
    mine = risk_list_entries.c.list_id == list_id
    with writing(engine) as conn:
        first = conn.scalar(sa.select(sa.func.min(rank)).where(mine))
        if first is None:
            return 0
        return conn.execute(risk_list_entries.delete().where(mine, rank < first + BATCH_ROWS)).rowcount


def _risk_list(row: sa.Row[Any]) -> RiskList:
    return RiskList(**{name: row._mapping[name] for name in RiskList.__dataclass_fields__})
