"""Values go into both databases and come out of them as they were."""

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from models.accounts import ACCOUNTS
from models.clock import INSTANT
from models.errors import ContractError, NaiveTime
from models.store import bulk
from models.store.engine import writing
from models.store.tables import CONTRACT
from models.store.types import from_micros, schema, to_micros
from tests.store.cast import empty

INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["", "\\N", "\\.", "NULL", '"', ",", "a\r\nb", "%s", ":x", "' OR 1=1 --", "\ufeff", "é", "🌊"]
)
NUMBERS = st.floats(allow_nan=False) | st.sampled_from([0.1 + 0.2, 1e-320, 1.7976931348623157e308])
CELLS = {
    pl.String(): TEXTS,
    pl.Float64(): NUMBERS,
    pl.Int64(): st.integers(-(2**63), 2**63 - 1),
    pl.Boolean(): st.booleans(),
    INSTANT: INSTANTS,
}
ROW = st.fixed_dictionaries(
    {column.name: st.none() | CELLS[ACCOUNTS.schema[column.name]] for column in ACCOUNTS.columns}
)

slow = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(moment=INSTANTS)
def test_an_instant_is_a_number_of_microseconds(moment: datetime) -> None:
    assert from_micros(to_micros(moment)) == moment
    assert to_micros(moment) == pl.Series([moment], dtype=INSTANT).cast(pl.Int64)[0]


def test_an_instant_of_another_zone_is_the_same_instant() -> None:
    there = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert from_micros(to_micros(there)) == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_time_without_an_offset_is_refused() -> None:
    with pytest.raises(NaiveTime):
        to_micros(datetime(2026, 3, 1))


@slow
@given(table=st.lists(ROW, max_size=8))
def test_frames_go_in_and_come_out(store: Engine, table: list[dict[str, object]]) -> None:
    numbered = [row | {"account_id": f"a{i}"} for i, row in enumerate(table)]
    frame = pl.DataFrame(numbered, schema=ACCOUNTS.schema)
    accounts = CONTRACT["accounts"]
    empty(store, accounts)
    with writing(store) as conn:
        bulk.append(conn, accounts, frame)
    query = sa.select(accounts).order_by(accounts.c.account_id)
    with store.connect() as conn:
        for select in (bulk.select, bulk.select_many):
            found = select(conn, query, schema(accounts))
            assert found.schema == frame.schema
            assert found.rows() == frame.rows()
        assert bulk.select(conn, query).rows() == frame.rows()
        plain = [tuple(row) for row in conn.execute(query)]
    assert plain == frame.rows()


def test_conditions_on_frames_take_any_value(store: Engine) -> None:
    accounts = CONTRACT["accounts"]
    moment = datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
    frame = pl.DataFrame(
        {"account_id": ["50%", "it's"], "started_at": [moment, moment - timedelta(microseconds=1)]},
        schema_overrides={"started_at": INSTANT},
    )
    with writing(store) as conn:
        bulk.append(conn, accounts, frame)
    query = sa.select(accounts.c.account_id, accounts.c.started_at)
    kept = {"account_id": pl.String(), "started_at": INSTANT}
    with store.connect() as conn:
        for condition, expected in (
            (accounts.c.account_id == "50%", "50%"),
            (accounts.c.account_id == "it's", "it's"),
            (accounts.c.started_at >= moment, "50%"),
            (accounts.c.started_at < moment, "it's"),
        ):
            assert bulk.select_many(conn, query.where(condition), kept)["account_id"].to_list() == [expected]


def test_unknown_is_not_zero_and_nan_is_unknown(store: Engine) -> None:
    frame = pl.DataFrame({"account_id": ["a", "b"], "mrr": [float("nan"), 0.0]})
    with writing(store) as conn:
        bulk.append(conn, CONTRACT["accounts"], frame)
    with store.connect() as conn:
        query = sa.select(CONTRACT["accounts"].c.mrr).order_by(CONTRACT["accounts"].c.account_id)
        assert conn.scalars(query).all() == [None, 0.0]


def test_text_with_a_nul_is_refused_by_name(store: Engine) -> None:
    frame = pl.DataFrame({"account_id": ["a"], "name": ["x\0y"]})
    with writing(store) as conn, pytest.raises(ContractError, match="Column 'name' holds a NUL"):
        bulk.append(conn, CONTRACT["accounts"], frame)


def test_text_is_ordered_byte_by_byte(store: Engine) -> None:
    ids = ["Zoe", "a", "B", "é", "z", "🌊", "~", "a b", "a-b"]
    with writing(store) as conn:
        bulk.append(conn, CONTRACT["accounts"], pl.DataFrame({"account_id": ids}))
    with store.connect() as conn:
        query = sa.select(CONTRACT["accounts"].c.account_id).order_by(CONTRACT["accounts"].c.account_id)
        found = conn.scalars(query).all()
    assert found == sorted(ids) == pl.Series(ids).sort().to_list()
