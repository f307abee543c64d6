"""Overrides and sentiment: what managers say stands beside the model's number, and ends by itself."""

import csv
import io
from datetime import timedelta

from models.clock import isoformat
from models.store.books import Book
from models.store.keys import create_key
from tests.http.cast import NOW, day
from tests.http.test_errors import assert_problem

OVERRIDE = "/v1/accounts/slipping/override"
SENTIMENT = "/v1/accounts/slipping/sentiment"
HEALTH = "/v1/accounts/slipping/health"
LIST = "/v1/risk-lists/silent"
WANTED = {
    "band": "healthy",
    "owner": "ana@example.org",
    "reason": "they signed for two more years",
    "expires_at": "2026-07-01T00:00:00Z",
}


def shown(served, who: str = "admin") -> list:
    """The account's override everywhere it is shown."""
    entries = served.get(LIST, who).json["entries"]
    rows = csv.DictReader(io.StringIO(served.get(LIST, who, headers={"Accept": "text/csv"}).get_data(as_text=True)))
    band = next(row["override_band"] for row in rows if row["account_id"] == "slipping")
    on_list = next(entry["override"] for entry in entries if entry["account_id"] == "slipping")
    on_health = served.get(HEALTH, who).json["override"]
    assert on_health == on_list
    assert band == (on_list or {"band": ""})["band"]
    return on_health


def test_it_stands_beside_the_models_number_and_ends_by_itself(either):
    plain, page = either.get(HEALTH).json, either.get(LIST).json
    assert plain["override"] is None
    got = either.put(OVERRIDE, WANTED)
    assert (got.status_code, got.json) == (
        201, {"account_id": "slipping", "override": WANTED | {"set_at": isoformat(NOW)}}
    )  # fmt: skip
    assert shown(either) == got.json["override"]
    assert {**either.get(HEALTH).json, "override": None} == plain, "nothing else has moved"
    assert either.get(f"{HEALTH}?fields=override").json == {"override": got.json["override"]}
    clock = either.app.extensions["ebbtide"].clock
    clock.moment = NOW + timedelta(days=29, hours=11, minutes=59)
    assert shown(either) is not None
    clock.moment = NOW + timedelta(days=29, hours=12)
    assert shown(either) is None, "it is over at the very moment it was said to be"
    assert either.get(LIST).json == page


def test_another_takes_its_place_and_it_can_be_taken_back(either):
    assert either.put(OVERRIDE, WANTED).status_code == 201
    again = either.put(OVERRIDE, WANTED | {"band": "critical"})
    assert (again.status_code, again.json["override"]["band"]) == (200, "critical")
    assert shown(either)["band"] == "critical"
    ended = either.client.delete(OVERRIDE, headers=either.headers())
    assert (ended.status_code, ended.json) == (200, {"account_id": "slipping", "override": None})
    assert shown(either) is None
    assert_problem(either.client.delete(OVERRIDE, headers=either.headers()), 404, "no_override")
    assert either.put(OVERRIDE, WANTED).status_code == 201
    assert shown(either)["band"] == "healthy"
    lines = either.get("/v1/audit?subject=slipping").json["entries"]
    assert [(line["action"], line["details"]["band"]) for line in reversed(lines)] == [
        ("override.set", "healthy"), ("override.set", "critical"), ("override.ended", "critical"),
        ("override.set", "healthy"),
    ]  # fmt: skip
    assert "two more years" not in str(lines), "what may speak of people can be erased, so it is not there"


def test_views_are_kept_and_the_latest_is_told(either):
    assert either.get(SENTIMENT).json == {"account_id": "slipping", "sentiment": None}
    first = either.put(SENTIMENT, {"sentiment": 4, "who": "ana", "note": "friendly call"})
    assert first.status_code == 201
    view = {"sentiment": 4, "who": "ana", "note": "friendly call", "at": isoformat(NOW)}
    assert first.json == {"account_id": "slipping", "sentiment": view}
    earlier = either.put(SENTIMENT, {"sentiment": 1, "who": "bob", "at": isoformat(day(3))})
    told = {"sentiment": 1, "who": "bob", "note": None, "at": isoformat(day(3))}
    assert (earlier.status_code, earlier.json["sentiment"]) == (200, told), "what was kept is what is answered"
    assert either.get(SENTIMENT).json["sentiment"] == view, "an older view is not the latest"
    assert either.put(SENTIMENT, {"sentiment": 2, "who": "ana"}).json["sentiment"]["sentiment"] == 2
    assert either.get(SENTIMENT).json["sentiment"] == view | {"sentiment": 2, "note": None}


WRONG = [
    (OVERRIDE, {}, ["/band", "/owner", "/reason", "/expires_at"]),
    (OVERRIDE, WANTED | {"band": "red"}, ["/band"]),
    (OVERRIDE, WANTED | {"owner": " "}, ["/owner"]),
    (OVERRIDE, WANTED | {"reason": "a\0b"}, ["/reason"]),
    (OVERRIDE, WANTED | {"reason": "x" * 2001}, ["/reason"]),
    (OVERRIDE, WANTED | {"expires_at": isoformat(NOW)}, ["/expires_at"]),
    (OVERRIDE, WANTED | {"expires_at": isoformat(NOW + timedelta(days=367))}, ["/expires_at"]),
    (OVERRIDE, WANTED | {"expires_at": "2026-07-01T00:00:00"}, ["/expires_at"]),
    (OVERRIDE, WANTED | {"health": 90}, ["/health"]),
    (SENTIMENT, {}, ["/sentiment", "/who"]),
    (SENTIMENT, {"sentiment": 6, "who": "ana"}, ["/sentiment"]),
    (SENTIMENT, {"sentiment": True, "who": "ana"}, ["/sentiment"]),
    (SENTIMENT, {"sentiment": 3, "who": 7}, ["/who"]),
    (SENTIMENT, {"sentiment": 3, "who": "ana", "at": isoformat(NOW + timedelta(seconds=1))}, ["/at"]),
    (SENTIMENT, {"sentiment": 3, "who": "ana", "notes": "x"}, ["/notes"]),
]


def test_what_does_not_fit_is_named(told):
    for path, body, pointers in WRONG:
        got = assert_problem(told.put(path, body), 422, "invalid_body")
        assert [error["pointer"] for error in got["errors"]] == pointers, body


def test_of_accounts_somebody_has_described(told):
    for name in ("nobody", "slipping"):
        told.keys["bob"] = create_key(told.engine, "bob", ["read", "write"], NOW, book=Book(owners=("bob@x",)))[1]
        who = "bob" if name == "slipping" else "admin"
        answers = [
            told.put(f"/v1/accounts/{name}/override", WANTED, who),
            told.client.delete(f"/v1/accounts/{name}/override", headers=told.headers(who)),
            told.put(f"/v1/accounts/{name}/sentiment", {"sentiment": 3, "who": "x"}, who),
            told.get(f"/v1/accounts/{name}/sentiment", who),
        ]
        for got in answers:
            assert_problem(got, 404, "unknown_account")
