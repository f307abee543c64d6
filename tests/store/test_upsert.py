"""Upserts: the same rows in any batches, in any number of repetitions, end in the same state."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from models.errors import ContractError
from models.history import TABLES
from models.store.engine import writing
from models.store.tables import CONTRACT
from models.store.upsert import OUTCOMES, Counts, Sink, upsert, upsert_rows
from tests.store.cast import DAY, HOUR, T, empty, rows, stored

slow = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def ticket(**values: Any) -> dict[str, Any]:
    return {"interaction_id": "T1", "account_id": "a", "opened_at": T} | values


def test_the_worked_example(store: Engine) -> None:
    def arrive(outcome: str, updated: timedelta, recorded: timedelta) -> str:
        row = ticket(outcome=outcome, updated_at=T + updated, recorded_at=T + recorded)
        return upsert_rows(store, "interactions", rows("interactions", row)).item()

    minute = timedelta(minutes=1)
    assert arrive("unresolved", 0 * HOUR, minute) == "inserted"
    assert arrive("resolved", 2 * HOUR, 2 * HOUR + 5 * minute) == "updated"
    assert arrive("resolved", 2 * HOUR, 2 * HOUR + 30 * minute) == "unchanged"
    assert arrive("auto_closed", HOUR, HOUR + 2 * minute) == "stale"
    (row,) = stored(store, "interactions")
    assert (row["outcome"], row["updated_at"], row["recorded_at"]) == ("resolved", T + 2 * HOUR, T + minute)


def test_a_stale_version_may_still_have_arrived_first(store: Engine) -> None:
    upsert(store, "interactions", rows("interactions", ticket(updated_at=T + DAY, recorded_at=T + DAY)))
    late = ticket(updated_at=T, recorded_at=T + HOUR, outcome="resolved")
    assert upsert(store, "interactions", rows("interactions", late)) == Counts(stale=1)
    (row,) = stored(store, "interactions")
    assert (row["outcome"], row["updated_at"], row["recorded_at"]) == (None, T + DAY, T + HOUR)


def test_the_same_moment_of_change_lets_the_later_arrival_win(store: Engine) -> None:
    for outcome in ("unresolved", "resolved"):
        upsert(store, "interactions", rows("interactions", ticket(updated_at=T, outcome=outcome)))
    assert stored(store, "interactions")[0]["outcome"] == "resolved"


def test_a_version_that_does_not_say_when_it_changed_is_the_older(store: Engine) -> None:
    upsert(store, "interactions", rows("interactions", ticket(updated_at=T, outcome="resolved")))
    unsaid = rows("interactions", ticket(outcome="unresolved"))
    assert upsert(store, "interactions", unsaid) == Counts(stale=1)
    assert stored(store, "interactions")[0]["outcome"] == "resolved"


def test_tables_without_a_moment_of_change_take_the_later_arrival(store: Engine) -> None:
    asked = {"survey_id": "s", "account_id": "a", "instrument": "nps", "sent_at": T}
    upsert(store, "surveys", rows("surveys", asked))
    answered = rows("surveys", asked | {"responded_at": T + HOUR, "score": 9.0})
    assert [upsert(store, "surveys", answered) for _ in range(2)] == [Counts(updated=1), Counts(unchanged=1)]
    assert stored(store, "surveys")[0]["score"] == 9.0


def test_null_replaces_and_an_absent_column_stays(store: Engine) -> None:
    first = {"account_id": "a", "name": "Ann", "owner": "o@x", "mrr": 10.0}
    upsert(store, "accounts", rows("accounts", first))
    upsert(store, "accounts", rows("accounts", {"account_id": "a", "owner": None, "mrr": 20.0}))
    (row,) = stored(store, "accounts")
    assert (row["name"], row["owner"], row["mrr"]) == ("Ann", None, 20.0)


def test_recorded_at_defaults_to_the_happened_at_plus_the_delay(store: Engine) -> None:
    asked = {"account_id": "a", "instrument": "csat"}
    frame = rows(
        "surveys",
        asked | {"survey_id": "1", "sent_at": T, "responded_at": T + DAY},
        asked | {"survey_id": "2", "responded_at": T + DAY},
        asked | {"survey_id": "3", "sent_at": T, "recorded_at": T + 2 * HOUR},
    )
    Sink(store, delay=HOUR).write("surveys", frame)
    assert [row["recorded_at"] for row in stored(store, "surveys")] == [T + HOUR, T + DAY + HOUR, T + 2 * HOUR]


def test_a_repeated_row_of_a_batch_is_counted(store: Engine) -> None:
    frame = rows(
        "interactions",
        ticket(updated_at=T + HOUR, recorded_at=T + DAY, outcome="resolved"),
        ticket(updated_at=T, recorded_at=T, outcome="unresolved"),
        ticket(interaction_id="T2"),
    )
    assert upsert_rows(store, "interactions", frame).to_list() == ["inserted", "repeated", "inserted"]
    assert upsert(store, "interactions", frame) == Counts(unchanged=2, repeated=1)
    first, _ = stored(store, "interactions")
    assert (first["outcome"], first["recorded_at"]) == ("resolved", T)


def test_every_table_takes_its_rows(store: Engine) -> None:
    for name, declared in TABLES.items():
        values = {pl.String(): "x", pl.Float64(): 1.5, pl.Int64(): 2, pl.Boolean(): True}
        row = {column: values.get(dtype, T) for column, dtype in declared.schema.items()}
        assert upsert(store, name, rows(name, row)) == Counts(inserted=1)
        assert upsert(store, name, rows(name, row)) == Counts(unchanged=1)
        assert stored(store, name) == [row]


def test_no_rows_are_no_work(store: Engine) -> None:
    assert upsert(store, "interactions", TABLES["interactions"].empty()) == Counts()


@pytest.mark.parametrize(
    ("table", "frame", "reason"),
    [
        ("tickets", pl.DataFrame({"a": [1]}), "No table of the contract is called 'tickets'"),
        ("accounts", pl.DataFrame({"account_id": ["a"], "arr": [1]}), "accounts has no column 'arr'"),
        ("interactions", rows("interactions", {"interaction_id": "T1", "account_id": "a"}), "without 'opened_at'"),
        ("accounts", rows("accounts", {"account_id": None}), "without 'account_id'"),
        ("accounts", pl.DataFrame({"account_id": ["a"], "mrr": ["much"]}), "Column 'mrr' of table accounts"),
        (
            "surveys",
            rows("surveys", {"survey_id": "s", "account_id": "a", "instrument": "nps", "score": 9.0}),
            "without any of sent_at, responded_at",
        ),
    ],
)
def test_what_breaks_the_contract_is_refused_whole(
    sqlite_store: Engine, table: str, frame: pl.DataFrame, reason: str
) -> None:
    with pytest.raises(ContractError, match=reason):
        upsert(sqlite_store, table, frame)


def test_a_sink_commits_batch_by_batch(store: Engine) -> None:
    frame = rows("accounts", *({"account_id": f"a{i}", "name": "x" if i < 4 else "x\0"} for i in range(6)))
    with pytest.raises(ContractError):
        Sink(store, batch_rows=2).write("accounts", frame)
    assert [row["account_id"] for row in stored(store, "accounts")] == ["a0", "a1", "a2", "a3"]


def test_several_upserts_may_share_a_transaction(store: Engine) -> None:
    with pytest.raises(RuntimeError), writing(store) as conn:
        upsert(conn, "accounts", rows("accounts", {"account_id": "a"}))
        upsert(conn, "interactions", rows("interactions", ticket()))
        upsert(conn, "interactions", rows("interactions", ticket(), ticket(interaction_id="T2")))
        raise RuntimeError
    assert stored(store, "accounts") == stored(store, "interactions") == []


VERSIONS = st.fixed_dictionaries(
    {
        "interaction_id": st.sampled_from(["T1", "T2", "T3"]),
        "account_id": st.sampled_from(["a", "b"]),
        "opened_at": st.just(T),
        "outcome": st.sampled_from([None, "resolved", "unresolved"]),
        "recorded_at": st.sampled_from([T, T + HOUR, T + DAY]),
        "updated_at": st.sampled_from([None, T, T + HOUR, T + DAY]),
    }
)


def one_by_one(versions: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The rules in plain Python: what is left after these arrivals, and what each of them was."""
    kept: dict[str, dict[str, Any]] = {}
    outcomes = []
    for version in versions:
        key, old = version["interaction_id"], kept.get(version["interaction_id"])
        if old is None:
            kept[key] = version
            outcomes.append("inserted")
            continue
        first = min(old["recorded_at"], version["recorded_at"])
        stale = older(version["updated_at"], old["updated_at"])
        new = (old if stale else version) | {"recorded_at": first}
        outcomes.append("stale" if stale else "unchanged" if new == old else "updated")
        kept[key] = new
    return kept, outcomes


def older(changed: datetime | None, than: datetime | None) -> bool:
    return than is not None and (changed is None or changed < than)


@slow
@given(versions=st.lists(VERSIONS, max_size=12), cuts=st.lists(st.integers(0, 12), max_size=3))
def test_any_batches_end_in_the_same_state(store: Engine, versions: list[dict[str, Any]], cuts: list[int]) -> None:
    empty(store, CONTRACT["interactions"])
    edges = sorted({0, *(min(cut, len(versions)) for cut in cuts), len(versions)})
    for low, high in pairwise(edges):
        upsert(store, "interactions", rows("interactions", *versions[low:high]))
    expected, _ = one_by_one(versions)
    found = {row["interaction_id"]: row for row in stored(store, "interactions")}
    assert {key: {name: row[name] for name in VERSION_NAMES} for key, row in found.items()} == expected
    again = upsert(store, "interactions", rows("interactions", *found.values()) if found else _nothing())
    assert again == Counts(unchanged=len(found))


VERSION_NAMES = ("interaction_id", "account_id", "opened_at", "outcome", "recorded_at", "updated_at")


def _nothing() -> pl.DataFrame:
    return TABLES["interactions"].empty()


@slow
@given(versions=st.lists(VERSIONS, max_size=8))
def test_each_arrival_is_called_what_it_was(store: Engine, versions: list[dict[str, Any]]) -> None:
    empty(store, CONTRACT["interactions"])
    called = [upsert_rows(store, "interactions", rows("interactions", version)).item() for version in versions]
    assert called == one_by_one(versions)[1]
    assert set(called) <= set(OUTCOMES)


def _overlapping(offset: int, reverse: bool) -> Iterator[pl.DataFrame]:
    for step in range(12):
        numbers = range(offset + step * 10, offset + step * 10 + 200)
        made = [ticket(interaction_id=f"T{i % 150:04d}", transfers=step, updated_at=T + step * HOUR) for i in numbers]
        yield rows("interactions", *(reversed(made) if reverse else made))


def test_writers_of_the_same_rows_do_not_block_each_other_for_good(store: Engine) -> None:
    failures: list[BaseException] = []

    def write(offset: int, reverse: bool) -> None:
        try:
            for frame in _overlapping(offset, reverse):
                upsert(store, "interactions", frame)
        except BaseException as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(i * 37, bool(i % 2))) for i in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=120)
    assert failures == []
    found = stored(store, "interactions")
    assert len(found) == 150
    assert {row["updated_at"] for row in found} == {T + 11 * HOUR}
