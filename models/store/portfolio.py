"""Small questions about everything the store holds."""

from datetime import datetime, timedelta

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.store import bulk
from models.store.engine import reading
from models.store.history import freshness
from models.store.tables import CONTRACT


def described(engine: Engine) -> pl.DataFrame:
    """Every described account: account_id, started_at, ended_at."""
    accounts = CONTRACT["accounts"].c
    with reading(engine) as conn:
        return bulk.select(conn, sa.select(accounts.account_id, accounts.started_at, accounts.ended_at))


#: A contact feed has stopped when none became known for this long although so many were due.
STOPPED_DAYS, STOPPED_DUE = 3.0, 50.0
_RATE_DAYS = 28


def stopped_at(engine: Engine, present: datetime) -> datetime | None:
    """When the contact feed stopped, if it has: the moment the last contact became known; None while it is alive.

    So many are due as came in the 28 days before it. Customers would look silent if they were scored after it.
    """
    recorded = CONTRACT["interactions"].c.recorded_at
    with reading(engine) as conn:
        last: datetime | None = conn.scalar(sa.select(sa.func.max(recorded)).where(recorded <= present))
        if last is None:
            return None
        lately = recorded.between(last - timedelta(days=_RATE_DAYS), last)
        count = conn.scalar(sa.select(sa.func.count()).where(lately)) or 0
    gap = (present - last) / timedelta(days=1)
    return last if gap > STOPPED_DAYS and count * gap / _RATE_DAYS >= STOPPED_DUE else None


def last_event(engine: Engine) -> datetime | None:
    """The latest instant at which a contact or a survey happened or became known; None for an empty store."""
    with reading(engine) as conn:
        found = freshness(conn)
    # Dates of accounts may be plans; what the other tables hold has happened.
    seen = [table for name, table in found.items() if name != "accounts"]
    moments = [moment for table in seen for moment in (table.happened_at, table.recorded_at)]
    return max((moment for moment in moments if moment is not None), default=None)
