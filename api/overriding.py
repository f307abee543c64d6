"""The overrides as one process sees them: enough to know when a written page of a list is out of date."""

import time
from collections.abc import Callable
from datetime import datetime

from models.store.access import Store

#: An override set through another process is seen on lists at most this many seconds later.
SECONDS = 1.0

#: When the last one changed, when the next one is over, and how many changes this process has made.
Version = tuple[datetime | None, datetime | None, int]


class Overrides:
    """The version of all overrides: another one when an override is set, taken back or over."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._until = 0.0
        self._made = 0
        self._version: Version = (None, None, 0)

    def version(self) -> Version:
        """The same for as long as the same overrides hold; looked up every second or so."""
        over = self._version[1]
        if time.monotonic() >= self._until or (over is not None and over <= self._clock()):
            self._version = (*self._store.overrides_version(self._clock()), self._made)
            self._until = time.monotonic() + SECONDS
        return self._version

    def changed(self) -> None:
        """Look again at once: this process has just changed one."""
        self._made += 1
        self._until = 0.0
