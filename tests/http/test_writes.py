"""Facts in: one account, or batches of accounts, interactions and surveys."""

import time

import pytest
import sqlalchemy as sa

from api.batches import MOST_ITEMS
from api.rescoring import MOST_INLINE
from models.clock import isoformat
from models.store.history import read_history
from models.store.tables import CONTRACT
from tests.http.cast import NOW, day
from tests.http.conftest import serve
from tests.http.test_scores import plain


def account(account_id: str, **more) -> dict:
    return {"account_id": account_id, "started_at": isoformat(day(400)), "segment": "smb", "mrr": 100, **more}


def contact(name: str, account_id: str, age: float = 5, **more) -> dict:
    return {
        "interaction_id": name,
        "account_id": account_id,
        "opened_at": isoformat(day(age)),
        "kind": "problem",
        **more,
    }


def stored(served, account_id: str):
    with served.engine.connect() as conn:
        return read_history(conn, [account_id])


def test_put_creates_updates_and_leaves_alone(either):
    body = {"name": "New Ltd", "started_at": "2026-01-01T00:00:00Z", "mrr": 10}
    first = either.put("/v1/accounts/new", body)
    assert (first.status_code, first.json["status"], first.json["rescored"]) == (201, "created", 1)
    again = either.put("/v1/accounts/new", body)
    assert (again.status_code, again.json["status"], again.json["rescored"]) == (200, "unchanged", 0)
    changed = either.put("/v1/accounts/new", body | {"mrr": 20})
    assert (changed.status_code, changed.json["status"]) == (200, "updated")
    assert stored(either, "new").accounts["mrr"].to_list() == [20]
    assert either.get("/v1/accounts/new/health").json["mrr"] == 20


def test_who_does_not_say_when_is_not_taken_for_old_news(either):
    """A simulator or an import says `updated_at`; a client that never does must still be heard."""
    said = {"started_at": "2026-01-01T00:00:00Z", "mrr": 100.0}
    assert either.put("/v1/accounts/im", said | {"updated_at": "2026-05-01T00:00:00Z"}).status_code == 201
    kept = either.put("/v1/accounts/im", said).json
    assert (kept["status"], stored(either, "im").accounts["updated_at"][0]) == ("unchanged", day(31).replace(hour=0))
    leaving = said | {"notice_at": "2026-05-20T00:00:00Z"}
    assert either.put("/v1/accounts/im", leaving).json["status"] == "updated"
    assert either.get("/v1/accounts/im/health").json["code"] == "account_leaving"
    assert either.put("/v1/accounts/im", leaving).json["status"] == "unchanged"
    assert stored(either, "im").accounts["updated_at"].to_list() == [NOW]
    old = either.put("/v1/accounts/im", said | {"updated_at": "2026-05-02T00:00:00Z"}).json
    assert (old["status"], old["note"]) == ("unchanged", "a newer version is stored")
    batch = [{"account_id": "im", **said, "updated_at": "2026-05-03T00:00:00Z"}, {"account_id": "im", "mrr": 7}]
    answer = either.post("/v1/accounts", {"items": batch}).json
    assert [item["status"] for item in answer["results"]] == ["unchanged", "updated"]
    assert stored(either, "im").accounts["mrr"].to_list() == [7]


def test_a_misspelt_address_makes_no_account(served):
    wrong = {"a/overide": "not_found", "a/health?x=1": "method_not_allowed", "a/": "not_found"}
    for path, code in wrong.items():
        assert served.put(f"/v1/accounts/{path}", {"mrr": 1}).json["code"] == code
    with served.engine.connect() as conn:
        assert conn.scalar(sa.select(sa.func.count()).select_from(CONTRACT["accounts"])) == 0
    assert served.put("/v1/accounts/a%2Fb", {"mrr": 1}).json["id"] == "a/b"
    assert served.get("/v1/accounts/a%2Fb").json["account_id"] == "a/b"


def test_an_id_may_look_like_an_address(served):
    """What is written %2F belongs to the id, wherever it leads when it does not."""
    assert served.put("/v1/accounts/a", {"name": "A"}).json["id"] == "a"
    assert served.put("/v1/accounts/a%2Fhealth", {"name": "Another"}).json["id"] == "a/health"
    assert served.get("/v1/accounts/a%2fhealth").json["name"] == "Another"
    for path in ("/v1/accounts/a%2Fhealth/health", "/v1/accounts/a/health"):
        who = path.removesuffix("/health").rpartition("accounts/")[2].replace("%2F", "/")
        assert served.get(path).json["account_id"] == who
    assert served.get("/v1%2Faccounts/a").json["code"] == "not_found"
    assert served.put("/v1/accounts/a%00b", {"name": "None"}).json["code"] == "not_found"
    behind = {"RAW_URI": "/", "REQUEST_URI": "/"}
    lost = served.client.get("/v1/accounts/a", headers=served.headers(), environ_overrides=behind)
    assert lost.json["name"] == "A"


def test_what_put_leaves_out_is_unknown(told):
    told.put("/v1/accounts/slipping", {"started_at": isoformat(day(500))})
    assert stored(told, "slipping").accounts["mrr"].to_list() == [None]


def test_an_older_version_changes_nothing_and_says_so(served):
    served.put("/v1/accounts/a", {"mrr": 2, "updated_at": "2026-02-01T00:00:00Z"})
    old = served.put("/v1/accounts/a", {"mrr": 1, "updated_at": "2026-01-01T00:00:00Z"})
    assert old.json["status"] == "unchanged"
    assert old.json["note"] == "a newer version is stored"
    assert stored(served, "a").accounts["mrr"].to_list() == [2]


def test_put_refuses_what_does_not_fit(served):
    got = served.put("/v1/accounts/a", {"account_id": "b"})
    assert (got.status_code, got.json["errors"][0]["pointer"]) == (422, "/account_id")
    got = served.put("/v1/accounts/a", {"mrr": -1, "started_at": "2026-01-01T00:00", "currency": "euro"})
    assert got.status_code == 422
    assert {error["pointer"]: error["message"] for error in got.json["errors"]} == {
        "/mrr": "is below 0",
        "/started_at": "has no offset; declare the time zone of the source",
        "/currency": "is not an ISO 4217 code such as EUR",
    }
    assert stored(served, "a").accounts.is_empty()


def test_unknown_members_are_passed_over_and_named(served):
    got = served.put("/v1/accounts/a", {"colour": "blue", "mrr": 1})
    assert (got.status_code, got.json["unknown_fields"]) == (201, ["colour"])


@pytest.mark.parametrize("path", ["accounts", "interactions", "surveys", "measures"])
def test_a_batch_twice_changes_nothing(either, path):
    items = {
        "accounts": [account("n1"), account("n2")],
        "interactions": [contact("i1", "slipping"), contact("i2", "vocal")],
        "surveys": [
            {"survey_id": "q1", "account_id": "slipping", "instrument": "csat", "sent_at": isoformat(day(3))},
            {
                "survey_id": "q2",
                "account_id": "slipping",
                "instrument": "nps",
                "responded_at": isoformat(day(3)),
                "score": 2,
            },
        ],
        "measures": [
            {"account_id": name, "name": "logins", "value": 3, "at": isoformat(day(3))}
            for name in ("slipping", "vocal")
        ],
    }[path]
    first = either.post(f"/v1/{path}", {"items": items})
    assert first.status_code == 200
    assert (first.json["created"], first.json["rescored"]) == (2, 2 if path != "surveys" else 1)
    again = either.post(f"/v1/{path}", {"items": items})
    assert (again.json["unchanged"], again.json["rescored"]) == (2, 0)
    assert [item["status"] for item in again.json["results"]] == ["unchanged", "unchanged"]


def test_a_bad_item_never_stops_a_good_one(served):
    items = [
        contact("i1", "a"),
        {"interaction_id": "i2"},
        contact("i3", "a", opened_at="yesterday", reopens=-1),
        "no object",
        {},
        contact(7, "a"),
        contact("i6", "a", abandoned="maybe", handle_seconds=[1]),
        contact("i7", "a", direction="sideways"),
        contact("i8", "a", resolved_at=isoformat(day(50))),
        contact("i9", "a" * 129),
        contact("i10", "a", wait_seconds=2**70),
        contact("i11", "a", escalated_at=12),
    ]
    got = served.post("/v1/interactions", {"items": items})
    assert got.status_code == 207
    assert (got.json["created"], got.json["rejected"]) == (1, len(items) - 1)
    told = [
        (error["pointer"], error["code"], error["message"])
        for item in got.json["results"]
        for error in item.get("errors", ())
    ]
    assert told == [
        ("/items/1/account_id", "required", "is required"),
        ("/items/1/opened_at", "required", "is required"),
        ("/items/2/opened_at", "invalid", "is not an ISO 8601 time"),
        ("/items/2/reopens", "invalid", "is below 0"),
        ("/items/3", "invalid", "must be an object"),
        ("/items/4/interaction_id", "required", "is required"),
        ("/items/5/interaction_id", "invalid", "must be text"),
        ("/items/6/handle_seconds", "invalid", "must be a number"),
        ("/items/7/direction", "invalid", "is not one of inbound, outbound, proactive"),
        ("/items/8/resolved_at", "invalid", "precedes opened_at by more than 24 hours"),
        ("/items/9/account_id", "invalid", "is longer than 128 characters"),
        ("/items/10/wait_seconds", "invalid", "is too large"),
        ("/items/11/escalated_at", "invalid", "must be text"),
    ]
    assert got.json["results"][5]["id"] is None
    assert stored(served, "a").interactions["interaction_id"].to_list() == ["i1"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"reopens": "2"}, ("reopens", 2)),
        ({"reopens": 2.0}, ("reopens", 2)),
        ({"handle_seconds": 3}, ("handle_seconds", 3.0)),
        ({"abandoned": 1}, ("abandoned", True)),
        ({"abandoned": "no"}, ("abandoned", False)),
        ({"abandoned": True}, ("abandoned", True)),
        ({"category": "NA"}, ("category", None)),
    ],
)
def test_values_are_read_as_in_a_file(served, given, kept):
    other = contact("other", "b", reopens=None, abandoned="yes", category="x")
    assert served.post("/v1/interactions", {"items": [contact("i", "a", **given), other]}).status_code == 200
    assert stored(served, "a").interactions[kept[0]].to_list() == [kept[1]]


def test_a_contact_reaches_the_score_before_the_answer(told):
    before = told.get("/v1/accounts/slipping/health").json
    assert before["quiet"]
    told.app.extensions["ebbtide"].clock.moment = day(-1)
    angry = contact("angry", "slipping", 0.5, kind="complaint")
    assert told.post("/v1/interactions", {"items": [angry]}).json["rescored"] == 1
    after = told.get("/v1/accounts/slipping/health").json
    assert after["quiet"] is False
    assert after["as_of"] == isoformat(day(-1))


def test_who_gave_notice_loses_the_score(told):
    (row,) = plain(stored(told, "healthy").accounts)
    told.put("/v1/accounts/healthy", row | {"notice_at": isoformat(day(1))})
    got = told.get("/v1/accounts/healthy/health")
    assert (got.status_code, got.json["code"]) == (409, "account_leaving")


def test_orphans_are_kept_and_not_scored(served):
    got = served.post("/v1/interactions", {"items": [contact("i", "nobody")]})
    assert (got.json["created"], got.json["rescored"]) == (1, 0)
    assert served.get("/v1/accounts/nobody/health").status_code == 404


def test_many_touched_accounts_wait_for_the_next_run(served):
    items = [account(f"a{n}") for n in range(MOST_INLINE + 1)]
    got = served.post("/v1/accounts", {"items": items})
    assert (got.json["created"], got.json["rescored"], got.json["left_to_next_run"]) == (
        MOST_INLINE + 1, 0, MOST_INLINE + 1,
    )  # fmt: skip
    assert served.get("/v1/accounts/a1/health").json["code"] == "not_scored_yet"


def test_off_leaves_everything_to_the_next_run(sqlite_store, model_store):
    off = serve(sqlite_store, *model_store, score_on_write="off")
    got = off.post("/v1/accounts", {"items": [account("a")]})
    assert (got.json["rescored"], got.json["queued"], got.json["left_to_next_run"]) == (0, 0, 1)


def test_worker_scores_soon_after(sqlite_store, model_store):
    worker = serve(sqlite_store, *model_store, score_on_write="worker")
    got = worker.post("/v1/accounts", {"items": [account("a"), account("b")]})
    assert (got.json["rescored"], got.json["queued"], got.json["left_to_next_run"]) == (0, 2, 0)
    deadline = time.monotonic() + 20
    while worker.get("/v1/accounts/b/health").status_code != 200:
        assert time.monotonic() < deadline, "nobody scored it"
        time.sleep(0.05)


def test_facts_are_kept_while_no_model_is_in_service(sqlite_store, tmp_path):
    bare = serve(sqlite_store, tmp_path, "")
    got = bare.post("/v1/accounts", {"items": [account("a")]})
    assert (got.status_code, got.json["created"], got.json["left_to_next_run"]) == (200, 1, 1)


def test_a_bug_in_scoring_fails_no_write_and_ends_no_thread(sqlite_store, model_store, monkeypatch):
    def broken(*args, **options):
        raise ValueError("a bug")

    for mode, waiting in (("inline", "left_to_next_run"), ("worker", "queued")):
        found = serve(sqlite_store, *model_store, score_on_write=mode)
        store = found.app.extensions["ebbtide"].store
        with monkeypatch.context() as patch:
            patch.setattr(store, "rescore", broken)
            got = found.post("/v1/accounts", {"items": [account(f"{mode}1")]})
            assert (got.status_code, got.json["created"], got.json[waiting]) == (200, 1, 1)
            time.sleep(0.3 if mode == "worker" else 0)
        found.post("/v1/accounts", {"items": [account(f"{mode}2")]})
        deadline = time.monotonic() + 20
        while found.get(f"/v1/accounts/{mode}2/health").status_code != 200:
            assert time.monotonic() < deadline, "nobody scores any more"
            time.sleep(0.05)


def test_a_batch_of_too_many(served):
    got = served.post("/v1/surveys", {"items": [{}] * (MOST_ITEMS + 1)})
    assert (got.status_code, got.json["code"]) == (413, "too_many_items")


def test_the_last_of_equal_ids_wins(served):
    got = served.post("/v1/accounts", {"items": [account("a", mrr=1), account("a", mrr=2)]})
    assert [item["status"] for item in got.json["results"]] == ["unchanged", "created"]
    assert got.json["results"][0]["note"]
    assert stored(served, "a").accounts["mrr"].to_list() == [2]


def test_recorded_at_is_kept_as_told(served):
    """Known-at is the source's to say; where it does not, a fact was known when it happened."""
    late = contact("late", "a", 40, recorded_at=isoformat(day(10)))
    served.post("/v1/interactions", {"items": [late, contact("plain", "a", 30)]})
    found = dict(stored(served, "a").interactions.select("interaction_id", "recorded_at").iter_rows())
    assert found == {"late": day(10), "plain": day(30)}
    assert NOW not in found.values()


def test_half_a_scale_is_none(served):
    """A known instrument has a scale of its own; of an unknown one both ends must be told."""
    asked = {"account_id": "a", "responded_at": isoformat(day(3)), "score": 3, "scale_min": 5}
    items = [
        {"survey_id": "1", "instrument": "mood", **asked},
        {"survey_id": "2", "instrument": "mood", **asked, "scale_max": "NA"},
        {"survey_id": "3", "instrument": "mood", **asked, "scale_max": 9},
        {"survey_id": "4", "instrument": "mood", **asked, "scale_min": 1, "scale_max": 9},
        {"survey_id": "5", "instrument": "csat", **asked, "scale_min": 1},
        {"survey_id": "6", "instrument": "mood", **asked, "scale_min": None},
    ]
    got = served.post("/v1/surveys", {"items": items})
    assert [item["status"] for item in got.json["results"]] == ["rejected"] * 3 + ["created"] * 3
    assert [item["errors"][0]["pointer"] for item in got.json["results"][:3]] == [
        "/items/0/scale_max", "/items/1/scale_max", "/items/2/score",
    ]  # fmt: skip
