"""Work that one process at a time may do on a store, and the record of scoring runs."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.engine import unusable, writing
from models.store.errors import RunInProgress
from models.store.tables import score_runs


@contextmanager
def exclusive(engine: Engine, work: str) -> Iterator[None]:
    """Hold the right to do `work` ("score", ...) on this store; raises `RunInProgress` if somebody else does.

    The right ends with the process, however it ends. PostgreSQL: an advisory lock of a session of its own.
    SQLite: a lock on an empty file beside the database; the database itself stays free for other writers.
    """
    held = _advisory_lock(engine, work) if engine.dialect.name == "postgresql" else _file_lock(engine, work)
    with held:
        yield


def _refusal(work: str) -> RunInProgress:
    return RunInProgress(f"Another process is doing this already ({work}); try again when it is done.")


@contextmanager
def _advisory_lock(engine: Engine, work: str) -> Iterator[None]:
    number = int.from_bytes(sha256(f"ebbtide {work}".encode()).digest()[:8], signed=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        if not conn.scalar(sa.select(sa.func.pg_try_advisory_lock(number))):
            raise _refusal(work)
        try:
            yield
        finally:
            conn.execute(sa.select(sa.func.pg_advisory_unlock(number)))


@contextmanager
def _file_lock(engine: Engine, work: str) -> Iterator[None]:
    path = f"{engine.url.database}-{work}.lock"
    try:
        file = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise unusable(error) from error
    with closing(file):
        try:
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            raise (_refusal(work) if error.sqlite_errorcode == sqlite3.SQLITE_BUSY else unusable(error)) from error
        yield


def start_run(engine: Engine, as_of: datetime, model_id: str, started_at: datetime) -> int:
    """Open a scoring run; gives its run_id. Runs left open by processes that died are marked `abandoned`.

    Call it inside `exclusive(engine, "score")`: only then is an open run certainly a dead one.
    """
    with writing(engine) as conn:
        conn.execute(score_runs.update().where(score_runs.c.status == "running").values(status="abandoned"))
        run = score_runs.insert().values(as_of=as_of, model_id=model_id, started_at=started_at, status="running")
        return int(conn.execute(run.returning(score_runs.c.run_id)).scalar_one())


def finish_run(
    engine: Engine, run_id: int, finished_at: datetime, status: str = "done", summary: Mapping[str, Any] | None = None
) -> None:
    """Close a run as `done` or `failed`, with what is worth remembering about it."""
    closed = {"finished_at": finished_at, "status": status, "summary": dict(summary or {})}
    with writing(engine) as conn:
        conn.execute(score_runs.update().where(score_runs.c.run_id == run_id).values(**closed))


def runs(conn: Connection, limit: int = 20) -> list[dict[str, Any]]:
    """The latest runs, newest first."""
    query = sa.select(score_runs).order_by(score_runs.c.run_id.desc()).limit(limit)
    return [dict(row._mapping) for row in conn.execute(query)]
