"""What is logged: one JSON line per request, tied to the answer, and nothing that is nobody's business."""

import json

import pytest
import structlog

from api.logs import configure
from tests.http.cast import promote, put_model
from tests.http.conftest import serve


@pytest.fixture
def begin(sqlite_store, model_store, capsys):
    """Sets up the log as in production and gives an application and a function that reads the lines. Called by the
    test itself, because what it prints to belongs to the test."""

    def begun():
        configure("info")
        served = serve(sqlite_store, *model_store)
        return served, lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    yield begun
    structlog.reset_defaults()


def test_a_request_is_a_line(begin):
    served, lines = begin()
    got = served.get("/v1/model", "reader")
    line = lines()[-1]
    assert line["event"] == "request"
    assert line["request_id"] == got.headers["X-Request-Id"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/model", 200)
    assert line["key_id"] == served.keys["reader"].split("_")[1]
    assert line["ms"] >= 0
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_nothing_private_is_logged(begin):
    served, lines = begin()
    secret = "a-very-secret-word"
    comment = {"survey_id": "s", "account_id": secret, "instrument": "csat", "sent_at": "2026-01-01T00:00:00Z"}
    served.post("/v1/surveys", {"items": [comment | {"comment": secret}, {"comment": secret}]})
    served.post("/v1/scores", {"items": [{"features": {secret: 1}}], secret: 1})
    served.get(f"/v1/accounts/{secret}/health")
    served.get(f"/v1/risk-lists/silent?owner={secret}")
    served.client.get("/v1/model", headers={"X-API-Key": secret})
    text = json.dumps(lines())
    assert secret not in text
    assert not any(key in text for key in served.keys.values())
    assert "/v1/accounts/<ident:account_id>/health" in text


def test_machines_asking_all_the_time_are_not_logged(begin):
    served, lines = begin()
    for path in ("/healthz", "/metrics"):
        served.get(path)
    assert lines() == []


def test_a_change_of_model_is_a_line(begin, tmp_path):
    served, lines = begin()
    model_id = put_model(tmp_path, _now())
    promote(tmp_path, model_id, _now())
    other = serve(served.engine, tmp_path, model_id)
    other.get("/v1/model")
    assert [line["model_id"] for line in lines() if line["event"] == "model_loaded"] == [model_id]


def _now():
    from tests.http.cast import NOW

    return NOW
