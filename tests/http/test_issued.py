"""POST /v1/risk-lists: the accounts that fit a week, frozen, and what changed since the list before."""

import csv
import io
from datetime import timedelta

import polars as pl
import pytest

from models.store.books import Book
from models.store.keys import create_key
from models.store.upsert import upsert
from tests.http.cast import NOW, day
from tests.http.test_changes import ticket
from tests.http.test_errors import assert_problem
from tests.http.test_risk_lists import names, run_again

PATH = "/v1/risk-lists"
WEEK = NOW + timedelta(days=7)


def issue(served, **body) -> dict:
    got = served.post(PATH, body)
    assert got.status_code == 201, got.json
    assert got.headers["Location"] == f"{PATH}/{got.json['list']['list_id']}"
    return got.json


def moves(body: dict, kind: str) -> dict[str, str]:
    return {move["account_id"]: move["why"] for move in body["changes"][kind]}


def outreach(account: str, at) -> pl.DataFrame:
    return pl.DataFrame([{"outreach_id": f"o-{account}", "account_id": account, "at": at, "kind": "call"}])


def test_a_list_is_what_fits_and_stays_as_it_was(either):
    whole = either.get(f"{PATH}/silent").json
    body = issue(either, capacity=2)
    assert names(body) == names(whole)[:2]
    assert [entry["place"] for entry in body["entries"]] == [1, 2]
    assert body["changes"] is None
    line = body["list"]
    assert (line["kind"], line["entries"], line["model_id"]) == ("issued", 2, either.model_id)
    assert line["as_of"] == whole["list"]["as_of"]
    parameters = line["parameters"]
    asked = {name: parameters[name] for name in ("capacity", "buffer", "rank_by", "since", "source_list_id")}
    assert asked == {
        "capacity": 2, "buffer": 1, "rank_by": "expected_loss", "since": None,
        "source_list_id": whole["list"]["list_id"],
    }  # fmt: skip
    assert line["population"]["pool"] == len(whole["entries"])
    lost = sum(entry["expected_revenue_loss"]["amount"] for entry in body["entries"])
    assert line["population"]["expected_revenue_loss"] == [{"currency": "EUR", "amount": pytest.approx(lost)}]
    for _ in range(5):
        run_again(either, WEEK)
    kept = either.get(f"{PATH}/{line['list_id']}").json
    assert (kept["list"], kept["entries"]) == (line, body["entries"])
    assert either.get(f"{PATH}/{line['list_id']}/changes").json == {"list_id": line["list_id"], "changes": None}


def test_page_by_page_and_as_csv(told):
    list_id = issue(told, capacity=3)["list"]["list_id"]
    page, seen = told.get(f"{PATH}/{list_id}?limit=2").json, []
    while True:
        seen += names(page)
        if page["next"] is None:
            break
        assert page["next"].startswith(f"{PATH}/{list_id}?")
        page = told.get(page["next"]).json
    got = told.get(f"{PATH}/{list_id}", headers={"Accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(got.get_data(as_text=True))))
    assert [row["account_id"] for row in rows] == seen == names(told.get(f"{PATH}/{list_id}").json)
    assert got.headers["Content-Disposition"] == f'attachment; filename="issued-list-{list_id}.csv"'
    other = told.get(f"{PATH}/silent?limit=1").json["next_cursor"]
    assert_problem(told.get(f"{PATH}/{list_id}?limit=1&cursor={other}"), 422, "invalid_cursor")


def test_who_was_approached_lately_is_left_out(told):
    first = names(issue(told, capacity=1))
    upsert(told.engine, "outreach", outreach(first[0], day(3)))
    body = issue(told, capacity=1)
    assert names(body) != first
    assert body["list"]["population"]["handled"] == 1
    assert names(issue(told, capacity=1, handled_within_days=2)) == first
    assert names(issue(told, capacity=1, handled_within_days=0)) == first


def test_why_accounts_left_came_and_stayed(either):
    before = issue(either, capacity=3, buffer=0)
    on_it = names(before)
    complaint = ticket("angry", day(-2), known=day(-2)) | {"kind": "complaint", "account_id": on_it[0]}
    upsert(either.engine, "interactions", pl.DataFrame([complaint]))
    upsert(either.engine, "outreach", outreach(on_it[1], day(-3)))
    run_again(either, WEEK)
    either.app.extensions["ebbtide"].clock.moment = WEEK
    body = issue(either, capacity=3, buffer=0, since=before["list"]["list_id"])
    assert moves(body, "left") == {on_it[0]: "spoke_up", on_it[1]: "handled"}
    assert moves(body, "stayed") == {on_it[2]: "still_in"}
    assert set(moves(body, "new")) == set(names(body)) - {on_it[2]}
    assert set(moves(body, "new").values()) <= {"risk_rose", "had_room"}
    assert body["changes"]["since"]["list_id"] == before["list"]["list_id"]
    told_of = either.get(f"{PATH}/{body['list']['list_id']}/changes").json["changes"]
    assert told_of == body["changes"]
    for kind in ("left", "new", "stayed"):
        for move in body["changes"][kind]:
            check_parts(either, move)


def check_parts(served, move: dict) -> None:
    """They add up to the change of the log-odds that were given."""
    if move["account_id"] == "young":
        return
    scores = served.app.extensions["ebbtide"].store.given([move["account_id"]], NOW, served.model_id)[0]
    later = served.app.extensions["ebbtide"].store.given([move["account_id"]], WEEK, served.model_id)[0]
    change = later["log_odds_silent"][0] - scores["log_odds_silent"][0]
    assert sum(part["log_odds"] for part in move["parts"]) == pytest.approx(change, abs=1e-9)
    assert [part["part"] for part in move["parts"]] == ["corrected", "late", "time", "behaviour", "model"]
    assert move["then"]["p_silent"] == scores["p_silent"][0]
    assert move["now"]["p_silent"] == later["p_silent"][0]


def test_who_is_gone_and_who_is_held(told):
    before = issue(told, capacity=2, buffer=1)
    gone = names(before)[0]
    row = {"account_id": gone, "started_at": day(500), "notice_at": day(-1), "segment": "smb"}
    upsert(told.engine, "accounts", pl.DataFrame([row]))
    run_again(told, WEEK)
    body = issue(told, capacity=2, since=before["list"]["list_id"])
    assert moves(body, "left") == {gone: "gone"}
    (left,) = body["changes"]["left"]
    assert (left["now"], left["parts"], left["place"]) == (None, None, None)


@pytest.mark.parametrize("over", [{"notice_at": day(1)}, {"ended_at": day(1)}, {"is_test": True}])
def test_who_left_since_the_run_is_not_called(either, over):
    """The run is of before: what became known since counts at once, without a run in between."""
    before = issue(either, capacity=2, buffer=1)
    gone = names(before)[0]
    row = {"account_id": gone, "started_at": day(500), "segment": "smb", **over}
    upsert(either.engine, "accounts", pl.DataFrame([row]))
    body = issue(either, capacity=2, since=before["list"]["list_id"])
    assert gone not in names(body)
    assert moves(body, "left") == {gone: "gone"}
    assert body["list"]["population"]["pool"] == before["list"]["population"]["pool"] - 1


def test_a_notice_for_later_is_no_notice_yet(told):
    first = names(issue(told, capacity=1))
    row = {"account_id": first[0], "started_at": day(500), "notice_at": day(-1), "segment": "smb"}
    upsert(told.engine, "accounts", pl.DataFrame([row]))
    assert names(issue(told, capacity=1)) == first


WRONG = [
    ({}, "/capacity"),
    ({"capacity": 0}, "/capacity"),
    ({"capacity": 501}, "/capacity"),
    ({"capacity": "8"}, "/capacity"),
    ({"capacity": True}, "/capacity"),
    ({"capacity": None}, "/capacity"),
    ({"capacity": 8, "buffer": 8}, "/buffer"),
    ({"capacity": 8, "handled_within_days": 366}, "/handled_within_days"),
    ({"capacity": 8, "rank_by": "name"}, "/rank_by"),
    ({"capacity": 8, "rank_by": None}, "/rank_by"),
    ({"capacity": 8, "owner": 3}, "/owner"),
    ({"capacity": 8, "segment": "a\0b"}, "/segment"),
    ({"capacity": 8, "band": "red"}, "/band"),
    ({"capacity": 8, "min_mrr": -1}, "/min_mrr"),
    ({"capacity": 8, "since": 0}, "/since"),
    ({"capacity": 8, "since": 77}, "/since"),
    ({"capacity": 8, "limit": 3}, "/limit"),
]


def test_what_does_not_fit_is_named(told):
    for body, pointer in WRONG:
        got = assert_problem(told.post(PATH, body), 422, "invalid_body")
        assert [error["pointer"] for error in got["errors"]] == [pointer], body


def test_a_published_list_is_no_list_to_compare_with(told):
    published = told.get(f"{PATH}/silent").json["list"]["list_id"]
    assert_problem(told.post(PATH, {"capacity": 2, "since": published}), 422, "invalid_body")
    assert told.get(f"{PATH}/{published}").json["list"]["kind"] == "silent"
    assert_problem(told.get(f"{PATH}/{published}/changes"), 404, "unknown_list")


def test_lists_nobody_knows(served):
    for number in ("7", str(2**63), str(10**30)):
        assert_problem(served.get(f"{PATH}/{number}"), 404, "unknown_list")
        assert_problem(served.get(f"{PATH}/{number}/changes"), 404, "unknown_list")
    assert_problem(served.post(PATH, {"capacity": 2}), 404, "no_list_yet")


def test_a_grade_before_and_after_it_matures(either):
    body = issue(either, capacity=3)
    list_id, listed = body["list"]["list_id"], names(body)
    clock = either.app.extensions["ebbtide"].clock
    clock.moment = NOW + timedelta(days=133)
    young = either.get(f"{PATH}/{list_id}/grade").json
    assert (young["status"], young["grades"], young["matures_at"]) == ("immature", None, "2026-10-13T12:00:00Z")
    assert young["horizon"] == {"from": "2026-06-15T12:00:00Z", "to": "2026-09-13T12:00:00Z"}
    silent, involuntary, unlisted = listed[0], listed[1], next(a for a in ("priceless", "a/b c") if a not in listed)
    left = [
        {"account_id": silent, "notice_at": day(-40)},
        {"account_id": involuntary, "ended_at": day(-40), "end_reason": "involuntary"},
        {"account_id": unlisted, "notice_at": day(-100)},
    ]
    for row in left:
        upsert(either.engine, "accounts", pl.DataFrame([{"started_at": day(500), "segment": "smb", **row}]))
    upsert(either.engine, "outreach", outreach(listed[2], day(-20)))
    clock.moment = NOW + timedelta(days=134)
    found = either.get(f"{PATH}/{list_id}/grade").json
    pool = body["list"]["population"]["pool"]
    assert found["status"] == "graded"
    assert found["outcomes"]["listed"] == {
        "stay": 1, "silent": 1, "vocal": 0, "involuntary": 1, "unlabelable": 0, "blackout": 0, "immature": 0,
        "unknown": 0,
    }  # fmt: skip
    for target in ("silent", "churn"):
        told_of = found["grades"][target]
        assert [told_of[name] for name in ("listed", "left", "pool", "pool_left")] == [2, 1, pool - 1, 2]
        assert told_of["rate"] == 0.5
        assert told_of["base_rate"] == pytest.approx(2 / (pool - 1))
        assert told_of["rate_low"] < 0.5 < told_of["rate_high"]
    assert found["approached"] == 1


def test_a_published_list_has_no_grade(told):
    published = told.get(f"{PATH}/silent").json["list"]["list_id"]
    assert_problem(told.get(f"{PATH}/{published}/grade"), 404, "unknown_list")


def test_a_restricted_key_issues_from_its_book_and_reads_lists_of_its_book(told):
    books = {"ana": ("ana@example.org",), "bob": ("bob@example.org",)}
    for who, owners in books.items():
        told.keys[who] = create_key(told.engine, who, ["read"], NOW, book=Book(owners=owners))[1]
    everybodys = issue(told, capacity=5)
    bobs = told.post(PATH, {"capacity": 5}, "bob").json
    assert names(bobs) == ["fading"]
    assert bobs["list"]["population"]["pool"] == 1
    mine = told.post(PATH, {"capacity": 5, "buffer": 4}, "ana").json
    assert "fading" not in names(mine)
    for who, owners in {"both": ("ana@example.org", "eve@x"), "the same": ("eve@x", "ana@example.org")}.items():
        told.keys[who] = create_key(told.engine, who, ["read"], NOW, book=Book(owners=owners))[1]
    number = told.post(PATH, {"capacity": 5}, "both").json["list"]["list_id"]
    assert [told.get(f"{PATH}/{number}", who).status_code for who in ("the same", "ana")] == [200, 404]
    clock = told.app.extensions["ebbtide"].clock
    for other in (everybodys, bobs):
        number = other["list"]["list_id"]
        for path in ("", "/changes", "/grade"):
            got = told.get(f"{PATH}/{number}{path}", "ana")
            nobodys = told.get(f"{PATH}/777{path}", "ana")
            assert got.status_code == nobodys.status_code == 404
            assert got.json["detail"] == nobodys.json["detail"].replace("777", str(number))
        refused = told.post(PATH, {"capacity": 5, "since": number}, "ana")
        assert refused.status_code == 422
    lost = names(mine)[0]
    upsert(told.engine, "accounts", pl.DataFrame([{"account_id": lost, "owner": "bob@example.org"}]))
    number = mine["list"]["list_id"]
    again = told.post(PATH, {"capacity": 5, "buffer": 4, "since": number}, "ana").json
    clock.moment = NOW + timedelta(days=134)
    kept = told.get(f"{PATH}/{number}", "ana").json
    assert names(kept) == names(mine)[1:], "an account that went to somebody else is not there any more"
    assert kept["list"]["entries"] == len(mine["entries"]) - 1
    assert kept["list"]["parameters"] == mine["list"]["parameters"], "what was asked for is kept for her, too"
    assert kept["list"]["population"] == {}
    assert lost not in str(again)
    graded = told.get(f"{PATH}/{number}/grade", "ana").json
    assert graded["outcomes"]["pool"]["stay"] == mine["list"]["population"]["pool"] - 1
