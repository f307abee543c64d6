"""The description is what the service does: machines made of it find no request that breaks the service."""

import json
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

from api.codes import CODES
from api.errors import CORE
from tests.http.test_errors import ROUTES

DOCS = Path(__file__).parents[2] / "docs"
#: The tool asks for gzip and, within the process, does not unpack it.
PLAIN = {"Accept-Encoding": "identity"}


def code_conformance(context, response, case) -> None:
    """A refusal has one of the codes that the description names for it."""
    if response.status_code >= 400:
        described = case.operation.definition.raw["responses"][str(response.status_code)]
        code = json.loads(response.content)["code"]
        assert code in described["x-codes"], f"{response.status_code} {code} is not described"


CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    code_conformance,
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
        kind = {"media_type": "application/json"} if "body" in options else {}
        case = api[path][method].Case(**options, **kind)
        case.validate_response(case.call(headers=told.headers() | PLAIN), checks=CHECKS)


def test_every_route_is_in_the_guide(served):
    guide = (DOCS / "api.md").read_text()
    for rule in served.app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            assert f"{method} {path}" in guide, f"docs/api.md does not say {method} {path}"


def test_the_guide_has_every_code_with_its_status():
    guide = (DOCS / "api.md").read_text()
    table = guide.split("| status | code |")[1].split("\n\n")[0]
    told = re.findall(r"^\| (\d{3}) \| (.*) \|$", table, re.MULTILINE)
    found = {(code, int(status)): why for status, row in told for code, why in re.findall(r"`(\w+)`: ([^;]*)", row)}
    assert set(found) == {(code, status) for code, (status, _) in CODES.items()}


def test_every_refusal_has_a_code_of_the_table():
    said = set()
    for path in (Path(__file__).parents[2] / "api").glob("*.py"):
        said |= set(re.findall(r'Problem\(\s*(\d+),\s*"(\w+)"', path.read_text()))
    said |= {(str(status), code) for _, status, code in CORE if code != "not_scored"}
    # an error of a line has no status of its own
    assert {(code, int(status)) for status, code in said} - {("line_too_long", 400)} <= {
        (code, status) for code, (status, _) in CODES.items()
    }
    assert len(said) > 40


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
