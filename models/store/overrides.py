"""Overrides: what a manager says of an account's health, beside the model's number, until a day.

An override is over at `expires_at`, whether anybody looks or not: nothing has to run for it to end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from models.clock import isoformat
from models.store.among import among, wanted
from models.store.audit import By, audit
from models.store.tables import health_overrides

_COLUMNS = health_overrides.c


@dataclass(frozen=True)
class Override:
    """A manager's band for an account: who answers for it, why, and until when. `set_by`: the key it came with."""

    account_id: str
    band: str
    owner: str
    reason: str
    set_at: datetime
    set_by: str
    expires_at: datetime


_ACTIVE = (_COLUMNS.ended_at.is_(None), _COLUMNS.expires_at > sa.bindparam("now", type_=_COLUMNS.expires_at.type))
#: One look-up by primary key. Built once: building it takes as long as running it.
ONE = sa.select(*(_COLUMNS[name] for name in Override.__dataclass_fields__)).where(
    _COLUMNS.account_id == sa.bindparam("account_id"), *_ACTIVE
)


def override(conn: Connection, account_id: str, now: datetime) -> Override | None:
    """The override that holds now, if any."""
    row = conn.execute(ONE, {"account_id": account_id, "now": now}).one_or_none()
    return None if row is None else Override(*row)


def overrides(conn: Connection, account_ids: Sequence[str], now: datetime) -> dict[str, Override]:
    """Account id -> its override that holds now, for those of some accounts that have one."""
    columns = (_COLUMNS[name] for name in Override.__dataclass_fields__)
    query = sa.select(*columns).where(among(conn.dialect.name, _COLUMNS.account_id), *_ACTIVE)
    return {row.account_id: Override(*row) for row in conn.execute(query, wanted(conn, account_ids) | {"now": now})}


def put_override(conn: Connection, given: Override, by: By) -> bool:
    """Set an account's override, in place of the one before; gives whether none held until then.

    The reason, which may speak of people, is not written into the audit log: nothing is ever erased there.
    """
    new = override(conn, given.account_id, given.set_at) is None
    row = vars(given) | {"ended_at": None, "changed_at": given.set_at}
    make = postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert
    insert = make(health_overrides).values(row)
    conn.execute(insert.on_conflict_do_update(index_elements=["account_id"], set_=row))
    told = {"band": given.band, "owner": given.owner, "expires_at": isoformat(given.expires_at)}
    audit(conn, by, "override.set", given.account_id, **told)
    return new


def end_override(conn: Connection, account_id: str, by: By) -> Override | None:
    """Take an account's override back; gives the one that held until then, if any."""
    before = override(conn, account_id, by.at)
    if before is None:
        return None
    mine = health_overrides.update().where(_COLUMNS.account_id == account_id, _COLUMNS.ended_at.is_(None))
    conn.execute(mine.values(ended_at=by.at, changed_at=by.at))
    audit(conn, by, "override.ended", account_id, band=before.band, owner=before.owner)
    return before


def version(conn: Connection, now: datetime) -> tuple[datetime | None, datetime | None]:
    """The same for as long as the same overrides hold: when the last one changed, and when the next one is over."""
    changed = conn.scalar(sa.select(sa.func.max(_COLUMNS.changed_at)))
    over = conn.scalar(sa.select(sa.func.min(_COLUMNS.expires_at)).where(_COLUMNS.expires_at > now))
    return changed, over
