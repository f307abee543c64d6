"""Which model was in service when, who decided and why. The pointer itself is a file of the artefact store."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.store.engine import writing
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


def record_change(engine: Engine, change: PointerChange) -> None:
    """Add a change to the history. Raises `ContractError` for an action that is not one of `ACTIONS`."""
    if change.action not in ACTIONS:
        raise ContractError(f"A model pointer changes by {' or '.join(ACTIONS)}, not by {change.action!r}.")
    values = {**vars(change), "objections": list(change.objections) or None}
    with writing(engine) as conn:
        conn.execute(model_pointer_history.insert().values(**values))
        if change.action != "refuse":
            emit(conn, [model_promoted(change.model_id, change.action, change.who, change.at, change.why)])


def changes(conn: Connection, limit: int | None = 100) -> list[PointerChange]:
    """The changes, newest first; all of them where `limit` is None."""
    columns = (model_pointer_history.c[name] for name in PointerChange.__dataclass_fields__)
    query = sa.select(*columns).order_by(model_pointer_history.c.change_id.desc()).limit(limit)
    rows = (row._mapping for row in conn.execute(query))
    return [PointerChange(**{**row, "objections": tuple(row["objections"] or ())}) for row in rows]
