"""Histories out of the store are the history of the frames that went in."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from sqlalchemy.engine import Engine

from models.history import TABLES, History
from models.store.engine import reading
from models.store.history import (
    Freshness,
    account_ranges,
    freshness,
    observed_from,
    read_histories,
    read_history,
    read_range,
)
from models.store.tables import CONTRACT
from models.store.upsert import upsert
from tests.store.cast import DAY, HOUR, T, empty, rows

slow = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

ALICE, BOB, CHARLIE, ORPHAN = "alice", "bob", "charlie", "nobody described"


def portfolio() -> dict[str, pl.DataFrame]:
    """Three accounts and an orphan, something in every table."""
    contacts = [
        {"interaction_id": f"T{i}", "account_id": who, "opened_at": T + i * HOUR, "abandoned": i % 2 == 0}
        for i, who in enumerate([ALICE, BOB, ALICE, ORPHAN, CHARLIE, ALICE])
    ]
    return {
        "accounts": rows("accounts", *({"account_id": who, "started_at": T - DAY} for who in (ALICE, BOB, CHARLIE))),
        "interactions": rows("interactions", *contacts),
        "surveys": rows(
            "surveys",
            {"survey_id": "S1", "account_id": BOB, "instrument": "nps", "responded_at": T, "comment": "secret"},
        ),
        "contracts": rows("contracts", {"account_id": BOB, "effective_at": T - DAY, "mrr": 5.0}),
        "outreach": rows("outreach", {"outreach_id": "O1", "account_id": ALICE, "at": T, "kind": "call"}),
        "measures": rows("measures", {"account_id": ALICE, "name": "logins", "value": 3.0, "at": T}),
    }


@pytest.fixture
def filled(store: Engine) -> Engine:
    for name, frame in portfolio().items():
        upsert(store, name, frame)
    return store


def same(found: History, expected: History) -> None:
    for name, declared in TABLES.items():
        assert_frame_equal(found.frame(name), expected.frame(name), check_row_order=False)
        assert found.frame(name).schema == declared.schema


def expected(*account_ids: str) -> History:
    tables = portfolio() | {"surveys": portfolio()["surveys"].drop("comment")}
    if account_ids:
        tables = {name: frame.filter(pl.col("account_id").is_in(account_ids)) for name, frame in tables.items()}
    return History.from_frames(tables)


def test_everything(filled: Engine) -> None:
    with filled.connect() as conn:
        same(read_history(conn), expected())


def test_some_accounts(filled: Engine) -> None:
    with filled.connect() as conn:
        same(read_history(conn, [BOB, ALICE, BOB, "unheard of"]), expected(ALICE, BOB))
        same(read_history(conn, [ORPHAN]), expected(ORPHAN))
        same(read_history(conn, []), expected("nobody"))


def test_any_account_id_can_be_asked_for(store: Engine) -> None:
    ids = ["it's", '"quoted"', "50%", "a,b", "{}", "\\N", "back\\slash", "é", "new\nline", "NULL"]
    upsert(store, "accounts", rows("accounts", *({"account_id": i} for i in ids)))
    with store.connect() as conn:
        for one in ids:
            assert read_history(conn, [one]).accounts["account_id"].to_list() == [one]
        assert set(read_history(conn, ids).accounts["account_id"]) == set(ids)


def test_what_is_watched_since_when_is_handed_on(filled: Engine) -> None:
    with filled.connect() as conn:
        since = observed_from(conn, T + DAY)
        for history in (
            read_history(conn, [BOB], observed_from=since, delay=HOUR),
            *read_histories(conn, observed_from=since),
        ):
            assert history.observed_from == since
        assert read_history(conn, [BOB], delay=HOUR).delay == HOUR


def test_comments_stay_in_the_store(filled: Engine) -> None:
    with filled.connect() as conn:
        assert read_history(conn).surveys["comment"].to_list() == [None]
        assert conn.scalar(sa.select(CONTRACT["surveys"].c.comment)) == "secret"


@pytest.mark.parametrize("chunk_accounts", [1, 2, 3, 100])
def test_parts_make_the_whole(filled: Engine, chunk_accounts: int) -> None:
    with reading(filled) as conn:
        parts = list(read_histories(conn, chunk_accounts))
        ranges = account_ranges(conn, chunk_accounts)
    assert len(parts) == len(ranges) == -(-3 // chunk_accounts)
    assert all(part.accounts.height <= chunk_accounts for part in parts)
    whole = {name: pl.concat([part.frame(name) for part in parts]) for name in TABLES}
    same(History.from_frames(whole), expected())
    assert sum(part.interactions.height for part in parts) == 6


def test_a_store_without_accounts_is_one_part(store: Engine) -> None:
    upsert(store, "interactions", rows("interactions", {"interaction_id": "T", "account_id": "x", "opened_at": T}))
    with store.connect() as conn:
        assert account_ranges(conn) == [(None, None)]
        (part,) = read_histories(conn)
    assert part.interactions.height == 1


def test_ranges_are_half_open(filled: Engine) -> None:
    with filled.connect() as conn:
        assert read_range(conn, ALICE, BOB).accounts["account_id"].to_list() == [ALICE]
        assert read_range(conn, CHARLIE, None).accounts["account_id"].to_list() == [CHARLIE]


def test_a_reader_sees_one_moment(filled: Engine) -> None:
    with reading(filled) as conn:
        parts = read_histories(conn, 1)
        seen = next(parts).interactions.height
        late = {"interaction_id": "late", "account_id": CHARLIE, "opened_at": T}
        upsert(filled, "interactions", rows("interactions", late))
        seen += sum(part.interactions.height for part in parts)
    assert seen == 6
    with filled.connect() as conn:
        assert read_history(conn).interactions.height == 7


SURVEY = st.fixed_dictionaries(
    {
        "sent_at": st.sampled_from([None, *(T + i * HOUR for i in range(6))]),
        "responded_at": st.sampled_from([T + i * HOUR for i in range(6)]),
        "recorded_at": st.sampled_from([T + i * HOUR for i in range(8)]),
    }
)


@slow
@given(surveys=st.lists(SURVEY, max_size=6), as_of=st.sampled_from([T + i * HOUR for i in range(9)]))
def test_observed_from_is_the_earliest_row_known_by_then(
    store: Engine, surveys: list[Mapping[str, Any]], as_of: datetime
) -> None:
    empty(store, CONTRACT["surveys"])
    asked = [{"survey_id": str(i), "account_id": "a", "instrument": "nps"} | s for i, s in enumerate(surveys)]
    if asked:
        upsert(store, "surveys", rows("surveys", *asked))
    known = [s["sent_at"] or s["responded_at"] for s in surveys if s["recorded_at"] <= as_of]
    before = [moment for moment in known if moment < as_of]
    with store.connect() as conn:
        assert observed_from(conn, as_of) == ({"surveys": min(before)} if before else {})


def test_freshness_is_how_far_each_table_reaches(filled: Engine) -> None:
    asked = {"survey_id": "S2", "account_id": BOB, "instrument": "nps", "sent_at": T - DAY, "recorded_at": T + DAY}
    upsert(filled, "surveys", rows("surveys", asked))
    with filled.connect() as conn:
        found = freshness(conn)
    assert found["interactions"] == Freshness(T + 5 * HOUR, T + 5 * HOUR)
    assert found["surveys"] == Freshness(recorded_at=T + DAY, happened_at=T)
    assert set(found) == set(TABLES)


def test_an_empty_table_is_not_fresh(store: Engine) -> None:
    with store.connect() as conn:
        assert freshness(conn)["surveys"] == Freshness(None, None)
        assert observed_from(conn, T) == {}


def test_a_delay_moves_what_is_known(filled: Engine) -> None:
    """`delay` concerns values without a recorded time of their own; see `History`."""
    with filled.connect() as conn:
        late = read_history(conn, delay=timedelta(days=2))
    assert late.known_at(T + 1.5 * DAY).surveys["responded_at"].to_list() == [None]
