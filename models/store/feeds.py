"""The tables that tell of customers' voices as feeds: how far they reach, how late they tell, when they were blind."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.history import TABLES
from models.rhythm import WEEKS, Hour, observed_days, spells_between
from models.store.history import Freshness, freshness, observed_from
from models.store.tables import CONTRACT
from models.store.types import from_micros

FEEDS = ("interactions", "surveys")
#: Days coverage is told of: the look-back of the label.
DAYS = 90
#: Latest rows a lag is measured on.
_SAMPLE = 1_000
_HOUR = 3_600_000_000


@dataclass(frozen=True)
class Feed:
    """One table as a feed. `lag_days`: after how many days half, and 99 of 100, of its latest rows became known; None
    without any. `since`: since when it has been watched. `blind`: when it told nothing although it should have."""

    table: str
    reach: Freshness
    lag_days: tuple[float, float] | None
    since: datetime | None
    blind: list[tuple[datetime, datetime]]

    def observed(self, start: datetime, end: datetime) -> float:
        """On how many days between two moments it was watched."""
        return observed_days(self.since, start, end, self.blind)


def feeds(conn: Connection, now: datetime) -> list[Feed]:
    """The feeds of contacts and surveys as they stand."""
    reach, since = freshness(conn), observed_from(conn, now)
    return [Feed(name, reach[name], _lag(conn, name), since.get(name), blind(conn, name, now)) for name in FEEDS]


def _lag(conn: Connection, table: str) -> tuple[float, float] | None:
    stored = CONTRACT[table].c
    names = TABLES[table].happened
    happened = stored[names[0]] if len(names) == 1 else sa.func.coalesce(*(stored[name] for name in names))
    query = sa.select(stored.recorded_at, happened).order_by(stored.recorded_at.desc()).limit(_SAMPLE)
    days = [(known - at) / timedelta(days=1) for known, at in conn.execute(query) if known is not None]
    if not days:
        return None
    half, late = np.quantile(days, [0.5, 0.99])
    return max(float(half), 0.0), max(float(late), 0.0)


def blind(conn: Connection, table: str, now: datetime) -> list[tuple[datetime, datetime]]:
    """Spells that reach into the latest `DAYS` days, by the rhythm of the weeks before them, as known then."""
    at, recorded = CONTRACT[table].c[TABLES[table].happened[0]], CONTRACT[table].c.recorded_at
    start = now - timedelta(days=DAYS) - timedelta(weeks=WEEKS)
    micros = sa.type_coerce(at, sa.BigInteger)
    hour = sa.cast(sa.func.floor(micros / float(_HOUR)), sa.BigInteger)
    query = sa.select(hour, sa.func.count(), sa.func.min(micros), sa.func.max(micros))
    known = query.where(at > start, at < now, recorded <= now)
    rows = conn.execute(known.group_by(hour).order_by(hour))
    hours: list[Hour] = [(int(h), int(n), from_micros(first), from_micros(last)) for h, n, first, last in rows]
    return spells_between(hours, now)
