"""Which model was in service when, who decided and why. The pointer itself is a file of the artefact store."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models import registry
from models.clock import parse_instant
from models.errors import ContractError
from models.store.audit import By, audit
from models.store.engine import one_at_a_time, writing
from models.store.outbox import emit
from models.store.tables import model_pointer_history
from models.webhooks.events import model_promoted

ACTIONS = ("promote", "rollback", "refuse")


@dataclass(frozen=True)
class PointerChange:
    """From `at` on, `model_id` was in service; or (`refuse`) was not put there. `objections`: what spoke against it."""

    model_id: str
    action: str
    who: str
    at: datetime
    why: str | None
    objections: tuple[str, ...] = ()


def told(events: Iterable[registry.Change]) -> list[PointerChange]:
    """The events of the artefact store as the history keeps them."""
    return [
        PointerChange(event.model_id, event.action, event.who, parse_instant(event.when), event.why, event.objections)
        for event in events
    ]


def record_change(engine: Engine, change: PointerChange) -> None:
    """Add a change to the history. Raises `ContractError` for an action that is not one of `ACTIONS`."""
    if change.action not in ACTIONS:
        raise ContractError(f"A model pointer changes by {' or '.join(ACTIONS)}, not by {change.action!r}.")
    with writing(engine) as conn:
        _record(conn, change)


def catch_up(engine: Engine, told: Sequence[PointerChange]) -> None:
    """Add those of the changes that the history does not have yet, each with its line in the audit log.

    The pointer is a file of the artefact store, so its history is kept there first and copied from there.
    """
    with engine.connect() as conn:
        if not _missing(conn, told):
            return
    with writing(engine) as conn:
        one_at_a_time(conn, "pointers")
        for change in _missing(conn, told):
            _record(conn, change)


def _missing(conn: Connection, told: Sequence[PointerChange]) -> list[PointerChange]:
    kept = {(change.at, change.model_id, change.action) for change in changes(conn, limit=None)}
    return [change for change in told if (change.at, change.model_id, change.action) not in kept]


def _record(conn: Connection, change: PointerChange) -> None:
    objections = list(change.objections)
    conn.execute(model_pointer_history.insert().values(**{**vars(change), "objections": objections or None}))
    said = {"why": change.why, "objections": objections}
    audit(conn, By(change.who, change.at), f"model.{change.action}", change.model_id, **said)
    if change.action != "refuse":
        emit(conn, [model_promoted(change.model_id, change.action, change.who, change.at, change.why)])


def changes(conn: Connection, limit: int | None = 100) -> list[PointerChange]:
    """The changes, newest first; all of them where `limit` is None."""
    columns = (model_pointer_history.c[name] for name in PointerChange.__dataclass_fields__)
    query = sa.select(*columns).order_by(model_pointer_history.c.change_id.desc()).limit(limit)
    rows = (row._mapping for row in conn.execute(query))
    return [PointerChange(**{**row, "objections": tuple(row["objections"] or ())}) for row in rows]
