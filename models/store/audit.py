"""The audit log: who changed what, when. It only grows: the database itself refuses to change or delete a line.

A change and its line are written in one transaction, so that there is never one without the other:

    with writing(engine) as conn:
        conn.execute(...)                                             the change
        audit(conn, by, "override.set", account_id, reason=reason)    its line

Details are plain JSON values; nothing secret, and no person of a customer's, goes into them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store.engine import one_at_a_time, writing
from models.store.tables import audit_log

#: The action under which the settings of a deployment are remembered.
SETTINGS = "settings.changed"


@dataclass(frozen=True)
class By:
    """Who makes a change and when. `actor`: `key:<key id>`, `cli:<user>` or `service`."""

    actor: str
    at: datetime
    request_id: str | None = None


@dataclass(frozen=True)
class Line:
    """A line of the log. `subject`: what was changed: a key id, a model id, an account id."""

    entry_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    request_id: str | None


def audit(conn: Connection, by: By, action: str, subject: str, **details: Any) -> None:
    """Write a line with the change it tells of, in the transaction of the connection."""
    line = {"at": by.at, "actor": by.actor, "request_id": by.request_id, "action": action, "subject": subject}
    conn.execute(audit_log.insert().values(**line, details=details))


def lines(
    conn: Connection,
    limit: int,
    before: int | None = None,
    *,
    action: str | None = None,
    subject: str | None = None,
) -> list[Line]:
    """The log, newest first; `before`: what was written before that line."""
    query = sa.select(audit_log)
    for column, value in (("action", action), ("subject", subject)):
        query = query if value is None else query.where(audit_log.c[column] == value)
    query = query if before is None else query.where(audit_log.c.entry_id < before)
    rows = conn.execute(query.order_by(audit_log.c.entry_id.desc()).limit(limit))
    return [Line(**row._mapping) for row in rows]


def remember_settings(engine: Engine, by: By, settings: Mapping[str, str]) -> bool:
    """Write down the settings a service starts with, where they differ from those of the last start; gives whether."""
    with engine.connect() as conn:
        if _last_settings(conn) == settings:
            return False
    with writing(engine) as conn:
        one_at_a_time(conn, "settings")  # the service's processes start together
        last = _last_settings(conn)
        changed = sorted(name for name in {*settings, *last} if settings.get(name) != last.get(name))
        if changed:
            audit(conn, by, SETTINGS, "settings", changed=changed, settings=dict(settings))
        return bool(changed)


def _last_settings(conn: Connection) -> dict[str, str]:
    found = lines(conn, 1, action=SETTINGS)
    return dict(found[0].details["settings"]) if found else {}
