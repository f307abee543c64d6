"""How much a key may ask: a quota per window, told with every answer, shared by all processes where Redis is set.

    RateLimit-Policy: "key";q=6000;w=60        6,000 requests in 60 seconds
    RateLimit: "key";r=5999;t=42               5,999 are left, all of them again in 42 seconds

Windows are fixed ones of the wall clock. Without Redis each process counts alone, so a service of two processes lets
through up to twice the quota. While Redis does not answer, each process counts alone, too, and says so in the log: a
service that stops serving because a counter is away would be the worse failure.
"""

import threading
import time
from typing import Any, Protocol

import structlog
from flask import Response, g

from api.errors import Problem
from models.errors import SettingsError

#: Seconds for which Redis is left alone after it did not answer.
_REST_SECONDS = 5.0
_PATIENCE_SECONDS = 0.25


class Counter(Protocol):
    """Counts requests."""

    def count(self, name: str, window: int, ends: float) -> int:
        """How many there were in this window, this one included."""


class Memory:
    """Counts of one process; those of the window before are forgotten together."""

    def __init__(self) -> None:
        self._window = -1
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def count(self, name: str, window: int, ends: float) -> int:  # noqa: ARG002 - a window of its own needs no end
        """How many there were in this window, this one included."""
        with self._lock:
            if window != self._window:
                self._window, self._counts = window, {}
            self._counts[name] = found = self._counts.get(name, 0) + 1
            return found


class Shared:
    """Counts of all processes, in Redis; of this one alone while Redis does not answer."""

    def __init__(self, url: str) -> None:
        try:
            import redis  # noqa: PLC0415 - an extra that most deployments do without
        except ModuleNotFoundError as error:
            raise SettingsError("EBBTIDE_REDIS_URL needs its driver: pip install 'ebbtide[redis]'.") from error
        patience = {"socket_timeout": _PATIENCE_SECONDS, "socket_connect_timeout": _PATIENCE_SECONDS}
        self._redis: Any = redis.Redis.from_url(url, **patience)
        self._broken: Any = redis.RedisError
        self._alone = Memory()
        self._rests_until = 0.0

    def count(self, name: str, window: int, ends: float) -> int:
        """How many there were in this window, this one included."""
        if time.monotonic() >= self._rests_until:
            try:
                return self._ask(f"ebbtide:rate:{name}:{window}", ends)
            except self._broken as error:
                self._rests_until = time.monotonic() + _REST_SECONDS
                structlog.get_logger().warning("rate_limit_not_shared", reason=type(error).__name__)
        return self._alone.count(name, window, ends)

    def _ask(self, name: str, ends: float) -> int:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.incr(name)
            pipe.expireat(name, int(ends) + 1)
            return int(pipe.execute()[0])


class Limits:
    """The quota of each key. `quota` None: no limit."""

    def __init__(self, quota: tuple[int, int] | None, redis_url: str) -> None:
        self._quota = quota
        self._counter: Counter | None = None
        if quota is not None:
            self._counter = Shared(redis_url) if redis_url else Memory()

    def take(self, key_id: str) -> None:
        """Count this request. Raises `Problem` 429 where the quota of its key is used up."""
        if self._quota is None or self._counter is None:
            return
        most, seconds = self._quota
        now = time.time()
        window = int(now // seconds)
        ends = float((window + 1) * seconds)
        used = self._counter.count(key_id, window, ends)
        left, rest = max(most - used, 0), max(int(ends - now) + 1, 1)
        g.rate = {"RateLimit-Policy": f'"key";q={most};w={seconds}', "RateLimit": f'"key";r={left};t={rest}'}
        if used > most:
            detail = f"This key may ask {most:,} times in {seconds} seconds; go on in {rest} seconds."
            raise Problem(429, "rate_limited", detail, headers={"Retry-After": str(rest)})


def told(response: Response) -> Response:
    """The answer with what is left of the quota."""
    for name, value in g.get("rate", {}).items():
        response.headers[name] = value
    return response
