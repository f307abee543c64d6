"""Every example of the documentation is what the service answers; machines made of the description can use it."""

import pytest

from api import examples
from tests.http import tour
from tests.http.test_errors import ROUTES

METHODS = ("get", "put", "post", "delete")


def test_every_example_is_what_the_service_answers(tmp_path):
    served = tour.service(tmp_path)
    for call, status, answer, _ in tour.played(served):
        said = f"{call['operation']}: {call['summary']}; run python -m tests.http.tour"
        assert (status, answer) == (call["status"], call["answer"]), said
    served.app.extensions["ebbtide"].store.close()


def described(served) -> dict[str, dict]:
    """Operations of the document by id."""
    paths = served.client.get("/openapi.json").json["paths"]
    found = [path[method] for path in paths.values() for method in path if method in METHODS]
    return {operation["operationId"]: operation for operation in found}


def test_the_document_has_them(served):
    operations = described(served)
    assert set(operations) == set(ROUTES) - {"openapi_json"}
    shown = 0
    for call in examples.load():
        response = operations[call["operation"]]["responses"][str(call["status"])]
        (content,) = [content for kind, content in response["content"].items() if "json" in kind]
        shown += call["answer"] in [example["value"] for example in content["examples"].values()]
    assert shown == len(examples.load())


def test_every_answer_names_its_request(served):
    for operation in described(served).values():
        for response in operation["responses"].values():
            assert response["headers"]["X-Request-Id"]["required"]


@pytest.mark.parametrize("secret", ["whsec_", "ebb_", "Bearer "])
def test_no_example_holds_a_secret(secret):
    assert secret not in tour.PATH.read_text("utf-8").replace("Bearer <key>", "")
