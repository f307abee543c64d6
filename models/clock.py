"""Times: instants are UTC, windows are half-open, and the present is an argument.

Only the edges (`ebbtide.py`, `api/`) call `now()`; everything else receives its moments.
"""

from datetime import UTC, datetime, timedelta

import polars as pl

from models.errors import NaiveTime

#: The one frame type of an instant: microseconds, UTC.
INSTANT = pl.Datetime("us", "UTC")

DAY = timedelta(days=1)


def now() -> datetime:
    """The present instant, UTC. For the edges only."""
    return datetime.now(UTC)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant such as `2026-03-02T08:00:00Z` or a date (its midnight, UTC).

    Raises `NaiveTime` for a time of day without an offset and `ValueError` for anything else.
    """
    value = datetime.fromisoformat(text.strip())
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    if len(text.strip()) == len("2026-03-02"):
        return value.replace(tzinfo=UTC)
    raise NaiveTime(f"{text!r} has no offset; write it as {text.strip()}Z or with +hh:mm.")


def isoformat(moment: datetime) -> str:
    """The instant as ISO 8601 with a trailing `Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
