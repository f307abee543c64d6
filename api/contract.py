"""How a route says what it takes, gives and refuses: one declaration per view, read by the OpenAPI document."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import marshmallow as ma
from flask import Flask, Response
from flask_smorest import Api, Blueprint  # type: ignore[import-untyped]
from werkzeug.routing import Map

from api import addresses, headers
from api.bodies import JSON, NDJSON, encode, without_query
from api.codes import CODES, by_status
from api.csv_lines import CSV
from api.errors import PROBLEM, title
from api.examples import Examples
from api.idempotency import METHODS
from api.transport import PASSING

_View = TypeVar("_View", bound=Callable[..., Any])
SchemaLike = type[ma.Schema] | ma.Schema | Mapping[str, Any]

_WHY = {
    400: "The request is not well formed",
    401: "No API key, or one that is not known, has expired or was revoked",
    403: "The caller may not do this",
    404: "There is no such thing",
    406: "None of the types in Accept is served here",
    409: "The request does not fit the present state",
    410: "What the cursor points into is no longer kept",
    412: "What was to be changed is not what If-Match or If-None-Match says",
    413: "The body or the list of items is too large",
    415: "The body is of a type, or packed in a way, that is not taken here",
    422: "The request was understood and does not fit",
    429: "The key has asked too often; `Retry-After` says when to go on",
    500: "Something broke on our side",
    503: "The service cannot serve now",
}
_OF_KEYS = ("unauthenticated", "forbidden", "restricted_key", "rate_limited", "store_unavailable")
_OF_BODIES = (
    "malformed_json",
    "malformed_gzip",
    "too_large",
    "unsupported_media_type",
    "unsupported_encoding",
    "invalid_body",
)
_OF_ONCE = (
    "invalid_idempotency_key",
    "idempotency_in_progress",
    "idempotency_key_reused",
    "too_many_idempotency_keys",
)


@dataclass(frozen=True)
class Declared:
    """What a view says of itself; the description is made of it once its address is known."""

    gives: Mapping[int, tuple[SchemaLike | None, str]]
    refuses: Sequence[str]
    takes: SchemaLike | None
    query: type[ma.Schema] | None
    scope: str | None
    also: Mapping[str, Any]
    streams: type[ma.Schema] | None
    conditional: bool
    makes: bool
    raw: Mapping[str, Any] | None
    parameters: Sequence[Mapping[str, Any]]


def operation(
    *,
    gives: Mapping[int, tuple[SchemaLike | None, str]],
    refuses: Sequence[str] = (),
    takes: SchemaLike | None = None,
    query: type[ma.Schema] | None = None,
    scope: str | None = None,
    also: Mapping[str, Any] | None = None,
    streams: type[ma.Schema] | None = None,
    conditional: bool = False,
    makes: bool = False,
    raw: Mapping[str, Any] | None = None,
    parameters: Sequence[Mapping[str, Any]] = (),
) -> Callable[[_View], _View]:
    """Declare a view: `gives` status -> (schema, description), `takes` a JSON body, `query` parameters.

    `refuses`: the codes that make it special; what every route refuses for want of a key and the like goes without
    saying. `scope` None: open to everybody. `also`: further content types of the answer 200, type -> schema.
    `streams`: it takes lines of JSON, too, each of this schema. `conditional`: it tells or stores what is changed on
    condition. `makes`: 201 tells the address of what was made. `raw`: a body that is taken as
    it comes. `parameters`: headers of its own.
    """
    declared = Declared(gives, refuses, takes, query, scope, also or {}, streams, conditional, makes, raw, parameters)

    def decorate(view: _View) -> _View:
        found = view if query is not None or scope is None else without_query(view)
        found._declared = declared  # type: ignore[attr-defined]
        return found

    return decorate


def _described(name: str, rule: str, method: str, declared: Declared) -> dict[str, Any]:
    """The operation as the document has it."""
    kind = _kind(rule, method, declared)
    responses = _answers(declared)
    if kind.read:
        responses[304] = {"description": "Nothing has changed since the answer that If-None-Match names"}
    refused = by_status(_refusals(kind, rule, method, declared))
    responses |= {status: _problem(status, codes) for status, codes in refused.items()}
    for status, response in responses.items():
        response["headers"] = headers.of_answer(kind, status)
    doc: dict[str, Any] = {"operationId": name, "responses": responses, "parameters": _parameters(kind, declared)}
    if declared.takes is not None:
        doc["requestBody"] = _body(declared)
    elif declared.raw is not None:
        doc["requestBody"] = {"required": True, "content": {JSON: {"schema": declared.raw}}}
    doc["security"] = [{"bearer": []}, {"header": []}] if kind.keyed else []
    if kind.keyed:
        doc["x-scope"] = declared.scope
    return doc


def _kind(rule: str, method: str, declared: Declared) -> headers.Kind:
    write = method in METHODS
    return headers.Kind(
        read=not write and rule not in PASSING,
        keyed=declared.scope is not None,
        once=write and declared.scope not in (None, "score"),
        conditional=declared.conditional,
        paged=declared.query is not None and "cursor" in declared.query().fields,
        csv=CSV in declared.also,
        makes=declared.makes,
    )


def _answers(declared: Declared) -> dict[int, Any]:
    found: dict[int, Any] = {}
    for status, (schema, text) in declared.gives.items():
        content = {} if schema is None else {JSON: {"schema": schema}}
        if declared.streams is not None:
            content[NDJSON] = {
                "schema": _lines("what became of a line each, and of all of them at the end", "StreamLine")
            }
        if status == 200:
            content |= {content_type: {"schema": also} for content_type, also in declared.also.items()}
        found[status] = {"description": text, "content": content}
    return found


def _lines(meaning: str, line: str) -> dict[str, Any]:
    """A stream, for which the standard has no schema: a text, and what each of its lines is."""
    return {"type": "string", "format": "binary", "description": meaning, "x-line": f"#/components/schemas/{line}"}


def _refusals(kind: headers.Kind, rule: str, method: str, declared: Declared) -> set[str]:
    """Every code the route may answer with."""
    codes = {*declared.refuses, "internal"}
    if kind.keyed:
        codes |= {*_OF_KEYS, "invalid_query"}
        # An account outside the book is answered as one nobody has described.
        codes = codes - {"restricted_key"} | {"unknown_account"} if "account_id" in rule else codes
    if "<int:" in rule or "<ident:" in rule:
        codes.add("not_found")  # what cannot be an id is no address
    if declared.takes is not None:
        codes |= set(_OF_BODIES)
    if kind.once:
        codes |= set(_OF_ONCE)
    if declared.streams is not None:
        codes |= {"too_many_items", "idempotency_not_for_streams"}
    if kind.keyed and method in METHODS:
        codes.add("precondition_failed" if declared.conditional else "condition_not_supported")
    return codes


def _parameters(kind: headers.Kind, declared: Declared) -> list[Any]:
    found: list[Any] = [{"in": "query", "schema": declared.query}] if declared.query is not None else []
    found += declared.parameters
    if kind.once:
        found.append(headers.IDEMPOTENCY_KEY)
    if kind.read:
        found.append(headers.IF_NONE_MATCH)
    elif declared.conditional:
        found += headers.CONDITIONS
    return found


def _body(declared: Declared) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": declared.takes}}
    text = "Plain, or packed with `Content-Encoding: gzip`."
    if declared.streams is not None:
        content[NDJSON] = {"schema": _lines("an item per line, as many as one likes", declared.streams.__name__)}
    return {"required": True, "description": text, "content": content}


def _problem(status: int, codes: Sequence[str]) -> dict[str, Any]:
    meanings = "".join(f"\n- `{code}`: {CODES[code][1]}" for code in codes)
    return {
        "description": f"{title(status)}: {_WHY[status]}.\n{meanings}",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "x-codes": list(codes),
    }


class Resource(Blueprint):  # type: ignore[misc]
    """The routes of one resource."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, __name__, description=description)

    def route(self, rule: str, **options: Any) -> Callable[[_View], _View]:
        """Answer requests to this address with the decorated view."""
        register: Callable[[_View], _View] = super().route(rule, **options)
        (method,) = options.get("methods", ("GET",))

        def declare(view: _View) -> _View:
            described = _described(view.__name__, rule, method, view._declared)  # type: ignore[attr-defined]
            view._apidoc = {"manual_doc": described}  # type: ignore[attr-defined]
            return register(view)

        return declare


_ABOUT = """Health, risk and reasons of accounts. The guide is docs/api.md.

Send a key as `Authorization: Bearer <key>` or `X-API-Key: <key>`. Bodies are JSON in UTF-8, plain or with
`Content-Encoding: gzip`; long answers are packed for those who send `Accept-Encoding: gzip`. A caller's own
`X-Request-Id` is taken over. Every refusal has the shape `Problem`; its `code` is for programs, and `x-codes` of a
response lists those it may have. What answers 429 or 5xx may be sent again after `Retry-After`, with an
`Idempotency-Key` writes too. Within `/v1` nothing is removed or renamed; members and codes may be added."""


def install(app: Flask) -> Any:
    """Give the application its addresses and an empty OpenAPI document; gives the document's builder."""
    addresses.install(app)
    app.config.update(
        API_TITLE="Ebbtide",
        API_VERSION="v1",
        OPENAPI_VERSION="3.1.0",
        OPENAPI_URL_PREFIX="/",
        OPENAPI_JSON_PATH="openapi.json",
        API_SPEC_OPTIONS={"info": {"description": _ABOUT}},
    )
    api = _Quiet(app, spec_kwargs={"extra_plugins": [Examples()]})
    spec = api.spec
    for name, header in headers.ANSWERED.items():
        spec.components.header(name, header)
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
                self._written = encode(self.spec.to_dict()).encode()
        return Response(self._written, mimetype=JSON)

    def _register_responses(self) -> None:
        """None: every route names its own."""

    def _register_error_handlers(self) -> None:
        """None."""


def rules(url_map: Map) -> list[str]:
    """Every address of the application as declared."""
    return sorted({rule.rule for rule in url_map.iter_rules() if rule.endpoint != "static"})
