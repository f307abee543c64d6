"""Who tells us things: when each source told something last, by our clock, and whether it has fallen silent.

Two clocks. A source is judged by when it *told* (a weekly file is on time on Saturday); the contact feed as a whole by
when contacts *became known* (`ALL`), since that is what scores are made of. Either one falling silent is an event,
once, written in the transaction that notes it; so is the first thing heard again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.imports.summary import TableSummary
from models.rhythm import WEEKS, Quiet, from_hour, hour_of, quiet
from models.store import portfolio
from models.store.engine import reading, writing
from models.store.outbox import emit
from models.store.portfolio import ALL
from models.store.tables import source_hours, sources
from models.webhooks.events import source_back, source_quiet

#: Sources at once; more are noted under one name.
MOST, OTHERS = 200, "others"
_LONGEST = 128
_KEPT_HOURS = 2 * WEEKS * 168


@dataclass(frozen=True)
class Source:
    """One source of one contract table. `quiet_since`: when it told something last, where much has been due since."""

    source: str
    table_name: str
    first_at: datetime
    last_at: datetime
    last_happened_at: datetime | None
    quiet_since: datetime | None
    quiet_due: float | None
    retired_at: datetime | None


def note(
    target: Engine | Connection, source: str, table: str, rows: int, at: datetime, happened_at: datetime | None = None
) -> None:
    """Remember that a source told something; `rows`: how many of them the store had not held before, `happened_at`: the
    latest thing it told of. One that was quiet, or retired, is back, unless all it told was known: a file that is read
    every night although nobody writes it any more is silence, too."""
    with writing(target) as conn:
        name = _named(conn, source[:_LONGEST], table)
        if rows:
            _add(conn, name, table, rows, at)
        found = _find(conn, name, table)
        if found is None:
            made = {"source": name, "table_name": table, "first_at": at, "last_at": at, "last_happened_at": happened_at}
            conn.execute(_insert(conn, sources).values(made).on_conflict_do_nothing())
            return
        moments = [moment for moment in (found.last_happened_at, happened_at) if moment is not None]
        told = {"last_at": max(found.last_at, at), "last_happened_at": max(moments, default=None)}
        alive = {"quiet_since": None, "quiet_due": None, "retired_at": None} if rows else {}
        conn.execute(sources.update().where(_is(name, table)).values(told | alive))
        if rows and found.quiet_since is not None:
            emit(conn, [source_back(name, table, at, found.quiet_since)])


def note_import(target: Engine | Connection, source: str, tables: Mapping[str, TableSummary], at: datetime) -> None:
    """Remember what an import told."""
    for name, table in tables.items():
        note(target, source, name, (table.inserted or 0) + (table.updated or 0), at, table.happened_until)


def look(engine: Engine, now: datetime) -> list[Source]:
    """Judge every source that is not retired, note who has fallen silent or is back, and give all of them."""
    with reading(engine) as conn:
        known = list_sources(conn)
        judged = {(one.source, one.table_name): _judge(conn, one, now) for one in known if one.source != ALL}
        feed = portfolio.is_feed(conn)
    contacts = portfolio.feed_quiet(engine, now) if feed else None
    with writing(engine) as conn:
        for one in known:
            if one.source != ALL and one.retired_at is None:
                _mark(conn, one, judged[one.source, one.table_name], now)
        _mark_all(conn, contacts, now)
        return list_sources(conn)


def list_sources(conn: Connection) -> list[Source]:
    """Every source, by name and table."""
    query = sa.select(sources).order_by(sources.c.source, sources.c.table_name).limit(MOST * 8)
    return [Source(**row._mapping) for row in conn.execute(query)]


def retire(target: Engine | Connection, source: str, at: datetime) -> None:
    """Say that a source will tell nothing more, so that its silence means nothing. Raises `ContractError`."""
    with writing(target) as conn:
        ended = {"retired_at": at, "quiet_since": None, "quiet_due": None}
        mine = sa.and_(sources.c.source == source, sources.c.source != ALL)
        if conn.execute(sources.update().where(mine).values(ended)).rowcount == 0:
            raise ContractError(f"There is no source {source!r}; list them with: ebbtide sources list")


def _judge(conn: Connection, one: Source, now: datetime) -> Quiet | None:
    hours = sa.select(source_hours.c.hour, source_hours.c.rows).where(
        source_hours.c.source == one.source,
        source_hours.c.table_name == one.table_name,
        source_hours.c.hour > hour_of(one.last_at) - WEEKS * 168,
    )
    told = [(int(hour), int(rows)) for hour, rows in conn.execute(hours)]
    if not told:
        return None
    # It may have told since what everybody knew.
    last = from_hour(max(hour for hour, _ in told) + 1)
    return quiet(told, min(last, one.last_at), now)


def _mark(conn: Connection, one: Source, found: Quiet | None, now: datetime) -> None:
    if found is None or one.quiet_since is not None:
        return
    # Unless it told something while we were judging.
    still = sa.and_(_is(one.source, one.table_name), sources.c.last_at == one.last_at, sources.c.retired_at.is_(None))
    marked = {"quiet_since": found.since, "quiet_due": found.due}
    if conn.execute(sources.update().where(still).values(marked)).rowcount:
        emit(conn, [source_quiet(one.source, one.table_name, now, found.since, found.due)])


def _mark_all(conn: Connection, found: Quiet | None, now: datetime) -> None:
    """The contact feed as a whole, which has a row of its own while it is quiet."""
    before = _find(conn, ALL, "interactions")
    if found is not None and before is None:
        row = {"source": ALL, "table_name": "interactions", "first_at": found.since, "last_at": found.since}
        quiet_row = row | {"quiet_since": found.since, "quiet_due": found.due}
        if conn.execute(_insert(conn, sources).values(quiet_row).on_conflict_do_nothing()).rowcount:
            emit(conn, [source_quiet(ALL, "interactions", now, found.since, found.due)])
    over = found is None and before is not None
    if over and conn.execute(sources.delete().where(_is(ALL, "interactions"))).rowcount:
        assert before is not None
        emit(conn, [source_back(ALL, "interactions", now, before.last_at)])


def _find(conn: Connection, source: str, table: str) -> Source | None:
    row = conn.execute(sa.select(sources).where(_is(source, table)).with_for_update()).one_or_none()
    return None if row is None else Source(**row._mapping)


def _is(source: str, table: str) -> sa.ColumnElement[bool]:
    return sa.and_(sources.c.source == source, sources.c.table_name == table)


def _named(conn: Connection, source: str, table: str) -> str:
    """The name a source is noted under: its own, as long as there are not too many."""
    if conn.scalar(sa.select(sources.c.source).where(_is(source, table))) is not None:
        return source
    count = conn.scalar(sa.select(sa.func.count()).select_from(sources)) or 0
    return source if count < MOST else OTHERS


def _add(conn: Connection, source: str, table: str, rows: int, at: datetime) -> None:
    hour = hour_of(at)
    insert = _insert(conn, source_hours).values(source=source, table_name=table, hour=hour, rows=rows)
    more = {"rows": source_hours.c.rows + insert.excluded.rows}
    conn.execute(insert.on_conflict_do_update(index_elements=["source", "table_name", "hour"], set_=more))
    mine = sa.and_(source_hours.c.source == source, source_hours.c.table_name == table)
    conn.execute(source_hours.delete().where(mine, source_hours.c.hour < hour - _KEPT_HOURS))


def _insert(conn: Connection, table: sa.Table) -> Any:
    return (postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert)(table)
