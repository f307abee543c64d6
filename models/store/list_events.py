"""What the publication of a list changes: the list itself, who entered it, who left it."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.store.erased import pseudonyms
from models.store.outbox import emit, wanted
from models.store.tables import current_list, risk_list_entries, risk_lists
from models.webhooks.events import Event, list_moved, list_published

_MOVES = ("account.entered_silent_list", "account.left_silent_list")
#: What is told of an entry.
_TOLD = ("account_id", "name", "owner", "segment", "band", "health", "p_silent", "expected_revenue_loss", "currency")


def tell_of_list(conn: Connection, kind: str, list_id: int) -> None:
    """Write down that a list is about to become the current one of its kind, in the transaction that makes it so.

    Nobody enters the first list: there was none to be absent from. The pseudonym of an erased account comes and goes
    unsaid.
    """
    types = wanted(conn)
    if not types & {"list.published", *_MOVES}:
        return
    new = conn.execute(sa.select(risk_lists).where(risk_lists.c.list_id == list_id)).one()
    previous = conn.scalar(sa.select(current_list.c.list_id).where(current_list.c.kind == kind))
    entered, left = (_moved(conn, new, previous, name) if name in types else [] for name in _MOVES)
    published = list_published(list_id, previous, kind, new.created_at, new.as_of, new.model_id, new.entries)
    emit(conn, [published, *entered, *left])


def _moved(conn: Connection, new: Any, previous: int | None, name: str) -> list[Event]:
    if previous is None or new.kind != "silent":
        return []
    entered = name == _MOVES[0]
    on, off = (new.list_id, previous) if entered else (previous, new.list_id)
    other = risk_list_entries.alias()
    absent = ~sa.exists().where(other.c.list_id == off, other.c.account_id == risk_list_entries.c.account_id)
    somebody = risk_list_entries.c.account_id.not_in(pseudonyms())
    query = sa.select(*(risk_list_entries.c[column] for column in _TOLD))
    rows = conn.execute(
        query.where(risk_list_entries.c.list_id == on, absent, somebody).order_by(risk_list_entries.c.rank_by_loss)
    )
    told = (new.created_at, new.list_id, previous, new.as_of)
    return [list_moved(row.account_id, *told, dict(row._mapping), entered=entered) for row in rows]
