"""Personal data over HTTP: given out page by page, erased with a receipt, and kept out until let in again."""

from datetime import timedelta

from api import cursors, published
from tests.http.cast import NOW
from tests.http.test_errors import assert_problem

ACCOUNT = "/v1/accounts/slipping"


def delete(served, path):
    return served.client.delete(path, headers=served.headers())


def test_an_account_is_given_out_page_by_page(told):
    first = told.get(f"{ACCOUNT}/personal-data?limit=30")
    assert first.status_code == 200
    assert (first.json["kind"], first.json["id"], len(first.json["entries"])) == ("account", "slipping", 30)
    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'
    entries, page = [*first.json["entries"]], first.json
    while page["next"]:
        page = told.get(page["next"]).json
        entries += page["entries"]
    tables = [entry["table"] for entry in entries]
    assert [tables.count(name) for name in ("accounts", "interactions", "surveys")] == [1, 43, 12]
    assert "a secret word" in [entry["row"].get("comment") for entry in entries]
    [score] = [entry["row"] for entry in entries if entry["table"] == "scores"]
    assert len(score["features"]) > 30
    assert "risk_list_entries" in tables


def test_pages_fit_together_whatever_is_written_meanwhile(told):
    """Rows that were there all the time come once, each; some come, go and change behind and before the reader."""
    first = told.get(f"{ACCOUNT}/personal-data?limit=1000").json["entries"]
    at = "2026-05-30T09:00:00Z"
    seen, path, n = [], f"{ACCOUNT}/personal-data?limit=7", 0
    while path:
        page = told.get(path).json
        seen, path, n = [*seen, *page["entries"]], page["next"], n + 1
        new = {"account_id": "slipping", "opened_at": at, "kind": "question"}
        rows = [{"interaction_id": f"{letter}-{n}", **new} for letter in "!z"]
        assert told.post("/v1/interactions", {"items": rows}).status_code == 200
    contacts = [entry["row"]["interaction_id"] for entry in seen if entry["table"] == "interactions"]
    before = [entry["row"]["interaction_id"] for entry in first if entry["table"] == "interactions"]
    assert len(set(contacts)) == len(contacts)
    assert [number for number in contacts if number in before] == before
    rest = [entry["table"] for entry in seen if entry["table"] != "interactions"]
    assert {name: rest.count(name) for name in ("accounts", "surveys")} == {"accounts": 1, "surveys": 12}


def test_an_erased_account_is_gone_from_every_answer(told, monkeypatch):
    monkeypatch.setattr(published, "CURRENT_SECONDS", 0.0)
    path = "/v1/risk-lists/silent"
    before = told.get(path).json["entries"]
    receipt = delete(told, f"{ACCOUNT}/personal-data")
    assert receipt.status_code == 200
    body = receipt.json
    assert "slipping" not in receipt.get_data(as_text=True)
    rows = {table["table"]: table["rows"] for table in body["tables"]}
    assert (rows["interactions"], rows["surveys"], rows["accounts"], rows["scores"]) == (43, 12, 1, 1)
    assert (body["scored_by"], body["erased_by"].startswith("key:")) == ([told.model_id], True)
    assert body["models"] == [
        {
            "model_id": told.model_id,
            "seen": "possibly",
            "why": "its data reach into the time; a manifest keeps their range and hash, not who was in them",
        }
    ]
    for route in ("health", "scores", "personal-data"):
        assert_problem(told.get(f"{ACCOUNT}/{route}"), 404, "unknown_account")
    after = told.get(path).json["entries"]
    assert len(after) == len(before)
    assert "slipping" not in [entry["account_id"] for entry in after]
    assert body["pseudonym"] in [entry["account_id"] for entry in after]


def test_a_page_that_was_being_written_meanwhile_is_not_kept(told, monkeypatch):
    monkeypatch.setattr(published, "CURRENT_SECONDS", 0.0)
    store, path = told.app.extensions["ebbtide"].store, "/v1/risk-lists/silent"
    working = store.page

    def slowly(*asked):
        rows = working(*asked)
        monkeypatch.setattr(store, "page", working)
        assert delete(told, f"{ACCOUNT}/personal-data").status_code == 200
        assert "slipping" not in told.get(path).get_data(as_text=True)
        return rows

    monkeypatch.setattr(store, "page", slowly)
    assert "slipping" in told.get(path).get_data(as_text=True), "as it was when it was asked for"
    assert "slipping" not in told.get(path).get_data(as_text=True)


def test_a_list_is_graded_with_what_became_of_the_erased_unknown(told):
    issued = told.post("/v1/risk-lists", {"capacity": 3}).json["list"]
    listed = told.get(f"/v1/risk-lists/{issued['list_id']}").json["entries"]
    assert "slipping" in [entry["account_id"] for entry in listed]
    alias = delete(told, f"{ACCOUNT}/personal-data").json["pseudonym"]
    kept = told.get(f"/v1/risk-lists/{issued['list_id']}").json["entries"]
    assert [entry["account_id"].replace(alias, "slipping") for entry in kept] == [e["account_id"] for e in listed]
    told.app.extensions["ebbtide"].clock.moment = NOW + timedelta(days=200)
    outcomes = told.get(f"/v1/risk-lists/{issued['list_id']}/grade").json["outcomes"]
    assert (outcomes["listed"]["unknown"], sum(outcomes["listed"].values())) == (1, len(listed))
    assert outcomes["pool"]["unknown"] == 1


def test_nobody_is_sent_to_call_a_pseudonym(told):
    first = told.post("/v1/risk-lists", {"capacity": 3}).json
    alias = delete(told, f"{ACCOUNT}/personal-data").json["pseudonym"]
    again = told.post("/v1/risk-lists", {"capacity": 3, "since": first["list"]["list_id"]}).json
    assert alias not in [entry["account_id"] for entry in again["entries"]]
    assert again["list"]["population"]["pool"] == first["list"]["population"]["pool"] - 1
    assert [(line["account_id"], line["why"]) for line in again["changes"]["left"]] == [(alias, "gone")]


def test_it_comes_back_only_when_told(served):
    served.put(ACCOUNT, {"name": "Slipping"})
    delete(served, f"{ACCOUNT}/personal-data")
    again = served.put(ACCOUNT, {"name": "again"})
    assert_problem(again, 422, "invalid_body")
    assert again.json["errors"][0]["code"] == "erased_account"
    many = served.post("/v1/interactions", {"items": [contact("slipping"), contact("healthy")]}).json
    assert [(item["status"], item.get("errors", [{}])[0].get("code")) for item in many["results"]] == [
        ("rejected", "erased_account"),
        ("created", None),
    ]
    assert (many["created"], many["rejected"]) == (1, 1)
    lifted = delete(served, f"{ACCOUNT}/erasure")
    assert (lifted.status_code, lifted.json["id"]) == (200, "slipping")
    assert_problem(delete(served, f"{ACCOUNT}/erasure"), 404, "not_erased")
    assert served.put(ACCOUNT, {"name": "again"}).status_code == 201


def contact(account, **values):
    opened = NOW.isoformat()
    return {"interaction_id": f"new-{account}", "account_id": account, "opened_at": opened, **values}


def test_a_person_is_unnamed(served):
    served.post("/v1/interactions", {"items": [contact("healthy", contact_id="ana/1")]})
    path = "/v1/contacts/ana%2F1"
    [entry] = served.get(f"{path}/personal-data").json["entries"]
    assert (entry["table"], entry["row"]["interaction_id"]) == ("interactions", "new-healthy")
    rows = {table["table"]: table["rows"] for table in delete(served, f"{path}/personal-data").json["tables"]}
    assert (rows["interactions"], rows["surveys"]) == (1, 0)
    assert_problem(served.get(f"{path}/personal-data"), 404, "unknown_contact")
    assert delete(served, f"{path}/erasure").status_code == 200


def test_a_slip_of_the_keyboard_keeps_nobody_out(served):
    assert_problem(delete(served, "/v1/accounts/sliping/personal-data"), 404, "unknown_account")
    assert_problem(delete(served, "/v1/contacts/nobody/personal-data"), 404, "unknown_contact")
    assert_problem(served.get("/v1/contacts/nobody/personal-data"), 404, "unknown_contact")
    assert served.put("/v1/accounts/sliping", {"name": "x"}).status_code == 201


def test_only_admins(served):
    for who in ("reader", "writer"):
        assert_problem(served.get(f"{ACCOUNT}/personal-data", who), 403, "forbidden")
    keys = ("x", "[]", "[1]", '["\\u0000"]', '["\\ud800"]')
    strange = [(1,), ("no_table", "[]"), ("scores", '["a", "b", "c"]'), ("sentiments", '["a", "2026-01-01T00:00:00"]')]
    for parts in [*strange, *(("interactions", key) for key in keys)]:
        got = served.get(f"{ACCOUNT}/personal-data?cursor={cursors.write(*parts)}")
        assert_problem(got, 422, "invalid_cursor")
    assert_problem(served.get(f"{ACCOUNT}/personal-data?cursor=x"), 422, "invalid_cursor")
    assert_problem(served.get(f"{ACCOUNT}/personal-data?table=accounts"), 422, "invalid_query")
