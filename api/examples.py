"""Examples of every operation, as the service answered them; and the headers that every answer has.

`examples.json` holds calls in an order in which they work, each with what was answered. They are played against a
running service by the tests, which compare; here they become the examples of the OpenAPI document.

    operation   the operation's id                 path, query, headers, body   what was sent
    status      what was answered, and             answer                       its body: long lists cut, what
    summary     what the call shows                                             differs every time written as "..."
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from apispec import BasePlugin

from api.bodies import JSON
from api.errors import PROBLEM

Call = Mapping[str, Any]
FILE = "examples.json"

_REQUEST_ID = {"description": "names this request in our logs", "schema": {"type": "string"}, "required": True}
_HEADERS = {
    "ETag": {"description": "for If-None-Match: a tag of this very answer", "schema": {"type": "string"}},
    "Link": {"description": 'the next page, rel="next"', "schema": {"type": "string"}},
    "Retry-After": {"description": "seconds to wait before another attempt", "schema": {"type": "string"}},
}
#: Header -> statuses of reads that may have it.
_OF_READS = {"ETag": (200, 304), "Link": (200,)}
_RETRIED = (429, 503)


def load() -> list[Call]:
    """The calls in their order."""
    found: list[Call] = json.loads(files("api").joinpath(FILE).read_text("utf-8"))
    return found


class Examples(BasePlugin):
    """Puts examples and headers into every operation of the document."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Call]] = {}
        for call in load():
            self._calls.setdefault(call["operation"], []).append(call)

    def operation_helper(self, path: Any = None, operations: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Called for every address with its operations by method."""
        for method, operation in (operations or {}).items():
            responses = {int(status): response for status, response in operation.get("responses", {}).items()}
            for status, response in responses.items():
                response.setdefault("headers", {}).update(_headers(method, status))
            calls = self._calls.get(operation.get("operationId", ""), [])
            _put(operation.get("requestBody"), JSON, _bodies(calls))
            for status, response in responses.items():
                kind = JSON if status < 400 else PROBLEM
                _put(response, kind, _answers(call for call in calls if call.get("status") == status))


def _headers(method: str, status: int) -> dict[str, Any]:
    reads = [name for name, statuses in _OF_READS.items() if method == "get" and status in statuses]
    retried = ["Retry-After"] if status in _RETRIED else []
    return {"X-Request-Id": _REQUEST_ID, **{name: _HEADERS[name] for name in (*reads, *retried)}}


def _bodies(calls: Sequence[Call]) -> dict[str, Any]:
    return {_name(call): {"summary": call["summary"], "value": call["body"]} for call in calls if "body" in call}


def _answers(calls: Iterator[Call]) -> dict[str, Any]:
    return {_name(call): {"summary": call["summary"], "value": call["answer"]} for call in calls if call.get("answer")}


def _name(call: Call) -> str:
    return str(call["summary"]).lower().replace(" ", "-")


def _put(described: dict[str, Any] | None, content_type: str, examples: Mapping[str, Any]) -> None:
    if described and examples and content_type in described.get("content", {}):
        described["content"][content_type]["examples"] = dict(examples)
