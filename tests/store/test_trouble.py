"""A database that is away, full, locked or cut off says so in one sentence, and loses nothing it had acknowledged."""

import sqlite3
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Engine

from models.store.engine import connect, writing
from models.store.errors import StoreError
from models.store.runs import exclusive
from models.store.tables import CONTRACT
from models.store.upsert import upsert
from tests.databases import Databases
from tests.store.cast import rows, stored


def said(refused: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(refused.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_a_full_disk(sqlite_store: Engine) -> None:
    upsert(sqlite_store, "accounts", rows("accounts", {"account_id": "kept"}))
    sqlite_store.dispose()
    event.listen(sqlite_store, "connect", lambda raw, _: raw.execute("PRAGMA max_page_count = 100").close())
    many = pl.DataFrame({"account_id": [f"a{i}" for i in range(20_000)]}).with_columns(name=pl.lit("x" * 50))
    with pytest.raises(StoreError) as refused:
        upsert(sqlite_store, "accounts", many)
    assert said(refused) == "The database cannot be used: database or disk is full."
    assert [row["account_id"] for row in stored(sqlite_store, "accounts")] == ["kept"]


def test_a_writer_who_does_not_let_go(sqlite_store: Engine) -> None:
    impatient = connect(str(sqlite_store.url))
    event.listen(impatient, "connect", lambda raw, _: raw.execute("PRAGMA busy_timeout = 20").close())
    with writing(sqlite_store), pytest.raises(StoreError) as refused:
        upsert(impatient, "accounts", rows("accounts", {"account_id": "a"}))
    assert said(refused) == "The database cannot be used: database is locked."
    upsert(impatient, "accounts", rows("accounts", {"account_id": "a"}))
    impatient.dispose()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("my notes, which are long enough to be looked at as the head of a database file, or so one hopes")
    engine = connect(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="cannot be used"), engine.connect():
        pass
    engine.dispose()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        connect(f"sqlite:///{tmp_path / 'file' / 'store.db'}")


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'store.db'}")
    (tmp_path / "store.db-score.lock").mkdir()
    with pytest.raises(StoreError, match="unable to open"), exclusive(engine, "score"):
        pass
    engine.dispose()


def test_a_connection_cut_off_in_the_middle(databases: Databases) -> None:
    cut = sa.text("SELECT pg_terminate_backend(:pid)")
    frame = pl.DataFrame({"account_id": ["a"]})
    with databases.open("postgresql") as engine:
        with pytest.raises(StoreError) as refused, writing(engine) as conn:
            pid = conn.scalar(sa.text("SELECT pg_backend_pid()"))
            upsert(conn, "accounts", frame)
            with engine.connect() as other:
                other.execute(cut, {"pid": pid})
            upsert(conn, "accounts", frame)
        assert "cannot be used" in said(refused)
        assert stored(engine, "accounts") == []
        upsert(engine, "accounts", frame)
        assert len(stored(engine, "accounts")) == 1


def test_a_server_that_may_only_be_read(databases: Databases) -> None:
    with databases.open("postgresql") as engine:
        event.listen(engine, "begin", lambda conn: conn.exec_driver_sql("SET TRANSACTION READ ONLY"))
        with pytest.raises(StoreError) as refused:
            upsert(engine, "accounts", pl.DataFrame({"account_id": ["a"]}))
        assert "read-only transaction" in said(refused)
        assert stored(engine, "accounts") == []


def test_a_transaction_that_fails_leaves_nothing(store: Engine) -> None:
    table = CONTRACT["accounts"]
    with pytest.raises(sa.exc.IntegrityError), writing(store) as conn:
        conn.execute(table.insert().values(account_id="a"))
        conn.execute(table.insert().values(account_id="a"))
    assert stored(store, "accounts") == []


def test_sqlite_takes_its_turn_only_to_write(sqlite_store: Engine) -> None:
    with sqlite_store.connect() as conn:
        with writing(conn):
            conn.execute(CONTRACT["accounts"].insert().values(account_id="a"))
        assert conn.scalar(sa.select(sa.func.count()).select_from(CONTRACT["accounts"])) == 1
        rival = sqlite3.connect(str(sqlite_store.url.database), timeout=0, isolation_level=None)
        rival.execute("BEGIN IMMEDIATE")  # would fail had the read taken the writer's turn
        rival.close()
