"""The worker that delivers events: makes deliveries of what is in the outbox, sends what is due, puts off what fails.

Several workers may run at once, each with several threads; a delivery is claimed by one of them at a time. A receiver
that fails gets one message at a time, so that it keeps no thread from the others.
"""

import json
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.engine import Engine

from models.store import deliveries, outbox, sources
from models.store.deliveries import LEASE, Claim
from models.store.errors import StoreError
from models.webhooks import events, schedule, signing, slack
from models.webhooks.guard import Network
from models.webhooks.send import Answer, send

#: Threads of a worker, and how many of them one receiver may keep busy.
THREADS, PER_ENDPOINT = 8, 4


class Transport(Protocol):
    """How a message gets to a receiver."""

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> Answer: ...


def over_http(allowed: tuple[Network, ...]) -> Transport:
    """Messages are sent, to public addresses and those of the networks allowed."""
    return lambda url, headers, body: send(url, headers, body, allowed)


def to_console(tell: Callable[[str], None]) -> Transport:
    """Messages are shown instead of sent, whole and signed, and count as delivered."""

    def show(url: str, headers: dict[str, str], body: bytes) -> Answer:
        lines = [f"POST {url}", *(f"{name}: {value}" for name, value in headers.items()), ""]
        tell("\n".join(lines) + "\n" + json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n")
        return Answer(200)

    return show


class Courier:
    """Delivers the events of one store until it is told to stop."""

    def __init__(
        self,
        engine: Engine,
        transport: Transport,
        clock: Callable[[], datetime],
        *,
        threads: int = THREADS,
        chance: Callable[[], float] = random.random,
        lease: timedelta = LEASE,
    ) -> None:
        self._engine, self._transport, self._clock = engine, transport, clock
        self._chance, self._lease = chance, lease
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ebbtide-webhooks")
        self._running: dict[tuple[str, int], Future[None]] = {}
        self._failing: set[str] = set()
        self._stop = threading.Event()

    def round(self) -> None:
        """Make deliveries of all events, and have what is due sent, without waiting for it."""
        while outbox.distribute(self._engine, self._clock()):
            if self._stop.is_set():
                return
        with self._engine.connect() as conn:
            busy = deliveries.busy_endpoints(conn, self._clock())
        self._running = {slot: future for slot, future in self._running.items() if not future.done()}
        for endpoint_id in busy:
            for number in range(1 if endpoint_id in self._failing else PER_ENDPOINT):
                if (endpoint_id, number) not in self._running:
                    self._running[endpoint_id, number] = self._pool.submit(self._serve, endpoint_id)

    def all_due(self) -> None:
        """Send everything that is due now, and wait for it."""
        while not self._stop.is_set():
            self.round()
            if not self._running:
                return
            for future in list(self._running.values()):
                future.result()

    def tidy(self) -> None:
        """Delete what has been in the log for long enough."""
        while outbox.prune(self._engine, self._clock()) and not self._stop.is_set():
            pass

    def watch(self) -> None:
        """Note which sources have fallen silent, which is an event."""
        sources.look(self._engine, self._clock())

    def stop(self) -> None:
        """End after the messages that are being sent."""
        self._stop.set()

    def close(self) -> None:
        """Wait for the messages that are being sent."""
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _serve(self, endpoint_id: str) -> None:
        """Send what is due at a receiver, one after the other, until something fails."""
        try:
            while not self._stop.is_set():
                held = deliveries.claim(self._engine, endpoint_id, self._clock(), self._lease)
                if held is None or not self._deliver(held):
                    return
        except StoreError as error:
            structlog.get_logger().warning("webhook_not_recorded", endpoint_id=endpoint_id, reason=str(error))

    def _deliver(self, held: Claim) -> bool:
        """Send one message and write down what became of it; whether the receiver may get another."""
        try:
            body = _body(held)
        except Exception as error:  # a bug of ours: told in the log, and the others are sent
            why = f"the message cannot be written ({type(error).__name__})"
            self._put_off(held, Answer(None, why), self._clock())
            return True
        headers = {"content-type": "application/json", "user-agent": "ebbtide-webhooks"}
        headers |= signing.headers(held.secrets, held.message_id, self._clock(), body)
        answer = self._transport(held.url, headers, body)
        now = self._clock()
        if answer.accepted:
            self._failing.discard(held.endpoint_id)
            deliveries.delivered(self._engine, held, answer.status or 0, now)
            return True
        self._failing.add(held.endpoint_id)
        self._put_off(held, answer, now)
        return False

    def _put_off(self, held: Claim, answer: Answer, now: datetime) -> None:
        gone = answer.status == 410
        wait = schedule.delay(held.attempt, self._chance)
        asked = schedule.retry_after(answer.retry_after, now)
        again = None if gone or wait is None else now + max(wait, asked or timedelta(0))
        pause = now + asked if asked and answer.status in (429, 503) else None
        error = answer.error or f"answered {answer.status}"
        deliveries.put_off(self._engine, held, answer.status, error, now, again_at=again, pause_until=pause, gone=gone)
        structlog.get_logger().info(
            "webhook_not_taken",
            endpoint_id=held.endpoint_id,
            delivery=held.delivery_no,
            status=answer.status,
            reason=error,
        )


def _body(held: Claim) -> bytes:
    if held.format == "slack":
        return slack.body(held.type, held.data)
    return events.body(held.type, held.at, held.data)
