"""Who may do what: API keys in `Authorization: Bearer <key>` or `X-API-Key: <key>`.

    no key, or one that is none of ours           401
    a key without the scope the route needs       403
    /healthz /readyz /metrics /openapi.json       open: they say nothing about any account

A key can be restricted to a book (`models.store.books`). Each route says by `needs(..., restricted=)` what that means:

    a route with <account_id> in its address      an account outside the book is answered as one nobody has described,
                                                  here, before anything else of the request is looked at
    restricted="refused" (the default)            403: the route speaks of more than one account and does not ask
    restricted="narrowed"                         the view passes `the_book()` to every query about accounts
    restricted="harmless"                         the route says nothing about any account

A key that was checked is trusted for `TRUST_SECONDS` by the process that checked it, so a revoked key works that
much longer at most, and a request does not cost a look-up each.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial, wraps
from hashlib import sha256
from typing import Any, Literal, TypeVar

import structlog
from flask import current_app, g, request

from api.errors import Problem
from api.idempotency import HEADER, METHODS
from models.errors import UnknownAccount
from models.store.access import Store
from models.store.audit import By
from models.store.books import Book
from models.store.errors import StoreError
from models.store.keys import USE_STEP, ApiKey

TRUST_SECONDS = 5.0
#: Keys trusted at once; more than any deployment has, so that guesses cannot fill the memory.
MOST_TRUSTED = 1000

_BEARER = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ebbtide"'}

_View = TypeVar("_View", bound=Callable[..., Any])
Restricted = Literal["refused", "narrowed", "harmless"]


class Keys:
    """The API keys as one process sees them. `later` runs a job soon, off the request's path."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._store, self._clock, self._later = store, clock, later
        self._trusted: dict[bytes, tuple[float, ApiKey]] = {}
        self._lock = threading.Lock()

    def find(self, presented: str) -> ApiKey | None:
        """The key this text is; None if it is none of ours, revoked or expired."""
        # The digest is the name under which a checked key is remembered; the secret itself is kept nowhere.
        digest = sha256(presented.encode("utf-8", "surrogateescape")).digest()
        known = self._trusted.get(digest)
        if known is not None and time.monotonic() < known[0] and self._still(known[1]):
            return known[1]
        key = self._store.key(presented, self._clock())
        with self._lock:
            self._trusted.pop(digest, None)
            if key is None:
                return None
            if len(self._trusted) >= MOST_TRUSTED:
                self._trusted.clear()
            self._trusted[digest] = (time.monotonic() + TRUST_SECONDS, key)
        self._remember_use(key)
        return key

    def _still(self, key: ApiKey) -> bool:
        return key.valid_until is None or self._clock() < key.valid_until

    def _remember_use(self, key: ApiKey) -> None:
        now = self._clock()
        if key.last_used_at is None or now - key.last_used_at >= USE_STEP:
            self._later(lambda: _touch(self._store, key, now))


def _touch(store: Store, key: ApiKey, at: datetime) -> None:
    try:
        store.touch(key, at)
    except StoreError as error:
        structlog.get_logger().warning("key_use_not_recorded", key_id=key.key_id, reason=str(error))


def needs(scope: str, *, restricted: Restricted = "refused", conditional: bool = False) -> Callable[[_View], _View]:
    """Only callers whose key has this scope get to the view, restricted ones as far as `restricted` says.

    `conditional`: the view looks at If-Match, which is refused otherwise: a write that ignored it would overwrite.
    A write that carries an Idempotency-Key is done once (`api.idempotency`); scoring on demand writes nothing.
    Raises `Problem` 401, 403 or 429, and `UnknownAccount` for an account in the address that is not in his book.
    """

    def decorate(view: _View) -> _View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            service = current_app.extensions["ebbtide"]
            key = _caller(service.keys)
            service.limits.take(key.key_id)
            if not key.allows(scope):
                raise Problem(403, "forbidden", f"The key {key.name!r} lacks the scope {scope!r}.")
            if key.book.restricted:
                _check_book(service.store, key, kwargs.get("account_id"), restricted)
            if request.method in METHODS and not conditional and "If-Match" in request.headers:
                raise Problem(400, "condition_not_supported", "This address does not look at If-Match; leave it out.")
            if request.method in METHODS and HEADER in request.headers and scope != "score":
                return service.once.answer(key, partial(view, *args, **kwargs))
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def the_key() -> ApiKey:
    """The key of the caller. Only in views that `needs` guards."""
    key: ApiKey = g.key
    return key


def the_book() -> Book:
    """The accounts the caller may know of. Only in views that `needs` guards."""
    return the_key().book


def by() -> By:
    """The caller as the maker of a change, for the audit log."""
    return By(f"key:{the_key().key_id}", current_app.extensions["ebbtide"].clock(), g.request_id)


def _check_book(store: Store, key: ApiKey, account_id: str | None, restricted: Restricted) -> None:
    if account_id is not None:
        # The same look-up and the same words, whether the account is somebody else's or nobody's.
        if account_id not in store.held(key.book, [account_id]):
            raise UnknownAccount(f"There is no account {account_id!r}.")
    elif restricted == "refused":
        detail = f"The key {key.name!r} is restricted to some accounts, and this address speaks of all."
        raise Problem(403, "restricted_key", detail)


def _caller(keys: Keys) -> ApiKey:
    presented = _presented()
    if not presented:
        detail = "This address needs an API key; send it as Authorization: Bearer <key>."
        raise Problem(401, "unauthenticated", detail, headers=_CHALLENGE)
    key = keys.find(presented)
    if key is None:
        raise Problem(
            401, "unauthenticated", "This API key is not known, has expired or was revoked.", headers=_CHALLENGE
        )
    g.key_id, g.key = key.key_id, key
    return key


def _presented() -> str:
    """The key as sent; empty where there is none, or none that could be one of ours."""
    headers = request.headers
    text = headers.get("Authorization", "")
    if text[: len(_BEARER)].lower() == _BEARER:
        return text[len(_BEARER) :].strip()
    return headers.get("X-API-Key", "").strip()
