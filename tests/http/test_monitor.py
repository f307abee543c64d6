"""GET /v1/model/monitor: the latest look, its age, and a clear word before the first."""

from datetime import timedelta

from models.loading import load_model
from models.store.watches import keep_watch
from models.store.watching import watch_store
from tests.http.cast import NOW
from tests.http.test_errors import assert_problem


def test_before_the_first_look(told) -> None:
    body = assert_problem(told.get("/v1/model/monitor", "reader"), 404, "not_monitored_yet")
    assert "ebbtide monitor" in body["detail"]


def test_the_latest_look_with_its_age(told) -> None:
    model, _ = load_model(told.artefacts, told.model_id)
    found = watch_store(told.engine, model, NOW)
    keep_watch(told.engine, found, NOW - timedelta(hours=2))
    got = told.get("/v1/model/monitor", "reader")
    assert got.status_code == 200
    assert got.json["age_seconds"] == 7200
    assert got.json["accounts"] == found.accounts
    assert [one["kind"] for one in got.json["findings"]] == [one.kind for one in found.findings]
    assert {**found.to_plain(), "computed_at": "2026-06-01T10:00:00Z", "age_seconds": 7200.0} == got.json


def test_a_look_at_another_model_is_not_shown(told) -> None:
    model, _ = load_model(told.artefacts, told.model_id)
    found = watch_store(told.engine, model, NOW)
    keep_watch(told.engine, type(found)(**vars(found) | {"model_id": "another"}), NOW)
    assert told.get("/v1/model/monitor", "reader").status_code == 404


def test_it_takes_the_right_to_read(told) -> None:
    assert told.get("/v1/model/monitor", "writer").status_code == 403
