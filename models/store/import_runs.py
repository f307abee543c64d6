"""A record of every import: what came from where, when, and what became of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.engine import writing
from models.store.outbox import emit
from models.store.tables import import_runs
from models.webhooks.events import import_finished


def start_import(engine: Engine, source: str, started_at: datetime) -> int:
    """Open the record; gives its import_id. One that is never closed was interrupted; its rows up to then are kept."""
    with writing(engine) as conn:
        run = import_runs.insert().values(source=source, started_at=started_at, status="running")
        return int(conn.execute(run.returning(import_runs.c.import_id)).scalar_one())


def finish_import(
    engine: Engine, import_id: int, finished_at: datetime, status: str, summary: Mapping[str, Any]
) -> None:
    """Close the record as `done` or `failed` with a summary fit for JSON."""
    closed = {"finished_at": finished_at, "status": status, "summary": dict(summary)}
    mine = import_runs.c.import_id == import_id
    with writing(engine) as conn:
        done = import_runs.update().where(mine).values(**closed).returning(import_runs.c.source)
        source = conn.execute(done).scalar_one()
        emit(conn, [import_finished(import_id, source, finished_at, status, summary)])


def imports(conn: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """The latest imports, newest first."""
    query = sa.select(import_runs).order_by(import_runs.c.import_id.desc()).limit(limit)
    return [dict(row._mapping) for row in conn.execute(query)]
