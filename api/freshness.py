"""How far the data reach, looked up every few seconds instead of with every request."""

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import polars as pl
import structlog

from models.columns import Table
from models.store.access import Store
from models.store.errors import StoreError
from models.store.history import Freshness
from models.store.missed import Spells
from models.store.portfolio import End
from models.store.types import MICROSECOND

#: Seconds for which an answer may be out of date; whether a feed is quiet takes a count over eight weeks.
KEEP_SECONDS, KEEP_QUIET_SECONDS = 5.0, 60.0
#: Earlier moments that are remembered.
_MOST_EARLIER = 256
#: Seconds between two notes of the same source: what comes in between is noted with the next.
NOTE_SECONDS = 5.0


class Reach:
    """The freshness of the store's tables as one process sees it."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._until = self._end_until = 0.0
        self._found: Mapping[str, Freshness] = {}
        self._end: End | None = None
        self._missing_until = 0.0
        self._missing: Spells = ()
        self._earlier: dict[datetime, tuple[float, Spells]] = {}

    def now(self) -> Mapping[str, Freshness]:
        """Per contract table, how far its rows reach; at most `KEEP_SECONDS` old."""
        if time.monotonic() >= self._until:
            self._found = self._store.freshness()
            self._until = time.monotonic() + KEEP_SECONDS
        return self._found

    def quiet_since(self) -> datetime | None:
        """Since when the contact feed is quiet (`models.rhythm`); None while it is alive, and where there is none."""
        end = self._contacts_end()
        return None if end is None else end.options().get("quiet_since")

    def told_until(self) -> dict[str, Any]:
        """How scoring is told where contacts end, and when they were missing (`models.store.scoring`)."""
        end = self._contacts_end()
        return {"missing": self.missing(), **({} if end is None else end.options())}

    def missing(self) -> Spells:
        """The spells in which nobody was listening (`models.store.missed`); at most `KEEP_QUIET_SECONDS` old."""
        if time.monotonic() >= self._missing_until:
            self._missing = self._store.missed(self.scored_as_of(self._clock()))
            self._missing_until = time.monotonic() + KEEP_QUIET_SECONDS
        return self._missing

    def missing_at(self, at: datetime) -> Spells:
        """The same of an earlier moment. Runs are of the same moment for everybody, so few are asked about."""
        known = self._earlier.get(at)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        if len(self._earlier) >= _MOST_EARLIER:
            self._earlier.clear()
        found = self._store.missed(at)
        self._earlier[at] = time.monotonic() + KEEP_QUIET_SECONDS, found
        return found

    def scored_as_of(self, now: datetime) -> datetime:
        """The moment that scores made now are of: the end of what was told of contacts, where it has ended."""
        end = self._contacts_end()
        return now if end is None else min(now, end.since + MICROSECOND)

    def _contacts_end(self) -> End | None:
        if time.monotonic() >= self._end_until:
            self._end = self._store.contacts_end(self._clock())
            self._end_until = time.monotonic() + (KEEP_SECONDS if self._end is None else KEEP_QUIET_SECONDS)
        return self._end

    def contacts_arrived(self) -> None:
        """Look again before the next answer."""
        if self._end is not None:  # it may be back, and what it missed begins to count
            self._missing_until = 0.0
        self._end_until = 0.0


class Arrivals:
    """What each source told this process, noted soon and off the request's path (`models.store.sources`)."""

    def __init__(
        self, store: Store, clock: Callable[[], datetime], later: Callable[[Callable[[], None]], None]
    ) -> None:
        self._store, self._clock, self._later = store, clock, later
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, str], tuple[int, datetime | None]] = {}
        self._noted: dict[tuple[str, str], float] = {}

    def told(self, source: str, table: Table, rows: pl.DataFrame, new: int) -> None:
        """A source told rows of a table, so many of them new to the store."""
        happened = rows.select(pl.max_horizontal(pl.col(name).max() for name in table.happened if name in rows.columns))
        latest: datetime | None = happened.item() if happened.width else None
        key = (source, table.name)
        with self._lock:
            count, before = self._waiting.get(key, (0, None))
            moments = [moment for moment in (before, latest) if moment is not None]
            self._waiting[key] = (count + new, max(moments, default=None))
            if time.monotonic() - self._noted.get(key, -NOTE_SECONDS) < NOTE_SECONDS:
                return
            self._noted[key] = time.monotonic()
            if len(self._noted) > 1_000:
                self._noted.clear()
        self._later(lambda: self._note(key))

    def _note(self, key: tuple[str, str]) -> None:
        with self._lock:
            count, latest = self._waiting.pop(key, (0, None))
        try:
            self._store.note_source(*key, count, self._clock(), latest)
        except StoreError as error:
            structlog.get_logger().warning("source_not_noted", source=key[0], reason=str(error))
