"""Events are written with the change they tell of, or not at all; a cooldown tells the last state, once."""

import itertools
from datetime import timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.store import outbox
from models.store.audit import By
from models.store.deliveries import claim, delivered, put_off
from models.store.engine import writing
from models.store.erasure import erase
from models.store.import_runs import finish_import, start_import
from models.store.lists import publish_list
from models.store.pointers import PointerChange, record_change
from models.store.scores import save_scores
from models.store.tables import webhook_deliveries, webhook_endpoints, webhook_events
from models.store.upsert import upsert
from tests.store import cast as rows
from tests.webhooks.cast import MINUTE, NOW, happen, log, moved, subscribe
from tests.webhooks.cast import outbox as written

DAY = timedelta(days=1)


def kinds(store) -> list[tuple[str, str | None]]:
    return [(event.type, event.account_id) for event in written(store)]


def save(store, as_of=NOW, computed_at=NOW, **bands: str) -> None:
    for account_id, band in bands.items():
        save_scores(store, rows.scores([account_id], as_of, band=band), None, computed_at)


def test_what_nobody_wants_is_not_written(store):
    save(store, a="watch")
    save(store, NOW + DAY, a="critical")
    subscribe(store, events=("list.published",))
    save(store, NOW + 2 * DAY, a="watch")
    assert written(store) == []


def test_another_band_is_told_and_the_first_is_not(store):
    subscribe(store)
    save(store, a="watch", b="watch")
    save(store, NOW + DAY, NOW + DAY, a="critical", b="watch")
    # of an earlier moment: it does not become the latest score
    save(store, NOW - DAY, NOW + DAY, a="healthy")
    # the same moment computed again
    save(store, NOW + DAY, NOW + DAY + MINUTE, a="at_risk")
    first, second = written(store)
    assert (first.data["previous_band"], first.data["band"]) == ("watch", "critical")
    assert (second.data["previous_band"], second.data["band"]) == ("critical", "at_risk")
    assert (first.type, first.account_id, first.at) == ("account.band_changed", "a", NOW + DAY)
    assert first.message_id != second.message_id


def test_a_change_that_is_rolled_back_tells_nothing(store):
    subscribe(store)
    save(store, a="watch")
    with pytest.raises(ZeroDivisionError), writing(store) as conn:
        save_scores(conn, rows.scores(["a"], NOW + DAY, band="critical"), None, NOW + DAY)  # type: ignore[arg-type]
        raise ZeroDivisionError
    assert written(store) == []
    save(store, NOW + DAY, a="critical")
    assert len(written(store)) == 1


def publish(store, *who: str) -> int:
    entries = rows.entries(*({"account_id": name, "name": name.upper()} for name in who))
    said = {"as_of": NOW, "model_id": "m", "population": {}, "parameters": {}, "created_at": NOW}
    return publish_list(store, "silent", entries, **said)


def test_a_list_tells_who_came_and_went(store):
    subscribe(store)
    publish(store, "a", "b")
    assert kinds(store) == [("list.published", None)]
    number = publish(store, "b", "c", "d")
    assert sorted(kinds(store)[1:], key=str) == [
        ("account.entered_silent_list", "c"),
        ("account.entered_silent_list", "d"),
        ("account.left_silent_list", "a"),
        ("list.published", None),
    ]
    entered = next(event for event in written(store) if event.account_id == "c")
    assert (entered.data["name"], entered.data["list_id"], entered.data["band"]) == ("C", number, "x")
    left = next(event for event in written(store) if event.account_id == "a")
    assert left.data["name"] == "A"


def test_a_list_tells_nothing_of_who_was_erased(store):
    subscribe(store)
    publish(store, "a", "b")
    erase(store, "account", "a", By("key:1", NOW))
    publish(store, "b")
    assert kinds(store) == [("list.published", None)] * 2


def answers(*given: dict) -> pl.DataFrame:
    return rows.rows(
        "surveys", *({"instrument": "csat", "account_id": "a", "responded_at": NOW} | row for row in given)
    )


def test_a_low_answer_is_told_once(store):
    subscribe(store)
    upsert(store, "accounts", rows.rows("accounts", {"account_id": "t", "is_test": True}, {"account_id": "a"}))
    given = answers(
        {"survey_id": "low", "score": 1.0, "comment": "a secret word"},
        {"survey_id": "fine", "score": 5.0},
        {"survey_id": "test", "score": 1.0, "account_id": "t"},
        {"survey_id": "old", "score": 1.0, "responded_at": NOW - timedelta(days=8)},
        {"survey_id": "open", "score": None, "responded_at": None, "sent_at": NOW},
        {"survey_id": "mirrored", "score": 7.0, "instrument": "ces", "low_is_good": True},
    )
    upsert(store, "surveys", given)
    assert written(store) == []  # nobody said what the present is
    with store.begin() as conn:
        conn.execute(rows.CONTRACT["surveys"].delete())
    upsert(store, "surveys", given, at=NOW)
    upsert(store, "surveys", given, at=NOW)
    assert [event.data["survey_id"] for event in written(store)] == ["low", "mirrored"]
    assert "secret" not in str(written(store)[0].data)
    upsert(store, "surveys", answers({"survey_id": "open", "score": 2.0}), at=NOW)
    assert [event.data["survey_id"] for event in written(store)][2:] == ["open"]


def test_a_model_and_an_import_are_told(store):
    subscribe(store)
    for action in ("promote", "refuse", "rollback"):
        record_change(store, PointerChange("m-2", action, "Dana", NOW, "better"))
    number = start_import(store, "zendesk: export", NOW)
    counts = {"read": 3, "accepted": 2, "rejected": 1}
    summary = {"source": "zendesk", "tables": {"accounts": {**counts, "problems": [{"value": "x"}]}}}
    finish_import(store, number, NOW, "done", summary)
    promoted, again, imported = written(store)
    assert [event.data["action"] for event in (promoted, again)] == ["promote", "rollback"]
    assert imported.data == {
        "import_id": number,
        "source": "zendesk: export",
        "status": "done",
        "tables": {"accounts": {"read": 3, "accepted": 2, "rejected": 1}},
    }


def test_each_receiver_gets_what_it_wants(store):
    everything, _ = subscribe(store)
    lists, _ = subscribe(store, events=("list.published",))
    subscribe(store, enabled=False)
    happen(store, moved("a", "watch", "critical"))
    publish(store, "a")
    assert outbox.distribute(store, NOW) == 2
    assert outbox.distribute(store, NOW) == 0
    assert sorted((row.endpoint_id, row.type) for row in log(store)) == sorted(
        [(everything, "account.band_changed"), (everything, "list.published"), (lists, "list.published")]
    )


def test_a_cooldown_holds_what_comes_too_soon_and_tells_the_last_state(store):
    """The example of `models/webhooks/events.py`, and what follows when the band stays."""
    subscribe(store, cooldown=timedelta(hours=1))
    for minutes, was, band in ((0, "watch", "at_risk"), (20, "at_risk", "watch"), (40, "watch", "at_risk")):
        happen(store, moved("a", was, band))
        outbox.distribute(store, NOW + minutes * MINUTE)
        if not minutes:
            [row] = log(store)
            held = claim(store, row.endpoint_id, NOW)
            assert held is not None
            delivered(store, held, 200, NOW)
    assert [row.status for row in log(store)] == ["delivered", "superseded", "superseded"]
    happen(store, moved("a", "at_risk", "critical"))
    happen(store, moved("b", "watch", "critical"))
    outbox.distribute(store, NOW + 50 * MINUTE)
    told = log(store)[3:]
    assert [(row.account_id, row.status, row.due_at) for row in told] == [
        ("a", "pending", NOW + 60 * MINUTE),
        ("b", "pending", NOW + 50 * MINUTE),
    ]


def test_a_later_state_takes_the_place_of_one_that_was_not_taken(store):
    """It would be sent again hours after the later one, and be believed."""
    endpoint, _ = subscribe(store, cooldown=timedelta(hours=1))

    def attempt(minutes: int, *, taken: bool = False) -> str | None:
        now = NOW + minutes * MINUTE
        outbox.distribute(store, now)
        held = claim(store, endpoint, now)
        if held is not None and taken:
            delivered(store, held, 200, now)
        elif held is not None:
            put_off(store, held, 500, "answered 500", now, again_at=now + timedelta(hours=5))
        return held and held.data["band"]

    happen(store, moved("a", "watch", "critical"))
    assert attempt(0) == "critical"
    happen(store, moved("a", "critical", "watch"))
    assert attempt(30) is None  # held: an hour has not passed since the receiver was called about it
    assert [row.status for row in log(store)] == ["superseded", "pending"]
    assert attempt(60, taken=True) == "watch"
    assert attempt(400) is None
    # whether the first arrived although it was answered with 500 nobody knows, so what follows is told whatever it says
    happen(store, moved("b", "watch", "critical"))
    assert attempt(500) == "critical"
    happen(store, moved("b", "critical", "watch"), moved("b", "watch", "critical"))
    assert attempt(540) is None
    assert attempt(560, taken=True) == "critical"
    assert attempt(900) is None


def test_a_low_answer_that_was_not_taken_is_no_old_news(store):
    endpoint, _ = subscribe(store, cooldown=timedelta(hours=1))
    upsert(store, "surveys", answers({"survey_id": "s1", "score": 1.0}), at=NOW)
    outbox.distribute(store, NOW)
    held = claim(store, endpoint, NOW)
    assert held is not None
    put_off(store, held, 500, "answered 500", NOW, again_at=NOW + timedelta(hours=5))
    upsert(store, "surveys", answers({"survey_id": "s2", "score": 1.0}), at=NOW)
    outbox.distribute(store, NOW + timedelta(hours=2))
    assert [row.status for row in log(store)] == ["pending", "pending"]


BANDS = ("healthy", "watch", "critical")


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90), st.sampled_from("ab"), st.sampled_from(BANDS), st.booleans()), max_size=12
    )
)
def test_in_the_end_the_receiver_knows_the_last_state(sqlite_store, steps):
    """However events, deliveries and waits mix: what was told last is how it is, and nothing is told twice in a row."""
    rows.empty(sqlite_store, webhook_deliveries, webhook_events, webhook_endpoints)
    endpoint, _ = subscribe(sqlite_store, cooldown=timedelta(hours=1))
    now, last, told = NOW, {"a": "none", "b": "none"}, {"a": [], "b": []}

    def deliver() -> None:
        while (held := claim(sqlite_store, endpoint, now)) is not None:
            delivered(sqlite_store, held, 200, now)
            told[held.data["account_id"]].append((now, held.data["band"]))

    for wait, who, band, at_work in steps:
        now += wait * MINUTE
        if last[who] != band:
            happen(sqlite_store, moved(who, last[who], band))
            last[who] = band
        outbox.distribute(sqlite_store, now)
        if at_work:
            deliver()
    now += timedelta(hours=2)
    deliver()
    for who, heard in told.items():
        bands = [band for _, band in heard]
        assert (bands or ["none"])[-1] == last[who]
        assert all(band != following for band, following in itertools.pairwise(bands))


def test_what_is_old_leaves_the_log_and_what_is_waiting_stays(store):
    endpoint, _ = subscribe(store)
    happen(store, moved("a", "watch", "critical"), moved("b", "watch", "critical"))
    outbox.distribute(store, NOW)
    held = claim(store, endpoint, NOW)
    assert held is not None
    delivered(store, held, 200, NOW)
    assert outbox.prune(store, NOW + timedelta(days=29)) == 0
    assert outbox.prune(store, NOW + timedelta(days=31)) == 1
    assert [row.account_id for row in log(store)] == ["b"]


def test_an_account_is_forgotten(store):
    subscribe(store)
    happen(store, moved("a", "watch", "critical"), moved("b", "watch", "critical"))
    outbox.distribute(store, NOW)
    happen(store, moved("a", "critical", "watch"))
    with writing(store) as conn:
        assert outbox.forget_account(conn, "a") == 2
    assert [event.account_id for event in written(store)] == ["b"]
    assert [row.account_id for row in log(store)] == ["b"]
