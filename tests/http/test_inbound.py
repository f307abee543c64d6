"""The live doors: signed messages are kept as they came, read by a worker, kept with their error, read again."""

import base64
import hashlib
import hmac
import json
import threading
from datetime import timedelta

import pytest
import sqlalchemy as sa

from api.receiving import Reader
from models.store import inbound
from models.store.audit import By
from models.store.erasure import erase
from models.store.tables import CONTRACT, inbound_messages
from tests.http.cast import NOW
from tests.http.conftest import serve
from tests.http.test_errors import assert_problem
from tests.imports.test_live import change, notifications, signed, told

ZENDESK, INTERCOM = "/v1/inbound/zendesk", "/v1/inbound/intercom"


@pytest.fixture
def doors(store, model_store):
    found = serve(store, *model_store, zendesk_secrets=("old", "one"), intercom_secrets=("one",))
    yield found
    found.app.extensions["ebbtide"].store.close()


def tell(doors, message, **options):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return doors.client.post(ZENDESK, data=body, headers=signed(body, NOW, **options))


def read(doors) -> int:
    return Reader(doors.engine, doors.app.extensions["ebbtide"].clock).all_due()


def kept(doors) -> list[sa.Row]:
    with doors.engine.connect() as conn:
        return list(conn.execute(sa.select(inbound_messages).order_by(inbound_messages.c.message_no)))


def contact(doors, number: str):
    table = CONTRACT["interactions"]
    with doors.engine.connect() as conn:
        return conn.execute(sa.select(table).where(table.c.interaction_id == number)).one_or_none()


def test_a_ticket_arrives_event_by_event(doors):
    for message in told()[:5]:
        assert tell(doors, message).json == {"status": "kept"}
    assert [row.status for row in kept(doors)] == ["pending"] * 5
    assert "a secret word" in kept(doors)[1].body
    assert read(doors) == 5
    first = contact(doors, "70")
    assert (first.account_id, first.transfers, first.resolved_at) == ("900", 1, None)
    for message in told()[5:]:
        tell(doors, message)
    assert tell(doors, told()[-1]).json == {"status": "known"}
    assert read(doors) == 7
    whole = contact(doors, "70")
    assert (whole.reopens, whole.outcome, whole.escalated_at) == (1, "resolved", told_at("2025-05-03T09:00:00Z"))
    assert "a secret word" not in json.dumps([row.body for row in kept(doors)])
    assert {row.subject for row in kept(doors)} == {"ticket:70"}
    [source] = doors.get("/v1/freshness").json["sources"]
    assert (source["source"], source["table"]) == ("zendesk live", "interactions")


def told_at(text: str):
    from models.clock import parse_instant

    return parse_instant(text)


def test_an_intercom_conversation_arrives(doors):
    for message in notifications():
        body = json.dumps({**message, "created_at": NOW.timestamp(), "id": message["created_at"]}).encode()
        signature = "sha1=" + hmac.new(b"one", body, hashlib.sha1).hexdigest()
        assert doors.client.post(INTERCOM, data=body, headers={"X-Hub-Signature": signature}).status_code == 200
    read(doors)
    assert (contact(doors, "10").channel, contact(doors, "10").account_id) == ("chat", "p1")
    assert [row.status for row in kept(doors)] == ["done"] * 10


def test_who_cannot_sign_leaves_nothing(doors):
    body = json.dumps(told()[0]).encode()
    for headers in ({}, signed(body, NOW, "wrong"), signed(b"other", NOW), signed(body, NOW - timedelta(minutes=6))):
        assert_problem(doors.client.post(ZENDESK, data=body, headers=headers), 403, "not_genuine")
    assert_problem(doors.client.post(INTERCOM, data=body, headers=signed(body, NOW)), 403, "not_genuine")
    assert kept(doors) == []
    # one of two valid secrets
    assert tell(doors, told()[0], secret="old").status_code == 200


def test_a_door_without_a_secret_is_closed(served):
    assert_problem(served.client.post(ZENDESK, data=b"{}", headers=signed(b"{}", NOW, "")), 404, "door_closed")


@pytest.mark.parametrize("length", [None, 1024 * 1024 + 1])
def test_a_message_has_its_limit(doors, length):
    options = {} if length else {"environ_overrides": {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}}
    got = doors.client.post(ZENDESK, data=b"x" * (1024 * 1024 + 1), **options)
    assert_problem(got, 413, "too_large")


def test_the_poisoned_are_kept_with_their_reason_and_stop_nobody(doors):
    good = told()[0]
    bad = json.loads(json.dumps(good))
    bad["detail"] |= {"id": "71", "created_at": "soon"}
    for message in (
        b"\xff\x00 no json",
        [],
        {"type": "zen:event-type:article.published", "detail": {"id": "1"}},
        bad,
        good,
    ):
        assert tell(doors, message).status_code == 200
    assert read(doors) == 5
    assert [row.status for row in kept(doors)] == ["failed"] * 4 + ["done"]
    assert contact(doors, "70") is not None
    errors = [one["error"] for one in doors.get("/v1/inbound?status=failed").json["messages"]]
    assert errors[-1] == errors[-2] == "The message is no JSON object."
    assert "opened_at 'soon'" in errors[0]
    assert read(doors) == 0
    first = doors.get("/v1/inbound?limit=2").json
    assert len(doors.get(first["next"]).json["messages"]) == 2
    numbers = [kept(doors)[3].message_no]
    assert doors.post("/v1/inbound/replay", {"messages": numbers}).json == {"replayed": 1}
    assert doors.post("/v1/inbound/replay", {"failed_since": NOW.isoformat()}).json == {"replayed": 3}
    assert read(doors) == 4
    assert [row.attempts for row in kept(doors)] == [1, 1, 1, 1, 1]  # counted anew
    assert_problem(doors.post("/v1/inbound/replay", {"messages": [10**6]}), 422, "invalid_data")
    for body in ({}, {"messages": ["1"]}, {"failed_since": 3}, {"messages": [1], "failed_since": "x"}):
        assert_problem(doors.post("/v1/inbound/replay", body), 422, "invalid_body")


def test_half_a_character_and_endless_nesting_end_no_worker(doors):
    """A text cut within an emoji comes as half of it; neither file nor database holds that."""
    cut = told()[0] | {"brand": "x \ud83d"}
    cut["detail"] = cut["detail"] | {"tags": ["x \ud83d", "y\0"]}
    deep = json.dumps(told()[1] | {"odd": "DEEP"}).replace('"DEEP"', "[" * 700 + "]" * 700).encode()
    organization = {"type": "zen:event-type:organization.created", "time": NOW.isoformat()}
    organization["detail"] = {"id": "90\0", "name": "x \ud83d", "created_at": NOW.isoformat()}
    for message in (cut, deep, organization, told()[2]):
        assert tell(doors, message).status_code == 200
    assert read(doors) == 4
    assert [row.status for row in kept(doors)] == ["done", "failed", "done", "done"]
    assert json.loads(kept(doors)[0].body)["brand"] == "x \ud83d"
    assert kept(doors)[2].subject == "organization:90\N{REPLACEMENT CHARACTER}"
    assert contact(doors, "70") is not None


def test_a_message_about_an_erased_account_is_not_kept(doors):
    tell(doors, told()[0])
    read(doors)
    assert erase(doors.engine, "account", "900", By("somebody", NOW)).tables
    assert kept(doors) == []
    tell(doors, told()[1] | {"detail": told()[0]["detail"]})
    tell(doors, told()[0])
    assert read(doors) == 2
    assert (contact(doors, "70"), kept(doors)) == (None, [])


def test_a_message_that_names_an_erased_person_is_kept_without_the_name(doors):
    tell(doors, told()[0])
    read(doors)
    assert contact(doors, "70").contact_id == "5"
    erase(doors.engine, "contact", "5", By("somebody", NOW))
    assert kept(doors) == []
    user = {"type": "zen:event-type:user.created", "time": "2025-05-01T10:00:00Z", "detail": {"id": 5, "role": "x"}}
    for message in (*told(), user):
        tell(doors, message)
    assert read(doors) == 13
    assert contact(doors, "70").contact_id is None
    assert (contact(doors, "70").reopens, contact(doors, "70").outcome) == (1, "resolved")
    bodies = [json.loads(row.body) for row in kept(doors)]
    assert [row.status for row in kept(doors)] == ["done"] * 12
    assert {body["detail"]["requester_id"] for body in bodies} == {None}
    assert {body["detail"]["organization_id"] for body in bodies} == {"900"}


def test_what_a_dead_worker_held_is_read_by_another(doors):
    tell(doors, told()[0])
    assert inbound.claim(doors.engine, NOW) is not None
    assert inbound.claim(doors.engine, NOW + inbound.LEASE - timedelta(seconds=1)) is None
    assert inbound.claim(doors.engine, NOW + inbound.LEASE) is not None


def test_what_ends_every_worker_is_given_up_and_can_be_read_again(doors):
    tell(doors, told()[0])
    now = NOW
    for _ in range(inbound.MOST_ATTEMPTS):
        assert inbound.claim(doors.engine, now) is not None
        now += inbound.LEASE
    assert inbound.claim(doors.engine, now) is None
    [row] = kept(doors)
    assert (row.status, row.finished_at, row.due_at) == ("failed", now, None)
    assert row.error == "It was taken up 5 times, and each time the worker ended before it did."
    assert inbound.replay(doors.engine, now, [row.message_no]) == 1
    assert inbound.claim(doors.engine, now) is not None


def test_several_workers_read_each_message_once(doors):
    for i, message in enumerate(told()):
        tell(doors, {**message, "detail": {**message["detail"], "id": str(i)}})
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(read(doors))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 12
    assert [row.attempts for row in kept(doors)] == [1] * 12


def test_signatures_are_of_the_raw_body(doors):
    """Spaces and order of members are part of what was signed."""
    body = b'{ "type":"zen:event-type:user.created",\n "detail":{"id":"5"} }'
    digest = base64.b64encode(hmac.digest(b"one", NOW.isoformat().encode() + body, "sha256")).decode()
    headers = {"X-Zendesk-Webhook-Signature": digest, "X-Zendesk-Webhook-Signature-Timestamp": NOW.isoformat()}
    assert doors.client.post(ZENDESK, data=body, headers=headers).status_code == 200
    assert read(doors) == 1
    assert kept(doors)[0].status == "done"


def organization(name: str, hour: int, **more) -> dict:
    at = f"2025-03-01T{hour:02}:00:00Z"
    detail = {
        "id": "900",
        "name": name,
        "created_at": "2025-01-10T08:00:00Z",
        "updated_at": at,
        "notes": "a secret word",
    }
    return {"type": "zen:event-type:organization.name_changed", "time": at, "detail": detail, **more}


def test_an_account_keeps_its_name_whatever_the_order_and_however_often_it_is_read(doors):
    name = sa.select(CONTRACT["accounts"].c.name)
    for message in (organization("North Ltd", 10), organization("Nord GmbH", 9), organization("North Ltd", 10, n=2)):
        tell(doors, message)
        read(doors)
        with doors.engine.connect() as conn:
            assert conn.scalar(name) == "North Ltd"
    assert "secret" not in "".join(row.body for row in kept(doors))
    inbound.replay(doors.engine, NOW, [row.message_no for row in kept(doors)])
    assert read(doors) == 3
    with doors.engine.connect() as conn:
        assert conn.scalar(name) == "North Ltd"


def test_a_ticket_of_no_organization_is_its_requesters(doors):
    """Events write the id of nothing as 0."""
    user = {"type": "zen:event-type:user.created", "time": "2025-05-01T08:00:00Z", "detail": {"id": "5"}}
    user["detail"] |= {"organization_id": "901", "role": "end-user"}
    created = told()[0]
    created["detail"] |= {"organization_id": "0", "group_id": "0"}
    for message in (user, created):
        tell(doors, message)
    assert read(doors) == 2
    assert contact(doors, "70").account_id == "901"


def test_a_worker_that_was_overtaken_does_not_write_the_poorer_knowledge_last(doors):
    """Two events of one change bear one time; the worker of the first has read it alone, and writes after the other."""
    created, changed = told()[0], change("priority", "2025-05-01T09:00:00Z", "NORMAL", "HIGH", priority="HIGH")
    tell(doors, created)
    slow = Reader(doors.engine, doors.app.extensions["ebbtide"].clock)
    write = slow._sink.write

    def overtaken(table, frame):
        slow._sink.write = write
        tell(doors, changed)
        assert read(doors) == 1
        assert contact(doors, "70").escalated_at is not None
        return write(table, frame)

    slow._sink.write = overtaken
    assert slow.all_due() == 1
    assert contact(doors, "70").escalated_at == told_at("2025-05-01T09:00:00Z")
