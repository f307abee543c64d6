"""Kept answers: claimed by one, given again to all, forgotten in time."""

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.errors import KeyReused
from models.store.answers import LEASE, Asked, Claim, Kept, claim, counts, finish, release, sweep
from models.store.tables import idempotent_answers
from tests.store.cast import DAY, T

ASKED = Asked("k", "one", "print")
SOON = timedelta(seconds=1)


def claimed(store: Engine, asked: Asked = ASKED, at=T) -> Claim:
    found = claim(store, asked, at)
    assert isinstance(found, Claim)
    return found


def test_from_claim_to_replay(store: Engine) -> None:
    mine = claimed(store)
    assert claim(store, ASKED, T + SOON) is None, "somebody is at work"
    finish(store, mine, 201, {"Location": "/x"}, b"body \xff", T + DAY)
    assert claim(store, ASKED, T + SOON) == Kept(201, {"Location": "/x"}, b"body \xff")
    with pytest.raises(KeyReused):
        claim(store, Asked("k", "one", "another"), T + SOON)
    assert isinstance(claim(store, Asked("another key", "one", "another"), T + SOON), Claim)
    assert isinstance(claim(store, ASKED, T + DAY), Claim), "kept no longer"


def test_another_request_is_refused_while_the_first_is_at_work(store: Engine) -> None:
    claimed(store)
    with pytest.raises(KeyReused):
        claim(store, Asked("k", "one", "another"), T + SOON)


def test_what_was_released_may_be_asked_again(store: Engine) -> None:
    release(store, claimed(store))
    mine = claimed(store, Asked("k", "one", "another"))
    finish(store, mine, 200, {}, b"", T + DAY)
    release(store, mine)
    assert claim(store, mine.asked, T) == Kept(200, {}, b""), "an answer is not released"


def test_a_process_that_died_gives_way(store: Engine) -> None:
    dead = claimed(store)
    second = claimed(store, at=T + LEASE)
    finish(store, dead, 200, {}, b"dead", T + DAY)
    release(store, dead)
    assert claim(store, ASKED, T + LEASE) is None, "the second one has it"
    finish(store, second, 200, {}, b"second", T + DAY)
    assert claim(store, ASKED, T + LEASE + SOON) == Kept(200, {}, b"second")


def test_of_many_one_gets_it(store: Engine) -> None:
    found: list[object] = []
    start = threading.Barrier(6)

    def ask() -> None:
        start.wait()
        found.append(claim(store, ASKED, T))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(one).__name__ for one in found) == ["Claim"] + ["NoneType"] * 5


def test_another_process_sees_it(store: Engine) -> None:
    finish(store, claimed(store), 200, {}, b"here", T + DAY)
    program = (
        "import sys\nfrom datetime import datetime\nfrom models.store.engine import connect\n"
        "from models.store.answers import Asked, claim\n"
        "print(claim(connect(sys.argv[1]), Asked('k', 'one', 'print'), datetime.fromisoformat(sys.argv[2])).body)"
    )
    url = store.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", program, url, (T + SOON).isoformat()]
    got = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert got.stdout.strip() == "b'here'"


def test_what_is_kept_no_longer_is_deleted(store: Engine) -> None:
    for n in range(7):
        until = T + DAY if n < 5 else T + 2 * DAY
        finish(store, claimed(store, Asked("k", f"{n}", "print")), 200, {}, b"", until)
    claimed(store, Asked("other", "x", "print"), T + DAY)
    assert sweep(store, T + DAY, at_once=2) == 5
    with store.connect() as conn:
        assert counts(conn) == {"k": 2, "other": 1}
        assert len(conn.execute(sa.select(idempotent_answers)).all()) == 3
