"""kill -9 of the worker at random moments: every event is delivered at least once, none is lost, none is made up."""

import os
import random
import subprocess
import sys
import time

import pytest

from models.store.engine import connect
from tests.databases import Databases
from tests.webhooks.cast import happen, log, moved, subscribe
from tests.webhooks.receiver import receiver

KILLS = 3
EVENTS = 60

#: The worker as it is run, except that what a dead one held is free again sooner.
PROGRAM = """
import sys
from datetime import timedelta
from models.store import deliveries
import api.delivering
api.delivering.Courier.__init__.__kwdefaults__["lease"] = timedelta(seconds=1)
from ebbtide import main
main(["webhooks", "deliver", "--threads", "3"])
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_any_moment(kind: str, databases: Databases) -> None:
    chance = random.Random(3)
    with databases.address(kind) as address, receiver() as there:
        # Slow and unreliable enough that a worker usually dies with messages on their way.
        there.before = lambda: time.sleep(0.01)
        engine = connect(address)
        subscribe(engine, there.url)
        environment = {**os.environ, "EBBTIDE_DATABASE_URL": address, "EBBTIDE_WEBHOOK_ALLOW": "127.0.0.1"}

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment)

        workers = [start(), start()]
        deadline = time.monotonic() + 240
        try:
            for number in range(KILLS):
                sent = number * EVENTS // KILLS
                happen(engine, *(moved(f"a{i}", "watch", "critical") for i in range(sent, sent + EVENTS // KILLS)))
                seen, fresh = len(there.got), number * EVENTS // KILLS // 2
                while len(there.got) < max(fresh, seen + 1) and time.monotonic() < deadline:
                    time.sleep(0.005)
                time.sleep(chance.uniform(0, 0.05))
                workers[0].kill()
                workers[0].wait()
                workers = [workers[1], start()]
            while any(row.status != "delivered" for row in log(engine)) or len(log(engine)) < EVENTS:
                assert time.monotonic() < deadline, [row.status for row in log(engine)]
                assert all(worker.poll() is None for worker in workers), "one died by itself"
                time.sleep(0.1)
        finally:
            for worker in workers:
                worker.terminate()
            codes = [worker.wait(timeout=30) for worker in workers]
        told = log(engine)
        engine.dispose()
    assert codes[0] == 0  # the other may not have begun yet
    assert sorted(row.data["account_id"] for row in told) == sorted(f"a{i}" for i in range(EVENTS))
    assert set(there.ids) == {row.message_id for row in told}
    assert len(there.ids) >= EVENTS
