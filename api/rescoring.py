"""What happens to scores when facts arrive, by `EBBTIDE_SCORE_ON_WRITE`.

    inline   the touched accounts are scored before the answer, up to `MOST_INLINE` of them per request
    worker   they are scored soon after the answer, by a thread of this process, many requests' accounts at once
    off      they wait for the next run

While the contact feed is quiet (`models.rhythm`) they are scored as of the last it told.

What is not scored here (too many accounts, no model in service, the process ends) the next run scores.
"""

import queue
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime

import structlog

from api.freshness import Reach
from api.metrics import Metrics
from api.serving import Serving
from models.errors import EbbtideError
from models.settings import Settings
from models.store.access import Store

#: Accounts scored before the answer; more would keep the caller waiting for longer than writing took.
MOST_INLINE = 1_000
#: Accounts the thread scores at once, and how many may wait for it.
AT_ONCE = 5_000
MOST_WAITING = 200_000

Job = Callable[[], None]


@dataclass(frozen=True)
class Outcome:
    """How many of the touched accounts were scored before the answer, will be soon, or wait for the next run."""

    rescored: int = 0
    queued: int = 0
    left_to_next_run: int = 0


class Background:
    """One thread for what a request need not wait for. It starts with the first job and ends with the process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def later(self, job: Job) -> None:
        """Run a job soon, after those before it."""
        self._jobs.put(job)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="ebbtide-background", daemon=True)
                    self._thread.start()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception as error:
                structlog.get_logger().error("background_failed", error=type(error).__name__)


class Rescoring:
    """Scores accounts whose facts just arrived."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        serving: Serving,
        metrics: Metrics,
        clock: Callable[[], datetime],
        background: Background,
        reach: Reach,
    ) -> None:
        self._settings, self._store, self._serving = settings, store, serving
        self._metrics, self._clock, self._background, self._reach = metrics, clock, background, reach
        self._waiting: set[str] = set()
        self._lock = threading.Lock()

    def facts_arrived(self, account_ids: Collection[str]) -> Outcome:
        """Have the accounts scored, now, soon or with the next run. Never fails: the facts are kept already."""
        outcome = self._decide(account_ids)
        self._metrics.waiting.inc(outcome.left_to_next_run)
        return outcome

    def _decide(self, account_ids: Collection[str]) -> Outcome:
        mode = self._settings.score_on_write
        if not account_ids:
            return Outcome()
        if mode == "worker":
            return self._queue(account_ids)
        if mode == "off" or len(account_ids) > MOST_INLINE:
            return Outcome(left_to_next_run=len(account_ids))
        scored = self._score(account_ids)
        return Outcome(left_to_next_run=len(account_ids)) if scored is None else Outcome(rescored=scored)

    def _queue(self, account_ids: Collection[str]) -> Outcome:
        with self._lock:
            if len(self._waiting) + len(account_ids) > MOST_WAITING:
                return Outcome(left_to_next_run=len(account_ids))
            idle = not self._waiting
            self._waiting.update(account_ids)
        if idle:
            self._background.later(self._work_off)
        return Outcome(queued=len(account_ids))

    def _work_off(self) -> None:
        while True:
            with self._lock:
                batch = [self._waiting.pop() for _ in range(min(AT_ONCE, len(self._waiting)))]
            if not batch:
                return
            if self._score(batch) is None:
                self._metrics.waiting.inc(len(batch))

    def _score(self, account_ids: Collection[str]) -> int | None:
        """How many were scored; None where they could not be."""
        now = self._clock()
        try:
            model = self._serving.current().model
            options = {"margin": self._settings.margin, "currency": self._settings.currency}
            scored = self._store.rescore(model, list(account_ids), now, **self._reach.told_until(), **options)
        except EbbtideError as error:
            structlog.get_logger().warning("not_rescored", accounts=len(account_ids), reason=str(error))
            return None
        except Exception as error:
            # The facts are stored already: a bug in scoring must neither fail the write nor end the thread.
            structlog.get_logger().error("not_rescored", accounts=len(account_ids), error=type(error).__name__)
            return None
        self._metrics.rescored.inc(scored)
        return scored
