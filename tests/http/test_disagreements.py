"""GET /v1/risk-lists/disagreement: both ways, against managers and against contracts."""

import polars as pl
import pytest

from models.clock import isoformat
from models.store.books import Book
from models.store.keys import create_key
from models.store.upsert import upsert
from tests.http.cast import NOW, day

PATH = "/v1/risk-lists/disagreement"


@pytest.fixture
def opposed(either):
    """Managers love the slipping account and fear for the healthy one, whose seats fell by half; a view is too old."""
    for account, view, at in (("slipping", 5, day(3)), ("healthy", 1, day(2)), ("fading", 5, day(91))):
        body = {"sentiment": view, "who": "ana", "note": "a feeling", "at": isoformat(at)}
        assert either.put(f"/v1/accounts/{account}/sentiment", body).status_code == 201
    terms = [("healthy", 400, 100), ("healthy", 30, 50), ("vocal", 300, 10), ("vocal", 100, 1)]
    rows = [{"account_id": a, "effective_at": day(age), "seats": seats} for a, age, seats in terms]
    upsert(either.engine, "contracts", pl.DataFrame(rows))
    return either


def test_both_ways_and_against_both(opposed):
    body = opposed.get(PATH).json
    entries = {(entry["account_id"], entry["against"]): entry for entry in body["entries"]}
    assert set(entries) == {("slipping", "sentiment"), ("healthy", "sentiment"), ("healthy", "commercial")}
    assert body["count"] == 3
    gaps = [abs(entry["gap"]) for entry in body["entries"]]
    assert gaps == sorted(gaps, reverse=True)
    for (account, _), entry in entries.items():
        health = opposed.get(f"/v1/accounts/{account}/health").json
        assert entry["health"] == health["health"]
        assert entry["gap"] == pytest.approx(health["health"] - entry["says"])
        worried = entry["direction"] == "model_more_worried"
        assert worried == (account == "slipping")
        assert entry["reasons"]
        assert all((reason["points"] < 0) == worried for reason in entry["reasons"])
        sentences = {r["sentence"] for r in health["explanation"]["reasons"]}
        assert {reason["sentence"] for reason in entry["reasons"]} <= sentences
    view = entries["slipping", "sentiment"]["sentiment"]
    assert view == {"sentiment": 5, "who": "ana", "note": "a feeling", "at": isoformat(day(3))}
    assert entries["healthy", "commercial"]["terms"] == {"term": "seats", "before": 100.0, "after": 50.0}


def test_narrowed(opposed):
    def told(query: str, who: str = "admin") -> list:
        body = opposed.get(f"{PATH}?{query}", who).json
        return [(entry["account_id"], entry["against"]) for entry in body["entries"]]

    assert told("against=commercial") == [("healthy", "commercial")]
    assert told("direction=model_more_worried") == [("slipping", "sentiment")]
    assert len(told("limit=1")) == 1
    assert told("owner=bob@example.org") == []
    assert len(told("owner=ana@example.org&segment=smb")) == 3
    opposed.keys["bob"] = create_key(opposed.engine, "bob", ["read"], NOW, book=Book(owners=("bob@example.org",)))[1]
    assert opposed.get(PATH, "bob").json["count"] == 0
    assert told("owner=ana@example.org", "bob") == []
    for query in ("against=x", "direction=up", "limit=0", "limit=201", "owner=a%00", "cursor=x"):
        assert opposed.get(f"{PATH}?{query}").status_code == 422, query
