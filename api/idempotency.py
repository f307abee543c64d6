"""Idempotency-Key: a write that is sent twice happens once, and both callers get the one answer.

    first time                            done, its answer kept for EBBTIDE_IDEMPOTENCY_HOURS
    again, the same request               the kept answer, with `Idempotency-Replayed: true`
    again, while the first is at work     waits up to `WAIT_SECONDS`, then 409 `idempotency_in_progress`
    the key with another request          422 `idempotency_key_reused`

Kept is what was done or decided: answers below 400, and 404, 409, 410 and 412. What was refused before anything was
looked at (400, 401, 403, 406, 413, 415, 422, 429) and what broke (5xx) is not, so that it can be sent again.
"""

import re
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

import structlog
from flask import Response, g, request
from werkzeug.exceptions import HTTPException

from api import transport
from api.bodies import NDJSON, encode
from api.errors import Problem, from_core, problem_response
from models.errors import EbbtideError
from models.store import answers
from models.store.access import Store
from models.store.answers import Asked, Claim, Kept
from models.store.errors import StoreError
from models.store.keys import ApiKey

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
WAIT_SECONDS, POLL_SECONDS = 2.0, 0.05
#: Seconds between two looks for answers that are kept no longer.
SWEEP_SECONDS = 60.0

IN_PROGRESS = f"The first request with this {HEADER} is still being worked on; ask again for its answer."

_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_DECIDED = frozenset({404, 409, 410, 412})
_HEADERS = ("Content-Type", "ETag", "Location")


class Once:
    """Kept answers as one process sees them. `later` runs a job soon, off the request's path."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        later: Callable[[Callable[[], None]], None],
        hours: int,
        most: int,
        body_bytes: int,
    ) -> None:
        self._engine, self._clock, self._later = store.engine, clock, later
        self._keep, self._most, self._body_bytes = timedelta(hours=hours), most, body_bytes
        self._full: frozenset[str] = frozenset()
        self._next_sweep = time.monotonic() + SWEEP_SECONDS
        self._lock = threading.Lock()

    def answer(self, key: ApiKey, view: Callable[[], Response]) -> Response:
        """The answer to this request: the view's, or the one it was given before."""
        asked = self._asked(key)
        self._sweep_sometimes()
        found = self._claim(asked)
        return _again(found) if isinstance(found, Kept) else self._do(found, view)

    def _asked(self, key: ApiKey) -> Asked:
        given = request.headers[HEADER]
        if not _KEY.fullmatch(given):
            detail = f"{HEADER} is 1 to 255 printable ASCII characters, without a space at either end."
            raise Problem(400, "invalid_idempotency_key", detail)
        if key.key_id in self._full:
            detail = (
                f"The key {key.name!r} has {self._most:,} answers kept; wait until the oldest are {self._keep} old."
            )
            raise Problem(429, "too_many_idempotency_keys", detail, headers={"Retry-After": "600"})
        if request.mimetype == NDJSON:
            detail = f"The answer to a stream is not kept; send it without {HEADER}: its lines may be sent again."
            raise Problem(422, "idempotency_not_for_streams", detail)
        about = (
            request.method,
            request.full_path,
            request.mimetype,
            request.headers.get("If-Match"),
            request.headers.get("If-None-Match"),
        )
        digest = sha256(repr(about).encode("utf-8", "surrogatepass"))
        digest.update(transport.body(self._body_bytes))
        return Asked(key.key_id, given, digest.hexdigest())

    def _claim(self, asked: Asked) -> Claim | Kept:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            found = answers.claim(self._engine, asked, self._clock())
            if found is not None:
                return found
            if time.monotonic() >= deadline:
                raise Problem(409, "idempotency_in_progress", IN_PROGRESS, headers={"Retry-After": "1"})
            time.sleep(POLL_SECONDS)

    def _do(self, claimed: Claim, view: Callable[[], Response]) -> Response:
        try:
            response = _decided(view)
        except BaseException:
            self._release(claimed)
            raise
        if is_kept(response.status_code):
            self._finish(claimed, response)
        else:
            self._release(claimed)
        return response

    def _finish(self, claimed: Claim, response: Response) -> None:
        kept = g.get("answer_to_keep")
        body = response.get_data() if kept is None else kept
        headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
        try:
            answers.finish(self._engine, claimed, response.status_code, headers, body, self._clock() + self._keep)
        except StoreError as error:
            # It was done: saying otherwise would be worse than doing it again, which changes nothing.
            structlog.get_logger().error("answer_not_kept", reason=str(error))

    def _release(self, claimed: Claim) -> None:
        try:
            answers.release(self._engine, claimed)
        except StoreError as error:
            structlog.get_logger().error("claim_not_released", reason=str(error))

    def _sweep_sometimes(self) -> None:
        with self._lock:
            due = time.monotonic() >= self._next_sweep
            if due:
                self._next_sweep = time.monotonic() + SWEEP_SECONDS
        if due:
            self._later(self.sweep)

    def sweep(self) -> None:
        """Delete what is kept no longer, and see whose keys are full."""
        answers.sweep(self._engine, self._clock())
        with self._engine.connect() as conn:
            found = answers.counts(conn)
        self._full = frozenset(key_id for key_id, number in found.items() if number >= self._most)


def is_kept(status: int) -> bool:
    """Whether an answer of this status is given again: it says what was done or decided."""
    return status < 400 or status in _DECIDED


def keep_without(response: Response, body: dict[str, object]) -> Response:
    """The response, of which another body is kept: a secret that is shown once is kept nowhere."""
    g.answer_to_keep = encode(body).encode()
    return response


def _decided(view: Callable[[], Response]) -> Response:
    """The view's answer, refusals included; what the framework refuses and what breaks goes on its way."""
    try:
        return view()
    except HTTPException:
        raise
    except Problem as refused:
        return problem_response(refused)
    except EbbtideError as error:
        problem = from_core(error)
        if problem.status >= 500:
            raise
        return problem_response(problem)


def _again(kept: Kept) -> Response:
    return Response(kept.body, status=kept.status, headers={**kept.headers, REPLAYED: "true"})
