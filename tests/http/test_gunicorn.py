"""The service as it is run: gunicorn, several processes and threads, real sockets on the loopback address."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from models.store.upsert import upsert
from tests.http.cast import NOW, accounts, interactions, promote, put_model, surveys, tell_story
from tests.http.conftest import make_keys

WORKERS, THREADS = 2, 4


@contextmanager
def gunicorn(url: str, artefacts: Path, folder: Path, keepalive: int = 75, **environment):
    """A running service; gives its port. Ends with a check that it stopped by itself and said nothing bad."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "gunicorn.log"
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn_conf"]
    options = ["--bind", f"127.0.0.1:{port}", "--workers", str(WORKERS), "--threads", str(THREADS)]
    options += ["--keep-alive", str(keepalive), "api.wsgi:build()"]
    settings = {"EBBTIDE_DATABASE_URL": url, "EBBTIDE_ARTIFACTS": str(artefacts), "EBBTIDE_SCORE_ON_WRITE": "inline"}
    settings["EBBTIDE_RATE_LIMIT"] = "none"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, *options], env={**os.environ, **settings, **environment}, stdout=output, stderr=output
        )
    try:
        _wait(port, server, log)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    text = log.read_text()
    assert "Traceback" not in text, text
    assert '"event":"failed"' not in text, text


def _wait(port: int, server: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            if ask(port, "GET", "/healthz")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def ask(port: int, method: str, path: str, key: str = "", body=None, connection=None):
    """Status and body of one request."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["Content-Type"] = "application/json"
    own.request(method, path, None if body is None else json.dumps(body), headers)
    response = own.getresponse()
    data = response.read()
    if connection is None:
        own.close()
    return response.status, data


@pytest.fixture
def root(model_store, tmp_path):
    copy = tmp_path / "artefacts"
    shutil.copytree(model_store[0], copy)
    return copy


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_models_change_under_load_without_a_failed_request(databases, kind, root, model_store, tmp_path):
    from models.store.engine import connect

    with databases.address(kind) as url:
        engine = connect(url)
        key = make_keys(engine)["admin"]
        tell_story(engine, root, model_store[1])
        engine.dispose()
        with gunicorn(url, root, tmp_path) as port:
            pressure = _Pressure(port, key)
            ids = [model_store[1]]
            for n in range(1, 4):
                ids.append(put_model(root, NOW + timedelta(hours=n), shift=n / 5))
                promote(root, ids[-1], NOW + timedelta(hours=n))
                time.sleep(1.3)
            damaged = put_model(root, NOW + timedelta(hours=9), shift=2)
            promote(root, damaged, NOW + timedelta(hours=9))
            file = root / damaged / "model.joblib"
            file.chmod(0o644)
            file.write_bytes(b"damaged")
            time.sleep(1.3)
            statuses, seen = pressure.stop()
    assert set(statuses) == {200}, statuses
    assert statuses[200] > 100
    assert set(ids[1:-1]) <= seen <= {*ids, damaged}
    assert ids[-1] in seen


class _Pressure:
    """Callers who never pause: scores, health, list, model, over connections that stay open."""

    def __init__(self, port: int, key: str) -> None:
        self.port, self.key = port, key
        self.statuses: Counter[object] = Counter()
        self.seen: set[str] = set()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._press, args=(n,)) for n in range(4)]
        for thread in self._threads:
            thread.start()

    def _press(self, n: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        questions = [
            ("POST", "/v1/scores", {"items": [{"features": {"repeat_rate_90d": 0.4}}]}),
            ("GET", "/v1/accounts/slipping/health", None),
            ("GET", "/v1/risk-lists/silent", None),
            ("GET", "/v1/model", None),
        ]
        turn = n
        while not self._end.is_set():
            method, path, body = questions[turn % len(questions)]
            turn += 1
            try:
                status, data = ask(self.port, method, path, self.key, body, connection)
            except OSError as error:
                self.statuses[repr(error)] += 1
                connection.close()
                continue
            self.statuses[status] += 1
            if status == 200 and path == "/v1/scores":
                self.seen.add(json.loads(data)["model"]["id"])
        connection.close()

    def stop(self):
        self._end.set()
        for thread in self._threads:
            thread.join(timeout=60)
        return self.statuses, self.seen


def test_processes_count_together_and_write_together(databases, root, model_store, tmp_path):
    from models.store.engine import connect

    with databases.address("sqlite") as url:
        engine = connect(url)
        key = make_keys(engine)["admin"]
        for name, frame in (("accounts", accounts()), ("interactions", interactions()), ("surveys", surveys())):
            upsert(engine, name, frame)
        engine.dispose()
        with gunicorn(url, root, tmp_path) as port:
            answers = _at_once(
                [
                    lambda n=n: ask(port, "PUT", f"/v1/accounts/p{n}", key, {"started_at": "2026-01-01T00:00:00Z"})
                    for n in range(24)
                ]
            )
            assert {status for status, _ in answers} == {201}
            assert all(json.loads(body)["rescored"] == 1 for _, body in answers)
            for n in range(24):
                assert ask(port, "GET", f"/v1/accounts/p{n}/health", key)[0] == 200
            text = ask(port, "GET", "/metrics")[1].decode()
    route = re.escape('route="/v1/accounts/<ident:account_id>"')
    found = re.search(rf'ebbtide_http_requests_total{{method="PUT",{route},status="201"}} (\S+)', text)
    assert found is not None, text
    assert float(found[1]) == 24
    assert float(re.search(r"^ebbtide_rescored_total (\S+)", text, re.MULTILINE)[1]) == 24
    assert "pid" not in text


@contextmanager
def keyed(databases):
    """The address of a new store, and a key to it."""
    from models.store.engine import connect

    with databases.address("sqlite") as url:
        engine = connect(url)
        key = make_keys(engine)["admin"]
        engine.dispose()
        yield url, key


def head_of(key: str) -> str:
    """A write as it begins on the wire."""
    return f"POST /v1/accounts HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n"


def test_what_never_becomes_a_request_is_refused_in_the_one_shape(databases, root, tmp_path):
    with keyed(databases) as (url, key):
        head = head_of(key)
        door = "POST /v1/inbound/zendesk HTTP/1.1\r\nHost: x\r\n"
        with gunicorn(url, root, tmp_path, EBBTIDE_ZENDESK_SECRETS="s") as port:
            for sent, status, code in (
                (f"GET /v1/model?x={'x' * 5000} HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
                (f"GET /v1/model HTTP/1.1\r\nX-Long: {'x' * 9000}\r\n\r\n", 431, "headers_too_large"),
                ("GET /v1/model HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, "expectation_failed"),
                ("no request at all\r\n\r\n", 400, "bad_request"),
                (f"{head}Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, "bad_request"),
                (f"{door}Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, "bad_request"),
            ):
                assert_refused(*talk(port, sent.encode()), status, code)
            # to the end of what is sent, whoever sends it: nobody looks for the answer before
            large = f"Content-Length: {40 * 1024**2}\r\n\r\n".encode() + b" " * 40 * 1024**2
            assert_refused(*talk(port, head.encode() + large), 413, "too_large")
            unknown = head.replace(key, "nobody").encode()
            assert_refused(*talk(port, unknown + large), 401, "unauthenticated")


def test_connections_that_say_nothing_or_stall_hold_up_nobody(databases, root, tmp_path):
    with keyed(databases) as (url, key):
        head = head_of(key)
        body = f"{head}Content-Length: 100\r\n\r\n{{"
        with gunicorn(url, root, tmp_path, keepalive=1) as port:
            # they come in rounds of as many as a process has threads, however the processes share them out
            for sent, longest in (("", 0.9), (head, 20.0), (body, 20.0)):
                with ExitStack() as held:
                    wires = [
                        held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                        for _ in range(WORKERS * THREADS + THREADS)
                    ]
                    for wire in wires:
                        wire.sendall(sent.encode())
                    began = time.monotonic()
                    assert ask(port, "GET", "/healthz")[0] == 200
                    assert time.monotonic() - began < longest


def talk(port: int, sent: bytes):
    """What comes back over the wire once all was sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
        wire.sendall(sent)
        answer = http.client.HTTPResponse(wire)
        answer.begin()
        return answer, json.loads(answer.read())


def assert_refused(answer: http.client.HTTPResponse, body: dict, status: int, code: str) -> None:
    assert (answer.status, body["status"], body["code"]) == (status, status, code)
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert answer.getheader("Content-Type") == "application/problem+json"
    assert answer.getheader("X-Request-Id") == body["request_id"]
    assert answer.getheader("Retry-After") is None


def _at_once(jobs):
    answers = [None] * len(jobs)

    def run(n: int) -> None:
        answers[n] = jobs[n]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return answers


def test_settings_that_make_no_sense_stop_the_start(tmp_path):
    environment = {**os.environ, "EBBTIDE_DATABASE_URL": "mysql://x/y", "EBBTIDE_ARTIFACTS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "from api.wsgi import build; build()"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "EBBTIDE_DATABASE_URL" in done.stderr.splitlines()[-1]


def test_nothing_happens_at_import():
    code = "import sys, api.wsgi, api.app; print([m for m in ('sklearn', 'pandas', 'matplotlib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
