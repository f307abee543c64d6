"""Small questions about everything the store holds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.rhythm import WEEKS, Quiet, quiet
from models.store import bulk
from models.store.engine import reading
from models.store.history import freshness
from models.store.tables import CONTRACT, sources

_HOUR = 3_600_000_000
#: The name of all sources of contacts together, which are judged here.
ALL = "all sources"
#: What told for a shorter time is no feed.
LEAST_SPAN = timedelta(days=7)


@dataclass(frozen=True)
class End:
    """Where contacts end: none has become known since `since`. Scores are of that moment, lest it be taken for silence
    of customers.

    `quiet`: the feed, or one of its sources, has fallen silent against its own rhythm. None: there is no feed, only an
    export that was read once and simply ends, and nothing is judged.
    """

    since: datetime
    quiet: Quiet | None

    def options(self) -> dict[str, datetime]:
        """How scoring is told (`models.store.scoring`)."""
        return {"ended_at" if self.quiet is None else "quiet_since": self.since}


def described(engine: Engine) -> pl.DataFrame:
    """Every described account: account_id, started_at, ended_at."""
    accounts = CONTRACT["accounts"].c
    with reading(engine) as conn:
        return bulk.select(conn, sa.select(accounts.account_id, accounts.started_at, accounts.ended_at))


def contacts_quiet(engine: Engine, present: datetime) -> Quiet | None:
    """Whether contacts are no longer told: the feed as a whole is quiet (`feed_quiet`), or one of its sources was found
    to be (`models.store.sources.look`); then since the first of them. None while all are alive, and where there is no
    feed (`is_feed`)."""
    end = contacts_end(engine, present)
    return None if end is None else end.quiet


def contacts_end(engine: Engine, present: datetime) -> End | None:
    """Where contacts end, be it a feed that fell silent or an export that was read once; None while they go on."""
    found = _silent(engine, present)
    if found is None:
        return None
    with reading(engine) as conn:
        return End(found.since, found if is_feed(conn) else None)


def is_feed(conn: Connection) -> bool:
    """Whether contacts come in again and again: not where all that ever told of them did so within a week, which is an
    export that was read once and simply ends. Where nothing was noted, nobody knows: they may."""
    mine = sa.and_(sources.c.table_name == "interactions", sources.c.source != ALL)
    told = conn.execute(sa.select(sources.c.first_at, sources.c.last_at).where(mine)).all()
    return not told or any(last - first >= LEAST_SPAN for first, last in told)


def _silent(engine: Engine, present: datetime) -> Quiet | None:
    silent = sa.select(sources.c.quiet_since, sources.c.quiet_due).where(
        sources.c.table_name == "interactions", sources.c.quiet_since <= present, sources.c.source != ALL
    )
    with reading(engine) as conn:
        row = conn.execute(silent.order_by(sources.c.quiet_since).limit(1)).one_or_none()
    feed = feed_quiet(engine, present)
    if row is None or (feed is not None and feed.since <= row.quiet_since):
        return feed
    return Quiet(row.quiet_since, row.quiet_due)


def feed_quiet(engine: Engine, present: datetime) -> Quiet | None:
    """Whether the contact feed is quiet against its own rhythm (`models.rhythm`), by when contacts became known; None
    while it is alive. Customers would look silent if they were scored after it."""
    recorded = CONTRACT["interactions"].c.recorded_at
    with reading(engine) as conn:
        last: datetime | None = conn.scalar(sa.select(sa.func.max(recorded)).where(recorded <= present))
        # Within a day nothing can be quiet, so nothing is counted.
        if last is None or present - last <= timedelta(days=1):
            return None
        hour = sa.cast(sa.func.floor(sa.type_coerce(recorded, sa.BigInteger) / float(_HOUR)), sa.BigInteger)
        lately = recorded.between(last - WEEKS * timedelta(weeks=1), last)
        found = conn.execute(sa.select(hour, sa.func.count()).where(lately).group_by(hour)).all()
    return quiet([(int(at), int(number)) for at, number in found], last, present)


def last_event(engine: Engine) -> datetime | None:
    """The latest instant at which a contact or a survey happened or became known; None for an empty store."""
    with reading(engine) as conn:
        found = freshness(conn)
    # Dates of accounts and contracts may be plans; what the other tables hold has happened.
    seen = [table for name, table in found.items() if name not in ("accounts", "contracts")]
    moments = [moment for table in seen for moment in (table.happened_at, table.recorded_at)]
    return max((moment for moment in moments if moment is not None), default=None)
