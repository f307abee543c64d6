"""What is sent: signed as Standard Webhooks says, small, and readable in a channel."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from models.errors import ContractError
from models.webhooks import events, schedule, signing, slack

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROW = {
    "account_id": "a",
    "name": "<@U1> & Söhne",
    "owner": "ana@example.org",
    "segment": "smb",
    "band": "critical",
    "health": 21.0,
    "p_silent": 0.25,
    "expected_revenue_loss": 1234.5,
    "currency": "EUR",
}


@given(body=st.binary(max_size=300).map(lambda raw: json.dumps({"x": raw.hex()}).encode()))
def test_an_independent_reader_takes_the_signature(body):
    secret = signing.new_secret()
    headers = signing.headers([secret], "msg_1", datetime.now(UTC), body)
    assert Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {"webhook-id": "msg_2"})
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(body, headers)


def test_a_message_of_the_standard_s_own_example():
    """The example of the specification, worked by hand with openssl."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert signing.sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_every_valid_secret_signs():
    new, old = signing.new_secret(), signing.new_secret()
    headers = signing.headers([new, old], "msg_1", datetime.now(UTC), b"{}")
    for secret in (new, old):
        Webhook(secret).verify(b"{}", headers)


@pytest.mark.parametrize("age", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_a_receiver_can_refuse_what_is_old(age):
    secret = signing.new_secret()
    headers = signing.headers([secret], "msg_1", datetime.now(UTC) + age, b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(b"{}", headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_short", f"whsec_{'A' * 100}", "A" * 44, "whsec_" + "é" * 44])
def test_a_secret_that_is_none_is_refused(secret):
    with pytest.raises(ContractError, match="24 to 64 bytes"):
        signing.key_of(secret)


def test_new_secrets_are_as_long_as_the_standard_asks():
    assert len(base64.b64decode(signing.new_secret().removeprefix("whsec_"))) == 32


def test_ten_attempts_over_about_three_days():
    waits = [schedule.delay(n, lambda: 0.5) for n in range(1, 11)]
    assert waits[-1] is None
    assert waits[:2] == [timedelta(seconds=5), timedelta(minutes=5)]
    assert timedelta(days=3) < sum(waits[:-1], timedelta()) < timedelta(days=3, hours=6)


@given(attempt=st.integers(1, 9), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_a_tenth(attempt, chance):
    usual, drawn = schedule.DELAYS[attempt - 1], schedule.delay(attempt, lambda: chance)
    assert abs(drawn - usual) <= usual * 0.1 + timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("999999999999", timedelta(days=1)),
        ("Mon, 01 Jun 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("Mon, 01 Jun 2026 11:05:00 GMT", timedelta(0)),
        ("Mon, 01 Jun 2099 11:05:00 GMT", timedelta(days=1)),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        (None, None),
    ],
)
def test_retry_after(value, wait):
    assert schedule.retry_after(value, AT) == wait


LONG = "€" * 1_000
ID = "€" * 128
TEXTS = {**ROW, "name": LONG, "owner": LONG, "segment": LONG, "currency": LONG}
ANSWER = {
    "account_id": ID,
    "survey_id": ID,
    "interaction_id": ID,
    "instrument": LONG,
    "score": 1.0,
    "comment": "secret",
}
FAILED = {"error": LONG, "tables": {"accounts": dict.fromkeys(events.COUNTS, 10**12)}}
LARGEST = [
    events.band_changed(ID, AT, "critical", "healthy", 1 / 3, 2 / 3, LONG[:80], AT),
    events.list_moved(ID, AT, 1, 2, AT, TEXTS, entered=True),
    events.list_moved(ID, AT, 1, 2, AT, TEXTS, entered=False),
    events.low_score({**ANSWER, "responded_at": AT}, AT),
    events.list_published(10**12, None, "silent", AT, AT, "m", 10**9),
    events.model_promoted("m", "rollback", LONG, AT, LONG),
    events.import_finished(1, LONG, AT, "failed", FAILED),
    events.source_quiet(LONG, "interactions", AT, AT, 1 / 3),
    events.source_back(LONG, "interactions", AT, AT),
]


def test_every_type_has_an_example_here():
    assert {event.type for event in LARGEST} == set(events.EVENTS)


@pytest.mark.parametrize("event", LARGEST, ids=lambda event: event.type)
def test_no_message_grows_beyond_twenty_kilobytes(event):
    body = events.body(event.type, event.at, event.data)
    assert len(body) < 5_000
    assert json.loads(body)["type"] == event.type
    assert json.loads(body)["timestamp"] == "2026-06-01T12:00:00Z"
    assert "secret" not in body.decode()


@pytest.mark.parametrize("event", LARGEST, ids=lambda event: event.type)
def test_every_type_reads_as_a_line(event):
    text = json.loads(slack.body(event.type, event.data))
    assert set(text) == {"text"}
    assert len(text["text"]) > 15


def test_what_customers_call_themselves_is_no_markup():
    event = events.list_moved("a", AT, 2, 1, AT, ROW, entered=True)
    assert json.loads(slack.body(event.type, event.data))["text"] == (
        "&lt;@U1&gt; &amp; Söhne (a) is now on the silent list: 25.0% to leave without a word, "
        "1,234 EUR a year at stake, owner ana@example.org"
    )


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("silent", "Silent list 7 is published: 8 quiet accounts, as of 2026-06-01T12:00:00Z"),
        ("issued", "List 7 is issued: 8 accounts, as of 2026-06-01T12:00:00Z"),
    ],
)
def test_a_list_that_a_team_was_given_is_not_called_the_silent_list(kind, line):
    event = events.list_published(7, None, kind, AT, AT, "m", 8)
    assert json.loads(slack.body(event.type, event.data))["text"] == line
