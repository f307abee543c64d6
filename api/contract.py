"""How a route says what it takes, gives and refuses: one declaration per view, read by the OpenAPI document."""

from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import marshmallow as ma
from flask import Flask, Response
from flask_smorest import Api, Blueprint  # type: ignore[import-untyped]
from werkzeug.routing import Map

from api import addresses
from api.bodies import JSON, NDJSON
from api.errors import PROBLEM, title
from api.examples import Examples
from api.idempotency import HEADER, METHODS

_View = TypeVar("_View", bound=Callable[..., Any])
SchemaLike = type[ma.Schema] | ma.Schema | Mapping[str, Any]

_WHY = {
    400: "The body is not JSON",
    401: "No API key, or one that is not known, has expired or was revoked",
    403: "The key lacks the scope, or is restricted to accounts and the address speaks of all",
    404: "There is no such thing",
    406: "None of the types in Accept is served here",
    409: "The request does not fit the present state; see `code`",
    410: "What the cursor points into is no longer kept",
    412: "What was to be changed is not what If-Match or If-None-Match says",
    413: "The body or the list of items is too large",
    415: "The body is of a type, or packed in a way, that is not taken here",
    429: "The key has asked too often; `Retry-After` says when to go on",
    422: "The request was understood and does not fit; see `errors`",
    500: "A bug on our side, logged under the request id",
    503: "The store cannot be used or no model is in service",
}
_FOR_BODIES = (400, 413, 415, 422)


def operation(
    *,
    gives: Mapping[int, tuple[SchemaLike | None, str]],
    refuses: Sequence[int] = (),
    takes: SchemaLike | None = None,
    query: type[ma.Schema] | None = None,
    scope: str | None = None,
    also: Mapping[str, Any] | None = None,
    streams: bool = False,
) -> Callable[[_View], _View]:
    """Declare a view: `gives` status -> (schema, description), `takes` a JSON body, `query` parameters.

    `scope` None: open to everybody. Every route may answer 500; the rest of `refuses` is what makes it special.
    `also`: further content types of the answer 200, type -> schema. `streams`: takes and gives lines of JSON, too.
    """
    statuses = {*refuses, 500, *((401, 403, 429, 503) if scope else ()), *(_FOR_BODIES if takes else ())}
    responses: dict[int, Any] = {
        status: {"description": text, "content": _content(schema)} for status, (schema, text) in gives.items()
    }
    for content_type, schema in (also or {}).items():
        responses[200]["content"][content_type] = {"schema": schema}
    if scope and takes is None:
        responses[304] = {"description": "Nothing has changed since the answer that If-None-Match names"}
    responses |= {status: _problem(status) for status in sorted(statuses)}
    doc: dict[str, Any] = {"responses": responses}
    if takes is not None:
        doc["requestBody"] = {"required": True, "content": {JSON: {"schema": takes}}}
    if streams:
        doc["x-streams"] = NDJSON  # beside the description: makers of clients refuse types they do not know
    doc["parameters"] = [{"in": "query", "schema": query}] if query is not None else []
    doc["security"] = [{"bearer": []}, {"header": []}] if scope else []
    if scope:
        doc["x-scope"] = scope

    def decorate(view: _View) -> _View:
        doc["operationId"] = view.__name__
        view._apidoc = {"manual_doc": doc}  # type: ignore[attr-defined]
        return view

    return decorate


_IDEMPOTENCY_KEY = {
    "in": "header",
    "name": HEADER,
    "description": "Sent again with the same key, the request is done once and answered the same",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_RETRY_AFTER = {
    "Retry-After": {"description": "Seconds", "required": True, "schema": {"type": "integer", "minimum": 0}}
}


def _content(schema: SchemaLike | None) -> dict[str, Any]:
    return {} if schema is None else {JSON: {"schema": schema}}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": f"{title(status)}: {_WHY[status]}",
        **({"headers": _RETRY_AFTER} if status == 429 or status >= 500 else {}),
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _say_once(doc: dict[str, Any]) -> None:
    """Describe a write: it takes an Idempotency-Key, and no tag saves asking again."""
    doc["responses"].pop(304, None)
    if doc.get("x-scope") not in (None, "score"):
        doc["parameters"].append(_IDEMPOTENCY_KEY)
        doc["responses"] |= {status: _problem(status) for status in (400, 409, 422) if status not in doc["responses"]}


class Resource(Blueprint):  # type: ignore[misc]
    """The routes of one resource."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, __name__, description=description)

    def route(self, rule: str, **options: Any) -> Callable[[_View], _View]:
        """Answer requests to this address with the decorated view."""
        register: Callable[[_View], _View] = super().route(rule, **options)

        def declare(view: _View) -> _View:
            if METHODS & set(options.get("methods", ())):
                _say_once(view._apidoc["manual_doc"])  # type: ignore[attr-defined]
            return register(view)

        return declare


def install(app: Flask) -> Any:
    """Give the application its addresses and an empty OpenAPI document; gives the document's builder."""
    addresses.install(app)
    app.config.update(
        API_TITLE="Ebbtide",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"info": {"description": "Health, risk and reasons of accounts; see docs/api.md."}},
    )
    api = _Quiet(app, spec_kwargs={"extra_plugins": [Examples()]})
    spec = api.spec
    spec.components.security_scheme("bearer", {"type": "http", "scheme": "bearer"})
    spec.components.security_scheme("header", {"type": "apiKey", "in": "header", "name": "X-API-Key"})
    return api


class _Quiet(Api):  # type: ignore[misc]
    """The document only, made when it is first asked for, so that a process starts without it. Errors have their one
    shape already (`api/errors.py`)."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def __init__(self, app: Flask, **options: Any) -> None:
        self._undescribed: list[Resource] = []
        self._one_at_a_time, self._written = Lock(), b""
        super().__init__(app, **options)

    def register_blueprint(self, blp: Resource, **options: Any) -> None:
        """Take in the routes of a resource."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blp.name] = self
        self._app.register_blueprint(blp, **options)
        self._undescribed.append(blp)

    def _openapi_json(self) -> Response:
        with self._one_at_a_time:
            while self._undescribed:
                resource = self._undescribed.pop(0)
                resource.register_views_in_doc(self, self._app, self.spec, name=resource.name, parameters=None)
                self.spec.tag({"name": resource.name, "description": resource.description})
            if not self._written:
                self._written = super()._openapi_json().get_data()
        return Response(self._written, mimetype=JSON)

    def _register_responses(self) -> None:
        """None: every route names its own."""

    def _register_error_handlers(self) -> None:
        """None."""


def rules(url_map: Map) -> list[str]:
    """Every address of the application as declared."""
    return sorted({rule.rule for rule in url_map.iter_rules() if rule.endpoint != "static"})
