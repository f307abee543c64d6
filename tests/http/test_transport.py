"""Tags to ask again by, gzip both ways, the next page in a header, and only the members asked for."""

import gzip
import io
import json
from datetime import timedelta

import pytest

from tests.http.cast import NOW
from tests.http.conftest import let_go, serve, settings
from tests.http.test_changes import run

HEALTH = "/v1/accounts/slipping/health"


def test_nothing_is_sent_twice_until_it_changes(told):
    for path in (HEALTH, "/v1/risk-lists/silent", "/v1/model", "/v1/accounts/slipping/scores"):
        first = told.get(path)
        tag = first.headers["ETag"]
        assert tag.startswith('W/"')
        assert "no-cache" in first.headers["Cache-Control"]
        assert {"Accept", "Authorization", "X-API-Key"} <= set(first.headers["Vary"].split(", "))
        again = told.get(path, headers={"If-None-Match": tag})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["X-Request-Id"]
        assert told.get(path, headers={"If-None-Match": 'W/"other"'}).status_code == 200
    before = told.get(HEALTH).headers["ETag"]
    run(told, NOW + timedelta(hours=1))
    changed = told.get(HEALTH, headers={"If-None-Match": before})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != before


def test_what_a_key_may_see_is_for_no_shared_cache(told):
    csv = told.get("/v1/risk-lists/silent", headers={"Accept": "text/csv"})
    assert csv.mimetype == "text/csv"
    for answer in (csv, told.get("/v1/accounts/nobody/health")):
        assert "private" in answer.headers["Cache-Control"]
        assert {"Accept", "X-API-Key"} <= set(answer.headers["Vary"].split(", "))


def test_a_tag_helps_nobody_without_a_key(told):
    tag = told.get(HEALTH).headers["ETag"]
    assert told.client.get(HEALTH, headers={"If-None-Match": tag}).status_code == 401
    assert told.get("/v1/accounts/nobody/health", headers={"If-None-Match": tag}).status_code == 404
    assert "ETag" not in told.client.get("/healthz").headers


def test_long_answers_are_packed_for_those_who_unpack(told):
    plain = told.get(HEALTH)
    packed = told.get(HEALTH, headers={"Accept-Encoding": "gzip, deflate"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data) / 2
    assert int(packed.headers["Content-Length"]) == len(packed.data)
    assert gzip.decompress(packed.data) == plain.data
    assert packed.headers["ETag"] == plain.headers["ETag"]
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in told.get(HEALTH, headers={"Accept-Encoding": "gzip;q=0"}).headers
    short = told.get("/v1/accounts/nobody/health", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in short.headers


def send(served, content: bytes, encoding: str = "gzip"):
    headers = served.headers("writer") | {"Content-Type": "application/json", "Content-Encoding": encoding}
    return served.client.post("/v1/accounts", data=content, headers=headers)


def test_bodies_may_be_packed(served):
    body = json.dumps({"items": [{"account_id": "packed", "name": "x" * 1000}]}).encode()
    got = send(served, packed(body))
    assert (got.status_code, got.json["results"][0]["status"]) == (200, "created")
    assert send(served, body, "identity").status_code == 200


def packed(content: bytes) -> bytes:
    """Gzip without the time of day: cases have the same name in every process that collects them."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "encoding", "status", "code"),
    [
        pytest.param(b"{}", "gzip", 400, "malformed_gzip", id="not-packed"),
        pytest.param(packed(b'{"items": []}')[:-6], "gzip", 400, "malformed_gzip", id="cut-short"),
        pytest.param(packed(b'{"items": []}') + b"more", "gzip", 400, "malformed_gzip", id="more-after-the-end"),
        pytest.param(b"{}", "br", 415, "unsupported_encoding", id="another-encoding"),
        pytest.param(packed(b"no json"), "gzip", 400, "malformed_json", id="no-json"),
        # a small packet that would become far more than a body may have
        pytest.param(packed(b" " * (33 * 1024**2)), "gzip", 413, "too_large", id="a-bomb"),
    ],
)
def test_packed_bodies_that_are_refused(served, content, encoding, status, code):
    assert settings(served.engine, served.artefacts).max_body_mb == 32
    got = send(served, content, encoding)
    assert (got.status_code, got.json["code"]) == (status, code)


def test_a_body_of_unknown_length_has_the_same_limit(sqlite_store, model_store):
    served = serve(sqlite_store, *model_store, max_body_mb=1)
    body = b'{"items": [{"account_id": "a"}]}'
    for filling, status in ((1024**2 - len(body), 200), (1024**2 - len(body) + 1, 413), (3 * 1024**2, 413)):
        got = served.client.post(
            "/v1/accounts",
            input_stream=io.BytesIO(body + b" " * filling),
            headers=served.headers() | {"Content-Type": "application/json", "Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True},
        )
        assert got.status_code == status, got.text
    let_go(served)


def test_the_next_page_stands_in_a_header_too(told):
    page = told.get("/v1/risk-lists/silent?limit=1")
    assert page.headers["Link"] == f'<{page.json["next"]}>; rel="next"'
    # and again when the page comes out of memory
    assert told.get("/v1/risk-lists/silent?limit=1").headers["Link"] == page.headers["Link"]
    assert "Link" not in told.get("/v1/risk-lists/silent?limit=500").headers


def test_only_the_members_asked_for(told):
    whole = told.get(HEALTH).json
    for asked in (("health",), ("band", "p_silent", "explanation"), ("explanation",), tuple(whole)):
        part = told.get(f"{HEALTH}?fields={','.join(asked)}").json
        assert part == {name: whole[name] for name in whole if name in asked}
    entries = told.get("/v1/risk-lists/silent").json["entries"]
    page = told.get("/v1/risk-lists/silent?fields=account_id,reasons&limit=1").json
    assert page["entries"] == [{"account_id": entries[0]["account_id"], "reasons": entries[0]["reasons"]}]
    following = told.get(page["next"]).json["entries"]
    assert following == [{"account_id": entries[1]["account_id"], "reasons": entries[1]["reasons"]}]
    alone = told.get("/v1/risk-lists/silent?fields=reasons&limit=1").json["entries"]
    assert alone == [{"reasons": entries[0]["reasons"]}]


def test_members_that_nobody_knows(told):
    for path in (f"{HEALTH}?fields=helth", f"{HEALTH}?fields=", "/v1/risk-lists/silent?fields=health,x"):
        got = told.get(path)
        assert (got.status_code, got.json["errors"][0]["pointer"]) == (422, "fields"), path
    csv = told.get("/v1/risk-lists/silent?fields=health", headers={"Accept": "text/csv"})
    assert csv.status_code == 422
