"""A served application on a real store with a real artefact, and a cast of keys."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import Engine

from api.app import create_app
from models.settings import Settings
from models.store.engine import writing
from models.store.keys import create_key
from tests.databases import Databases
from tests.http.cast import NOW, promote, put_model, tell_story


@dataclass
class Served:
    """An application, its client, and what it stands on."""

    app: Flask
    client: FlaskClient
    engine: Engine
    artefacts: Path
    model_id: str
    keys: dict[str, str]

    def headers(self, who: str = "admin") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[who]}"}

    def get(self, path: str, who: str = "admin", **options):
        headers = self.headers(who) | options.pop("headers", {})
        return self.client.get(path, headers=headers, **options)

    def post(self, path: str, body, who: str = "admin", **options):
        return self.client.post(path, json=body, headers=self.headers(who), **options)

    def put(self, path: str, body, who: str = "admin", **options):
        return self.client.put(path, json=body, headers=self.headers(who), **options)


class Clock:
    """A present that tests move."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def settings(engine: Engine, artefacts: Path, **changes) -> Settings:
    """Settings of a test: the store's address and the artefacts' folder, everything else by default."""
    address = engine.url.render_as_string(hide_password=False)
    given = {"database_url": address, "artifacts": artefacts, "log_level": "error", "rate_limit": None, **changes}
    return replace(Settings.from_environment({}), **given)


@pytest.fixture(scope="session")
def model_store(tmp_path_factory) -> tuple[Path, str]:
    """A folder with one artefact in service; copied by whoever changes it."""
    root = tmp_path_factory.mktemp("artefacts")
    model_id = put_model(root, NOW)
    promote(root, model_id, NOW)
    return root, model_id


def make_keys(engine: Engine) -> dict[str, str]:
    """Alice reads, Bob writes, Carol does everything."""
    cast = {"reader": ["read"], "writer": ["write"], "admin": ["admin"]}
    with writing(engine) as conn:
        return {who: create_key(conn, who, scopes, NOW)[1] for who, scopes in cast.items()}


def serve(engine: Engine, artefacts: Path, model_id: str, **changes) -> Served:
    app = create_app(settings(engine, artefacts, **changes), Clock(NOW))
    return Served(app, app.test_client(), engine, artefacts, model_id, make_keys(engine))


def let_go(found: Served) -> None:
    """Close the store once nothing runs in the background any more, or that would open it again."""
    service, idle = found.app.extensions["ebbtide"], threading.Event()
    service.keys._later(idle.set)
    assert idle.wait(30)
    service.store.close()


@pytest.fixture
def served(sqlite_store: Engine, model_store) -> Iterator[Served]:
    """An application on an empty store."""
    found = serve(sqlite_store, *model_store)
    yield found
    let_go(found)


@pytest.fixture(scope="session")
def story(databases: Databases, model_store) -> Iterator[Path]:
    """A store in which the cast's story was told once."""
    with databases.open("sqlite") as engine:
        tell_story(engine, *model_store)
        yield Path(engine.url.database or "")


@pytest.fixture
def told(served: Served, story: Path) -> Served:
    """The same after the cast's story was imported and a run published the list."""
    into = served.engine.raw_connection()
    with closing(sqlite3.connect(story)) as written:
        written.backup(into.driver_connection)
    into.close()
    # the keys went with all else that was there
    served.keys |= make_keys(served.engine)
    return served


@pytest.fixture
def either(store: Engine, model_store) -> Iterator[Served]:
    """As `told`, on SQLite and on PostgreSQL."""
    found = serve(store, *model_store)
    tell_story(found.engine, found.artefacts, found.model_id)
    yield found
    let_go(found)
