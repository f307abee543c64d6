"""The audit log: written with the change, read newest first, and never changed."""

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.store.audit import By, Line, audit, lines, remember_settings
from models.store.engine import writing
from models.store.keys import create_key, revoke_key, rotate_key
from models.store.pointers import PointerChange, catch_up, changes
from tests.store.cast import DAY, T


def told(engine: Engine, limit: int = 100, before: int | None = None, **filters: str) -> list[Line]:
    with engine.connect() as conn:
        return lines(conn, limit, before, **filters)


def test_a_change_and_its_line_are_one(store: Engine) -> None:
    with writing(store) as conn:
        audit(conn, By("key:a", T, "r-1"), "override.set", "A-7", reason="called")
    with pytest.raises(ZeroDivisionError), writing(store) as conn:
        audit(conn, By("key:a", T), "override.set", "A-8")
        raise ZeroDivisionError
    assert told(store) == [Line(1, T, "key:a", "override.set", "A-7", {"reason": "called"}, "r-1")]


_LINE = "(1, 0, 'x', 'x', 'x', '{}')"


@pytest.mark.parametrize(
    "change",
    [
        *("UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"),
        "INSERT INTO audit_log (entry_id, at, actor, action, subject, details) "
        f"VALUES {_LINE} ON CONFLICT (entry_id) DO UPDATE SET actor = excluded.actor",
    ],
)
def test_nobody_changes_it(store: Engine, change: str) -> None:
    if store.dialect.name == "sqlite" and change.startswith("TRUNCATE"):
        change = "DELETE FROM audit_log WHERE entry_id = 1"
    with writing(store) as conn:
        audit(conn, By("service", T), "x", "y")
    with pytest.raises(sa.exc.DBAPIError, match="the audit log only grows"), writing(store) as conn:
        conn.execute(sa.text(change))
    assert len(told(store)) == 1


def test_nobody_puts_another_line_in_its_place(sqlite_store: Engine) -> None:
    with writing(sqlite_store) as conn:
        audit(conn, By("service", T), "x", "y")
    columns = "(entry_id, at, actor, action, subject, details)"
    with pytest.raises(sa.exc.DBAPIError, match="the audit log only grows"), writing(sqlite_store) as conn:
        conn.exec_driver_sql(f"REPLACE INTO audit_log {columns} VALUES {_LINE}")
    assert [line.actor for line in told(sqlite_store)] == ["service"]


def test_keys_from_their_making_to_their_end(store: Engine) -> None:
    by = By("cli:ann", T)
    key, _ = create_key(store, "CRM", ["read"], T, by=by)
    rotate_key(store, key.key_id, T + DAY)
    revoke_key(store, key.key_id, T + DAY)
    revoke_key(store, key.key_id, T + 2 * DAY)
    found = told(store, subject=key.key_id)
    assert [(line.action, line.actor, line.at) for line in found] == [
        ("key.revoked", "service", T + DAY),
        ("key.rotated", "service", T + DAY),
        ("key.created", "cli:ann", T),
    ]
    assert found[-1].details == {"name": "CRM", "scopes": ["read"], "expires_at": None, "owners": [], "segments": []}


def test_pages_and_filters(sqlite_store: Engine) -> None:
    with writing(sqlite_store) as conn:
        for n in range(5):
            audit(conn, By("service", T), f"a{n % 2}", f"s{n}")
    assert [line.entry_id for line in told(sqlite_store, 2)] == [5, 4]
    assert [line.entry_id for line in told(sqlite_store, 2, 4)] == [3, 2]
    assert [line.entry_id for line in told(sqlite_store, action="a1")] == [4, 2]
    assert [line.entry_id for line in told(sqlite_store, action="a1", subject="s3")] == [4]


def test_settings_are_told_when_they_changed(store: Engine) -> None:
    by, first = By("service", T), {"EBBTIDE_CURRENCY": "EUR", "EBBTIDE_MARGIN": "1.0"}
    assert remember_settings(store, by, first)
    assert not remember_settings(store, by, first)
    assert remember_settings(store, by, {"EBBTIDE_CURRENCY": "USD", "EBBTIDE_NEW": ""})
    newest, _ = told(store, action="settings.changed")
    assert newest.details["changed"] == ["EBBTIDE_CURRENCY", "EBBTIDE_MARGIN", "EBBTIDE_NEW"]


def test_changes_of_the_model_are_copied_once(store: Engine) -> None:
    events = [
        PointerChange("m-1", "promote", "ann", T, "first one"),
        PointerChange("m-2", "refuse", "bob", T + DAY, "newer", ("it is worse",)),
    ]
    catch_up(store, events[:1])
    catch_up(store, events)
    catch_up(store, events)
    with store.connect() as conn:
        assert changes(conn) == events[::-1]
    assert [(line.action, line.subject, line.actor, line.details["objections"]) for line in told(store)] == [
        ("model.refuse", "m-2", "bob", ["it is worse"]),
        ("model.promote", "m-1", "ann", []),
    ]
