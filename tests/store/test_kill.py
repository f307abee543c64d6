"""kill -9 at random moments: what was acknowledged is there, and the list people read is a whole one."""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import UnknownList
from models.store.engine import connect, reading
from models.store.lists import count, current, frame
from models.store.tables import CONTRACT
from tests.databases import Databases
from tests.store import relentless

KILLS = 12
#: A process dies up to so many seconds after it has acknowledged so many things.
LIFE = 0.2
DEEDS = 4


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    with databases.address(request.param) as url:
        yield url


def start(address: str) -> subprocess.Popen[str]:
    program = [sys.executable, "-m", "tests.store.relentless", address]
    return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def live_and_die(process: subprocess.Popen[str], contact: int, number: int, chance: random.Random) -> list[str]:
    """Let the process work for a while, kill it, and give what it had acknowledged."""
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(f"{contact} {number}\n")
    process.stdin.flush()
    said = [process.stdout.readline() for _ in range(chance.randrange(DEEDS))]
    time.sleep(chance.uniform(0, LIFE))
    assert process.poll() is None, "it died by itself"
    process.kill()
    rest, _ = process.communicate()
    return [line for line in said + rest.splitlines(keepends=True) if line.endswith("\n")]


def check_contacts(conn: Connection, acknowledged: int) -> None:
    table = CONTRACT["interactions"]
    numbers = sa.select(table.c.transfers).where(table.c.transfers < acknowledged).order_by(table.c.transfers)
    assert conn.scalars(numbers).all() == list(range(acknowledged))
    wrong = sa.select(sa.func.count()).where(table.c.interaction_id != "T" + sa.cast(table.c.transfers, sa.Text))
    assert conn.scalar(wrong) == 0


def check_list(conn: Connection, acknowledged: int) -> None:
    """The current list is whole, of one run, and not older than the last one acknowledged."""
    try:
        seen = current(conn)
    except UnknownList:
        assert acknowledged < 0
        return
    number = seen.population["number"]
    assert number >= acknowledged
    assert seen.entries == 400 + number % 7 * 100 == count(conn, seen.list_id)
    entries = frame(conn, seen.list_id)
    assert set(entries["name"]) == {f"list {number}"}
    assert entries["rank_by_loss"].to_list() == list(range(1, seen.entries + 1))


def test_killed_at_any_moment(address: str) -> None:
    chance = random.Random(7)
    engine = connect(address)
    contact, number, acknowledged = 0, 0, -1
    process = start(address)
    try:
        for _ in range(KILLS):
            heir = start(address)  # gets ready meanwhile
            said = live_and_die(process, contact, number, chance)
            process, number = heir, number + 100  # more than a process can publish in its life
            for what, value in (line.split()[:2] for line in said):
                if what == "contacts":
                    contact = int(value)
                else:
                    acknowledged = int(value)
            with engine.connect() as conn:
                check_contacts(conn, contact)
                check_list(conn, acknowledged)
    finally:
        process.kill()
        process.communicate()
    engine.dispose()
    assert contact >= KILLS * relentless.STEP / 2, "they were killed before they did anything"
    assert acknowledged > 0


def test_readers_see_whole_lists_while_lists_are_published(store: Engine) -> None:
    done = threading.Event()

    def write() -> None:
        try:
            for number in range(1, 9):
                relentless.publish(store, number)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        with reading(store) as conn:
            check_list(conn, max(seen, default=-1))
            try:
                seen.add(current(conn).population["number"])
            except UnknownList:
                continue
    writer.join()
    with store.connect() as conn:
        check_list(conn, 8)
    assert len(seen) > 1
