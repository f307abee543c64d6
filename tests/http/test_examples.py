"""Every example of the documentation is what the service answers; machines made of the description can use it."""

import jsonschema_rs
import pytest

from api import examples
from tests.http import tour
from tests.http.test_errors import ROUTES

DRAFT = "https://json-schema.org/draft/2020-12/schema"
METHODS = ("get", "put", "post", "delete")


def test_every_example_is_what_the_service_answers(tmp_path):
    found = tour.services(tmp_path)
    for call, got in tour.played(tour.keys(found), tour.in_process(found)):
        said = f"{call['operation']}: {call['summary']}; run python -m tests.http.tour"
        assert (got.status, got.type, got.body) == (call["status"], call["type"], call["answer"]), said
    tour.close(found)


def described(served) -> dict[str, dict]:
    """Operations of the document by id."""
    paths = served.client.get("/openapi.json").json["paths"]
    found = [path[method] for path in paths.values() for method in path if method in METHODS]
    return {operation["operationId"]: operation for operation in found}


def test_the_document_has_them(served):
    operations = described(served)
    assert set(operations) == set(ROUTES) - {"openapi_json"}
    for call in examples.load():
        response = operations[call["operation"]]["responses"][str(call["status"])]
        if call["answer"] is not None:
            shown = response["content"][call["type"].partition(";")[0]]["examples"].values()
            assert call["answer"] in [example["value"] for example in shown], call["summary"]


#: Codes of refusals that are shown and not played, and where they are looked at.
SHOWN_ELSEWHERE = ("internal", "idempotency_in_progress", "model_reads_table", "store_unavailable")
#: No JSON: a page, a style and a text for machines.
UNSHOWN = {"docs", "docs_file", "metrics"}


def test_every_operation_is_shown_done_and_refused(served):
    for name, operation in described(served).items():
        done = {call["status"] for call in examples.load() if call["operation"] == name}
        assert any(status < 400 for status in done) or name == "get_monitor", name
        body = operation.get("requestBody", {"content": {"application/json": {"examples": True}}})
        assert body["content"]["application/json"].get("examples"), name
        for status, response in operation["responses"].items():
            refused = response["content"]["application/problem+json"] if int(status) >= 400 else {"examples": True}
            assert refused.get("examples"), f"{name}: {status}"


def test_what_no_call_brings_about_is_shown_as_it_is_said():
    assert {call["answer"]["code"] for call in examples.UNPLAYED} == set(SHOWN_ELSEWHERE)


def test_every_answer_names_its_headers(served):
    for name, operation in described(served).items():
        keyed = "x-scope" in operation
        for status, response in operation["responses"].items():
            found, said = set(response["headers"]), f"{name}: {status}"
            assert "X-Request-Id" in found, said
            assert ("Retry-After" in found) >= (status == "429" or int(status) >= 500), said
            assert ("WWW-Authenticate" in found) == (status == "401"), said
            assert ("RateLimit" in found) == (keyed and status != "401"), said


def test_examples_are_what_their_schemas_say(served):
    document = served.client.get("/openapi.json").json
    checked = 0
    for operation in described(served).values():
        for part in (operation.get("requestBody", {}), *operation["responses"].values()):
            for content in part.get("content", {}).values():
                schema = {**content["schema"], "components": document["components"]}
                told = jsonschema_rs.validator_for({"$schema": DRAFT, **schema})
                for example in content.get("examples", {}).values():
                    checked += "value" in example
                    told.validate(example["value"]) if "value" in example else None
    assert checked > 100


@pytest.mark.parametrize("secret", ["whsec_", "ebb_", "Bearer "])
def test_no_example_holds_a_secret(secret):
    assert secret not in tour.PATH.read_text("utf-8").replace("Bearer <key>", "")
