"""POST /v1/scores: features, raw histories and stored accounts, item by item."""

import polars as pl
import pytest

from api.scores import MOST_ITEMS
from models.clock import isoformat
from models.features import FEATURES
from tests.http.cast import NOW, accounts, day, interactions, surveys


def scores(served, *items, **more):
    return served.post("/v1/scores", {"items": list(items), **more})


def plain(frame: pl.DataFrame) -> list[dict]:
    """Rows as a caller sends them: times as text, unknown left out."""
    return [
        {
            name: isoformat(value) if hasattr(value, "tzinfo") else value
            for name, value in row.items()
            if value is not None
        }
        for row in frame.to_dicts()
    ]


def raw(account_id: str) -> dict:
    """An account of the cast as raw history."""
    mine = pl.col("account_id") == account_id
    return {
        "account": plain(accounts().filter(mine))[0],
        "interactions": plain(interactions().filter(mine).drop("account_id")),
        "surveys": plain(surveys().filter(mine).drop("account_id")),
    }


def test_features_by_name(served):
    got = scores(served, {"id": "mine", "features": {"repeat_rate_90d": 0.5, "segment": "smb"}})
    assert got.status_code == 200
    assert got.json["model"]["id"] == served.model_id
    assert (got.json["scored"], got.json["rejected"]) == (1, 0)
    (item,) = got.json["results"]
    assert (item["id"], item["status"]) == ("mine", "scored")
    assert item["score"]["health_unclipped"] == pytest.approx(50 + sum(item["score"]["components"].values()), abs=1e-9)
    assert len(item["score"]["explanation"]["reasons"]) <= 3
    assert all(reason["points"] < 0 for reason in item["score"]["explanation"]["reasons"])


def test_missing_features_are_unknown_not_zero(served):
    given, absent = scores(served, {"features": {"repeat_rate_90d": None}}, {"features": {}}).json["results"]
    assert given["score"] == absent["score"]
    zero = scores(served, {"features": dict.fromkeys(FEATURES.numeric, 0)}).json["results"][0]
    assert zero["score"]["health"] != absent["score"]["health"]


def test_an_item_that_is_no_object_is_refused_in_its_place(served):
    got = scores(served, 5, {"id": "b", "features": {}}, None)
    assert got.status_code == 207
    assert [item["status"] for item in got.json["results"]] == ["rejected", "scored", "rejected"]
    assert [(error["pointer"], error["message"]) for error in got.json["errors"]] == [
        ("/items/0", "must be an object"),
        ("/items/2", "must be an object"),
    ]


def test_an_unknown_feature_gets_a_hint_and_the_others_are_scored(served):
    got = scores(served, {"id": "a", "features": {"repeat_rate_90": 1}}, {"id": "b", "features": {}})
    assert got.status_code == 207
    bad, good = got.json["results"]
    assert bad["errors"] == [
        {
            "pointer": "/items/0/features/repeat_rate_90",
            "code": "unknown_feature",
            "message": "is not a feature; did you mean repeat_rate_90d?",
        }
    ]
    assert good["status"] == "scored"
    assert (got.json["scored"], got.json["rejected"]) == (1, 1)


@pytest.mark.parametrize(
    ("features", "pointer"),
    [
        ({"repeat_rate_90d": "3"}, "/repeat_rate_90d"),
        ({"repeat_rate_90d": True}, "/repeat_rate_90d"),
        ({"repeat_rate_90d": [1]}, "/repeat_rate_90d"),
        ({"repeat_rate_90d": 10**400}, "/repeat_rate_90d"),
        ({"segment": 3}, "/segment"),
        ({"no/such~one": None}, "/no~1such~0one"),
        ([], ""),
        (None, ""),
    ],
)
def test_features_that_do_not_fit(served, features, pointer):
    got = scores(served, {"features": features})
    assert got.status_code == 207
    (error,) = got.json["results"][0]["errors"]
    assert error["pointer"] == "/items/0/features" + pointer


def test_a_stored_account_as_of_now(told):
    got = scores(told, {"account_id": "slipping"}, {"account_id": "gone"}, {"account_id": "nobody"}, reasons="all")
    assert got.status_code == 207
    good, gone, nobody = got.json["results"]
    stored = told.get("/v1/accounts/slipping/health").json
    assert {name: stored[name] for name in good["score"]} == good["score"]
    assert gone["errors"][0]["code"] == "account_ended"
    assert nobody["errors"][0]["code"] == "unknown_account"


def test_a_raw_history_scores_as_the_stored_account(told):
    """With the portfolio's coverage the two are one."""
    first = isoformat(interactions()["opened_at"].min())
    got = scores(told, {"id": "r", **raw("slipping")}, reasons="all", observed_from=first)
    assert got.status_code == 200, got.json
    stored = told.get("/v1/accounts/slipping/health").json
    score = got.json["results"][0]["score"]
    assert {name: stored[name] for name in score} == score


def test_raw_histories_do_not_touch_each_other(told):
    """The same ids in two items, and one account alone equals itself among others."""
    alone = scores(told, raw("slipping")).json["results"][0]
    together = scores(told, raw("fading"), raw("slipping"), raw("slipping"), raw("vocal")).json["results"]
    assert together[1] == together[2] == alone
    assert together[0]["score"]["health"] != alone["score"]["health"]


def test_a_raw_history_as_of_then(told):
    then = scores(told, raw("slipping") | {"as_of": isoformat(day(150))}).json["results"][0]["score"]
    assert then["as_of"] == isoformat(day(150))
    assert then["health"] != scores(told, raw("slipping")).json["results"][0]["score"]["health"]


def test_a_bad_row_of_a_raw_history_is_named(told):
    item = raw("slipping")
    item["interactions"][2]["opened_at"] = "yesterday"
    item["interactions"][3]["account_id"] = "somebody else"
    item["surveys"] = [{"survey_id": 7, "instrument": "csat", "sent_at": isoformat(NOW)}]
    got = scores(told, {"features": {}}, item)
    assert got.status_code == 207
    errors = {error["pointer"]: error["message"] for error in got.json["results"][1]["errors"]}
    assert errors["/items/1/interactions/2/opened_at"] == "is not an ISO 8601 time"
    assert errors["/items/1/interactions/3/account_id"] == "is another account than the item's"
    assert errors["/items/1/surveys/0/survey_id"] == "must be text"


def test_a_raw_history_needs_to_say_since_when(told):
    item = raw("undated")
    got = scores(told, item)
    assert got.json["results"][0]["errors"][0]["pointer"] == "/items/0/account/started_at"
    assert scores(told, item, observed_from="2025-01-01T00:00:00Z").status_code == 200


def test_a_raw_account_that_gets_no_score(told):
    got = scores(told, raw("gone"), raw("test"), raw("leaving"), raw("future"))
    assert [item["errors"][0]["code"] for item in got.json["results"]] == [
        "account_ended", "account_is_test", "account_leaving", "account_not_started",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("item", "pointer", "code"),
    [
        ({}, "", "invalid"),
        ({"features": {}, "account_id": "a"}, "", "invalid"),
        ({"features": {}, "as_of": "2026-01-01"}, "/as_of", "unknown_field"),
        ({"features": {}, "id": 3}, "/id", "invalid"),
        ({"account_id": 3}, "/account_id", "invalid"),
        ({"account_id": ""}, "/account_id", "invalid"),
        ({"account": []}, "/account", "invalid"),
        ({"account": {}, "interactions": {}}, "/interactions", "invalid"),
        ({"account": {"started_at": "2025-01-01"}, "as_of": "noon"}, "/as_of", "invalid"),
        ({"account": {"started_at": "2025-01-01"}, "as_of": "2025-01-01T10:00"}, "/as_of", "invalid"),
        ({"account": {"started_at": "2025-01-01"}, "as_of": "9999-12-31T23:59:59-14:00"}, "/as_of", "invalid"),
        ({"account": {"started_at": "2025-01-01T00:00:00Z"}, "surveys": [3]}, "/surveys/0", "invalid"),
    ],
)
def test_items_that_are_no_items(served, item, pointer, code):
    got = scores(served, item)
    assert got.status_code == 207
    assert {"pointer": f"/items/0{pointer}", "code": code} in [
        {name: error[name] for name in ("pointer", "code")} for error in got.json["results"][0]["errors"]
    ]


def test_too_many_items(served):
    got = scores(served, *[{"features": {}}] * (MOST_ITEMS + 1))
    assert (got.status_code, got.json["code"]) == (413, "too_many_items")


def test_too_many_moments(served):
    account = {"started_at": "2025-01-01T00:00:00Z"}
    items = [{"account": account, "as_of": isoformat(day(n))} for n in range(21)]
    got = scores(served, *items)
    assert (got.status_code, got.json["code"]) == (422, "too_many_moments")


@pytest.mark.parametrize(
    "more", [{"reasons": "some"}, {"target": "vocal"}, {"observed_from": "once"}, {"reason": "all"}, {"reasons": []}]
)
def test_options_that_are_none(served, more):
    got = scores(served, {"features": {}}, **more)
    assert got.status_code == 422
    assert got.json["errors"]


def test_reasons_all_none_and_top(served):
    item = {"features": {"repeat_rate_90d": 0.9}}
    everything = scores(served, item, reasons="all").json["results"][0]["score"]
    added = everything["explanation"]["base_log_odds"] + sum(
        reason["log_odds"] for reason in everything["explanation"]["reasons"]
    )
    assert added == pytest.approx(everything["explanation"]["log_odds"], abs=1e-9)
    nothing = scores(served, item, reasons="none").json["results"][0]["score"]
    assert "explanation" not in nothing
    assert nothing == {name: value for name, value in everything.items() if name != "explanation"}
    silent = scores(served, item, target="silent").json["results"][0]["score"]["explanation"]
    assert silent["target"] == "silent"


def test_nothing_is_stored(told):
    before = told.get("/v1/accounts/slipping/health").json
    told.app.extensions["ebbtide"].clock.moment = day(-3)
    scores(told, {"account_id": "slipping"}, raw("slipping"))
    after = told.get("/v1/accounts/slipping/health").json
    assert {**after, "data": None} == {**before, "data": None}


def test_no_model_in_service(sqlite_store, tmp_path):
    from tests.http.conftest import serve

    empty = serve(sqlite_store, tmp_path, "")
    got = scores(empty, {"features": {}})
    assert (got.status_code, got.json["code"]) == (503, "model_unavailable")
    assert "ebbtide train --promote" in got.json["detail"]
