"""Up, ready, counted and described."""

import re
import shutil

from models.store.engine import connect
from tests.http.conftest import serve, settings
from tests.http.test_errors import ROUTES, assert_problem


def test_healthz_looks_at_nothing(sqlite_store, tmp_path):
    served = serve(sqlite_store, tmp_path / "nothing", "")
    assert served.client.get("/healthz").json == {"status": "up"}


def test_readyz(either):
    assert either.client.get("/readyz").json == {"status": "ready", "model_id": either.model_id}


def test_not_ready_without_a_model(sqlite_store, tmp_path):
    served = serve(sqlite_store, tmp_path, "")
    body = assert_problem(served.client.get("/readyz"), 503, "not_ready")
    assert body["detail"] == "No model has been put in service yet; run: ebbtide train --promote."


def test_not_ready_before_the_tables_are_made(tmp_path, model_store):
    from api.app import create_app

    engine = connect(f"sqlite:///{tmp_path}/empty.db")
    client = create_app(settings(engine, model_store[0])).test_client()
    body = assert_problem(client.get("/readyz"), 503, "not_ready")
    assert "has no tables yet" in body["detail"]


def test_not_ready_with_a_damaged_model(sqlite_store, model_store, tmp_path):
    root, model_id = model_store
    copy = tmp_path / "artefacts"
    shutil.copytree(root, copy)
    damaged = copy / model_id / "model.joblib"
    damaged.chmod(0o644)
    damaged.write_bytes(b"damaged")
    served = serve(sqlite_store, copy, model_id)
    assert_problem(served.client.get("/readyz"), 503, "not_ready")
    assert_problem(served.get("/v1/model"), 503, "model_unavailable")


def test_the_model_in_service(told):
    body = told.get("/v1/model").json
    assert body["id"] == told.model_id
    assert body["status"] == "expert prior, uncalibrated"
    assert body["phase"] == "P0"
    assert body["trained_on"] == {"from": "2025-01-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
    assert 0 < body["p_ref"] < 1
    used = [feature["name"] for feature in body["features"] if feature["used"]]
    assert set(used) == {*body["terms"]["churn"], *body["terms"]["silent"]}
    assert {feature["type"] for feature in body["features"]} == {"number", "text"}


def counts(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(ebbtide_\S+) (\S+)$", text, re.MULTILINE)}


def test_metrics_count(told):
    told.get("/v1/accounts/slipping/health")
    told.get("/v1/accounts/gone/health")
    told.get("/v1/accounts/other/health")
    told.get("/nowhere/1")
    told.get("/nowhere/2")
    told.client.open("/v1/model", method="BREW")
    told.post("/v1/accounts", {"items": [{"account_id": "new"}, {}]})
    told.post("/v1/scores", {"items": [{"features": {}}, {"account_id": "slipping"}]})
    got = told.client.get("/metrics")
    assert got.content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = counts(got.get_data(as_text=True))
    health = 'route="/v1/accounts/<ident:account_id>/health"'
    requests = "ebbtide_http_requests_total"
    assert found[f'{requests}{{method="GET",{health},status="200"}}'] == 1
    assert found[f'{requests}{{method="GET",{health},status="409"}}'] == 1
    assert found[f'{requests}{{method="GET",{health},status="404"}}'] == 1
    assert found[f'{requests}{{method="GET",route="unmatched",status="404"}}'] == 2
    assert found['ebbtide_http_request_seconds_count{method="GET",' + health + "}"] == 3
    assert found['ebbtide_rows_total{status="created",table="accounts"}'] == 1
    assert found['ebbtide_rows_total{status="rejected",table="accounts"}'] == 1
    assert found['ebbtide_scored_total{kind="features"}'] == 1
    assert found['ebbtide_scored_total{kind="account_id"}'] == 1
    assert found["ebbtide_rescored_total"] == 1
    assert found['ebbtide_model_swaps_total{result="loaded"}'] == 1
    assert found["ebbtide_model_loaded_timestamp_seconds"] > 0


def test_labels_are_bounded(told):
    """Neither ids nor invented methods nor query values become labels."""
    for n in range(20):
        told.get(f"/v1/accounts/id-{n}/health")
        told.client.open("/healthz", method=f"X{n}")
    text = told.client.get("/metrics").get_data(as_text=True)
    assert "id-" not in text
    assert not re.search(r'method="X\d', text)
    assert 'method="other"' in text


def test_the_document_names_every_route_and_its_refusals(served):
    document = served.client.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    described = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if method != "parameters"
    }
    declared = {
        (method, template(rule))
        for rule in served.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.rule != "/openapi.json"
    }
    assert described == declared
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            _check(path, operation)


#: Doors that know who calls by a signature, not by a key.
SIGNED = ("/v1/inbound/zendesk", "/v1/inbound/intercom")


def _check(path: str, operation: dict) -> None:
    statuses = set(operation["responses"])
    assert "500" in statuses
    assert operation["summary"]
    if path in SIGNED:
        assert operation["security"] == []
        assert {"403", "413", "503"} <= statuses
        assert "requestBody" in operation
    elif path.startswith("/v1"):
        assert operation["security"] == [{"bearer": []}, {"header": []}]
        assert {"401", "403", "503"} <= statuses
    else:
        assert operation["security"] == []
    if "requestBody" in operation and path not in SIGNED:  # those are kept first and looked at later
        assert {"400", "413", "415", "422"} <= statuses
    for status, response in operation["responses"].items():
        if int(status) >= 400:
            ((kind, content),) = response["content"].items()
            assert (kind, content["schema"]) == ("application/problem+json", {"$ref": "#/components/schemas/Problem"})


def template(rule) -> str:
    """The address of a route as the document writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def test_statuses_seen_are_statuses_declared(served):
    """What a route answers to nonsense is in its description."""
    paths = served.client.get("/openapi.json").json["paths"]
    addresses = served.app.url_map.bind("")
    for name, (method, path, *_) in ROUTES.items():
        if name == "openapi_json":
            continue
        rule, _ = addresses.match(path, method=method, return_rule=True)
        answers = [
            served.client.open(path, method=method),
            served.client.open(path, method=method, headers=served.headers()),
            served.client.open(path, method=method, headers=served.headers("reader")),
            served.client.open(
                path, method=method, headers=served.headers(), data=b"{", content_type="application/json"
            ),
        ]
        seen = {str(got.status_code) for got in answers}
        assert seen <= set(paths[template(rule)][method.lower()]["responses"]), name
