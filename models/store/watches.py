"""The record of every look at a model; the service shows the latest one of the model in service."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.engine import writing
from models.store.tables import monitor_runs

if TYPE_CHECKING:
    from models.monitor.watch import Watch


@dataclass(frozen=True)
class StoredWatch:
    """A look that was kept: when it was taken, and all of it, plain."""

    run_id: int
    model_id: str
    as_of: datetime
    computed_at: datetime
    result: dict[str, Any]


def keep_watch(engine: Engine, found: "Watch", computed_at: datetime) -> int:
    """Store a look; gives its run_id."""
    plain = found.to_plain()
    row = {
        "model_id": found.model_id,
        "as_of": found.as_of,
        "computed_at": computed_at,
        "worst": plain["worst"],
        "result": plain,
    }
    with writing(engine) as conn:
        return int(conn.execute(monitor_runs.insert().values(row).returning(monitor_runs.c.run_id)).scalar_one())


def last_watch(conn: Connection, model_id: str) -> StoredWatch | None:
    """The look at a model that was taken last of those of the latest moment; None before the first."""
    columns = [monitor_runs.c[name] for name in StoredWatch.__dataclass_fields__]
    query = sa.select(*columns).where(monitor_runs.c.model_id == model_id)
    latest = (monitor_runs.c.as_of.desc(), monitor_runs.c.run_id.desc())
    row = conn.execute(query.order_by(*latest).limit(1)).one_or_none()
    return None if row is None else StoredWatch(*row)
