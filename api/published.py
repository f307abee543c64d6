"""What one process remembers of published lists. A list never changes, so a page that was written once stays right
until somebody on it is erased.

Only which list is current changes, and which ones are still kept; both are looked up every second or so, and with them
whether anybody was erased: then no written page is used again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

from models.store.access import Store
from models.store.lists import RiskList

#: A new list is seen at most this many seconds after it was published.
CURRENT_SECONDS = 1.0
#: A list that is no longer kept may be read for so much longer.
KEPT_SECONDS = 5.0
#: Memory for written pages, per process.
PAGE_BYTES = 16 * 1024**2
#: Lists remembered at once; there are never more than a few.
_MOST = 64


class Page(NamedTuple):
    """A page as it was written, and the address of the following one."""

    content: bytes
    following: str | None


class Pages:
    """Written pages, the latest used kept."""

    def __init__(self, most_bytes: int = PAGE_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._pages: OrderedDict[Hashable, Page] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, asked: Hashable) -> Page | None:
        """The page, if it was written before."""
        with self._lock:
            page = self._pages.get(asked)
            if page is not None:
                self._pages.move_to_end(asked)
            return page

    def put(self, asked: Hashable, page: Page) -> None:
        """Keep a page, and let go of those not asked for in longest."""
        with self._lock:
            before = self._pages.get(asked)
            self._bytes += len(page.content) - (len(before.content) if before else 0)
            self._pages[asked] = page
            while self._bytes > self._most:
                self._bytes -= len(self._pages.popitem(last=False)[1].content)

    def clear(self) -> None:
        """Let go of all pages."""
        with self._lock:
            self._pages.clear()
            self._bytes = 0


class Lists:
    """The published lists as one process sees them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.pages = Pages()
        self._seen: dict[Hashable, tuple[float, RiskList]] = {}
        #: The latest erasure that was seen. It belongs into what a page is kept under: one that was being written when
        #: somebody was erased is put away after all others were let go of.
        self.last_erasure = 0

    def current(self, kind: str) -> RiskList:
        """The list readers see. Raises `UnknownList`."""
        return self._remembered(kind, CURRENT_SECONDS, lambda: self._store.current_list(kind))

    def kept(self, list_id: int) -> RiskList:
        """A list published earlier. Raises `UnknownList` for one that is no longer kept."""
        return self._remembered(list_id, KEPT_SECONDS, lambda: self._store.kept_list(list_id))

    def _remembered(self, name: Hashable, seconds: float, look: Callable[[], RiskList]) -> RiskList:
        known = self._seen.get(name)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        self._seen.pop(name, None)
        found = look()
        last = self._store.last_erasure()
        if last != self.last_erasure:
            self.last_erasure = last
            self.pages.clear()
        if len(self._seen) >= _MOST:
            self._seen.clear()
        self._seen[name] = (time.monotonic() + seconds, found)
        return found
