"""Issued lists: what a team took with it into the week, frozen with everything that explains and grades it later.

A published list holds every quiet customer and makes room for the next ones after a few runs. An issued list is a pick
from one: at most `MOST` entries, the question they answered, and the pool they were picked from (who else might have
been on it). It is kept for good.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import UnknownList
from models.lists import KIND as SOURCE
from models.lists import ranked
from models.picking import pick
from models.store import bulk, lists
from models.store.among import among, wanted
from models.store.books import EVERYBODY, Book, held
from models.store.engine import reading, writing
from models.store.list_events import tell_of_list
from models.store.lists import ENTRY_SCHEMA, Filters, RiskList
from models.store.tables import CONTRACT, risk_list_entries, risk_list_receipts, risk_lists

KIND = "issued"
#: The largest capacity.
MOST = 500


@dataclass(frozen=True)
class Order:
    """What a list is issued for: `capacity` accounts by `rank_by` (a column of the store) among those that fit the
    filters and were not approached within `handled_days`; `buffer` and `since` as in `models.picking`. `book`: whose
    accounts the caller may know of."""

    capacity: int
    buffer: int
    rank_by: str
    filters: Filters
    handled_days: int
    since: int | None
    book: Book = EVERYBODY


@dataclass(frozen=True)
class Pick:
    """A list about to be issued. `entries`: `ENTRY_SCHEMA` and `place`, in order of place. `pool`: the account ids that
    could have been picked, in order of the ranking. `handled`: those that fit but were approached lately. `gone`: those
    listed that are customers at risk no more. `before`: the list of `since` and its entries."""

    order: Order
    source: RiskList
    entries: pl.DataFrame
    pool: list[str]
    handled: list[str]
    gone: set[str]
    before: tuple[RiskList, pl.DataFrame] | None


class NotComparable(UnknownList):
    """The list of `since` is no issued list, not the caller's to read, or as of a later moment."""


def choose(engine: Engine, order: Order, now: datetime) -> Pick:
    """Pick from the current silent list. Raises `UnknownList` before the first one, `NotComparable` for `since`."""
    with reading(engine) as conn:
        source = lists.current(conn, SOURCE)
        before = None if order.since is None else _before(conn, order.since, source, order.book)
        gone = _gone(conn, source.list_id, now)
        listed = lists.fitting(conn, source.list_id, order.rank_by, order.filters, order.book)
        fit = [account_id for account_id in listed if account_id not in gone]
        lately = approached(conn, order.handled_days, now)
        free = [account_id for account_id in fit if account_id not in lately]
        there = () if before is None else before[1]["account_id"].to_list()
        taken = pick(free[: order.capacity + order.buffer], there, order.capacity, order.buffer)
        entries = entries_of(conn, source.list_id, taken)
    place = {account_id: i for i, account_id in enumerate(free[: order.capacity + order.buffer], 1)}
    places = [place[account_id] for account_id in entries["account_id"]]
    placed = entries.with_columns(pl.Series("place", places, pl.Int64)).sort("place")
    handled = [account_id for account_id in fit if account_id in lately]
    return Pick(order, source, placed, free, handled, gone, before)


def freeze(
    engine: Engine,
    chosen: Pick,
    *,
    population: Mapping[str, Any],
    parameters: Mapping[str, Any],
    changes: Mapping[str, Any] | None,
    created_at: datetime,
) -> int:
    """Keep a list for good; gives its list_id. One transaction."""
    source = chosen.source
    row = {"kind": KIND, "as_of": source.as_of, "model_id": source.model_id, "created_at": created_at}
    counts = {"entries": chosen.entries.height, "population": dict(population), "parameters": dict(parameters)}
    with writing(engine) as conn:
        insert = risk_lists.insert().values(**row, **counts, status="published").returning(risk_lists.c.list_id)
        list_id = int(conn.execute(insert).scalar_one())
        numbered = ranked(chosen.entries).with_columns(pl.lit(list_id, pl.Int64).alias("list_id"))
        bulk.append(conn, risk_list_entries, numbered)
        receipt = {"list_id": list_id, "pool": _packed(chosen.pool), "changes": changes}
        conn.execute(risk_list_receipts.insert().values(receipt))
        tell_of_list(conn, KIND, list_id)
    return list_id


def get_issued(conn: Connection, list_id: int, book: Book = EVERYBODY) -> RiskList:
    """An issued list. Raises `UnknownList`, also for one that the caller may not read; see `readable`."""
    found = readable(lists.get_list(conn, list_id), book)
    if found.kind != KIND:
        raise lists.unknown(list_id)
    return found


def readable(found: RiskList, book: Book) -> RiskList:
    """The list itself, if the caller may read it: a restricted one reads issued lists of his own book only. Raises
    `UnknownList`."""
    if found.kind == KIND and book.restricted and _members(found.parameters["book"]) != _members(plain(book)):
        raise lists.unknown(found.list_id)
    return found


def _members(book: Mapping[str, list[str]] | None) -> dict[str, set[str]] | None:
    """Whose accounts a book has, in whatever order its key names them."""
    return None if book is None else {name: set(members) for name, members in book.items()}


def plain(book: Book) -> dict[str, list[str]] | None:
    """A book as a list's parameters keep it; None: everybody."""
    return {"owners": list(book.owners), "segments": list(book.segments)} if book.restricted else None


def changes(conn: Connection, list_id: int) -> dict[str, Any] | None:
    """What changed since the list before, as it was told when the list was issued; None: there was none before."""
    found: dict[str, Any] | None = conn.scalar(
        sa.select(risk_list_receipts.c.changes).where(risk_list_receipts.c.list_id == list_id)
    )
    return found


def pool(conn: Connection, list_id: int) -> list[str]:
    """The accounts an issued list was picked from, itself included."""
    packed = conn.scalar(sa.select(risk_list_receipts.c.pool).where(risk_list_receipts.c.list_id == list_id))
    return list(json.loads(zlib.decompress(packed))) if packed is not None else []


def entries_of(conn: Connection, list_id: int, account_ids: Sequence[str]) -> pl.DataFrame:
    """The entries that some accounts have on a list, in the columns of `ENTRY_SCHEMA`."""
    columns = [risk_list_entries.c[name] for name in ENTRY_SCHEMA]
    mine = sa.select(*columns).where(
        risk_list_entries.c.list_id == list_id, among(conn.dialect.name, risk_list_entries.c.account_id)
    )
    return bulk.select(conn, mine, ENTRY_SCHEMA, wanted(conn, account_ids))


def approached(conn: Connection, days: int, now: datetime) -> set[str]:
    """The accounts somebody turned to within so many days before `now`, or deliberately left alone."""
    outreach = CONTRACT["outreach"].c
    query = sa.select(outreach.account_id).where(outreach.at > now - timedelta(days=days), outreach.at <= now)
    return set(conn.scalars(query)) if days else set()


def _gone(conn: Connection, list_id: int, now: datetime) -> set[str]:
    """The entries of a list that nobody should call any more: who gave notice or ended since it was published, turned
    out to be a test, or is known by a pseudonym only."""
    listed, accounts = risk_list_entries.c, CONTRACT["accounts"].c
    over = accounts.is_test.is_(sa.true()) | (accounts.notice_at <= now) | (accounts.ended_at <= now)
    still = sa.exists().where(accounts.account_id == listed.account_id, ~sa.func.coalesce(over, sa.false()))
    return set(conn.scalars(sa.select(listed.account_id).where(listed.list_id == list_id, ~still)))


def _before(conn: Connection, list_id: int, source: RiskList, book: Book) -> tuple[RiskList, pl.DataFrame]:
    try:
        found = get_issued(conn, list_id, book)
    except UnknownList as error:
        raise NotComparable(str(error)) from None
    if found.as_of > source.as_of:
        raise NotComparable(f"List {list_id} is as of a later moment than the current list.")
    entries = lists.frame(conn, list_id).drop("list_id")
    mine = inside_now(conn, book, entries["account_id"].to_list())
    return found, entries.filter(pl.col("account_id").is_in(mine))


def inside_now(conn: Connection, book: Book, account_ids: Sequence[str]) -> list[str]:
    """Those of the accounts that are in the caller's book today."""
    if not book.restricted:
        return list(account_ids)
    there = held(conn, book, account_ids)
    return [account_id for account_id in account_ids if account_id in there]


def _packed(account_ids: Sequence[str]) -> bytes:
    return zlib.compress(json.dumps(account_ids, ensure_ascii=False).encode())
