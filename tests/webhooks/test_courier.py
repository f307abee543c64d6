"""The worker against receivers that take, fail, ask to wait, are gone or point elsewhere."""

import json
import threading
from datetime import timedelta

import pytest
from standardwebhooks import Webhook

from api.delivering import Courier, over_http, to_console
from models.clock import now as real_now
from models.errors import ContractError, UnknownWebhook
from models.store import deliveries, webhooks
from models.store.audit import lines
from models.store.deliveries import LEASE, claim, replay
from models.store.engine import reading
from models.webhooks import schedule
from models.webhooks.events import Event
from tests.webhooks.cast import MINUTE, NOW, Clock, happen, log, moved, subscribe
from tests.webhooks.receiver import LOOPBACK, receiver


def work(store, clock, transport=None, threads=4) -> None:
    courier = Courier(store, transport or over_http(LOOPBACK), clock, threads=threads, chance=lambda: 0.5)
    try:
        courier.all_due()
    finally:
        courier.close()


def endpoint(store, endpoint_id):
    with reading(store) as conn:
        return webhooks.get_webhook(conn, endpoint_id)


def test_what_happened_arrives_signed(store):
    clock = Clock(real_now())  # an independent reader looks at its own clock
    with receiver() as there:
        endpoint_id, secret = subscribe(store, there.url)
        happen(store, moved("a", "watch", "critical"))
        work(store, clock)
        _, renewed = webhooks.rotate_secret(store, endpoint_id, clock())
        happen(store, moved("b", "watch", "critical"))
        work(store, clock)
        clock.moment += timedelta(hours=25)
        happen(store, moved("c", "watch", "critical"))
        work(store, clock)
    first, second, third = there.got
    assert Webhook(secret).verify(first[1], first[0])["data"]["account_id"] == "a"
    assert first[0]["content-type"] == "application/json"
    for valid in (secret, renewed):
        Webhook(valid).verify(second[1], second[0])
    assert len(third[0]["webhook-signature"].split()) == 1  # the old secret has ended
    assert [(row.status, row.attempts, row.last_status) for row in log(store)] == [("delivered", 1, 204)] * 3


def test_failures_are_retried_on_schedule_under_the_same_id(store):
    clock = Clock()
    with receiver((500, {}), (503, {}), (302, {"Location": "http://10.0.0.1/"})) as there:
        endpoint_id, _ = subscribe(store, there.url)
        happen(store, moved("a", "watch", "critical"))
        work(store, clock)
        for wait in schedule.DELAYS[:3]:
            clock.moment += wait - timedelta(seconds=1)
            work(store, clock)
            before = len(there.got)
            clock.moment += timedelta(seconds=1)
            work(store, clock)
            assert len(there.got) == before + 1
    [row] = log(store)
    assert set(there.ids) == {row.message_id}
    assert (row.status, [status for _, status, _ in row.log]) == ("delivered", [500, 503, 302, 204])
    assert endpoint(store, endpoint_id).failing_since is None


def test_after_ten_attempts_it_has_failed_and_can_be_sent_again(sqlite_store):
    clock = Clock()
    with receiver() as there:
        there.then = (500, {})
        endpoint_id, _ = subscribe(sqlite_store, there.url)
        happen(sqlite_store, moved("a", "watch", "critical"))
        for _ in range(12):
            work(sqlite_store, clock)
            clock.moment += timedelta(days=1)
        [row] = log(sqlite_store)
        assert (row.status, row.attempts, len(there.got)) == ("failed", 10, 10)
        assert endpoint(sqlite_store, endpoint_id).failing_since == NOW
        there.then = (200, {})
        assert replay(sqlite_store, endpoint_id, clock(), since=NOW + MINUTE) == 0
        assert replay(sqlite_store, endpoint_id, clock(), since=NOW) == 1
        work(sqlite_store, clock)
        assert replay(sqlite_store, endpoint_id, clock(), numbers=[row.delivery_no]) == 1
        with pytest.raises(ContractError, match="on its way"):
            replay(sqlite_store, endpoint_id, clock(), numbers=[row.delivery_no])
        work(sqlite_store, clock)
        with pytest.raises(UnknownWebhook, match="no delivery 99"):
            replay(sqlite_store, endpoint_id, clock(), numbers=[99])
    [row] = log(sqlite_store)
    assert (row.status, len(there.got), len(row.log)) == ("delivered", 12, 12)
    assert len(set(there.ids)) == 1


@pytest.mark.parametrize("said", ["600", "Mon, 01 Jun 2026 12:10:00 GMT"])
def test_a_receiver_that_asks_to_wait_is_left_alone_until_then(sqlite_store, said):
    clock = Clock()
    with receiver((429, {"Retry-After": said})) as there:
        endpoint_id, _ = subscribe(sqlite_store, there.url)
        happen(sqlite_store, moved("a", "watch", "critical"))
        work(sqlite_store, clock)
        happen(sqlite_store, moved("b", "watch", "critical"))
        clock.moment = NOW + 9 * MINUTE
        work(sqlite_store, clock)
        assert len(there.got) == 1
        assert endpoint(sqlite_store, endpoint_id).paused_until == NOW + 10 * MINUTE
        clock.moment = NOW + 10 * MINUTE
        work(sqlite_store, clock)
    assert [row.status for row in log(sqlite_store)] == ["delivered"] * 2


def test_a_receiver_that_is_gone_gets_nothing_more_until_somebody_switches_it_on(sqlite_store):
    clock = Clock()
    with receiver((410, {})) as there:
        endpoint_id, _ = subscribe(sqlite_store, there.url)
        happen(sqlite_store, *(moved(who, "watch", "critical") for who in "abc"))
        work(sqlite_store, clock, threads=1)
        clock.moment += timedelta(days=5)
        happen(sqlite_store, moved("d", "watch", "critical"))
        work(sqlite_store, clock)
        found = endpoint(sqlite_store, endpoint_id)
        assert (found.enabled, found.disabled_why, len(there.got)) == (False, "gone", 1)
        with reading(sqlite_store) as conn:
            [line] = lines(conn, 10)
        assert (line.actor, line.action, line.subject) == ("service", "webhook.disabled", endpoint_id)
        wish = webhooks.Wish(there.url, found.events, cooldown=timedelta(0))
        webhooks.change_webhook(sqlite_store, endpoint_id, wish, LOOPBACK, clock())
        work(sqlite_store, clock)
    assert sorted(row.status for row in log(sqlite_store)) == ["delivered", "delivered", "failed"]


def test_an_inner_address_is_never_called(sqlite_store):
    clock = Clock()
    with receiver() as there:
        subscribe(sqlite_store, there.url)
        happen(sqlite_store, moved("a", "watch", "critical"))
        work(sqlite_store, clock, over_http(()))  # the setting was taken back
        assert not there.got
    [row] = log(sqlite_store)
    assert (row.status, row.attempts) == ("pending", 1)
    assert "not on the public internet" in row.last_error


def test_what_a_dead_worker_held_is_taken_over_when_its_lease_ends(store):
    clock = Clock()
    with receiver() as there:
        endpoint_id, _ = subscribe(store, there.url)
        happen(store, moved("a", "watch", "critical"))
        courier = Courier(store, over_http(LOOPBACK), clock)
        courier.close()  # makes no deliveries any more
        from models.store.outbox import distribute

        distribute(store, clock())
        assert claim(store, endpoint_id, clock()) is not None  # and dies
        clock.moment += LEASE - timedelta(seconds=1)
        work(store, clock)
        assert not there.got
        clock.moment += timedelta(seconds=1)
        work(store, clock)
    assert len(there.got) == 1


def test_two_workers_never_hold_the_same_delivery(store):
    from models.store.outbox import distribute

    endpoint_id, _ = subscribe(store)
    happen(store, *(moved(f"a{i}", "watch", "critical") for i in range(60)))
    distribute(store, NOW)
    held: list[int] = []

    def take() -> None:
        while (mine := claim(store, endpoint_id, NOW)) is not None:
            held.append(mine.delivery_no)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(held) == sorted(row.delivery_no for row in log(store))
    assert len(held) == 60


def test_one_that_was_slow_does_not_undo_what_its_successor_did(sqlite_store):
    from models.store.outbox import distribute

    endpoint_id, _ = subscribe(sqlite_store)
    happen(sqlite_store, moved("a", "watch", "critical"))
    distribute(sqlite_store, NOW)
    slow = claim(sqlite_store, endpoint_id, NOW)
    heir = claim(sqlite_store, endpoint_id, NOW + LEASE)
    assert slow is not None
    assert heir is not None
    deliveries.delivered(sqlite_store, heir, 200, NOW + LEASE)
    deliveries.put_off(sqlite_store, slow, None, "no answer in time", NOW + LEASE, again_at=NOW + 2 * LEASE)
    [row] = log(sqlite_store)
    assert (row.status, row.last_status, len(row.log)) == ("delivered", 200, 2)


def test_of_two_wishes_to_wait_the_longer_one_holds(sqlite_store):
    """Messages that were sent together are answered together, in whatever order."""
    from models.store.outbox import distribute

    endpoint_id, _ = subscribe(sqlite_store)
    happen(sqlite_store, *(moved(who, "watch", "critical") for who in "abc"))
    distribute(sqlite_store, NOW)
    together = [claim(sqlite_store, endpoint_id, NOW) for _ in range(3)]
    for held, minutes, until in zip(together, (10, 2, 20), (10, 10, 20), strict=True):
        assert held is not None
        wish = NOW + minutes * MINUTE
        deliveries.put_off(sqlite_store, held, 429, "answered 429", NOW, again_at=wish, pause_until=wish)
        assert endpoint(sqlite_store, endpoint_id).paused_until == NOW + until * MINUTE


def test_a_channel_gets_a_line_of_text(sqlite_store):
    clock = Clock()
    with receiver() as there:
        subscribe(sqlite_store, there.url, format="slack")
        happen(sqlite_store, moved("a", "watch", "critical"))
        work(sqlite_store, clock)
    assert json.loads(there.got[0][1]) == {"text": "a: watch → *critical*, health 70 → 20"}


def test_a_message_that_cannot_be_written_is_told_and_holds_up_nobody(sqlite_store):
    with receiver() as there:
        subscribe(sqlite_store, there.url, format="slack")
        happen(sqlite_store, Event("account.band_changed", NOW, {}, "odd"), moved("a", "watch", "critical"))
        work(sqlite_store, Clock(), threads=1)
    assert [(row.status, row.last_error) for row in log(sqlite_store)] == [
        ("pending", "the message cannot be written (KeyError)"),
        ("delivered", None),
    ]
    assert len(there.got) == 1


def test_the_console_shows_instead_of_sending(sqlite_store):
    shown: list[str] = []
    subscribe(sqlite_store, "https://nobody.invalid/")
    happen(sqlite_store, moved("a", "watch", "critical"))
    work(sqlite_store, Clock(), to_console(shown.append))
    [text] = shown
    assert text.startswith("POST https://nobody.invalid/")
    assert "webhook-signature: v1," in text
    assert '"band": "critical"' in text
    assert [row.status for row in log(sqlite_store)] == ["delivered"]
