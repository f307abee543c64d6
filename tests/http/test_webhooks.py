"""Webhooks over HTTP: made with a secret shown once, changed, rotated, removed; their log, and sending again."""

from datetime import timedelta

import pytest

from models.store import outbox
from models.store.deliveries import claim, put_off
from models.webhooks.events import EVENTS
from tests.http.cast import NOW, day
from tests.http.test_errors import assert_problem
from tests.webhooks.cast import happen, moved
from tests.webhooks.cast import outbox as written

BODY = {"url": "https://hooks.example.com/in", "events": ["account.band_changed", "list.published"]}


@pytest.fixture
def made(served):
    answer = served.post("/v1/webhooks", BODY)
    assert answer.status_code == 201
    return answer.json


def test_the_secret_is_shown_once(served, made):
    assert made["secret"].startswith("whsec_")
    address = f"/v1/webhooks/{made['webhook_id']}"
    for text in (served.get("/v1/webhooks").text, served.get(address).text, served.put(address, BODY).text):
        assert made["webhook_id"] in text
        assert 'secret"' not in text
        assert made["secret"].removeprefix("whsec_") not in text


def test_the_rest_has_defaults(made):
    made = {name: value for name, value in made.items() if name not in ("webhook_id", "secret", "created_at")}
    assert made == BODY | {
        "description": None,
        "format": "standard",
        "cooldown_seconds": 3600,
        "enabled": True,
        **dict.fromkeys(("disabled_at", "disabled_why", "paused_until", "failing_since")),
        "secrets_until": [None],
    }


def test_a_change_replaces_everything(served, made):
    address = f"/v1/webhooks/{made['webhook_id']}"
    wish = {"url": "https://other.example.com/", "events": list(EVENTS), "format": "slack", "cooldown_seconds": 0}
    changed = served.put(address, wish | {"description": "channel", "enabled": False}).json
    assert (changed["enabled"], changed["disabled_why"], changed["format"]) == (False, "by an administrator", "slack")
    again = served.put(address, BODY).json
    assert (again["enabled"], again["disabled_at"], again["format"], again["description"]) == (
        True,
        None,
        "standard",
        None,
    )


def test_the_audit_log_says_what_was_set_and_not_where_exactly(served, made):
    """The path of a channel's address is a secret, and nothing is ever deleted there."""
    wish = {"url": "https://hooks.example.com/services/T0/hidden?key=hidden", "events": ["list.published"]}
    served.put(f"/v1/webhooks/{made['webhook_id']}", wish | {"format": "slack", "enabled": False})
    changed, created = served.get(f"/v1/audit?subject={made['webhook_id']}").json["entries"]
    assert (changed["action"], created["action"]) == ("webhook.changed", "webhook.created")
    assert changed["details"] == {
        "host": "hooks.example.com", "events": ["list.published"], "format": "slack", "cooldown_seconds": 3600,
        "enabled": False,
    }  # fmt: skip
    assert created["details"]["events"] == BODY["events"]


def test_a_new_secret_leaves_the_old_one_a_day(served, made):
    address = f"/v1/webhooks/{made['webhook_id']}/rotate"
    renewed = served.post(address, {}).json
    assert renewed["secret"] != made["secret"]
    assert renewed["secrets_until"] == [None, "2026-06-02T12:00:00Z"]
    assert served.post(address, {"overlap_seconds": 0}).json["secrets_until"] == [None]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({**BODY, "events": []}, "/events"),
        ({**BODY, "events": ["account.left"]}, "/events"),
        ({**BODY, "events": "list.published"}, "/events"),
        ({**BODY, "events": [[]]}, "/events"),
        ({**BODY, "url": 3}, "/url"),
        ({**BODY, "enabled": 1}, "/enabled"),
        ({**BODY, "description": 1}, "/description"),
        ({**BODY, "cooldown_seconds": -1}, "/cooldown_seconds"),
        ({**BODY, "cooldown_seconds": True}, "/cooldown_seconds"),
        ({**BODY, "secret": "whsec_x"}, "/secret"),
    ],
)
def test_what_does_not_fit_is_refused(served, body, pointer):
    got = assert_problem(served.post("/v1/webhooks", body), 422, "invalid_body")
    assert got["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "url",
    [
        *("https://10.0.0.1/", "http://hooks.example.com/", "https://[::ffff:127.0.0.1]/", "x"),
        *("https://localhost./x", "https://2130706433/x", "https://0x7f.1/x", "https://0/x"),
    ],
)
def test_inner_addresses_are_refused(served, url):
    assert_problem(served.post("/v1/webhooks", {**BODY, "url": url}), 422, "address_refused")


def test_there_are_fifty_at_most(served, made):
    for _ in range(49):
        served.post("/v1/webhooks", BODY)
    assert_problem(served.post("/v1/webhooks", BODY), 422, "invalid_data")
    assert served.client.delete(f"/v1/webhooks/{made['webhook_id']}", headers=served.headers()).status_code == 204
    assert_problem(served.get(f"/v1/webhooks/{made['webhook_id']}"), 404, "unknown_webhook")
    assert served.post("/v1/webhooks", BODY).status_code == 201


def test_the_log_and_sending_again(served, made):
    webhook_id = made["webhook_id"]
    address = f"/v1/webhooks/{webhook_id}/deliveries"
    happen(served.engine, *(moved(f"a{i}", "watch", "critical") for i in range(5)))
    outbox.distribute(served.engine, NOW)
    held = claim(served.engine, webhook_id, NOW)
    put_off(served.engine, held, 500, "answered 500", NOW, again_at=None)
    first = served.get(f"{address}?limit=3").json
    rest = served.get(first["next"]).json
    assert [one["account_id"] for one in first["deliveries"] + rest["deliveries"]] == ["a4", "a3", "a2", "a1", "a0"]
    assert rest["next"] is None
    [failed] = served.get(f"{address}?status=failed").json["deliveries"]
    assert failed["attempts"] == [{"at": "2026-06-01T12:00:00Z", "status": 500, "error": "answered 500"}]
    replay = f"/v1/webhooks/{webhook_id}/replay"
    assert served.post(replay, {"failed_since": (NOW - timedelta(days=1)).isoformat()}).json == {"replayed": 1}
    assert_problem(served.post(replay, {"deliveries": [failed["delivery"]]}), 422, "invalid_data")
    assert_problem(served.post(replay, {"deliveries": [10**6]}), 404, "unknown_webhook")
    for body in (
        {},
        {"deliveries": []},
        {"deliveries": ["1"]},
        {"failed_since": "now"},
        {"deliveries": [1], "failed_since": "x"},
    ):
        assert_problem(served.post(replay, body), 422, "invalid_body")
    assert_problem(served.get(f"{address}?status=lost"), 422, "invalid_query")


def test_what_the_service_does_is_told(told):
    """From a write to the outbox, through the whole service."""
    told.post("/v1/webhooks", {**BODY, "events": list(EVENTS)})
    now = NOW.isoformat()
    answer = {"survey_id": "s", "account_id": "healthy", "instrument": "nps", "responded_at": now, "score": 1}
    before = told.get("/v1/accounts/healthy/health").json["band"]
    account = {"segment": "smb", "billing": "annual", "started_at": day(500).isoformat(), "mrr": 900}
    assert told.post("/v1/surveys", {"items": [answer]}).json["created"] == 1
    assert told.put("/v1/accounts/healthy", {**account, "renewal_at": day(-20).isoformat()}).status_code == 200
    low, moved_to = written(told.engine)
    assert (low.type, low.data["score"]) == ("survey.low_score", 1)
    after = told.get("/v1/accounts/healthy/health").json["band"]
    assert (moved_to.data["previous_band"], moved_to.data["band"]) == (before, after)
