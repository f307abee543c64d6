"""Small questions about everything the store holds."""

from datetime import datetime

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


def last_event(engine: Engine) -> datetime | None:
    """The latest instant at which a contact or a survey happened or became known; None for an empty store."""
    with reading(engine) as conn:
        found = freshness(conn)
    # Dates of accounts may be plans; what the other tables hold has happened.
    seen = [table for name, table in found.items() if name != "accounts"]
    moments = [moment for table in seen for moment in (table.happened_at, table.recorded_at)]
    return max((moment for moment in moments if moment is not None), default=None)
