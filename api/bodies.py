"""Bodies in and out: strict JSON, refused with the one error shape."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn, TypeVar

from flask import Response, current_app, request

from api import transport
from api.errors import FieldError, Problem
from models.clock import parse_instant
from models.errors import NaiveTime
from models.imports.times import EARLIEST, LATEST

JSON = "application/json"
#: A line of JSON per row.
NDJSON = "application/x-ndjson"

_View = TypeVar("_View", bound=Callable[..., Any])


def json_body(*also: str) -> dict[str, Any]:
    """The request's body as a JSON object. Raises `Problem` 415, 400 or 422. `also`: other types the address takes.

    Stricter than Python's reader: no NaN or Infinity, and no half of a surrogate pair, which is no text.
    """
    mimetype = request.mimetype
    if mimetype != JSON:
        wanted = " or ".join((JSON, *also))
        raise Problem(415, "unsupported_media_type", f"Send the body as {wanted}, not {mimetype or 'without a type'}.")
    raw = transport.body(current_app.config["MAX_CONTENT_LENGTH"])
    body = parse(raw)
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.", FieldError("", "invalid", "must be an object"))
    return body


def items_of(body: dict[str, Any], most: int, known: tuple[str, ...] = ("items",)) -> list[Any]:
    """The body's `items`: a list of 1 to `most`. Raises `Problem` 413 or 422."""
    refuse_unknown(body, known)
    items = body.get("items")
    if not isinstance(items, list) or not items:
        raise invalid(
            "The body needs a list of items.", FieldError("/items", "required", "must be a list of at least one item")
        )
    if len(items) > most:
        raise Problem(413, "too_many_items", f"{len(items):,} items are too many for one request; send up to {most:,}.")
    return items


def refuse_unknown(body: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raise `Problem` 422 for a member nobody knows: a misspelt option must not pass as if it had worked."""
    errors = [
        FieldError(f"/{escape(name)}", "unknown_field", f"is not known here; known are {', '.join(known)}")
        for name in body
        if name not in known
    ]
    if errors:
        raise invalid("The body has members that are not known here.", *errors)


def query(*known: str) -> dict[str, str]:
    """The query parameters, each given once. Raises `Problem` 422 for one that is repeated or, where `known` are named,
    not known: what is not understood must not pass as if it had worked."""
    errors = [
        FieldError(name, "repeated_parameter", "is given more than once")
        for name, values in request.args.lists()
        if len(values) > 1
    ]
    if known:
        errors += [
            FieldError(name, "unknown_parameter", f"is not known here; known are {', '.join(known)}")
            for name in request.args
            if name not in known
        ]
    if errors:
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", errors)
    return request.args.to_dict()


def without_query(view: _View) -> _View:
    """The view, which takes no query parameters: one that is sent raises `Problem` 422."""

    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if request.args:
            errors = [
                FieldError(name, "unknown_parameter", "is not known here; there are none") for name in request.args
            ]
            raise Problem(422, "invalid_query", "This address takes no query parameters.", errors)
        return view(*args, **kwargs)

    return checked  # type: ignore[return-value]


def invalid(detail: str, *errors: FieldError) -> Problem:
    """A body that does not fit."""
    return Problem(422, "invalid_body", detail, errors)


#: Not-a-number is a bug here, not an answer, and fails loudly. Made once: making an encoder costs as much as using it.
encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def answer(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return answer_text(encode(body), status)


def answer_text(text: str, status: int = 200) -> Response:
    """A JSON answer that is written already."""
    return Response(text, status=status, content_type=JSON)


def nothing() -> Response:
    """The answer that something was done and there is nothing to say."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    return response


def whole_number(text: str, most: int) -> int | None:
    """The number from 1 to `most` that a query parameter is; None for anything else."""
    digits = text.isascii() and text.isdigit() and len(text) <= 9
    return int(text) if digits and 1 <= int(text) <= most else None


def page_size(asked: Mapping[str, str], usual: int, most: int) -> int:
    """How many entries a page shall have (`limit`). Raises `Problem` 422."""
    limit = whole_number(asked.get("limit", str(usual)), most)
    if limit is None:
        error = FieldError("limit", "invalid", f"must be a whole number from 1 to {most}")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    return limit


def linked(response: Response, following: str | None) -> Response:
    """The answer with the address of the following page in a header, too."""
    if following is not None:
        response.headers["Link"] = f'<{following}>; rel="next"'
    return response


def chosen_fields(text: str | None, known: tuple[str, ...]) -> frozenset[str] | None:
    """The members asked for by `fields=a,b`; None: all. Raises `Problem` 422 for one that is not known."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        error = FieldError("fields", "invalid", f"has {unknown[0][:80]!r}; known are {', '.join(known)}")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    return frozenset(names)


def with_member(text: str, name: str, value: str) -> str:
    """A JSON object that is written already, with one more member that is."""
    return f'{text[:-1]},"{name}":{value}}}'


def instant(given: Any) -> tuple[datetime | None, str]:
    """A moment of a body, or None and what is wrong with it."""
    try:
        moment = parse_instant(given)
    except NaiveTime as error:
        return None, str(error)
    except (ValueError, AttributeError, OverflowError, TypeError):
        return None, "must be an ISO 8601 time with an offset, such as 2026-03-02T08:00:00Z"
    if not EARLIEST <= moment < LATEST:
        return None, f"lies outside the years {EARLIEST.year} to {LATEST.year - 1}"
    return moment, ""


def escape(name: str) -> str:
    """A member's name within a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def parse(raw: bytes) -> Any:
    """Strict JSON: UTF-8, each member of an object once. Raises `Problem` 400."""
    try:
        # Decoded here: Python's reader would let half a surrogate pair pass, and guess at other encodings.
        body = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_number, object_pairs_hook=_object)
        if b"\\ud" in raw or b"\\uD" in raw:
            json.dumps(body, ensure_ascii=False).encode()
    except RecursionError:
        raise Problem(400, "malformed_json", "The body is nested too deeply.") from None
    except UnicodeError:
        raise Problem(400, "malformed_json", "The body is not UTF-8 text.") from None
    except _Twice as error:
        raise Problem(400, "malformed_json", f"The body has {error} twice in one object.") from None
    except ValueError as error:
        raise Problem(400, "malformed_json", f"The body is not JSON: {_said(error)}.") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = Counter(name for name, _ in pairs)
        raise _Twice(repr(names.most_common(1)[0][0][:80]))
    return found


def _no_number(name: str) -> NoReturn:
    raise _NoNumber(f"{name} is no JSON number")


def _said(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.lower()} at line {error.lineno}, column {error.colno}"
    # Python's own words on a number of thousands of digits are advice to programmers of Python.
    return str(error) if isinstance(error, _NoNumber) else "a number has too many digits"


class _Twice(Exception):
    """A member that an object names twice: whichever was meant, one of the two would be lost without a word."""


class _NoNumber(ValueError):
    """A word that Python reads as a number and JSON does not."""
