"""Idempotency-Key: sent twice, done once, answered the same."""

import gzip
import json
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api import idempotency
from models.store.keys import create_key
from models.store.tables import idempotent_answers
from tests.http.cast import NOW
from tests.http.test_errors import assert_problem, unplayed

KEY = {"Idempotency-Key": "order-1"}
ROWS = {"items": [{"account_id": "a", "name": "A"}, {"account_id": 3}]}


def send(served, body=ROWS, who="writer", path="/v1/accounts", headers=KEY, method="POST", **options):
    return served.client.open(path, method=method, json=body, headers=served.headers(who) | headers, **options)


def count(served) -> int:
    with served.engine.connect() as conn:
        return len(conn.execute(sa.select(idempotent_answers)).all())


def same(first, again) -> bool:
    return (first.status_code, first.data, first.content_type) == (again.status_code, again.data, again.content_type)


def test_sent_twice_done_once(either):
    first, again = send(either), send(either)
    assert first.status_code == 207
    assert same(first, again)
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert first.headers["X-Request-Id"] != again.headers["X-Request-Id"]
    assert json.loads(again.data)["created"] == 1, "as it was when it was done"
    assert send(either, headers={}).json["created"] == 0


def test_packed_or_not_it_is_the_same_request(served):
    plain = json.dumps(ROWS).encode()
    headers = served.headers("writer") | KEY | {"Content-Type": "application/json"}
    packed = [gzip.compress(plain, mtime=n) for n in (1, 2)]
    answers = [
        *(
            served.client.post("/v1/accounts", data=data, headers=headers | {"Content-Encoding": "gzip"})
            for data in packed
        ),
        served.client.post("/v1/accounts", data=plain, headers=headers),
    ]
    assert same(answers[0], answers[1])
    assert same(answers[0], answers[2])
    again = served.client.post("/v1/accounts", data=plain + b" ", headers=headers)
    assert_problem(again, 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "changes",
    [
        {"body": {"items": [{"account_id": "b"}]}},
        {"path": "/v1/interactions"},
        {"path": "/v1/accounts/a", "method": "PUT"},
        {"path": "/v1/accounts?x=1"},
    ],
)
def test_another_request_is_refused(served, changes):
    send(served)
    assert_problem(send(served, **changes), 422, "idempotency_key_reused")


def test_keys_are_each_callers_own(served):
    served.keys["other"] = create_key(served.engine, "other", ["write"], NOW)[1]
    send(served)
    assert send(served, {"items": [{"account_id": "b"}]}, "other").json["created"] == 1


@pytest.mark.parametrize("given", ["", " ", "x" * 256, "ü", "a\tb", " a"])
def test_what_is_no_key(served, given):
    got = send(served, headers={"Idempotency-Key": given.encode().decode("latin-1")})
    assert_problem(got, 400, "invalid_idempotency_key")


def test_what_was_refused_unseen_may_be_mended(served):
    for body, options in (({"itmes": []}, {}), (None, {"data": b"{"}), (None, {"data": b"x" * (33 * 1024**2)})):
        headers = KEY | {"Content-Type": "application/json"}
        if body is None:
            got = served.client.post("/v1/accounts", headers=served.headers("writer") | headers, **options)
        else:
            got = send(served, body)
        assert got.status_code in (400, 413, 422)
        assert count(served) == 0
    assert send(served).status_code == 207


def test_what_was_decided_is_kept(served):
    path = f"/v1/keys/{'0' * 12}/rotate"
    first, again = (send(served, {}, "admin", path) for _ in range(2))
    assert (first.status_code, first.json["code"]) == (404, "unknown_key")
    assert same(first, again)


def test_what_broke_is_not_kept(served, monkeypatch):
    working = served.app.extensions["ebbtide"].store.upsert
    broken = iter([ZeroDivisionError("x"), None])

    def sometimes(*args):
        error = next(broken)
        if error is not None:
            raise error
        return working(*args)

    monkeypatch.setattr(served.app.extensions["ebbtide"].store, "upsert", sometimes)
    got = send(served)
    assert_problem(got, 500, "internal")
    assert got.headers["Retry-After"]
    assert count(served) == 0
    assert send(served).status_code == 207


def test_a_duplicate_waits_for_the_first(served, monkeypatch):
    store, inside, go_on = served.app.extensions["ebbtide"].store, threading.Event(), threading.Event()
    working = store.upsert

    def slow(*args):
        inside.set()
        assert go_on.wait(10)
        return working(*args)

    monkeypatch.setattr(store, "upsert", slow)
    found = []
    first = threading.Thread(target=lambda: found.append(send(served)))
    first.start()
    assert inside.wait(10)
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.1)
    got = send(served)
    body = assert_problem(got, 409, "idempotency_in_progress")
    assert body | {"request_id": "..."} == unplayed("idempotency_in_progress")
    assert got.headers["Retry-After"] == "1"
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 10.0)
    second = threading.Thread(target=lambda: found.append(send(served)))
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert same(*found)
    assert sorted(got.headers.get("Idempotency-Replayed", "") for got in found) == ["", "true"]


def test_it_is_kept_for_a_day(served):
    first, clock = send(served), served.app.extensions["ebbtide"].clock
    clock.moment = NOW + timedelta(hours=24) - timedelta(seconds=1)
    assert same(first, send(served))
    clock.moment = NOW + timedelta(hours=24)
    assert send(served).json["unchanged"] == 1
    clock.moment += timedelta(hours=25)
    served.app.extensions["ebbtide"].once.sweep()
    assert count(served) == 0


def test_secrets_are_kept_nowhere(served):
    body = {"name": "x", "scopes": ["read"]}
    first, again = (send(served, body, "admin", "/v1/keys") for _ in range(2))
    assert first.json["key"].startswith("ebb_")
    assert again.json == first.json | {"key": None}
    assert len(served.get("/v1/keys").json["keys"]) == 4


def test_the_table_is_bounded(served, monkeypatch):
    once = served.app.extensions["ebbtide"].once
    monkeypatch.setattr(once, "_most", 1)
    send(served)
    once.sweep()
    got = send(served, headers={"Idempotency-Key": "order-2"})
    assert_problem(got, 429, "too_many_idempotency_keys")
    assert int(got.headers["Retry-After"]) > 0
    assert send(served, headers={}).status_code == 207, "without a key it is only a write"


def test_on_what_changes_nothing_it_changes_nothing(served):
    body = {"items": [{"features": {}}]}
    send(served, body, "reader", "/v1/scores")
    assert served.get("/v1/model", headers=KEY).status_code == 200
    assert count(served) == 0
