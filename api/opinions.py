"""What managers say of accounts: a health override beside the model's number, and their own sentiment."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Response

from api import opinion_schemas as schemas
from api.auth import by, needs, the_book, the_key
from api.bodies import answer, instant, invalid, json_body, refuse_unknown
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.service import the_service
from models.clock import isoformat
from models.health import BANDS
from models.store.opinions import Sentiment
from models.store.overrides import Override

resource = Resource("opinions", "What managers say of accounts")

#: The longest that an override holds, and the longest text.
LONGEST = timedelta(days=366)
_TEXT = 2000


@resource.route("/v1/accounts/<ident:account_id>/override", methods=["PUT"])
@needs("write")
@operation(
    gives={
        200: (schemas.OverrideAnswer, "In place of the one that held until now"),
        201: (schemas.OverrideAnswer, "None held until now"),
    },
    takes=schemas.OverrideBody,
    scope="write",
)
def put_override(account_id: str) -> Response:
    """Say what band an account is held for, who answers for it, why, and until when.

    It is shown beside the model's number, never instead of it, and ends by itself.
    """
    service, now = the_service(), the_service().clock()
    body = _Body(json_body(), ("band", "owner", "reason", "expires_at"))
    band = body.text("band", BANDS)
    owner, reason = body.text("owner"), body.text("reason")
    expires_at = body.moment("expires_at", now, now + LONGEST)
    body.check()
    given = Override(account_id, band, owner, reason, now, the_key().key_id, expires_at)
    new = service.store.put_override(given, by(), the_book())
    service.overrides.changed()
    return answer({"account_id": account_id, "override": override_line(given)}, 201 if new else 200)


@resource.route("/v1/accounts/<ident:account_id>/override", methods=["DELETE"])
@needs("write")
@operation(
    gives={200: (schemas.OverrideAnswer, "It is over; `override` is null")}, refuses=("no_override",), scope="write"
)
def delete_override(account_id: str) -> Response:
    """Take an override back before it ends by itself. 404 `no_override` where none holds."""
    service = the_service()
    if service.store.end_override(account_id, by(), the_book()) is None:
        raise Problem(404, "no_override", f"Account {account_id!r} has no override that holds now.")
    service.overrides.changed()
    return answer({"account_id": account_id, "override": None})


def override_line(given: Override | None) -> dict[str, Any] | None:
    """An override as it is shown; None where there is none."""
    if given is None:
        return None
    return {
        "band": given.band,
        "owner": given.owner,
        "reason": given.reason,
        "set_at": isoformat(given.set_at),
        "expires_at": isoformat(given.expires_at),
    }


@resource.route("/v1/accounts/<ident:account_id>/sentiment", methods=["PUT"])
@needs("write")
@operation(
    gives={
        200: (schemas.SentimentAnswer, "There were views before"),
        201: (schemas.SentimentAnswer, "The account's first"),
    },
    takes=schemas.SentimentBody,
    scope="write",
)
def put_sentiment(account_id: str) -> Response:
    """Keep a manager's own view of an account, and answer with it, be there a later one or not.

    Views are never inputs of the model; earlier ones are kept.
    """
    service, now = the_service(), the_service().clock()
    body = _Body(json_body(), ("sentiment", "who", "note", "at"))
    value = body.whole("sentiment", 1, 5)
    who, note = body.text("who"), body.text("note", optional=True)
    at = body.moment("at", None, now, usual=now)
    body.check()
    given = Sentiment(account_id, at, value, who, note or None, the_key().key_id)
    first = service.store.put_sentiment(given, the_book())
    return answer(_sentiment(account_id, given), 201 if first else 200)


@resource.route("/v1/accounts/<ident:account_id>/sentiment", methods=["GET"])
@needs("read")
@operation(gives={200: (schemas.SentimentAnswer, "The latest view")}, scope="read")
def get_sentiment(account_id: str) -> Response:
    """The latest view that a manager gave of an account."""
    return answer(_sentiment(account_id, the_service().store.sentiment(account_id)))


def _sentiment(account_id: str, given: Sentiment | None) -> dict[str, Any]:
    return {"account_id": account_id, "sentiment": sentiment_line(given)}


def sentiment_line(given: Sentiment | None) -> dict[str, Any] | None:
    """A view as it is shown; None where there is none."""
    if given is None:
        return None
    return {"sentiment": given.sentiment, "who": given.who, "note": given.note, "at": isoformat(given.at)}


class _Body:
    """Reads members of a body and remembers what is wrong with them; `check` refuses if anything is."""

    def __init__(self, body: dict[str, Any], known: tuple[str, ...]) -> None:
        refuse_unknown(body, known)
        self._body: Mapping[str, Any] = body
        self._errors: list[FieldError] = []

    def check(self) -> None:
        """Raise `Problem` 422 naming every member that does not fit."""
        if self._errors:
            raise invalid("The body does not fit; see errors.", *self._errors)

    def text(self, name: str, choices: tuple[str, ...] | None = None, *, optional: bool = False) -> str:
        """A text; empty where it is optional and absent, or wrong."""
        value = self._body.get(name)
        if value is None:
            return "" if optional else self._refuse(name, "required", "is required")
        if type(value) is not str or not value.strip() or "\0" in value or len(value) > _TEXT:
            return self._refuse(name, "invalid", f"must be text of 1 to {_TEXT} characters")
        if choices is not None and value not in choices:
            return self._refuse(name, "invalid", f"is one of {', '.join(choices)}")
        return value

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number; 0 where it is wrong."""
        value = self._body.get(name)
        if type(value) is int and least <= value <= most:
            return value
        self._refuse(name, "required" if value is None else "invalid", f"must be a whole number from {least} to {most}")
        return 0

    def moment(self, name: str, after: datetime | None, latest: datetime, usual: datetime | None = None) -> datetime:
        """A moment after `after` and at most `latest`; `latest` where it is wrong."""
        value = self._body.get(name)
        if value is None and usual is not None:
            return usual
        found, why = instant(value) if value is not None else (None, "is required")
        if found is None:
            self._refuse(name, "required" if value is None else "invalid", why)
        elif (after is not None and found <= after) or found > latest:
            since = "" if after is None else f"after {isoformat(after)} and "
            self._refuse(name, "invalid", f"must lie {since}no later than {isoformat(latest)}")
        else:
            return found
        return latest

    def _refuse(self, name: str, code: str, message: str) -> str:
        self._errors.append(FieldError(f"/{name}", code, message))
        return ""
