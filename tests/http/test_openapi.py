"""The description is what the service does: machines made of it find no request that breaks the service."""

import re
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

from tests.http.test_errors import ROUTES

DOCS = Path(__file__).parents[2] / "docs"
#: The tool asks for gzip and, within the process, does not unpack it.
PLAIN = {"Accept-Encoding": "identity"}
CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
)


#: How ids stand in the addresses of `ROUTES` and in the description.
IDS = {
    "/accounts/a": "/accounts/{account_id}",
    "/risk-lists/1": "/risk-lists/{list_id}",
    "/webhooks/w": "/webhooks/{webhook_id}",
    "/keys/k": "/keys/{key_id}",
    "/docs/swagger-ui.css": "/docs/{name}",
    "/contacts/c": "/contacts/{contact_id}",
}


def described(path: str) -> str:
    for example, name in IDS.items():
        path = path.replace(example, name)
    return path


#: Every described operation.
OPERATIONS = [(described(path), method) for name, (method, path, _, _) in ROUTES.items() if name != "openapi_json"]


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_nothing_breaks_it(told, path, method):
    operation = schemathesis.openapi.from_wsgi("/openapi.json", told.app)[path][method]

    @given(operation.as_strategy())
    @settings(max_examples=25, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.validate_response(case.call(headers=told.headers() | PLAIN), checks=CHECKS)

    ask()


def test_answers_fit_their_schemas(told):
    """Real answers, not made-up ones, against the description."""
    api = schemathesis.openapi.from_wsgi("/openapi.json", told.app)
    for path, method, options in [
        ("/v1/accounts/{account_id}/health", "GET", {"path_parameters": {"account_id": "slipping"}}),
        ("/v1/accounts/{account_id}/health", "GET", {"path_parameters": {"account_id": "gone"}}),
        ("/v1/accounts/{account_id}/scores", "GET", {"path_parameters": {"account_id": "slipping"}}),
        ("/v1/risk-lists/silent", "GET", {}),
        ("/v1/model", "GET", {}),
        ("/v1/model/history", "GET", {}),
        ("/v1/scores", "POST", {"body": {"items": [{"features": {}}, {"account_id": "vocal"}, {"id": 3}]}}),
        ("/v1/accounts", "POST", {"body": {"items": [{"account_id": "n"}, {"account_id": 3}]}}),
        ("/readyz", "GET", {}),
        ("/healthz", "GET", {}),
        ("/metrics", "GET", {}),
    ]:
        case = api[path][method].Case(**options)
        case.validate_response(case.call(headers=told.headers() | PLAIN), checks=CHECKS)


def test_every_route_is_in_the_guide(served):
    guide = (DOCS / "api.md").read_text()
    for rule in served.app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert f"{method} {path}" in guide, f"docs/api.md does not say {method} {path}"


def test_every_code_is_in_the_guide():
    """Codes are a promise, so each one that the code can say is written down."""
    guide = (DOCS / "api.md").read_text()
    source = "\n".join(path.read_text() for path in (Path(__file__).parents[2] / "api").glob("*.py"))
    codes = set(re.findall(r'Problem\(\s*\d+,\s*"(\w+)"', source)) | set(
        re.findall(r'FieldError\([^)]*?"(\w+)",', source)
    )
    assert len(codes) > 12
    assert not {code for code in codes if f"`{code}`" not in guide}


def test_every_member_of_a_health_answer_is_in_the_guide(told):
    guide = (DOCS / "api.md").read_text()
    body = told.get("/v1/accounts/slipping/health").json
    told_of = set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE))
    assert set(body) <= told_of
    for nested in ("trend", "data", "horizon", "expected_revenue_loss"):
        assert all(f"`{name}`" in guide for name in body[nested])
