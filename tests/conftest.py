"""Fixtures for everybody: `store` runs a test on SQLite and again on PostgreSQL."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy.engine import Engine

from tests.databases import Databases, postgresql_server

# A change is judged by the same examples every time; `HYPOTHESIS_PROFILE=search` looks for new ones.
settings.register_profile("judge", derandomize=True, deadline=None, max_examples=60)
settings.register_profile("search", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "judge"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a PostgreSQL server's maintenance database."""
    with postgresql_server() as server:
        yield server


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Databases:
    """Fresh databases; the PostgreSQL server starts with the first test that asks for one."""
    return Databases(tmp_path_factory.mktemp("stores"), lambda: request.getfixturevalue("postgresql"))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Engine]:
    """An engine on a fresh, migrated, empty store."""
    with databases.open(request.param) as engine:
        yield engine


@pytest.fixture
def sqlite_store(databases: Databases) -> Iterator[Engine]:
    """The same on SQLite only, for tests whose subject is not the database."""
    with databases.open("sqlite") as engine:
        yield engine
