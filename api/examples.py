"""Examples of every operation, as the service answered them.

`examples.json` holds calls in an order in which they work, each with what was answered. They are played against a
running service by the tests, which compare; here they become the examples of the OpenAPI document.

    operation   the operation's id         path, headers, body     what was sent; `raw`: a body that is no JSON
    summary     what the call shows        status, type, answer    what was answered: long lists cut, what differs every
                                                                   time written as "...", of other texts the first line

A refusal without an example of its own on a route is shown by another route's of the same code.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from apispec import APISpec, BasePlugin

from api.bodies import JSON
from api.errors import BROKEN, PROBLEM, problem_body
from api.idempotency import IN_PROGRESS

Call = Mapping[str, Any]
FILE = "examples.json"


def load() -> list[Call]:
    """The calls in their order."""
    found: list[Call] = json.loads(files("api").joinpath(FILE).read_text("utf-8"))
    return found


def _unplayed(summary: str, status: int, code: str, detail: str) -> Call:
    return {"summary": summary, "type": PROBLEM, "answer": problem_body(status, code, detail, "...")}


#: Refusals that no call brings about: a bug, two requests that meet, a database that is away.
UNPLAYED = (
    _unplayed("Something broke", 500, "internal", BROKEN),
    _unplayed("The first is at work", 409, "idempotency_in_progress", IN_PROGRESS),
    _unplayed(
        "A model of tables",
        409,
        "model_reads_table",
        "The model ... of a table says who leaves, not who leaves silently.",
    ),
    _unplayed("The store is away", 503, "store_unavailable", "The database cannot be used: it does not answer."),
)


class Examples(BasePlugin):
    """Puts examples into every operation of the document."""

    def __init__(self) -> None:
        self._calls: dict[str, list[Call]] = {}
        self._refused: dict[str, Call] = {call["answer"]["code"]: call for call in UNPLAYED}
        for call in load():
            self._calls.setdefault(call["operation"], []).append(call)
            if call.get("type") == PROBLEM:
                self._refused.setdefault(call["answer"]["code"], call)

    def operation_helper(self, path: Any = None, operations: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Called for every address with its operations by method."""
        for operation in (operations or {}).values():
            calls = self._calls.get(operation.get("operationId", ""), [])
            for call in calls:
                if call.get("status", 0) < 400:
                    _put_body(operation.get("requestBody"), call)
            for status, response in operation.get("responses", {}).items():
                own = [call for call in calls if call.get("status") == int(status)]
                for call in own:
                    _put(response, call.get("type", JSON), call, call.get("answer"))
                if not own:
                    _put_like(response, next((c for c in response.get("x-codes", ()) if c in self._refused), None))

    def init_spec(self, spec: APISpec) -> None:
        """Describe once each refusal that several routes are shown with."""
        super().init_spec(spec)
        for code, call in self._refused.items():
            spec.components.example(code, {"summary": call["summary"], "value": call["answer"]})


def _put_body(described: Any, call: Call) -> None:
    if "raw" in call:
        _put(described, call["headers"]["Content-Type"], call, call["raw"])
    else:
        _put(described, JSON, call, call.get("body"))


def _put(described: Any, content_type: str, call: Call, value: Any) -> None:
    kind = content_type.partition(";")[0]
    if described and value is not None and kind in described.get("content", {}):
        examples = described["content"][kind].setdefault("examples", {})
        examples[_name(call)] = {"summary": call["summary"], "value": value}


def _put_like(described: Any, code: str | None) -> None:
    if code is not None:
        described["content"][PROBLEM]["examples"] = {code: {"$ref": f"#/components/examples/{code}"}}


def _name(call: Call) -> str:
    return str(call["summary"]).lower().replace(" ", "-")
