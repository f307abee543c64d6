"""Who may do what: API keys in `Authorization: Bearer <key>` or `X-API-Key: <key>`.

    no key, or one that is none of ours         401
    a key without the scope the route needs     403
    /healthz /readyz /metrics /openapi.json     open: they say nothing about any account

A key that was checked is trusted for `TRUST_SECONDS` by the process that checked it, so a revoked key works that
much longer at most, and a request does not cost a look-up each.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from hashlib import sha256
from typing import Any, TypeVar

import structlog
from flask import current_app, g, request

from api.errors import Problem
from models.store.access import Store
from models.store.errors import StoreError
from models.store.keys import USE_STEP, ApiKey

TRUST_SECONDS = 5.0
#: Keys trusted at once; more than any deployment has, so that guesses cannot fill the memory.
MOST_TRUSTED = 1000

_BEARER = "bearer "
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ebbtide"'}

_View = TypeVar("_View", bound=Callable[..., Any])


class Keys:
    """The API keys as one process sees them. `later` runs a job soon, off the request's path."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._store, self._clock, self._later = store, clock, later
        self._trusted: dict[bytes, tuple[float, ApiKey]] = {}
        self._lock = threading.Lock()

    def find(self, presented: str) -> ApiKey | None:
        """The key this text is; None if it is none of ours or revoked."""
        # The digest is the name under which a checked key is remembered; the secret itself is kept nowhere.
        digest = sha256(presented.encode("utf-8", "surrogateescape")).digest()
        known = self._trusted.get(digest)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        key = self._store.key(presented)
        with self._lock:
            self._trusted.pop(digest, None)
            if key is None:
                return None
            if len(self._trusted) >= MOST_TRUSTED:
                self._trusted.clear()
            self._trusted[digest] = (time.monotonic() + TRUST_SECONDS, key)
        self._remember_use(key)
        return key

    def _remember_use(self, key: ApiKey) -> None:
        now = self._clock()
        if key.last_used_at is None or now - key.last_used_at >= USE_STEP:
            self._later(lambda: _touch(self._store, key, now))


def _touch(store: Store, key: ApiKey, at: datetime) -> None:
    try:
        store.touch(key, at)
    except StoreError as error:
        structlog.get_logger().warning("key_use_not_recorded", key_id=key.key_id, reason=str(error))


def needs(scope: str) -> Callable[[_View], _View]:
    """Only callers whose key has this scope get to the view. Raises `Problem` 401 or 403."""

    def decorate(view: _View) -> _View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            keys: Keys = current_app.extensions["ebbtide"].keys
            _check(keys, scope)
            return view(*args, **kwargs)

        return guarded  # type: ignore[return-value]

    return decorate


def _check(keys: Keys, scope: str) -> None:
    presented = _presented()
    if not presented:
        detail = "This address needs an API key; send it as Authorization: Bearer <key>."
        raise Problem(401, "unauthenticated", detail, headers=_CHALLENGE)
    key = keys.find(presented)
    if key is None:
        raise Problem(401, "unauthenticated", "This API key is not known or was revoked.", headers=_CHALLENGE)
    g.key_id = key.key_id
    if not key.allows(scope):
        raise Problem(403, "forbidden", f"The key {key.name!r} lacks the scope {scope!r}.")


def _presented() -> str:
    """The key as sent; empty where there is none, or none that could be one of ours."""
    headers = request.headers
    text = headers.get("Authorization", "")
    if text[: len(_BEARER)].lower() == _BEARER:
        return text[len(_BEARER) :].strip()
    return headers.get("X-API-Key", "").strip()
