"""API keys over HTTP, for those who run the service: made, listed, rotated, revoked."""

from datetime import datetime, timedelta
from typing import Any

from flask import Response

from api import admin_schemas as schemas
from api.auth import by, needs
from api.bodies import answer, instant, invalid, json_body, refuse_unknown
from api.contract import Resource, operation
from api.errors import FieldError
from api.idempotency import keep_without
from api.service import the_service
from models.clock import isoformat
from models.errors import UnknownKey
from models.store.books import Book
from models.store.keys import LONGEST_OVERLAP, SCOPES, ApiKey

resource = Resource("keys", "API keys")

_TIMES = ("created_at", "last_used_at", "expires_at", "previous_until", "revoked_at")
_LONGEST_NAME = 128
_HOURS = LONGEST_OVERLAP.total_seconds() / 3600


@resource.route("/v1/keys")
@needs("admin")
@operation(gives={200: (schemas.KeyList, "Every key, oldest first, without secrets")}, scope="admin")
def get_keys() -> Response:
    """Every key: whose it is, what it allows, when it was last used and when it ends."""
    return answer({"keys": [_line(key) for key in the_service().store.api_keys()]})


@resource.route("/v1/keys", methods=["POST"])
@needs("admin")
@operation(
    gives={201: (schemas.NewKey, "The key, with its secret, which is shown this once")},
    refuses=("invalid_data",),
    takes=schemas.KeyRequest,
    scope="admin",
)
def post_key() -> Response:
    """Make a key. Only its hash is kept: what is lost cannot be shown again."""
    service = the_service()
    body = json_body()
    refuse_unknown(body, ("name", "scopes", "owners", "segments", "expires_at"))
    errors: list[FieldError] = []
    name = body.get("name")
    if not (type(name) is str and 0 < len(name.strip()) <= _LONGEST_NAME and "\0" not in name):
        errors.append(FieldError("/name", "invalid", f"must be text of 1 to {_LONGEST_NAME} characters"))
    scopes = _texts(body, "scopes", errors)
    if not errors and not (scopes and set(scopes) <= set(SCOPES)):
        errors.append(FieldError("/scopes", "invalid", f"must be a list of {', '.join(SCOPES)}"))
    book = Book(*(_restriction(body, name, errors) for name in ("owners", "segments")))
    expires_at = _expiry(body.get("expires_at"), service.clock(), errors)
    if errors:
        raise invalid("The body does not fit; see errors.", *errors)
    return _shown_once(*service.store.create_key(str(name), scopes, expires_at, book, by()), 201)


@resource.route("/v1/keys/<key_id>/rotate", methods=["POST"])
@needs("admin")
@operation(
    gives={200: (schemas.NewKey, "The key, with its new secret, which is shown this once")},
    refuses=("unknown_key", "key_ended"),
    takes=schemas.RotateRequest,
    scope="admin",
)
def rotate_key(key_id: str) -> Response:
    """Give a key a second secret; the present one goes on working for the overlap."""
    body = json_body()
    refuse_unknown(body, ("overlap_hours",))
    hours = body.get("overlap_hours", 24)
    if type(hours) not in (int, float) or not 0 <= hours <= _HOURS:
        raise invalid(
            "The overlap does not fit.",
            FieldError("/overlap_hours", "invalid", f"must be a number from 0 to {_HOURS:g}"),
        )
    return _shown_once(*the_service().store.rotate_key(_known(key_id), timedelta(hours=hours), by()), 200)


@resource.route("/v1/keys/<key_id>", methods=["DELETE"])
@needs("admin")
@operation(gives={200: (schemas.Key, "The key, revoked")}, refuses=("unknown_key",), scope="admin")
def delete_key(key_id: str) -> Response:
    """Revoke a key: it stays listed and opens nothing any more."""
    return answer(_line(the_service().store.revoke_key(_known(key_id), by())))


def _known(key_id: str) -> str:
    """An id that could be one of ours. Raises `UnknownKey`."""
    if not key_id.isalnum():
        raise UnknownKey(f"There is no key {key_id!r}.")
    return key_id


def _shown_once(key: ApiKey, text: str, status: int) -> Response:
    return keep_without(answer({**_line(key), "key": text}, status), {**_line(key), "key": None})


def _line(key: ApiKey) -> dict[str, Any]:
    moments = {name: getattr(key, name) for name in _TIMES}
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": list(key.scopes),
        "owners": list(key.book.owners),
        "segments": list(key.book.segments),
        **{name: None if moment is None else isoformat(moment) for name, moment in moments.items()},
    }


def _texts(body: dict[str, Any], name: str, errors: list[FieldError]) -> list[str]:
    given = body.get(name, [])
    if isinstance(given, list) and all(type(text) is str for text in given):
        return given
    errors.append(FieldError(f"/{name}", "invalid", "must be a list of texts"))
    return []


def _restriction(body: dict[str, Any], name: str, errors: list[FieldError]) -> tuple[str, ...]:
    """Owners or segments; none where the member is absent. A list of nobody is refused: to open everything for it, as
    leaving it out does, would be the opposite of what it says."""
    if body.get(name) == []:
        errors.append(FieldError(f"/{name}", "invalid", "names nobody; leave it out for a key that is not restricted"))
    return tuple(_texts(body, name, errors))


def _expiry(given: Any, now: datetime, errors: list[FieldError]) -> datetime | None:
    if given is None:
        return None
    moment, wrong = instant(given)
    if moment is not None and moment <= now:
        moment, wrong = None, "must lie in the future"
    if moment is None:
        errors.append(FieldError("/expires_at", "invalid", wrong))
    return moment
