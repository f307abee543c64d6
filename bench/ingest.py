"""Interactions into the store, by key, in batches of 10,000 as the API takes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from sqlalchemy.engine import Engine

from bench.figures import Figure, Watch
from bench.population import copies, customers
from models.store.engine import connect
from models.store.migrate import migrate
from models.store.upsert import upsert
from tests.databases import create_database, postgresql_server

BATCH_ROWS = 10_000
AIM_PER_SECOND = 20_000.0


def figures(folder: Path, rows: int) -> list[Figure]:
    """Rows per second into SQLite and PostgreSQL: new ones, and the same ones again."""
    frame = _interactions(rows)
    found = []
    for kind, opened in (("SQLite", sqlite(folder)), ("PostgreSQL", postgresql())):
        with opened as engine:
            for what in ("new", "known"):
                watch = Watch()
                with watch.running():
                    for part in frame.iter_slices(BATCH_ROWS):
                        upsert(engine, "interactions", part)
                name = f"ingest into {kind}, {rows:,} {what} interactions"
                found.append(Figure(name, rows / watch.wall, "/s", watch.cores(), AIM_PER_SECOND, at_least=True))
    return found


def _interactions(rows: int) -> pl.DataFrame:
    tables, _ = customers(2_000)
    parts, height = [], 0
    for part in copies(tables, rows):
        parts.append(part["interactions"])
        height += parts[-1].height
        if height >= rows:
            break
    # Contacts arrive in the order they happen, not account by account.
    return pl.concat(parts).head(rows).sort("opened_at")


@contextmanager
def sqlite(folder: Path) -> Iterator[Engine]:
    """An empty store in a file."""
    path = folder / "ingest.db"
    engine = connect(f"sqlite:///{path}")
    migrate(engine)
    yield engine
    engine.dispose()
    for file in folder.glob("ingest.db*"):
        file.unlink()


@contextmanager
def postgresql() -> Iterator[Engine]:
    """An empty store in a PostgreSQL of its own."""
    with postgresql_server() as server:
        engine = connect(create_database(server))
        migrate(engine)
        yield engine
        engine.dispose()
