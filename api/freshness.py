"""How far the data reach, looked up every few seconds instead of with every request."""

import time
from collections.abc import Mapping

from models.store.access import Store
from models.store.history import Freshness

#: Seconds for which an answer may be out of date.
KEEP_SECONDS = 5.0


class Reach:
    """The freshness of the store's tables as one process sees it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until = 0.0
        self._found: Mapping[str, Freshness] = {}

    def now(self) -> Mapping[str, Freshness]:
        """Per contract table, how far its rows reach; at most `KEEP_SECONDS` old."""
        if time.monotonic() >= self._until:
            self._found = self._store.freshness()
            self._until = time.monotonic() + KEEP_SECONDS
        return self._found
