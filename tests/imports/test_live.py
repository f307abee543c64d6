"""A ticket told event by event becomes what the file of its export becomes."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.errors import ContractError, NotGenuine
from models.imports.live import verify
from models.imports.live.doors import DOORS, import_messages
from models.imports.run import read_folder
from tests.imports.test_vendors import INTERCOM, ZENDESK, lay_out

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Kept:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.rows: dict[str, dict] = {}

    def write(self, table_name: str, frame: pl.DataFrame):
        from models.store.upsert import Counts

        key = {"accounts": "account_id", "interactions": "interaction_id", "surveys": "survey_id"}[table_name]
        for row in frame.iter_rows(named=True):
            self.rows.setdefault(table_name, {}).setdefault(row[key], {}).update(row)
        return Counts(inserted=frame.height)


def ticket(**changes) -> dict:
    return {
        "id": "70",
        "created_at": "2025-05-01T09:00:00Z",
        "updated_at": "2025-05-01T09:00:00Z",
        "organization_id": "900",
        "requester_id": "5",
        "status": "NEW",
        "priority": "NORMAL",
        "group_id": "301",
        "type": "PROBLEM",
        "form_id": "11",
        "via": {"channel": "email"},
        "tags": ["vip"],
        "subject": "a secret word",
        **changes,
    }


def event(name: str, time: str, told=None, **detail) -> dict:
    return {
        "type": f"zen:event-type:{name}",
        "time": time,
        "event": told or {},
        "detail": ticket(updated_at=time, **detail),
    }


def comment(number: int, time: str, author: str, *, staff: bool, public: bool, **detail) -> dict:
    said = {
        "id": str(number),
        "is_public": public,
        "body": "a secret word",
        "author": {"id": author, "is_staff": staff},
    }
    return event("ticket.comment_added", time, {"comment": said}, **detail)


def change(field: str, time: str, previous, current, **detail) -> dict:
    return event(f"ticket.{field}_changed", time, {"previous": previous, "current": current}, **detail)


def told() -> list[dict]:
    """Ticket 70 of `ZENDESK`, as Zendesk tells it."""
    done = {"status": "CLOSED", "priority": "URGENT", "group_id": "302"}
    group = {"previous": {"id": "301"}, "current": {"id": "302"}}
    return [
        event("ticket.created", "2025-05-01T09:00:00Z"),
        comment(2, "2025-05-01T09:30:00Z", "1", staff=True, public=False),
        comment(3, "2025-05-01T11:00:00Z", "2", staff=True, public=True),
        change("status", "2025-05-02T09:00:00Z", "NEW", "OPEN"),
        event("ticket.group_assignment_changed", "2025-05-02T10:00:00Z", group),
        comment(4, "2025-05-02T11:00:00Z", "1", staff=True, public=True),
        change("priority", "2025-05-03T09:00:00Z", "NORMAL", "HIGH"),
        change("status", "2025-05-04T09:00:00Z", "OPEN", "SOLVED"),
        change("status", "2025-05-06T09:00:00Z", "SOLVED", "OPEN"),
        change("priority", "2025-05-06T10:00:00Z", "HIGH", "URGENT"),
        change("status", "2025-05-16T09:00:00Z", "OPEN", "SOLVED"),
        change("status", "2025-05-20T10:00:00Z", "SOLVED", "CLOSED", **done),
    ]


def from_file(tmp_path: Path, tables: dict[str, str], source: str, number: str) -> dict:
    frames, _ = read_folder(lay_out(tmp_path, tables), source)
    return next(row for row in frames["interactions"].iter_rows(named=True) if row["interaction_id"] == number)


def agree(live: dict, filed: dict) -> set[str]:
    """The columns in which they differ; what a mapping does not fill is unknown."""
    return {name for name in {*live, *filed} if live.get(name) != filed.get(name)}


@pytest.mark.parametrize("order", [1, -1], ids=["as told", "backwards"])
def test_a_zendesk_ticket_agrees_with_its_file(tmp_path, order):
    sink = Kept()
    import_messages(DOORS["zendesk"], told()[::order], sink)
    live, filed = sink.rows["interactions"]["70"], from_file(tmp_path, ZENDESK, "zendesk", "70")
    never = DOORS["zendesk"].never
    # the file knows that 71 follows 70 up; an event of 70 cannot
    assert agree(live, {name: value for name, value in filed.items() if name not in never}) == {"issue_id"}


def test_a_ticket_known_from_its_middle_leaves_what_came_before_alone():
    sink = Kept()
    import_messages(DOORS["zendesk"], told()[8:], sink)
    live = sink.rows["interactions"]["70"]
    assert live["resolved_at"] == datetime(2025, 5, 16, 9, tzinfo=UTC)
    assert not {"reopens", "transfers", "first_response_at", "sla_resolution_minutes"} & set(live)


def test_a_deleted_ticket_and_an_organization():
    sink = Kept()
    gone = [*told()[:2], event("ticket.soft_deleted", "2025-05-21T09:00:00Z")]
    import_messages(DOORS["zendesk"], gone, sink)
    assert "interactions" not in sink.rows
    detail = {
        "id": "900",
        "name": "North Ltd",
        "created_at": "2025-01-10T08:00:00Z",
        "updated_at": "2025-03-01T08:00:00Z",
    }
    import_messages(
        DOORS["zendesk"],
        [{"type": "zen:event-type:organization.created", "time": "2025-03-01T08:00:00Z", "detail": detail}],
        sink,
    )
    assert sink.rows["accounts"]["900"]["name"] == "North Ltd"


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def notifications() -> list[dict]:
    """Conversation 10 of `INTERCOM`, as Intercom tells it: each with the part that is new."""
    parts = [
        ("1", "user", "p1", None, "2025-05-01 09:10", "comment", "conversation.user.created", "open"),
        ("2", "admin", "a1", None, "2025-05-01 09:20", "note", "conversation.admin.noted", "open"),
        ("3", "admin", "a1", "a1", "2025-05-01 09:25", "assignment", "conversation.admin.assigned", "open"),
        ("4", "admin", "a1", None, "2025-05-01 10:00", "comment", "conversation.admin.replied", "open"),
        ("5", "admin", "a1", "a2", "2025-05-02 10:00", "assignment", "conversation.admin.assigned", "open"),
        ("6", "admin", "a1", None, "2025-05-03 09:00", "close", "conversation.admin.closed", "closed"),
        ("7", "user", "p1", None, "2025-05-04 09:00", "open", "conversation.user.replied", "open"),
        ("8", "admin", "a2", None, "2025-05-06 09:00", "close", "conversation.admin.closed", "closed"),
    ]
    found = []
    for number, kind, author, to, at, what, topic, state in parts:
        part = {"id": number, "part_type": what, "author": {"type": kind, "id": author}, "created_at": unix(at)}
        part |= {"assigned_to": {"type": "admin", "id": to} if to else None}
        part |= {"body": "a secret word" if what in ("comment", "note", "open") else None}
        item = {
            "type": "conversation",
            "id": "10",
            "created_at": unix("2025-05-01 09:00"),
            "updated_at": unix(at),
            "state": state,
            "source": {"type": "conversation", "delivered_as": "customer_initiated"},
            "contacts": {"contacts": [{"type": "contact", "id": "p1"}]},
            "conversation_parts": {"conversation_parts": [part]},
        }
        found.append({"topic": topic, "created_at": unix(at), "data": {"item": item}})
    rated = json.loads(json.dumps(found[-1]))
    rated |= {"topic": "conversation.rating.added", "created_at": unix("2025-05-06 12:00")}
    rated["data"]["item"] |= {
        "updated_at": unix("2025-05-06 12:00"),
        "conversation_rating": {"rating": 2, "created_at": unix("2025-05-06 12:00"), "remark": "a secret word"},
    }
    contact = {
        "type": "contact",
        "id": "p1",
        "updated_at": unix("2025-02-01 00:00"),
        "companies": {"data": [{"id": "c1"}]},
    }
    return [*found, rated, {"topic": "contact.user.updated", "created_at": 1, "data": {"item": contact}}]


def test_an_intercom_conversation_agrees_with_its_file(tmp_path):
    sink = Kept()
    import_messages(DOORS["intercom"], notifications(), sink)
    assert agree(sink.rows["interactions"]["10"], from_file(tmp_path, INTERCOM, "intercom", "10")) == set()
    [rating] = sink.rows["surveys"].values()
    assert (rating["score"], rating["account_id"]) == (2.0, "c1")


def test_words_said_while_assigning_are_an_answer_and_stay_one_when_they_are_dropped():
    told = notifications()
    told[2]["data"]["item"]["conversation_parts"]["conversation_parts"][0]["body"] = "a secret word"
    for messages in (told, [DOORS["intercom"].redacted(one) for one in told]):
        sink = Kept()
        import_messages(DOORS["intercom"], messages, sink)
        assert sink.rows["interactions"]["10"]["first_response_at"] == datetime(2025, 5, 1, 9, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("door", "message"),
    [
        ("zendesk", {}),
        ("zendesk", {"type": "zen:event-type:ticket.created"}),
        ("zendesk", {"type": "zen:event-type:article.published", "detail": {"id": "1"}}),
        ("zendesk", {"type": 3, "detail": []}),
        ("intercom", {}),
        ("intercom", {"topic": "conversation.user.created", "data": {"item": 3}}),
        ("intercom", {"topic": "ping", "data": {"item": {"type": "ping"}}}),
        ("intercom", {"topic": "contact.user.created", "data": {"item": {}}}),
    ],
)
def test_what_cannot_be_understood_is_said(door, message):
    with pytest.raises(ContractError):
        DOORS[door].subject(message)


def test_the_least_that_can_be_told_of_a_ticket():
    sink = Kept()
    bare = dict.fromkeys(("priority", "group_id", "type", "via", "requester_id", "tags", "organization_id"))
    nobody = event("ticket.tags_changed", "2025-05-02T09:00:00Z", **bare)
    with pytest.raises(ContractError, match="account_id '' is required"):
        import_messages(DOORS["zendesk"], [nobody], sink)
    nobody["detail"]["organization_id"] = "9"
    import_messages(DOORS["zendesk"], [nobody], sink)
    assert sink.rows["interactions"]["70"]["account_id"] == "9"


def test_a_row_that_does_not_fit_is_said_and_not_passed_over():
    with pytest.raises(ContractError, match="opened_at"):
        import_messages(DOORS["zendesk"], [event("ticket.created", "2025-05-01T09:00:00Z", created_at="soon")], Kept())


def test_free_text_is_dropped_and_nothing_else_changes():
    door = DOORS["zendesk"]
    messages = [door.redacted(one) for one in told()]
    assert "secret" not in json.dumps(messages)
    before, after = Kept(), Kept()
    import_messages(door, told(), before)
    import_messages(door, messages, after)
    assert before.rows == after.rows
    assert "secret" not in json.dumps([DOORS["intercom"].redacted(one) for one in notifications()])


BODY = b'{"a": 1}'


def signed(body: bytes = BODY, at: datetime = NOW, secret: str = "one") -> dict[str, str]:
    stamp = at.isoformat().replace("+00:00", "Z")
    digest = hmac.new(secret.encode(), stamp.encode() + body, hashlib.sha256).digest()
    return {
        "X-Zendesk-Webhook-Signature-Timestamp": stamp,
        "X-Zendesk-Webhook-Signature": base64.b64encode(digest).decode(),
    }


def test_zendesk_signs_timestamp_and_body():
    verify.zendesk(signed(), BODY, ["two", "one"], NOW)
    for headers, body in [
        (signed(), BODY + b" "),
        (signed(secret="three"), BODY),
        ({}, BODY),
        (signed() | {"X-Zendesk-Webhook-Signature-Timestamp": "2026-06-01T12:00:01Z"}, BODY),
        (signed() | {"X-Zendesk-Webhook-Signature": "é"}, BODY),
    ]:
        with pytest.raises(NotGenuine, match="does not fit"):
            verify.zendesk(headers, body, ["one", "two"], NOW)


@pytest.mark.parametrize("minutes", [-6, 6])
def test_an_old_message_is_refused_although_its_signature_fits(minutes):
    with pytest.raises(NotGenuine, match="too old"):
        verify.zendesk(signed(at=NOW + timedelta(minutes=minutes)), BODY, ["one"], NOW)


def test_intercom_signs_the_body():
    def headers(body: bytes) -> dict[str, str]:
        return {"X-Hub-Signature": "sha1=" + hmac.new(b"one", body, hashlib.sha1).hexdigest()}

    body = json.dumps({"created_at": NOW.timestamp()}).encode()
    verify.intercom(headers(body), body, ["one"], NOW)
    with pytest.raises(NotGenuine, match="does not fit"):
        verify.intercom(headers(body), body + b" ", ["one"], NOW)
    old = json.dumps({"created_at": NOW.timestamp() - 90_000}).encode()
    with pytest.raises(NotGenuine, match="too old"):
        verify.intercom(headers(old), old, ["one"], NOW)
    for broken in (b"{}", b"x", b"[]", b'{"created_at": 1e400}', b'{"created_at": "soon"}'):
        with pytest.raises(NotGenuine, match="does not say when"):
            verify.intercom(headers(broken), broken, ["one"], NOW)


def test_without_a_secret_nobody_gets_in():
    with pytest.raises(NotGenuine):
        verify.zendesk(signed(secret=""), BODY, [], NOW)
