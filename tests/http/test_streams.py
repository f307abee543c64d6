"""Streams of rows: a line is a row, a chunk is a transaction, memory is bounded, and what was stored is said."""

import gzip
import io
import json
import zlib

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from api import streams
from api.bodies import NDJSON
from models.store.errors import StoreError
from tests.http.cast import day
from tests.http.test_errors import assert_problem

AT = day(10).isoformat()


def contact(n: int, **more) -> dict:
    return {"interaction_id": f"T-{n}", "account_id": "a", "opened_at": AT, "kind": "problem", **more}


def text(*rows) -> bytes:
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def send(served, data, who="writer", path="/v1/interactions", **headers):
    given = served.headers(who) | {"Content-Type": NDJSON} | headers
    return served.client.post(path, data=data, headers=given)


def told(got) -> tuple[list, dict]:
    raw = got.data
    if got.headers.get("Content-Encoding") == "gzip":
        raw = gzip.decompress(raw)
    *lines, last = [json.loads(line) for line in raw.splitlines()]
    return lines, last["summary"]


def stored(served) -> list[str]:
    with served.engine.connect() as conn:
        return list(conn.scalars(sa.text("SELECT interaction_id FROM interactions ORDER BY interaction_id")))


def test_a_line_is_a_row(either):
    got = send(
        either, text(contact(1), contact(2, wait_seconds=-1), b"", b'{"broken', [3], contact(1), contact(3, x=1))
    )
    lines, summary = told(got)
    assert (got.status_code, got.content_type) == (207, NDJSON)
    assert [(line["line"], line["id"], line["status"]) for line in lines] == [
        (1, "T-1", "unchanged"), (2, "T-2", "rejected"), (4, None, "rejected"), (5, None, "rejected"),
        (6, "T-1", "created"), (7, "T-3", "created"),
    ]  # fmt: skip
    assert "note" in lines[0]
    assert [[error["pointer"] for error in line["errors"]] for line in lines if "errors" in line] == [
        ["/wait_seconds"], [""], [""],
    ]  # fmt: skip
    assert lines[2]["errors"][0]["code"] == "malformed_json"
    assert summary == {
        "lines": 6, "created": 2, "updated": 0, "unchanged": 1, "rejected": 3,
        "rescored": 0, "queued": 0, "left_to_next_run": 0, "unknown_fields": ["x"],
    }  # fmt: skip
    again = send(either, text(contact(1), contact(3)))
    assert again.status_code == 200
    assert told(again)[1]["unchanged"] == 2


def test_the_other_tables(told_accounts):
    served = told_accounts
    for path, row in (
        ("/v1/surveys", {"survey_id": "s", "account_id": "a", "instrument": "csat", "sent_at": AT}),
        ("/v1/measures", {"account_id": "a", "name": "logins", "value": 3, "at": AT}),
        ("/v1/accounts", {"account_id": "b"}),
    ):
        assert told(send(served, text(row), path=path))[1]["created"] == 1


@pytest.fixture
def told_accounts(served):
    served.post("/v1/accounts", {"items": [{"account_id": "a", "started_at": day(300).isoformat()}]})
    return served


def test_packed_both_ways(served):
    data = gzip.compress(text(*(contact(n) for n in range(50))))
    got = send(served, data, **{"Content-Encoding": "gzip", "Accept-Encoding": "gzip"})
    assert got.headers["Content-Encoding"] == "gzip"
    assert len(told(got)[0]) == 50
    for wrong in (data[:-5], data + b"x", b"not gzip at all"):
        assert_problem(send(served, wrong, **{"Content-Encoding": "gzip"}), 400, "malformed_gzip")
    assert_problem(send(served, data, **{"Content-Encoding": "br"}), 415, "unsupported_encoding")


class Slow(io.RawIOBase):
    """A body that is made as it is read, and remembers how far."""

    def __init__(self, lines: int) -> None:
        self.made, self._lines, self._left = 0, lines, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while len(self._left) < len(buffer) and self.made < self._lines:
            self._left += text(contact(self.made))
            self.made += 1
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def test_a_chunk_is_stored_before_the_rest_is_read(served, monkeypatch):
    monkeypatch.setattr(streams, "CHUNK_LINES", 500)
    body, seen = Slow(3000), []
    store = served.app.extensions["ebbtide"].store
    working = store.upsert

    def watched(name, frame, book):
        seen.append((body.made, frame.height))
        return working(name, frame, book)

    monkeypatch.setattr(store, "upsert", watched)
    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    got = served.client.post(
        "/v1/interactions", environ_overrides=environ, headers=served.headers("writer") | {"Content-Type": NDJSON}
    )
    assert told(got)[1]["created"] == 3000
    assert [height for _, height in seen] == [500] * 6
    first, last = seen[0][0], seen[-1][0]
    assert first < 1500 < last, "no more is read ahead than a block"


def test_what_was_stored_is_said_when_the_store_goes_away(served, monkeypatch):
    monkeypatch.setattr(streams, "CHUNK_LINES", 10)
    store, calls = served.app.extensions["ebbtide"].store, []
    working = store.upsert

    def sometimes(name, frame, book):
        calls.append(name)
        if len(calls) == 3:
            raise StoreError("The database cannot be used: it is full.")
        return working(name, frame, book)

    monkeypatch.setattr(store, "upsert", sometimes)
    got = send(served, text(*(contact(n) for n in range(100, 150))))
    body = assert_problem(got, 503, "store_unavailable")
    assert body["detail"].endswith("Lines 1 to 20 were dealt with before; send the others again.")
    assert got.headers["Retry-After"]
    assert stored(served) == [f"T-{n}" for n in range(100, 120)]


def test_more_than_a_body_may_hold(sqlite_store, model_store):
    from tests.http.conftest import serve

    served = serve(sqlite_store, *model_store, max_body_mb=1)
    rows = text(*(contact(n, category="x" * 2000) for n in range(800)))
    assert len(rows) > 1.5 * 1024**2
    assert told(send(served, rows))[1]["created"] == 800
    served.app.extensions["ebbtide"].store.close()


def test_a_line_that_is_too_long_is_an_error_of_that_line(served, monkeypatch):
    monkeypatch.setattr(streams, "LINE_BYTES", 1000)
    long = contact(2, category="x" * 200_000)
    lines, summary = told(send(served, text(contact(1), long, contact(3), contact(4, category="x" * 1000))))
    assert [line["status"] for line in lines] == ["created", "rejected", "created", "rejected"]
    assert lines[1]["errors"][0]["code"] == lines[3]["errors"][0]["code"] == "line_too_long"
    assert summary["lines"] == 4


@pytest.mark.parametrize("data", [b"", b"\n\n", b"   \n"])
def test_nothing_is_no_stream(served, data):
    assert_problem(send(served, data), 422, "invalid_body")


def test_the_answer_to_a_stream_is_not_kept(served):
    got = send(served, text(contact(1)), **{"Idempotency-Key": "k"})
    assert_problem(got, 422, "idempotency_not_for_streams")
    assert stored(served) == []


def test_other_addresses_take_no_streams(served):
    for path in ("/v1/scores", "/v1/risk-lists"):
        assert_problem(send(served, text({}), "admin", path), 415, "unsupported_media_type")


LINES = st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=12)


@given(LINES, st.integers(1, 7), st.booleans())
def test_lines_are_the_same_however_they_come_in(lines, size, ends):
    """Cut into blocks of any size, lines come out with their numbers; blank ones are passed over."""
    raw = b"\n".join(lines) + (b"\n" if ends else b"")
    blocks = (raw[i : i + size] for i in range(0, len(raw), size))
    expected = [(n, line) for n, line in enumerate(raw.split(b"\n"), 1) if line.strip()]
    assert list(streams._lines(blocks)) == expected


@given(st.binary(max_size=2000), st.integers(1, 50))
def test_unpacking_is_undone_packing(raw, size):
    packed = gzip.compress(raw)
    blocks = iter([packed[i : i + size] for i in range(0, len(packed), size)])
    assert b"".join(streams._unpacked(blocks)) == raw
    assert zlib.decompress(packed, 31) == raw
