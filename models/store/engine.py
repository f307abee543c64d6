"""Opening the database, SQLite or PostgreSQL, with the promises the rest of the store relies on.

SQLite runs in WAL: readers never wait for a writer, a reader sees one moment for as long as its
transaction lasts, and one writer at a time takes its turn (`busy_timeout`). `synchronous=FULL` syncs the log
at every commit. With NORMAL an acknowledged row would outlive `kill -9` (the operating system holds it) but
not a power cut; FULL costs one sync per batch and keeps the promise PostgreSQL keeps. pysqlite's own
transaction handling is switched off: it begins late and commits around DDL.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext, make_url

from models.store.errors import StoreError

BUSY_MILLISECONDS = 30_000
CACHE_KIBIBYTES = 64 * 1024
#: The log is written back to the file when it is this long, so that pages many batches touch are written back
#: once; after a scoring run, which reads for minutes and keeps the log from being recycled, it shrinks to this.
LOG_BYTES = 64 * 1024 * 1024
PAGE_BYTES = 4096
#: The longest run of zeros with which free pages are overwritten.
WIPED_BYTES = 16 * 1024 * 1024
#: What a connection asks for unless the address says otherwise. Seconds.
POSTGRESQL = {"application_name": "ebbtide", "connect_timeout": 10}
#: What PostgreSQL says where nothing may be written, as on a standby: an "internal error" to its driver.
READ_ONLY = "25006"


def connect(url: str) -> Engine:
    """An engine for `sqlite:///path/file.db` or `postgresql://user:password@host/database`.

    A SQLite file and its folder are made when absent. Nothing is opened yet for PostgreSQL.
    Raises `StoreError` for another kind of database, SQLite in memory, or a missing driver.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise StoreError(f"{url!r} is not a database address; write sqlite:///path/file.db, for example.") from error
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        return _sqlite(parsed)
    if kind in ("postgresql", "postgres"):
        return _postgresql(parsed)
    raise StoreError(f"The store cannot use {kind!r}; give a sqlite:/// or postgresql:// address.")


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreError("SQLite in memory cannot be shared by the service's processes; name a file.")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {folder} for the database cannot be made: {error.strerror}.") from error
    engine = sa.create_engine(url.set(drivername="sqlite+pysqlite"))
    event.listen(engine, "handle_error", _in_words)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgresql(url: URL) -> Engine:
    try:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={name: value for name, value in POSTGRESQL.items() if name not in url.query},
        )
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs its driver: pip install 'ebbtide[postgres]'.") from error
    event.listen(engine, "handle_error", _in_words)
    return engine


def _in_words(context: ExceptionContext) -> None:
    """A database that is away, full, locked or read-only is not a programming error: say it in a sentence."""
    error = context.sqlalchemy_exception
    # SQLite has no narrower word for a file that is no database.
    foreign = type(error) is sa.exc.DatabaseError
    read_only = getattr(context.original_exception, "sqlstate", None) == READ_ONLY
    if (foreign or read_only or isinstance(error, sa.exc.OperationalError)) and not context.is_pre_ping:
        raise unusable(context.original_exception) from context.original_exception


def unusable(error: BaseException) -> StoreError:
    """What the driver complains of, as the store's own error."""
    lines = str(error).strip().splitlines()
    return StoreError(f"The database cannot be used: {lines[0].rstrip('.') if lines else 'no reason given'}.")


def _prepare_sqlite(dbapi_connection: sqlite3.Connection, _record: object) -> None:
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    _use_wal(cursor)
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {LOG_BYTES // PAGE_BYTES}")
    cursor.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
    # What is deleted or replaced is overwritten within the pages that are written anyway.
    cursor.execute("PRAGMA secure_delete = FAST")
    cursor.close()


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch the file to WAL once. SQLite does not wait for a rival doing the same, so we do."""
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin_sqlite(conn: Connection) -> None:
    conn.exec_driver_sql("BEGIN " + conn.get_execution_options().get("sqlite_begin", "DEFERRED"))


@contextmanager
def writing(target: Engine | Connection) -> Iterator[Connection]:
    """A transaction meant to write: committed at the end, rolled back on an exception.

    In SQLite it takes its turn at the start (BEGIN IMMEDIATE). A transaction that began by reading cannot
    wait for the writer's lock once somebody else has written; it fails at once. Given a connection that is
    already in a transaction, it joins in and leaves the end to whoever began.
    """
    if isinstance(target, Connection):
        if target.in_transaction():
            yield target
            return
        target.execution_options(sqlite_begin="IMMEDIATE")
        with target.begin():
            target.execution_options(sqlite_begin="DEFERRED")  # for the transactions after this one
            yield target
        return
    with target.connect() as conn, writing(conn) as began:
        yield began


@contextmanager
def overwriting(engine: Engine) -> Iterator[Connection]:
    """A transaction like `writing` whose deleted rows do not stay readable in the file of SQLite: pages that are or
    become free are overwritten, too, and the log is emptied into the file, unless somebody is reading from it just
    then."""
    if engine.dialect.name != "sqlite":
        with writing(engine) as conn:
            yield conn
        return
    with engine.connect() as conn:
        raw = conn.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            with writing(conn) as began:
                yield began
        finally:
            raw.execute("PRAGMA secure_delete = FAST").fetchall()
        with writing(conn) as began:
            _overwrite_free_pages(began)
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _overwrite_free_pages(conn: Connection) -> None:
    """Old lists, scores and moved rows lie in pages that became free when nobody asked for more: all of them are taken
    into use once, filled with zeros, and given back."""
    free, size = (int(conn.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("freelist_count", "page_size"))
    if not free:
        return
    conn.exec_driver_sql("CREATE TABLE overwritten (zeros BLOB)")
    for start in range(0, free * size, WIPED_BYTES):
        part = min(WIPED_BYTES, free * size - start)
        conn.exec_driver_sql("INSERT INTO overwritten VALUES (zeroblob(?))", (part,))
    conn.exec_driver_sql("DROP TABLE overwritten")


def one_at_a_time(conn: Connection, work: str) -> None:
    """Wait until nobody else is in a transaction that does this; to be called first in a `writing` transaction.

    In SQLite that is so already: writers take turns.
    """
    if conn.dialect.name == "postgresql":
        number = int.from_bytes(sha256(f"ebbtide {work}".encode()).digest()[:8], signed=True)
        conn.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


@contextmanager
def reading(target: Engine | Connection) -> Iterator[Connection]:
    """A transaction meant to read: everything in it sees the same moment."""
    if isinstance(target, Connection):
        yield target
        return
    options: dict[str, Any] = {}
    if target.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with target.connect() as conn:
        conn.execution_options(**options)
        yield conn
