"""GET /v1/accounts/{id}/scores and /changes: what was said over time, and why it changed."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import polars as pl
import pytest

from models.loading import load_model
from models.store.scoring import score_store
from models.store.upsert import upsert
from tests.http.cast import NOW, day, put_model, tell_story
from tests.http.conftest import Served, let_go, serve

#: A cursor that holds half of a surrogate pair: ["2026-01-01T00:00:00Z", "\ud800"].
HALF = "WyIyMDI2LTAxLTAxVDAwOjAwOjAwWiIsICJcdWQ4MDAiXQ"


def run(served: Served, as_of, model_id: str | None = None) -> None:
    model, _ = load_model(served.artefacts, model_id or served.model_id)
    score_store(served.engine, model, as_of, who="test", clock=lambda: as_of + timedelta(minutes=1), currency="EUR")


@pytest.fixture
def watched(store, tmp_path) -> Iterator[Served]:
    """Runs eight and four weeks ago, then a late ticket and a new one, then a run today, in part by another model."""
    artefacts = tmp_path / "artefacts"
    one, other = put_model(artefacts, NOW), put_model(artefacts, NOW + timedelta(seconds=1), shift=0.5)
    found = serve(store, artefacts, one)
    tell_story(found.engine, artefacts, one)
    for days in (56, 28):
        run(found, day(days), one)
    rows = [ticket("late", day(35), known=day(20)), ticket("new", day(10), known=day(10))]
    upsert(found.engine, "interactions", pl.DataFrame(rows))
    run(found, NOW, one)
    run(found, NOW + timedelta(hours=1), other)
    yield found
    let_go(found)


def ticket(name: str, opened, known) -> dict:
    return {
        "interaction_id": name,
        "account_id": "slipping",
        "kind": "problem",
        "opened_at": opened,
        "resolved_at": opened + timedelta(hours=3),
        "outcome": "resolved",
        "recorded_at": known,
        "updated_at": known,
    }


def changes(served: Served, account: str = "slipping", **asked) -> dict:
    got = served.get(f"/v1/accounts/{quote(account, safe='')}/changes", query_string=asked)
    assert got.status_code == 200, got.json
    return got.json


def iso(moment) -> str:
    return moment.isoformat()


def part(body: dict, name: str) -> dict:
    return next(part for part in body["parts"] if part["part"] == name)


def check_sums(body: dict) -> None:
    added = sum(found["log_odds"] for found in body["parts"])
    assert added == pytest.approx(body["to"]["log_odds"] - body["from"]["log_odds"], abs=1e-9)
    assert body["log_odds"] == pytest.approx(added, abs=1e-9)
    for found in body["parts"]:
        for unit in ("log_odds", "points"):
            assert sum(line[unit] for line in found["features"]) == pytest.approx(found[unit], abs=1e-9)
    if body["target"] == "churn":
        moved = body["to"]["health_unclipped"] - body["from"]["health_unclipped"]
        assert body["points"] == pytest.approx(moved, abs=1e-9)


def test_the_parts_add_up_to_what_was_said(watched):
    for account in ("slipping", "a/b c", "undated"):
        for target in ("churn", "silent"):
            for later in (NOW, NOW + timedelta(hours=2)):
                check_sums(changes(watched, account, **{"from": iso(day(50)), "to": iso(later), "target": target}))


def test_each_cause_has_its_part(watched):
    body = changes(watched, **{"from": iso(day(28)), "to": iso(NOW)})
    assert [found["part"] for found in body["parts"]] == ["corrected", "late", "time", "behaviour", "model"]
    assert part(body, "late")["features"]
    assert part(body, "behaviour")["features"]
    assert part(body, "time")["features"]
    assert part(body, "model") == {
        "part": "model",
        "meaning": "another model",
        "log_odds": 0,
        "points": 0,
        "features": [],
    }
    assert not part(body, "corrected")["features"]
    assert body["from"]["as_of"] == "2026-05-04T12:00:00Z"


def test_another_model_is_told_apart(watched):
    later = NOW + timedelta(hours=1)
    body = changes(watched, **{"from": iso(NOW), "to": iso(later)})
    assert part(body, "model")["log_odds"] == pytest.approx(0.5, abs=1e-9)
    names = [line["feature"] for line in part(body, "model")["features"]]
    # The base rose and so did the risk that fifty points stand for.
    assert names == ["base", "reference"]
    assert part(body, "model")["points"] == pytest.approx(0, abs=1e-9)


def test_what_was_corrected_since_is_not_taken_for_behaviour(watched):
    before = changes(watched, **{"from": iso(day(28)), "to": iso(NOW)})
    never_solved = {"resolved_at": None, "outcome": "unresolved", "updated_at": day(118)}
    upsert(watched.engine, "interactions", pl.DataFrame([ticket("slipping-120", day(120), day(120)) | never_solved]))
    after = changes(watched, **{"from": iso(day(28)), "to": iso(NOW)})
    assert after["from"] == before["from"]
    assert after["to"] == before["to"]
    assert part(after, "corrected")["features"]
    assert sum(found["log_odds"] for found in after["parts"]) == pytest.approx(before["log_odds"], abs=1e-9)


def test_why_there_is_no_comparison(watched, tmp_path):
    path = "/v1/accounts/slipping/changes"
    long_ago = watched.get(path, query_string={"from": iso(day(300))})
    assert (long_ago.status_code, long_ago.json["code"]) == (409, "not_scored_then")
    nobody = watched.get("/v1/accounts/nobody/changes", query_string={"from": iso(day(30))})
    assert (nobody.status_code, nobody.json["code"]) == (404, "unknown_account")
    for asked in ({}, {"from": "yesterday"}, {"from": iso(NOW), "to": iso(day(1))}, {"from": "2026-05-01T00:00:00"}):
        refused = watched.get(path, query_string=asked)
        assert (refused.status_code, refused.json["code"]) == (422, "invalid_query"), asked
        assert refused.json["errors"][0]["pointer"] == "from"
    assert watched.get(path, query_string={"from": iso(NOW), "since": "x"}).status_code == 422
    assert watched.get(path, who="writer", query_string={"from": iso(NOW)}).status_code == 403


def test_every_score_ever_given_latest_first(watched):
    body = watched.get("/v1/accounts/slipping/scores").json
    moments = [score["as_of"] for score in body["scores"]]
    assert moments == sorted(moments, reverse=True)
    assert len(moments) == 4
    assert body["next"] is body["next_cursor"] is None
    health = watched.get("/v1/accounts/slipping/health").json
    assert body["scores"][0] == {name: health[name] for name in body["scores"][0]}


def test_pages_of_scores_fit_together_while_new_ones_are_given(watched):
    first = watched.get("/v1/accounts/a%2Fb%20c/scores?limit=2").json
    run(watched, NOW + timedelta(hours=5))
    second = watched.get(first["next"]).json
    told = [score["as_of"] for page in (first, second) for score in page["scores"]]
    assert len(set(told)) == len(told) == 4
    assert second["next"] is None


def test_questions_about_scores_that_do_not_fit(served):
    for query in ("limit=0", "limit=501", "limit=x", "cursor=abc", "cursor=WzFd", f"cursor={HALF}", "page=2"):
        assert served.get(f"/v1/accounts/slipping/scores?{query}").status_code == 422, query


def test_scores_of_whom(told):
    assert told.get("/v1/accounts/nobody/scores").json["code"] == "unknown_account"
    assert told.get("/v1/accounts/test/scores").json["scores"] == []
