"""One shape for everything that goes wrong: RFC 9457 problem details, on every route.

    {"type": "about:blank", "title": "Unprocessable Content", "status": 422, "code": "invalid_body",
     "detail": "The body does not fit; see errors.", "request_id": "5f0c...",
     "errors": [{"pointer": "/items/0/features/seat", "code": "unknown_feature", "message": "..."}]}

`code` is for programs and never changes its meaning; `detail` and `message` are for people. The core raises
its own types; here they get their statuses.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import structlog
from flask import Flask, Response, g
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from models.errors import (
    AddressRefused,
    ArtefactError,
    ChangedMeanwhile,
    ContractError,
    EbbtideError,
    FeatureMismatch,
    KeyEnded,
    KeyReused,
    NotGenuine,
    NotScored,
    TableModel,
    UnknownAccount,
    UnknownKey,
    UnknownList,
    UnknownWebhook,
)
from models.store.errors import StoreError

PROBLEM = "application/problem+json"
#: More errors than these are counted, not listed.
MOST_ERRORS = 100

#: What broke on our side may be asked again after this long, and of refusals only a 429, which says when.
RETRY_SECONDS = 5

_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

#: Error type -> status and code; the first that fits.
CORE: tuple[tuple[type[EbbtideError], int, str], ...] = (
    (UnknownAccount, 404, "unknown_account"),
    (UnknownList, 404, "unknown_list"),
    (UnknownKey, 404, "unknown_key"),
    (KeyEnded, 409, "key_ended"),
    (KeyReused, 422, "idempotency_key_reused"),
    (ChangedMeanwhile, 412, "precondition_failed"),
    (NotScored, 409, "not_scored"),
    (UnknownWebhook, 404, "unknown_webhook"),
    (AddressRefused, 422, "address_refused"),
    (NotGenuine, 403, "not_genuine"),
    (TableModel, 409, "model_reads_table"),
    (FeatureMismatch, 422, "feature_mismatch"),
    (ContractError, 422, "invalid_data"),
    (StoreError, 503, "store_unavailable"),
    (ArtefactError, 503, "model_unavailable"),
)

_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}

BROKEN = "Something went wrong on our side; it was logged under the request id."

_DETAILS = {
    404: "There is nothing at this address; see /openapi.json for what there is.",
    405: "This address does not take this method; the Allow header lists those it takes.",
    500: BROKEN,
}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one value. `pointer`: where in the body (RFC 6901), or the name of a query parameter."""

    pointer: str
    code: str
    message: str

    def to_plain(self) -> dict[str, str]:
        """As a dict for JSON."""
        return asdict(self)


class Problem(Exception):
    """A refusal, raised anywhere in a request. `detail` is one sentence a person can act on."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = tuple(errors), headers or {}


def problem_response(problem: Problem) -> Response:
    """The answer to a request that was refused."""
    body = problem_body(problem.status, problem.code, problem.detail, g.get("request_id", ""))
    body["errors"] = [error.to_plain() for error in problem.errors[:MOST_ERRORS]]
    response = Response(json.dumps(body), status=problem.status, content_type=PROBLEM)
    if problem.status >= 500:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    response.headers.update(problem.headers)
    return response


def problem_body(status: int, code: str, detail: str, request_id: str) -> dict[str, Any]:
    """The body of a refusal without errors of single values."""
    told = {"status": status, "code": code, "detail": detail, "request_id": request_id, "errors": []}
    return {"type": "about:blank", "title": title(status), **told}


def title(status: int) -> str:
    """The status in words, as the current standard has them."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def from_core(error: EbbtideError) -> Problem:
    """What an error of the core is to a caller."""
    for kind, status, code in CORE:
        if isinstance(error, kind):
            return Problem(status, code, str(error))
    return Problem(500, "internal", BROKEN)


def install(app: Flask) -> None:
    """Make every failure of the application, its own 404s and bugs included, an answer of the one shape."""

    @app.errorhandler(Problem)
    def refused(problem: Problem) -> Response:
        return problem_response(problem)

    @app.errorhandler(EbbtideError)
    def refused_by_core(error: EbbtideError) -> Response:
        problem = from_core(error)
        if problem.status >= 500:
            _log("refused", code=problem.code, reason=str(error))
        return problem_response(problem)

    @app.errorhandler(HTTPException)
    def refused_by_framework(error: HTTPException) -> Response:
        return problem_response(_from_framework(app, error))

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        # The traceback is for the log alone; its text may hold values, so only types and places are kept.
        _log("failed", error=type(error).__name__, where=_where(error))
        return problem_response(Problem(500, "internal", BROKEN))


def _log(event: str, **values: Any) -> None:
    structlog.get_logger().error(event, request_id=g.get("request_id"), **values)


def _from_framework(app: Flask, error: HTTPException) -> Problem:
    status = error.code or 500
    if isinstance(error, RequestEntityTooLarge):
        limit = app.config["MAX_CONTENT_LENGTH"] // 1024**2
        return Problem(413, "too_large", f"The body is larger than {limit} MB; send it in parts.")
    headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    detail = _DETAILS.get(status) or str(error.description or title(status))
    return Problem(status, _CODES.get(status, "refused"), detail, headers=headers)


def _where(error: BaseException) -> list[str]:
    """Files and lines of the traceback, innermost last, without the values in it."""
    places, frame = [], error.__traceback__
    while frame is not None:
        code = frame.tb_frame.f_code
        places.append(f"{code.co_filename.rsplit('/', 2)[-1]}:{frame.tb_lineno} {code.co_name}")
        frame = frame.tb_next
    return places[-12:]
