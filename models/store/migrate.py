"""Bringing the database's tables to this version of the product, and refusing to run on others."""

from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from models.store.engine import writing
from models.store.errors import SchemaMismatch, StoreError

MIGRATIONS = Path(__file__).parent / "migrations"

#: Any fixed number does, as long as nothing else in the database locks on it.
_LOCK = 0x0EBB71DE


_REMEDY = "every ebbtide command brings it up to date, for example: ebbtide keys list"


def migrate(engine: Engine) -> None:
    """Bring an empty or older database to the newest schema; do nothing when it is there already.

    One transaction: another process sees the old schema or the new one, and of two that start at once the
    second waits and finds the work done. Raises `SchemaMismatch` when the database is newer than this code
    and `StoreError` when it cannot be reached.
    """
    with engine.connect() as conn:
        if revision(conn) == head():
            return  # without waiting for the writer's turn
    with writing(engine) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        found = revision(conn)
        _refuse_newer(found)
        if found != head():
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")


def check_schema(engine: Engine) -> None:
    """Refuse to run on tables of another version.

    Raises `SchemaMismatch` saying what to do, and `StoreError` when the database cannot be reached.
    """
    with engine.connect() as conn:
        found = revision(conn)
    if found == head():
        return
    _refuse_newer(found)
    state = "has no tables yet" if found is None else f"is at schema {found}, older than {head()}"
    raise SchemaMismatch(f"The database {_name(engine)} {state}; {_REMEDY}")


def revision(conn: Connection) -> str | None:
    """The schema the database is at; None: no tables yet."""
    return MigrationContext.configure(conn).get_current_revision()


@cache
def head() -> str:
    """The schema this code needs; told by the scripts beside it, which stay as they are while it runs."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise StoreError(f"No migrations were installed in {MIGRATIONS.name}; install the product again.")
    return found


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The database is at schema {found}, which this version does not know; install a newer version."
        )


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
