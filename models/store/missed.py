"""When nobody was listening lately: spells in which the contact feed, or one of its sources, told nothing although it
should have, and has never told since what it owed.

While a feed is quiet accounts are scored as of its last word. Once it is back, what customers did in between would be
missing still and look like their silence, so these spells are left out of the time they are measured in
(`models.history.History.without`). A spell that is filled in afterwards is none.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.rhythm import HOUR, Hour, caught_up, from_hour, hour_of, spells_between
from models.store.feeds import DAYS, blind
from models.store.portfolio import ALL
from models.store.tables import source_hours, sources

Spells = Sequence[tuple[datetime, datetime]]

#: More of the look-back missed, and no score has the confidence it might have.
MOST_MISSED = timedelta(days=DAYS) * 0.1


def missed(conn: Connection, at: datetime) -> list[tuple[datetime, datetime]]:
    """The spells that ended within the latest `DAYS` days before a moment, in order and apart from each other."""
    found = [*blind(conn, "interactions", at), *_of_sources(conn, at)]
    recent = sorted((since, until) for since, until in found if at - timedelta(days=DAYS) < until < at)
    apart: list[tuple[datetime, datetime]] = []
    for since, until in recent:
        if apart and since <= apart[-1][1]:
            apart[-1] = (apart[-1][0], max(until, apart[-1][1]))
        else:
            apart.append((since, until))
    return apart


def much(spells: Spells, at: datetime) -> bool:
    """Whether more than a tenth of the look-back was missed."""
    start = at - timedelta(days=DAYS)
    return sum((until - max(since, start) for since, until in spells), timedelta(0)) > MOST_MISSED


def _of_sources(conn: Connection, at: datetime) -> Spells:
    """The spells of each source by itself: one of two helpdesks may have been away while the other went on telling. By
    when it told, so what it told later of that time is told by how much it told on its return."""
    columns = source_hours.c
    retired = sa.select(sources.c.source).where(
        sources.c.table_name == "interactions", sources.c.retired_at.is_not(None) | (sources.c.source == ALL)
    )
    query = sa.select(columns.source, columns.hour, columns.rows).where(
        columns.table_name == "interactions", columns.hour <= hour_of(at), columns.source.not_in(retired)
    )
    told: dict[str, list[tuple[int, int]]] = {}
    for source, hour, rows in conn.execute(query.order_by(columns.source, columns.hour)):
        told.setdefault(source, []).append((hour, rows))
    return [spell for hours in told.values() for spell in _owed(hours, at)]


def _owed(told: Sequence[tuple[int, int]], at: datetime) -> Spells:
    hours: list[Hour] = [(hour, rows, from_hour(hour), from_hour(hour + 1)) for hour, rows in told]
    spells = spells_between(hours, at)
    return [(since, back) for since, back in spells if back < at and not caught_up(told, since - HOUR, back, at)]
