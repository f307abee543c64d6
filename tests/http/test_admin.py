"""Keys and the audit log over HTTP."""

from datetime import timedelta

import pytest

from api import auth
from tests.http.cast import NOW
from tests.http.test_errors import assert_problem


def make(served, **changes):
    return served.post("/v1/keys", {"name": "crm", "scopes": ["read"], **changes})


def test_a_key_from_its_making_to_its_end(served, monkeypatch):
    monkeypatch.setattr(auth, "TRUST_SECONDS", 0.0)
    made = make(served, owners=["ana@example.org"], expires_at="2026-07-01T00:00:00Z")
    assert made.status_code == 201
    key, key_id = made.json["key"], made.json["key_id"]
    headers = {"X-API-Key": key}
    assert served.client.get("/v1/model", headers=headers).status_code == 200
    listed = next(line for line in served.get("/v1/keys").json["keys"] if line["key_id"] == key_id)
    assert listed | {"last_used_at": None} == {name: made.json[name] for name in listed}
    assert (listed["owners"], listed["expires_at"]) == (["ana@example.org"], "2026-07-01T00:00:00Z")
    assert key.rsplit("_", 1)[1] not in served.get("/v1/keys").get_data(as_text=True)
    rotated = served.post(f"/v1/keys/{key_id}/rotate", {"overlap_hours": 2}).json
    assert rotated["previous_until"] == "2026-06-01T14:00:00Z"
    for secret in (key, rotated["key"]):
        assert served.client.get("/v1/model", headers={"X-API-Key": secret}).status_code == 200
    served.app.extensions["ebbtide"].clock.moment = NOW + timedelta(hours=2)
    got = served.client.get("/v1/model", headers=headers)
    assert_problem(got, 401, "unauthenticated")
    assert served.client.delete(f"/v1/keys/{key_id}", headers=served.headers()).json["revoked_at"]
    assert_problem(served.post(f"/v1/keys/{key_id}/rotate", {}), 409, "key_ended")


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": " "}, "/name"), ({"name": 3}, "/name"), ({"scopes": []}, "/scopes"),
        ({"scopes": ["root"]}, "/scopes"), ({"scopes": "read"}, "/scopes"),
        ({"owners": [3]}, "/owners"), ({"segments": {}}, "/segments"),
        ({"owners": []}, "/owners"), ({"owners": ["ana@example.org"], "segments": []}, "/segments"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"), ({"expires_at": "soon"}, "/expires_at"),
        ({"scope": ["read"]}, "/scope"),
    ],
)  # fmt: skip
def test_what_makes_no_key(served, changes, pointer):
    assert [error["pointer"] for error in assert_problem(make(served, **changes), 422, "invalid_body")["errors"]] == [
        pointer
    ]


def test_an_admin_key_is_not_restricted(served):
    assert_problem(make(served, scopes=["admin"], segments=["smb"]), 422, "invalid_data")


@pytest.mark.parametrize("hours", [-1, 721, "1", None, True])
def test_an_overlap_that_does_not_fit(served, hours):
    assert_problem(served.post("/v1/keys/k/rotate", {"overlap_hours": hours}), 422, "invalid_body")


def test_unknown_keys(served):
    assert_problem(served.post("/v1/keys/k/rotate", {}), 404, "unknown_key")
    for key_id in ("k", "%00", "a%20b"):
        assert_problem(served.client.delete(f"/v1/keys/{key_id}", headers=served.headers()), 404, "unknown_key")


def test_the_log_tells_who_did_it(served):
    made = make(served)
    page = served.get("/v1/audit").json
    assert page["entries"][0]["action"] == "model.promote", "copied when the log was read"
    newest = page["entries"][1]
    assert newest | {"entry_id": 0} == {
        "entry_id": 0, "at": "2026-06-01T12:00:00Z", "actor": f"key:{served.keys['admin'].split('_')[1]}",
        "action": "key.created", "subject": made.json["key_id"], "request_id": made.headers["X-Request-Id"],
        "details": {"name": "crm", "scopes": ["read"], "expires_at": None, "owners": [], "segments": []},
    }  # fmt: skip
    promoted = served.get("/v1/audit?action=model.promote").json["entries"]
    assert [(line["subject"], line["actor"]) for line in promoted] == [(served.model_id, "test")]


def test_pages_of_the_log_fit_together(served):
    whole, seen, path = served.get("/v1/audit").json["entries"], [], "/v1/audit?limit=1"
    while path:
        body = served.get(path).json
        seen += body["entries"]
        make(served)
        path = body["next"]
    assert seen == whole
    assert len(seen) == 4
    assert served.get(f"/v1/audit?subject={whole[0]['subject']}").json["entries"] == whole[:1]


@pytest.mark.parametrize(
    ("question", "code"),
    [("limit=0", "invalid_query"), ("actions=x", "invalid_query"), ("subject=%00", "invalid_query"),
     ("cursor=x", "invalid_cursor"), ("cursor=WzBd", "invalid_cursor")],
)  # fmt: skip
def test_what_is_not_understood_is_refused(served, question, code):
    assert_problem(served.get(f"/v1/audit?{question}"), 422, code)
