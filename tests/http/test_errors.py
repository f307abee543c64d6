"""Every refusal has one shape, on every route that can refuse.

content type application/problem+json; members type, title, status, code, detail, request_id, errors;
status equals the status line; the request id is that of the header; errors[] have pointer, code, message.
"""

import pytest

from api import examples
from tests.http.conftest import Served, serve

LARGE = 33 * 1024**2

#: Route -> method, an address that fits it, the scope it needs (None: open), whether it takes a body.
ROUTES = {
    "put_account": ("PUT", "/v1/accounts/a", "write", True),
    "post_accounts": ("POST", "/v1/accounts", "write", True),
    "post_interactions": ("POST", "/v1/interactions", "write", True),
    "post_surveys": ("POST", "/v1/surveys", "write", True),
    "post_measures": ("POST", "/v1/measures", "write", True),
    "post_scores": ("POST", "/v1/scores", "score", True),
    "get_account": ("GET", "/v1/accounts/a", "read", False),
    "get_health": ("GET", "/v1/accounts/a/health", "read", False),
    "get_scores": ("GET", "/v1/accounts/a/scores", "read", False),
    "get_changes": ("GET", "/v1/accounts/a/changes", "read", False),
    "get_silent_list": ("GET", "/v1/risk-lists/silent", "read", False),
    "put_override": ("PUT", "/v1/accounts/a/override", "write", True),
    "delete_override": ("DELETE", "/v1/accounts/a/override", "write", False),
    "put_sentiment": ("PUT", "/v1/accounts/a/sentiment", "write", True),
    "get_sentiment": ("GET", "/v1/accounts/a/sentiment", "read", False),
    "post_what_if": ("POST", "/v1/accounts/a/what-if", "read", True),
    "get_portfolio_changes": ("GET", "/v1/portfolio/changes", "read", False),
    "get_disagreements": ("GET", "/v1/risk-lists/disagreement", "read", False),
    "post_risk_list": ("POST", "/v1/risk-lists", "read", True),
    "get_risk_list": ("GET", "/v1/risk-lists/1", "read", False),
    "get_list_changes": ("GET", "/v1/risk-lists/1/changes", "read", False),
    "get_grade": ("GET", "/v1/risk-lists/1/grade", "read", False),
    "get_model": ("GET", "/v1/model", "read", False),
    "get_model_history": ("GET", "/v1/model/history", "admin", False),
    "get_freshness": ("GET", "/v1/freshness", "read", False),
    "get_webhooks": ("GET", "/v1/webhooks", "admin", False),
    "post_webhooks": ("POST", "/v1/webhooks", "admin", True),
    "get_webhook": ("GET", "/v1/webhooks/w", "admin", False),
    "put_webhook": ("PUT", "/v1/webhooks/w", "admin", True),
    "delete_webhook": ("DELETE", "/v1/webhooks/w", "admin", False),
    "rotate_webhook": ("POST", "/v1/webhooks/w/rotate", "admin", True),
    "get_deliveries": ("GET", "/v1/webhooks/w/deliveries", "admin", False),
    "replay_deliveries": ("POST", "/v1/webhooks/w/replay", "admin", True),
    "receive_zendesk": ("POST", "/v1/inbound/zendesk", None, False),
    "receive_intercom": ("POST", "/v1/inbound/intercom", None, False),
    "get_inbound": ("GET", "/v1/inbound", "admin", False),
    "replay_inbound": ("POST", "/v1/inbound/replay", "admin", True),
    "get_keys": ("GET", "/v1/keys", "admin", False),
    "post_key": ("POST", "/v1/keys", "admin", True),
    "rotate_key": ("POST", "/v1/keys/k/rotate", "admin", True),
    "delete_key": ("DELETE", "/v1/keys/k", "admin", False),
    "get_audit": ("GET", "/v1/audit", "admin", False),
    "get_monitor": ("GET", "/v1/model/monitor", "read", False),
    "get_account_data": ("GET", "/v1/accounts/a/personal-data", "admin", False),
    "delete_account_data": ("DELETE", "/v1/accounts/a/personal-data", "admin", False),
    "delete_account_erasure": ("DELETE", "/v1/accounts/a/erasure", "admin", False),
    "get_contact_data": ("GET", "/v1/contacts/c/personal-data", "admin", False),
    "delete_contact_data": ("DELETE", "/v1/contacts/c/personal-data", "admin", False),
    "delete_contact_erasure": ("DELETE", "/v1/contacts/c/erasure", "admin", False),
    "healthz": ("GET", "/healthz", None, False),
    "readyz": ("GET", "/readyz", None, False),
    "metrics": ("GET", "/metrics", None, False),
    "docs": ("GET", "/docs", None, False),
    "docs_file": ("GET", "/docs/swagger-ui.css", None, False),
    "openapi_json": ("GET", "/openapi.json", None, False),
}
GUARDED = [name for name, route in ROUTES.items() if route[2]]
WITH_BODY = [name for name, route in ROUTES.items() if route[3]]
WITHOUT_ITEMS = (
    "put_account",
    "post_risk_list",
    "put_override",
    "put_sentiment",
    "post_key",
    "rotate_key",
    "post_what_if",
    "replay_inbound",
)


def assert_problem(got, status: int, code: str) -> dict:
    assert got.status_code == status, got.get_data(as_text=True)[:500]
    assert got.content_type == "application/problem+json"
    body = got.json
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert body["type"] == "about:blank"
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"]
    assert body["detail"]
    assert "Traceback" not in body["detail"]
    assert body["request_id"] == got.headers["X-Request-Id"]
    for error in body["errors"]:
        assert set(error) == {"pointer", "code", "message"}
    return body


def ask(served: Served, name: str, who: str = "admin", **options):
    method, path, _, with_body = ROUTES[name]
    if with_body:
        options = {"json": {"items": []}, **options} if "data" not in options else options
    headers = served.headers(who) | options.pop("headers", {})
    return served.client.open(path, method=method, headers=headers, **options)


def unplayed(code: str) -> dict:
    """A refusal as the description shows it."""
    return next(call["answer"] for call in examples.UNPLAYED if call["answer"]["code"] == code)


def test_the_table_names_every_route(served):
    declared = {rule.endpoint.rpartition(".")[2] for rule in served.app.url_map.iter_rules()}
    assert declared == set(ROUTES)


@pytest.mark.parametrize("name", GUARDED)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer "},
        {"X-API-Key": "ebb_x_y"},
        {"X-API-Key": "ebb_\xff_\x01"},
    ],
)
def test_401(served, name, headers):
    method, path, *_ = ROUTES[name]
    got = served.client.open(path, method=method, headers=headers)
    assert_problem(got, 401, "unauthenticated")
    assert got.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("name", GUARDED)
def test_403(served, name):
    who = "reader" if ROUTES[name][2] == "write" else "writer"
    assert_problem(ask(served, name, who), 403, "forbidden")


@pytest.mark.parametrize(
    "path",
    ["/", "/v1", "/v1/account", "/v1/accounts/", "/v1/accounts/a/healths", "/V1/model", "//",
     f"/v1/accounts/{'x' * 129}", "/v1/accounts/%00", "/v1/accounts/%FF", f"/v1/accounts/{'x' * 129}/health"],
)  # fmt: skip
def test_404(served, path):
    assert_problem(served.get(path), 404, "not_found")


def test_a_parameter_nobody_asked_for(served):
    for name in GUARDED:
        method, path, _, with_body = ROUTES[name]
        options = {"json": {}} if with_body else {}
        got = served.client.open(f"{path}?fiedls=x", method=method, headers=served.headers(), **options)
        body = assert_problem(got, 422, "invalid_query") if got.status_code != 404 else None
        assert body is None or [error["code"] for error in body["errors"]] == ["unknown_parameter"], name


def _not_taken() -> list[tuple[str, str]]:
    taken = {(method, path) for method, path, *_ in ROUTES.values()}
    return [(n, m) for n in ROUTES for m in ("DELETE", "PATCH") if (m, ROUTES[n][1]) not in taken]


@pytest.mark.parametrize(("name", "method"), _not_taken())
def test_405(served, name, method):
    got = served.client.open(ROUTES[name][1], method=method, headers=served.headers())
    assert_problem(got, 405, "method_not_allowed")
    assert ROUTES[name][0] in got.headers["Allow"]


@pytest.mark.parametrize("name", WITH_BODY)
def test_413_body(served, name):
    got = ask(served, name, data=b"x" * LARGE, headers={"Content-Type": "application/json"})
    body = assert_problem(got, 413, "too_large")
    assert "32 MB" in body["detail"]


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "text/json", None])
def test_415(served, name, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    assert_problem(ask(served, name, data=b"{}", headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{'items': []}", b'{"items": NaN}', b'{"items": [-Infinity]}', b"\xff\xfe", b'{"items": "\xe9"}',
     b'{"items": ["\\ud800"]}', b'{"items": ["\xed\xa0\x80"]}', '{"items": []}'.encode("utf-16"),
     b'{"items": [], "items": [{}]}', b'{"items": [{"a": {"b": 1, "b": 1}}]}', b"[" * 100_000, b'{"a":' * 50_000],
    ids=["empty", "cut", "quotes", "nan", "infinity", "bytes", "latin", "surrogate", "raw-surrogate", "utf-16",
         "twice", "twice-within", "deep", "deeper"],
)  # fmt: skip
def test_400(served, name, data):
    got = ask(served, name, data=data, headers={"Content-Type": "application/json"})
    assert_problem(got, 400, "malformed_json")


def test_a_number_without_end_is_told_in_our_words(served):
    got = ask(served, "post_scores", data=b"[" + b"1" * 5000 + b"]", headers={"Content-Type": "application/json"})
    body = assert_problem(got, 400, "malformed_json")
    assert body["detail"] == "The body is not JSON: a number has too many digits."


@pytest.mark.parametrize("name", WITH_BODY)
@pytest.mark.parametrize("data", [b"[]", b"3", b'"text"', b"null"])
def test_422_no_object(served, name, data):
    got = ask(served, name, data=data, headers={"Content-Type": "application/json; charset=utf-8"})
    assert_problem(got, 422, "invalid_body")


#: Routes whose body is a list of items.
BATCHES = [n for n in WITH_BODY if n not in WITHOUT_ITEMS and "/webhooks" not in ROUTES[n][1]]


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/items"), ({"items": []}, "/items"), ({"items": {}}, "/items"), ({"items": [{}], "itmes": 1}, "/itmes")],
)
def test_422_no_items(served, name, body, pointer):
    got = assert_problem(ask(served, name, json=body), 422, "invalid_body")
    assert [error["pointer"] for error in got["errors"]] == [pointer]


@pytest.mark.parametrize("name", ROUTES)
def test_500(served, name, monkeypatch, capsys):
    """A bug anywhere is one sentence to the caller; the log has its place, without the values."""

    def broken(*args, **kwargs):
        raise ZeroDivisionError("a secret word")

    endpoint = next(rule.endpoint for rule in served.app.url_map.iter_rules() if rule.endpoint.endswith(name))
    monkeypatch.setitem(served.app.view_functions, endpoint, broken)
    got = ask(served, name)
    body = assert_problem(got, 500, "internal")
    assert body | {"request_id": "..."} == unplayed("internal")
    assert "secret" not in got.get_data(as_text=True)
    logged = capsys.readouterr().out
    assert "ZeroDivisionError" in logged
    assert "test_errors.py" in logged
    assert "secret" not in logged
    assert body["request_id"] in logged


@pytest.mark.parametrize("name", ["get_health", "post_accounts", "get_silent_list", "readyz"])
def test_503_store_gone(model_store, tmp_path, name, databases):
    with databases.open("sqlite") as engine:
        served = serve(engine, *model_store)
        service = served.app.extensions["ebbtide"]
        assert service.keys.find(served.keys["admin"]) is not None
        service.store.close()
        _break(engine)
        json = {"items": [{"account_id": "a"}]} if name == "post_accounts" else None
        got = ask(served, name, json=json) if json else ask(served, name)
        assert_problem(got, 503, "not_ready" if name == "readyz" else "store_unavailable")


def _break(engine) -> None:
    """Where the database was there is now a folder."""
    from pathlib import Path

    path = Path(engine.url.database)
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.mkdir()


@pytest.mark.parametrize("given", ["abc-123", "A" * 64])
def test_a_request_id_is_taken_over(served, given):
    got = served.get("/nowhere", headers={"X-Request-Id": given})
    assert got.headers["X-Request-Id"] == got.json["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "é", '"}{'])
def test_a_request_id_that_is_none_is_replaced(served, given):
    got = served.get("/nowhere", headers={"X-Request-Id": given})
    assert got.headers["X-Request-Id"] != given
    assert len(got.json["request_id"]) == 24


def test_head_and_options(served):
    assert served.client.head("/healthz").status_code == 200
    assert served.client.options("/v1/scores").headers["Allow"]
