"""An empty database migrated to the newest schema is what the metadata declares; others are refused in words."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.engine import Engine

from models.store.engine import connect, writing
from models.store.errors import SchemaMismatch, StoreError
from models.store.migrate import check_schema, head, migrate, revision
from models.store.tables import metadata
from tests.databases import Databases, create_database, drop_database


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
        return
    server = request.getfixturevalue("postgresql")
    url = create_database(server)
    try:
        yield url
    finally:
        drop_database(server, url)


@pytest.fixture
def engine(empty: str) -> Iterator[Engine]:
    engine = connect(empty)
    try:
        yield engine
    finally:
        engine.dispose()


def test_an_empty_database_becomes_what_the_metadata_declares(engine: Engine) -> None:
    migrate(engine)
    with engine.connect() as conn:
        assert revision(conn) == head()
        context = MigrationContext.configure(conn, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as conn:
        conn.execute(sa.text("INSERT INTO accounts (account_id) VALUES ('a')"))
    migrate(engine)
    with engine.connect() as conn:
        assert conn.scalar(sa.text("SELECT count(*) FROM accounts")) == 1


def test_a_database_without_tables_is_refused(engine: Engine) -> None:
    with pytest.raises(SchemaMismatch, match="has no tables yet; every ebbtide command brings it up to date"):
        check_schema(engine)


def test_a_database_that_is_up_to_date_is_not_written_to(engine: Engine) -> None:
    migrate(engine)
    with writing(engine):  # in SQLite nobody else could write now
        migrate(engine)


def test_a_newer_schema_is_refused(engine: Engine) -> None:
    migrate(engine)
    with engine.begin() as conn:
        conn.execute(sa.text("UPDATE alembic_version SET version_num = 'from-tomorrow'"))
    for act in (check_schema, migrate):
        with pytest.raises(SchemaMismatch, match="from-tomorrow, which this version does not know"):
            act(engine)


def test_a_current_schema_is_accepted(engine: Engine) -> None:
    migrate(engine)
    check_schema(engine)


MIGRATE = """
import sys
from models.store.engine import connect, writing
from models.store.migrate import migrate
engine = connect(sys.argv[1])
migrate(engine)
engine.dispose()
"""


def test_two_processes_may_start_at_once(empty: str) -> None:
    program = [sys.executable, "-W", "error", "-c", MIGRATE, empty]
    rivals = [subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    said = [rival.communicate(timeout=60)[0] for rival in rivals]
    assert said == [b""] * 4
    assert [rival.returncode for rival in rivals] == [0] * 4
    engine = connect(empty)
    check_schema(engine)
    engine.dispose()


def test_an_unreachable_database_is_one_sentence_without_the_password() -> None:
    engine = connect("postgresql://somebody:secret@127.0.0.1:1/nothing")
    with pytest.raises(StoreError) as refused:
        check_schema(engine)
    assert "cannot be used" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://localhost/x", "cannot use 'mysql'"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("nonsense", "not a database address"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, reason: str) -> None:
    with pytest.raises(StoreError, match=reason):
        connect(url)


def test_sqlite_promises(databases: Databases) -> None:
    with databases.open("sqlite") as engine, engine.connect() as conn:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas] == ["wal", 2, 1, 30_000]
