"""Keys: where they may stand, what they allow, when they stop working, and that they stay secret."""

import time
from datetime import timedelta

import pytest

from api import auth
from models.store.keys import create_key, list_keys, revoke_key
from tests.http.cast import NOW


@pytest.mark.parametrize(
    "header", [("Authorization", "Bearer {}"), ("Authorization", "bearer {} "), ("X-API-Key", "{}")]
)
def test_where_a_key_may_stand(served, header):
    name, form = header
    got = served.client.get("/v1/model", headers={name: form.format(served.keys["reader"])})
    assert got.status_code == 200


def test_what_scopes_allow(served):
    body = {"items": [{"account_id": "a"}]}
    assert served.post("/v1/accounts", body, "writer").status_code == 200
    assert served.post("/v1/accounts", body, "reader").status_code == 403
    assert served.get("/v1/model", "writer").status_code == 403, "write does not include read"
    assert served.get("/v1/model", "admin").status_code == 200
    assert served.post("/v1/accounts", body, "admin").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_what_is_open(served, path):
    assert served.client.get(path).status_code == 200


def test_a_revoked_key_stops_working_soon(served, monkeypatch):
    monkeypatch.setattr(auth, "TRUST_SECONDS", 0.2)
    key, text = create_key(served.engine, "temporary", ["read"], NOW)
    headers = {"X-API-Key": text}
    assert served.client.get("/v1/model", headers=headers).status_code == 200
    revoke_key(served.engine, key.key_id, NOW)
    time.sleep(0.25)
    assert served.client.get("/v1/model", headers=headers).status_code == 401


def test_another_secret_with_a_known_id_is_refused(served):
    text = served.keys["reader"]
    served.client.get("/v1/model", headers={"X-API-Key": text})
    wrong = text[:-1] + ("0" if text[-1] != "0" else "1")
    assert served.client.get("/v1/model", headers={"X-API-Key": wrong}).status_code == 401


def test_use_is_remembered(served):
    served.app.extensions["ebbtide"].clock.moment = NOW + timedelta(hours=1)
    assert served.get("/v1/model", "reader").status_code == 200
    deadline = time.monotonic() + 10
    while True:
        with served.engine.connect() as conn:
            found = {key.name: key.last_used_at for key in list_keys(conn)}
        if found["reader"]:
            break
        assert time.monotonic() < deadline, "nobody wrote it down"
        time.sleep(0.02)
    assert found == {"reader": NOW + timedelta(hours=1), "writer": None, "admin": None}


def test_trusted_keys_are_bounded(served, monkeypatch):
    monkeypatch.setattr(auth, "MOST_TRUSTED", 2)
    keys = served.app.extensions["ebbtide"].keys
    for who in ("reader", "writer", "admin"):
        assert keys.find(served.keys[who]).name == who
    for guess in range(50):
        assert keys.find(f"ebb_{guess}_x") is None
    assert len(keys._trusted) <= 2
