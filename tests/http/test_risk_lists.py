"""GET /v1/risk-lists/silent: ranked, filtered, paged over a frozen list, and as CSV."""

import base64
import csv
import io
import json
import time
from datetime import timedelta

import pytest

from api import published
from models.loading import load_model
from models.store.lists import KEEP_LISTS
from models.store.scoring import score_store
from tests.http.cast import NOW

PATH = "/v1/risk-lists/silent"


def names(body: dict) -> list[str]:
    return [entry["account_id"] for entry in body["entries"]]


def run_again(served, as_of=NOW):
    model, _ = load_model(served.artefacts, served.model_id)
    done = score_store(served.engine, model, as_of, who="test", clock=lambda: as_of, currency="EUR")
    served.app.extensions["ebbtide"].lists._seen.clear()
    return done


def test_who_is_on_it_and_in_which_order(either):
    body = either.get(PATH).json
    assert body["list"]["as_of"] == "2026-06-01T12:00:00Z"
    assert body["list"]["model_id"] == either.model_id
    assert body["list"]["entries"] == len(body["entries"]) == body["list"]["population"]["quiet"]
    assert body["list"]["population"]["accounts"] == 12
    on_it = names(body)
    assert "vocal" not in on_it, "it is talking to us"
    assert not {"gone", "leaving", "test", "future"} & set(on_it)
    losses = [entry["expected_revenue_loss"] for entry in body["entries"]]
    amounts = [loss["amount"] for loss in losses if loss]
    assert amounts == sorted(amounts, reverse=True)
    assert losses[-1] is None, "unknown revenue comes last"
    assert [entry["rank"] for entry in body["entries"]] == list(range(1, len(on_it) + 1))
    first = body["entries"][0]
    assert first["account_id"] == "slipping"
    assert first["reasons"][0]["sentence"].startswith("renewal in 20 days")
    assert all(reason["points"] < 0 for reason in first["reasons"])


def test_by_probability(told):
    body = told.get(f"{PATH}?rank_by=probability").json
    chances = [entry["p_silent"] for entry in body["entries"]]
    assert chances == sorted(chances, reverse=True)


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("owner=bob@example.org", lambda entry: entry["owner"] == "bob@example.org"),
        ("segment=mid", lambda entry: entry["segment"] == "mid"),
        ("region=s%C3%BCd", lambda entry: entry["region"] == "süd"),
        ("band=critical", lambda entry: entry["band"] == "critical"),
        ("min_mrr=500", lambda entry: entry["mrr"] is not None and entry["mrr"] >= 500),
        ("segment=smb&min_mrr=600&rank_by=probability", lambda e: e["segment"] == "smb" and (e["mrr"] or 0) >= 600),
        ("owner=nobody", lambda entry: False),
    ],
)
def test_filters(either, query, fits):
    everybody = either.get(f"{PATH}?rank_by={'probability' if 'probability' in query else 'expected_loss'}").json
    body = either.get(f"{PATH}?{query}").json
    assert body["entries"] == [entry for entry in everybody["entries"] if fits(entry)]
    assert body["list"] == everybody["list"]


def test_pages_fit_together_while_new_lists_are_published(either):
    whole = either.get(PATH).json["entries"]
    page = either.get(f"{PATH}?limit=2").json
    seen = page["entries"]
    lists = {page["list"]["list_id"]}
    age = 0
    while page["next"]:
        age += 30
        run_again(either, NOW + timedelta(days=age))
        page = either.get(page["next"]).json
        seen += page["entries"]
        lists.add(page["list"]["list_id"])
    assert seen == whole
    assert len(lists) == 1
    assert page["next_cursor"] is None
    assert either.get(PATH).json["list"]["list_id"] not in lists


def test_a_new_list_is_seen_within_a_second(told):
    old = told.get(PATH).json["list"]["list_id"]
    model, _ = load_model(told.artefacts, told.model_id)
    score_store(told.engine, model, NOW, who="test", clock=lambda: NOW)
    time.sleep(published.CURRENT_SECONDS)
    assert told.get(PATH).json["list"]["list_id"] > old


def test_a_cursor_into_a_list_no_longer_kept(told):
    cursor = told.get(f"{PATH}?limit=1").json["next_cursor"]
    for _ in range(KEEP_LISTS):
        run_again(told)
    got = told.get(f"{PATH}?limit=1&cursor={cursor}")
    assert (got.status_code, got.json["code"]) == (410, "list_expired")
    assert told.get(f"{PATH}?limit=1&cursor={cursor}", headers={"Accept": "text/csv"}).status_code == 410


def encoded(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "%%%", "a" * 5000, "é", encoded(3), encoded([1, 2]), encoded([1, "2", "x"]), encoded([True, 1, "x"]),
     encoded([2**63, 1, "x"]), encoded([1, -1, "x"]), encoded({"a": 1}), encoded([[], {}, None])],
)  # fmt: skip
def test_a_cursor_that_is_none(told, cursor):
    got = told.client.get(PATH, query_string={"cursor": cursor}, headers=told.headers())
    assert (got.status_code, got.json["code"]) == (422, "invalid_cursor")


def test_a_cursor_belongs_to_its_filters(told):
    cursor = told.get(f"{PATH}?limit=1&segment=smb").json["next_cursor"]
    got = told.get(f"{PATH}?limit=1&segment=mid&cursor={cursor}")
    assert (got.status_code, got.json["code"]) == (422, "invalid_cursor")
    assert told.get(f"{PATH}?limit=1&cursor={cursor}&rank_by=probability&segment=smb").status_code == 422
    assert told.get(f"{PATH}?limit=3&segment=smb&cursor={cursor}").status_code == 200, "the limit may change"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=ten", "limit=1.5", "limit=%D9%A1", "rank_by=health", "band=red", "min_mrr=-1",
     "min_mrr=nan", "min_mrr=inf", "min_mrr=x", "owner=a%00b", "colour=red", f"owner={'x' * 600}"],
)  # fmt: skip
def test_questions_that_do_not_fit(told, query):
    got = told.get(f"{PATH}?{query}")
    assert (got.status_code, got.json["code"]) == (422, "invalid_query")
    assert [error["pointer"] for error in got.json["errors"]] == [query.split("=")[0]]


def test_before_the_first_run(served):
    got = served.get(PATH)
    assert (got.status_code, got.json["code"]) == (404, "no_list_yet")
    assert "ebbtide score" in got.json["detail"]


def as_csv(served, query: str = ""):
    got = served.get(f"{PATH}{query}", headers={"Accept": "text/csv"})
    assert got.status_code == 200
    assert got.content_type == "text/csv; charset=utf-8"
    return got, list(csv.DictReader(io.StringIO(got.get_data(as_text=True), newline="")))


def test_csv_holds_the_whole_list_in_the_same_order(either, monkeypatch):
    monkeypatch.setattr("api.risk_lists._CSV_PAGE", 3)
    got, rows = as_csv(either)
    entries = either.get(PATH).json["entries"]
    assert [row["account_id"] for row in rows] == [entry["account_id"] for entry in entries]
    assert [float(row["p_silent"]) for row in rows] == [entry["p_silent"] for entry in entries]
    assert got.headers["Ebbtide-List-Id"] == str(either.get(PATH).json["list"]["list_id"])
    assert got.headers["Ebbtide-As-Of"] == "2026-06-01T12:00:00Z"
    assert got.headers["Ebbtide-Model-Id"] == either.model_id
    assert rows[-1]["expected_revenue_loss"] == ""
    assert rows[0]["reasons"].count(" | ") == 2


def test_csv_filters_limits_and_goes_on(told):
    _, rows = as_csv(told, "?segment=smb&rank_by=probability&limit=2")
    page = told.get(f"{PATH}?segment=smb&rank_by=probability&limit=2").json
    assert [row["account_id"] for row in rows] == names(page)
    _, rest = as_csv(told, "?segment=smb&rank_by=probability&cursor=" + page["next_cursor"])
    whole = told.get(f"{PATH}?segment=smb&rank_by=probability").json
    assert names(whole) == [row["account_id"] for row in rows + rest]


def test_a_spreadsheet_runs_nothing(told):
    """The cast's slipping account is named like a formula."""
    _, rows = as_csv(told)
    assert rows[0]["name"] == '\'=HYPERLINK("x")'
    assert told.get(PATH).json["entries"][0]["name"] == '=HYPERLINK("x")', "JSON runs nothing, so it is left alone"


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "\n=1", "  =1", "\x0b=1"])
def test_what_begins_like_a_formula_is_neutralised(text):
    from api.csv_lines import neutral

    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("value", ["a=1", "Ltd.", "", None, -3.5, 7, "süd", "1-2"])
def test_all_else_is_left_alone(value):
    from api.csv_lines import neutral

    assert neutral(value) == value


@pytest.mark.parametrize(
    ("accept", "type_"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/csv", "text/csv"),
        ("text/csv;q=0.5, application/json", "application/json"),
        ("text/html, text/*;q=0.5", "text/csv"),
        ("application/xml", "application/problem+json"),
        ("nonsense", "application/problem+json"),
    ],
)
def test_what_the_caller_takes(told, accept, type_):
    got = told.get(PATH, headers={"Accept": accept})
    assert got.mimetype == type_
    assert got.status_code == (406 if "problem" in type_ else 200)


def test_written_pages_are_let_go_when_there_are_too_many():
    pages = published.Pages(most_bytes=10)
    pages.put("a", published.Page(b"12345", None))
    pages.put("b", published.Page(b"12345", None))
    assert pages.get("a").content == b"12345"
    pages.put("c", published.Page(b"1", None))
    assert pages.get("b") is None
    pages.put("a", published.Page(b"1", None))
    assert (pages.get("a").content, pages.get("c").content) == (b"1", b"1")
    pages.put("big", published.Page(b"x" * 11, None))
    assert pages.get("big") is None
