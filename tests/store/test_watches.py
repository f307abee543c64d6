"""Looks at a model: kept, the latest found again; what the scores said then is what runs stored."""

from datetime import timedelta

import polars as pl
import pytest
from sqlalchemy.engine import Engine

from models.errors import ContractError
from models.monitor.findings import Finding
from models.monitor.watch import Watch
from models.rhythm import Quiet
from models.store.portfolio import contacts_quiet
from models.store.runs import finish_run, start_run
from models.store.scores import SCORE_SCHEMA, save_scores
from models.store.upsert import upsert
from models.store.watches import keep_watch, last_watch
from models.store.watching import said_then, watch_store
from tests.http.cast import NOW, accounts, interactions, model, surveys


def look(model_id: str = "m", days: int = 0, severity: str = "warning") -> Watch:
    found = Finding("input_drift", severity, "csat_level", "It fell.", "Ask why.", {"psi": 0.3}, NOW)
    return Watch(model_id, NOW - timedelta(days=days), 10, None, (found,), (), {}, {"stored": 1, "rescored": 2})


def test_the_latest_look_of_a_model_is_found_again(store: Engine) -> None:
    with store.connect() as conn:
        assert last_watch(conn, "m") is None
    keep_watch(store, look(days=1), NOW)
    keep_watch(store, look(severity="alarm"), NOW)
    keep_watch(store, look(days=7), NOW + timedelta(hours=1))  # a look back, taken later
    keep_watch(store, look("other"), NOW)
    with store.connect() as conn:
        found = last_watch(conn, "m")
    assert found is not None
    assert (found.as_of, found.computed_at) == (NOW, NOW)
    assert found.result == look(severity="alarm").to_plain()
    assert found.result["worst"] == "alarm"


def scores(as_of, ids=("a", "b")) -> pl.DataFrame:
    row = {
        name: 0.1 if dtype == pl.Float64 else "x" if dtype == pl.String else None
        for name, dtype in SCORE_SCHEMA.items()
    }
    rows = [row | {"account_id": one, "as_of": as_of, "model_id": "m"} for one in ids]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


def test_stored_runs_say_what_was_said_then(store: Engine) -> None:
    day = timedelta(days=1)
    for ago, status in ((27, "done"), (30, "done"), (57, "done"), (84, "failed"), (400, "done")):
        run_id = start_run(store, NOW - ago * day, "m", NOW)
        save_scores(store, scores(NOW - ago * day), None, NOW, run_id)
        finish_run(store, run_id, NOW, status)
    save_scores(store, scores(NOW - 113 * day), None, NOW)  # on arrival of facts, not by a run
    with store.connect() as conn:
        found = said_then(conn, "m", NOW, ["a", "c"])
        assert said_then(conn, "other", NOW, ["a"]).is_empty()
    # Of the runs near a step of 28 days the nearest counts; the failed and the old one do not.
    assert found.rows() == [("a", NOW - 57 * day, 0.1, 0.1), ("a", NOW - 27 * day, 0.1, 0.1)]


def test_a_store_is_watched(store: Engine) -> None:
    with pytest.raises(ContractError, match="holds no accounts"):
        watch_store(store, model(), NOW)
    for table, rows in (("accounts", accounts()), ("interactions", interactions()), ("surveys", surveys())):
        upsert(store, table, rows)
    found = watch_store(store, model(model_id="m"), NOW)
    assert found.accounts == 8
    assert [finding.kind for finding in found.findings] == ["no_reference"]
    keep_watch(store, found, NOW)


def test_a_feed_that_stopped_is_noticed(store: Engine) -> None:
    assert contacts_quiet(store, NOW) is None
    upsert(store, "accounts", pl.DataFrame({"account_id": ["a"]}))
    opened = [NOW - timedelta(days=10, hours=hour) for hour in range(0, 28 * 24, 3)]  # eight a day
    contacts = {"interaction_id": [str(i) for i in range(len(opened))], "account_id": "a", "opened_at": opened}
    upsert(store, "interactions", pl.DataFrame(contacts))
    # Eight a day: thirty are due in three days and three quarters.
    assert contacts_quiet(store, opened[0] + timedelta(days=3, hours=14)) is None
    found = contacts_quiet(store, opened[0] + timedelta(days=3, hours=19))
    assert found is not None
    assert found == Quiet(opened[0], pytest.approx(30.5, abs=1))
    assert contacts_quiet(store, NOW) == Quiet(opened[0], pytest.approx(80, abs=1))
