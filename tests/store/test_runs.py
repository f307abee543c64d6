"""Work that one process at a time may do, and the end of that right with the process."""

import signal
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy.engine import Engine

from models.store.engine import connect
from models.store.errors import RunInProgress
from models.store.runs import exclusive
from models.store.upsert import upsert
from tests.databases import Databases
from tests.store.cast import rows, stored

HOLD = """
import sys, time
from models.store.engine import connect
from models.store.runs import exclusive
with exclusive(connect(sys.argv[1]), "score"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, databases: Databases):
    with databases.address(request.param) as url:
        yield url


def test_the_right_ends_with_the_process_however_it_ends(address: str) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, address], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    engine = connect(address)
    with pytest.raises(RunInProgress, match=r"doing this already \(score\)"), exclusive(engine, "score"):
        pass
    with exclusive(engine, "publish-silent"):
        upsert(engine, "accounts", rows("accounts", {"account_id": "a"}))  # others go on writing
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    _wait_until_free(engine)
    with exclusive(engine, "score"):
        assert len(stored(engine, "accounts")) == 1
    engine.dispose()


def _wait_until_free(engine: Engine) -> None:
    """A server notices that a client died when it next looks at the connection."""
    deadline = time.monotonic() + 30
    while True:
        try:
            with exclusive(engine, "score"):
                return
        except RunInProgress:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_threads_exclude_each_other_too(store: Engine) -> None:
    refused = []

    def rival() -> None:
        try:
            with exclusive(store, "score"):
                pass
        except RunInProgress as refusal:
            refused.append(refusal)

    with exclusive(store, "score"):
        thread = threading.Thread(target=rival)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with exclusive(store, "score"):
        pass


def test_the_right_is_given_back_after_a_failure(store: Engine) -> None:
    with pytest.raises(ValueError, match="broken"), exclusive(store, "score"):
        raise ValueError("broken")
    with exclusive(store, "score"):
        pass
