"""When a message is sent again.

    attempt      1    2     3      4      5    6     7     8     9     10
    after        0    5 s   5 min  30 min 2 h  5 h   10 h  14 h  20 h  24 h    together about three days

Every delay is longer or shorter by up to a tenth, drawn anew, so that messages which failed together do not come back
together.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

DELAYS = tuple(timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400))
JITTER = 0.1
#: How long a receiver may ask us to wait.
LONGEST_WAIT = timedelta(days=1)


def delay(attempts: int, chance: Callable[[], float]) -> timedelta | None:
    """How long to wait after so many failed attempts; None: that was the last. `chance`: a number from [0, 1)."""
    if attempts > len(DELAYS):
        return None
    return DELAYS[attempts - 1] * (1 + JITTER * (2 * chance() - 1))


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """What a `Retry-After` header asks for, seconds or a date, at most `LONGEST_WAIT`; None for none or nonsense."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text[:9]), math.floor(LONGEST_WAIT.total_seconds())))
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max(until - now, timedelta(0)), LONGEST_WAIT)
