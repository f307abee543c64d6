"""What was in service when, and what was imported when."""

import pytest
from sqlalchemy.engine import Engine

from models.errors import ContractError
from models.store.import_runs import finish_import, imports, start_import
from models.store.pointers import PointerChange, changes, record_change
from tests.store.cast import DAY, HOUR, T


def test_the_history_of_the_model_pointer(store: Engine) -> None:
    first = PointerChange("m-1", "promote", "ann", T, "first one")
    second = PointerChange("m-2", "promote", "bob", T + DAY, None)
    back = PointerChange("m-1", "rollback", "ann", T + DAY, "too many in red")
    refused = PointerChange("m-3", "refuse", "bob", T + DAY, "newer", ("it is not calibrated", "it is worse"))
    for change in (first, second, back, refused):
        record_change(store, change)
    with store.connect() as conn:
        assert changes(conn) == changes(conn, limit=None) == [refused, back, second, first]
        assert changes(conn, limit=1) == [refused]


def test_another_action_is_refused(sqlite_store: Engine) -> None:
    with pytest.raises(ContractError, match="promote or rollback or refuse, not by 'delete'"):
        record_change(sqlite_store, PointerChange("m-1", "delete", "ann", T, None))


def test_imports_are_remembered(store: Engine) -> None:
    done = start_import(store, "zendesk", T)
    interrupted = start_import(store, "contract", T + HOUR)
    finish_import(store, done, T + HOUR, "done", {"interactions": {"inserted": 5}})
    with store.connect() as conn:
        newest, oldest = imports(conn)
    assert (newest["import_id"], newest["source"], newest["status"]) == (interrupted, "contract", "running")
    assert oldest == {
        "import_id": done,
        "source": "zendesk",
        "started_at": T,
        "finished_at": T + HOUR,
        "status": "done",
        "summary": {"interactions": {"inserted": 5}},
    }
