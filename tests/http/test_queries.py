"""Queries that would otherwise pass as if they had worked; values no store should take."""

import pytest


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/risk-lists/silent?band=critical&band=watch", "repeated_parameter"),
        ("/v1/risk-lists/silent?limit=5&limit=6", "repeated_parameter"),
        ("/v1/accounts/healthy/health?targt=silent", "unknown_parameter"),
    ],
)
def test_what_is_not_understood_is_refused(told, path, code):
    answer = told.get(path)
    assert answer.status_code == 422
    assert [error["code"] for error in answer.json["errors"]] == [code]


def test_an_id_that_is_no_text_is_no_account(told):
    assert told.put("/v1/accounts/%ff%fe", {"mrr": 1.0}).status_code == 404


@pytest.mark.parametrize(
    ("path", "item", "column"),
    [
        ("/v1/accounts", {"account_id": "big", "mrr": 1.79e308}, "mrr"),
        ("/v1/accounts", {"account_id": "big", "seats": 10**15}, "seats"),
        (
            "/v1/interactions",
            {"interaction_id": "i1", "account_id": "x", "opened_at": "2199-01-01T00:00:00Z"},
            "opened_at",
        ),
        (
            "/v1/surveys",
            {"survey_id": "s1", "account_id": "x", "instrument": "csat", "sent_at": "2199-01-01T00:00:00Z"},
            "sent_at",
        ),
        (
            "/v1/measures",
            {"account_id": "x", "name": "logins", "value": 1, "at": "2199-01-01T00:00:00Z"},
            "at",
        ),
    ],
)
def test_values_that_would_break_everybody_elses_are_refused(told, path, item, column):
    answer = told.post(path, {"items": [item]})
    assert answer.status_code == 207
    (result,) = answer.json["results"]
    assert result["status"] == "rejected"
    assert column in result["errors"][0]["pointer"]
