"""POST /v1/accounts/{id}/what-if: levers change rows, the parts add up, nothing is stored."""

from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa

from models.store.upsert import upsert
from tests.http.cast import NOW, day
from tests.http.test_changes import ticket
from tests.http.test_errors import assert_problem

PATH = "/v1/accounts/slipping/what-if"
LEVERS = ["close_escalation", "answer_contacts", "survey_answered"]


@pytest.fixture
def troubled(either):
    """The slipping account with an open escalation and an open contact nobody answered."""
    still = {"resolved_at": None, "outcome": None}
    rows = [
        ticket("escalated", day(9), known=day(9)) | still | {"escalated_at": day(8)},
        ticket("waiting", day(6), known=day(6)) | still | {"escalated_at": None},
    ]
    upsert(either.engine, "interactions", pl.DataFrame(rows))
    return either


def rows_of(engine) -> list:
    tables = ("interactions", "surveys", "scores", "latest_scores")
    with engine.connect() as conn:
        return [conn.execute(sa.text(f"SELECT * FROM {name}")).all() for name in tables]


def test_levers_pulled_one_after_the_other_add_up(troubled):
    before = rows_of(troubled.engine)
    for target in ("churn", "silent"):
        got = troubled.post(PATH, {"levers": LEVERS, "survey_score": 4, "target": target})
        assert got.status_code == 200, got.json
        body = got.json
        parts = {part["lever"]: part for part in body["parts"]}
        assert list(parts) == LEVERS
        assert parts["close_escalation"]["rows"] == ["escalated"]
        assert "waiting" in parts["answer_contacts"]["rows"]
        assert parts["survey_answered"]["rows"] == ["slipping-s10"]
        assert body["reading"] == "association"
        moved = body["then"]["log_odds"] - body["now"]["log_odds"]
        assert sum(part["log_odds"] for part in body["parts"]) == pytest.approx(moved, abs=1e-9)
        assert body["log_odds"] == pytest.approx(moved, abs=1e-9)
        for part in body["parts"]:
            assert sum(line["log_odds"] for line in part["features"]) == pytest.approx(part["log_odds"], abs=1e-9)
        answered = {line["feature"] for line in parts["survey_answered"]["features"]}
        assert {"csat_level", "nonresponse_streak"} <= answered
    assert rows_of(troubled.engine) == before


def test_it_is_what_would_be_said_had_it_been_done(troubled):
    """The same rows, stored, give the same score to the bit."""
    body = troubled.post(PATH, {"levers": ["close_escalation"]}).json
    asked = {"items": [{"account_id": "slipping"}], "reasons": "none"}
    now = troubled.post("/v1/scores", asked).json["results"][0]["score"]
    assert (body["now"]["p_churn"], body["now"]["health"]) == (now["p_churn"], now["health"])
    just = NOW - timedelta(microseconds=1)
    done = {"resolved_at": just, "outcome": "resolved", "updated_at": just, "first_response_at": just}
    closed = ticket("escalated", day(9), known=day(9)) | done | {"escalated_at": day(8), "abandoned": False}
    upsert(troubled.engine, "interactions", pl.DataFrame([closed]))
    then = troubled.post("/v1/scores", asked).json["results"][0]["score"]
    assert (body["then"]["p_churn"], body["then"]["health"]) == (then["p_churn"], then["health"])
    again = troubled.post(PATH, {"levers": ["close_escalation"]}).json
    assert (again["parts"][0]["rows"], again["log_odds"]) == ([], 0)


def test_of_whom_and_with_what(told):
    wrong = [
        ({}, "/levers"),
        ({"levers": []}, "/levers"),
        ({"levers": ["raise_the_dead"]}, "/levers/0"),
        ({"levers": ["close_escalation", "close_escalation"]}, "/levers/1"),
        ({"levers": ["survey_answered"]}, "/survey_score"),
        ({"levers": ["survey_answered"], "survey_score": True}, "/survey_score"),
        ({"levers": ["survey_answered"], "survey_score": 11}, "/survey_score"),
        ({"levers": ["close_escalation"], "survey_score": 4}, "/survey_score"),
        ({"levers": ["close_escalation"], "features": {}}, "/features"),
    ]
    for body, pointer in wrong:
        got = assert_problem(told.post(PATH, body), 422, "invalid_body")
        assert [error["pointer"] for error in got["errors"]] == [pointer], body
    body = {"levers": ["close_escalation"]}
    assert told.post(PATH, body | {"target": "x"}).status_code == 422
    assert_problem(told.post("/v1/accounts/nobody/what-if", body), 404, "unknown_account")
    assert_problem(told.post("/v1/accounts/gone/what-if", body), 409, "account_ended")
