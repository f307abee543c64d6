"""Risk lists: ranked, frozen, published in one step, read page by page."""

from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from models.errors import ContractError, UnknownList
from models.store import lists
from models.store.engine import writing
from models.store.errors import StoreError
from models.store.lists import ENTRY_SCHEMA, Filters, count, current, frame, get_list, page, publish_list
from models.store.tables import current_list, risk_list_entries, risk_lists
from tests.store.cast import DAY, T, empty, entries

slow = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def publish(engine: Engine, some: pl.DataFrame, kind: str = "silent", **how: Any) -> int:
    said = {"as_of": T, "model_id": "m-1", "population": {"accounts": 9}, "parameters": {"margin": 1.0}}
    return publish_list(engine, kind, some, **said, created_at=T + DAY, **how)


def account(account_id: str, loss: float | None, p_silent: float, **more: Any) -> dict[str, Any]:
    return {"account_id": account_id, "expected_revenue_loss": loss, "p_silent": p_silent} | more


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [entry["account_id"] for entry in found]


def test_the_list_says_what_it_is(store: Engine) -> None:
    list_id = publish(store, entries(account("a", 1.0, 0.1), account("b", 2.0, 0.2)))
    with store.connect() as conn:
        found = current(conn)
        assert found == get_list(conn, list_id)
    assert found == lists.RiskList(list_id, "silent", T, "m-1", T + DAY, 2, {"accounts": 9}, {"margin": 1.0})


def test_ranks_by_loss_and_by_probability(store: Engine) -> None:
    list_id = publish(
        store,
        entries(
            account("unknown", None, 0.30),
            account("tied b", 500.0, 0.20),
            account("tied a", 500.0, 0.20),
            account("dear", 900.0, 0.01),
        ),
    )
    with store.connect() as conn:
        assert ids(page(conn, list_id)) == ["dear", "tied a", "tied b", "unknown"]
        assert ids(page(conn, list_id, "rank_by_probability")) == ["unknown", "tied a", "tied b", "dear"]
        assert [entry["rank_by_loss"] for entry in page(conn, list_id)] == [1, 2, 3, 4]


def test_an_entry_is_kept_as_it_was(store: Engine) -> None:
    row = entries(account("a", 10.0, 0.5, owner=None, mrr=None, reasons='[{"sentence": "3 of 9"}]')).row(0, named=True)
    list_id = publish(store, entries(row))
    with store.connect() as conn:
        (found,) = page(conn, list_id)
        whole = frame(conn, list_id)
    assert found == row | {"list_id": list_id, "rank_by_loss": 1, "rank_by_probability": 1, "place": None}
    assert whole.select(*ENTRY_SCHEMA).rows(named=True) == [row]


def test_an_empty_list_is_a_list(store: Engine) -> None:
    list_id = publish(store, pl.DataFrame(schema=ENTRY_SCHEMA))
    with store.connect() as conn:
        assert current(conn).entries == 0
        assert page(conn, list_id) == []


def test_pages_of_a_list_do_not_shift_while_another_is_published(store: Engine) -> None:
    old = publish(store, entries(*(account(f"a{i}", 100.0 - i, 0.1) for i in range(6))))
    with store.connect() as conn:
        first = page(conn, old, limit=3)
    new = publish(store, entries(*(account(f"b{i}", 100.0 - i, 0.1) for i in range(6))))
    with store.connect() as conn:
        assert current(conn).list_id == new
        assert ids(page(conn, old, after_rank=first[-1]["rank_by_loss"], limit=3)) == ["a3", "a4", "a5"]


def test_kinds_do_not_mix(store: Engine) -> None:
    silent = publish(store, entries(account("a", 1.0, 0.1)))
    vocal = publish(store, entries(account("b", 1.0, 0.1)), kind="vocal")
    with store.connect() as conn:
        assert (current(conn).list_id, current(conn, "vocal").list_id) == (silent, vocal)


def test_without_a_list_it_says_how_to_get_one(store: Engine) -> None:
    with store.connect() as conn:
        with pytest.raises(UnknownList, match="run: ebbtide score"):
            current(conn)
        with pytest.raises(UnknownList, match="no list 5"):
            get_list(conn, 5)


def test_an_unfinished_list_cannot_be_seen_and_is_swept_by_the_next_run(store: Engine) -> None:
    with writing(store) as conn:
        dead = {"kind": "silent", "as_of": T, "model_id": "m", "created_at": T, "entries": 2, "status": "building"}
        conn.execute(risk_lists.insert().values(**dead, list_id=77, population={}, parameters={}))
        half = entries(account("half", 1.0, 0.1)).with_columns(
            list_id=pl.lit(77), rank_by_loss=pl.lit(1), rank_by_probability=pl.lit(1)
        )
        conn.execute(risk_list_entries.insert(), half.to_dicts())
    with store.connect() as conn:
        for look in (current, lambda c: get_list(c, 77)):
            with pytest.raises(UnknownList):
                look(conn)
    publish(store, entries(account("a", 1.0, 0.1)))
    with store.connect() as conn:
        assert count(conn, 77) == 0
        assert conn.scalar(sa.select(sa.func.count()).select_from(risk_lists)) == 1


#: A database that loses the entry of account b.
LOSING = {
    "sqlite": [
        "CREATE TRIGGER losing AFTER INSERT ON risk_list_entries WHEN NEW.account_id = 'b' "
        "BEGIN DELETE FROM risk_list_entries WHERE account_id = 'b'; END"
    ],
    "postgresql": [
        "CREATE FUNCTION losing() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN IF NEW.account_id = ''b'' THEN RETURN NULL; END IF; RETURN NEW; END'",
        "CREATE TRIGGER losing BEFORE INSERT ON risk_list_entries FOR EACH ROW EXECUTE FUNCTION losing()",
    ],
}


def test_a_list_that_lost_an_entry_is_never_published(store: Engine) -> None:
    old = publish(store, entries(account("a", 1.0, 0.1)))
    with store.begin() as conn:
        for statement in LOSING[store.dialect.name]:
            conn.exec_driver_sql(statement)
    with pytest.raises(StoreError, match="has 1 entries where 2 were written"):
        publish(store, entries(account("b", 1.0, 0.1), account("c", 1.0, 0.1)))
    with store.connect() as conn:
        assert current(conn).list_id == old


def test_only_so_many_lists_are_kept(store: Engine) -> None:
    made = [publish(store, entries(account("a", 1.0, 0.1)), keep=2) for _ in range(4)]
    with store.connect() as conn:
        assert conn.scalars(sa.select(risk_lists.c.list_id).order_by(risk_lists.c.list_id)).all() == made[2:]
        kept = sa.select(risk_list_entries.c.list_id).distinct().order_by(risk_list_entries.c.list_id)
        assert conn.scalars(kept).all() == made[2:]
        with pytest.raises(UnknownList, match="too old to be kept"):
            get_list(conn, made[0])


def test_list_ids_are_never_used_again(store: Engine) -> None:
    first = publish(store, entries(account("a", 1.0, 0.1)))
    empty(store, current_list, risk_list_entries, risk_lists)
    assert publish(store, entries(account("a", 1.0, 0.1))) > first


@pytest.mark.parametrize(
    ("frame_of_entries", "reason"),
    [
        (entries(account("a", 1.0, 0.1)).drop("band"), "lacks the column 'band'"),
        (entries(account("a", 1.0, 0.1), account("a", 2.0, 0.1)), "an account twice"),
    ],
)
def test_what_is_no_list_is_refused(sqlite_store: Engine, frame_of_entries: pl.DataFrame, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        publish(sqlite_store, frame_of_entries)


ENTRY = st.fixed_dictionaries(
    {
        "owner": st.sampled_from([None, "o1", "o2"]),
        "segment": st.sampled_from([None, "smb", "mid"]),
        "region": st.sampled_from([None, "north", "south"]),
        "band": st.sampled_from(["watch", "critical"]),
        "mrr": st.sampled_from([None, 0.0, 100.0, 100.5]),
        "expected_revenue_loss": st.sampled_from([None, 1.0, 2.0]),
        "p_silent": st.sampled_from([0.1, 0.2]),
    }
)
FILTERS = st.builds(
    Filters,
    owner=st.sampled_from([None, None, "o1", "stranger"]),
    segment=st.sampled_from([None, None, "smb"]),
    region=st.sampled_from([None, None, "north"]),
    band=st.sampled_from([None, None, "watch"]),
    min_mrr=st.sampled_from([None, None, 0.0, 100.0]),
)


def by_loss(row: dict[str, Any]) -> tuple[Any, ...]:
    loss = row["expected_revenue_loss"]
    return (loss is None, -(loss or 0), -row["p_silent"], row["account_id"])


def by_probability(row: dict[str, Any]) -> tuple[Any, ...]:
    return (-row["p_silent"], row["account_id"])


@slow
@given(
    some=st.lists(ENTRY, max_size=12),
    filters=FILTERS,
    rank_by=st.sampled_from(["rank_by_loss", "rank_by_probability"]),
    limit=st.integers(1, 5),
)
def test_pages_make_the_filtered_list(
    store: Engine, some: list[dict[str, Any]], filters: Filters, rank_by: str, limit: int
) -> None:
    made = entries(*({"account_id": f"a{i:02d}"} | row for i, row in enumerate(some)))
    list_id = publish(store, made, keep=1)
    chosen = {name: wanted for name, wanted in vars(filters).items() if wanted is not None and name != "min_mrr"}
    expected = [
        row
        for row in made.to_dicts()
        if all(row[name] == wanted for name, wanted in chosen.items())
        and (filters.min_mrr is None or (row["mrr"] is not None and row["mrr"] >= filters.min_mrr))
    ]
    expected.sort(key=by_loss if rank_by == "rank_by_loss" else by_probability)
    found: list[dict[str, Any]] = []
    with store.connect() as conn:
        while more := page(conn, list_id, rank_by, filters, after_rank=found[-1][rank_by] if found else 0, limit=limit):
            assert len(more) <= limit
            found += more
        assert count(conn, list_id, filters) == len(found)
        assert frame(conn, list_id, rank_by, filters)["account_id"].to_list() == ids(found)
    assert ids(found) == ids(expected)
