"""Each query the service asks while somebody waits is answered from an index, without sorting."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.store import (
    books,
    disagreement,
    history,
    issued,
    lists,
    moves,
    opinions,
    outcomes,
    overrides,
    scores,
    tables,
)
from models.store.among import wanted
from models.store.books import EVERYBODY, Book
from models.store.lists import Filters, publish_list
from models.store.scores import save_scores
from models.store.tables import CONTRACT, LIST_FILTERS, RANKS
from models.store.upsert import upsert
from tests.store import cast
from tests.store.cast import DAY, HOUR, T, rows

N = 3000


def fill(engine: Engine) -> None:
    """Enough rows for a planner to have something to think about."""
    chance = random.Random(1)
    who = [f"a{i:05d}" for i in range(N)]
    entries = cast.entries(
        *(
            {
                "account_id": account_id,
                "expected_revenue_loss": chance.random(),
                "p_silent": chance.random(),
                "owner": f"o{chance.randrange(100)}",
                "segment": chance.choice(["smb", "mid"]),
                "region": chance.choice(["north", "south"]),
                "band": chance.choice(["watch", "critical"]),
            }
            for account_id in who
        )
    )
    for _ in range(2):
        publish_list(engine, "silent", entries, as_of=T, model_id="m", population={}, parameters={}, created_at=T)
    save_scores(engine, cast.scores(who), None, computed_at=T)
    contacts = (
        {"interaction_id": f"T{i}", "account_id": chance.choice(who), "opened_at": T + i * HOUR} for i in range(N)
    )
    upsert(engine, "interactions", rows("interactions", *contacts))
    asked = {"instrument": "nps", "account_id": "a00001"}
    surveys = ({"survey_id": f"S{i}", "sent_at": T + i * HOUR} | asked for i in range(N))
    upsert(engine, "surveys", rows("surveys", *surveys))
    if engine.dialect.name == "postgresql":  # its daemon would, sooner or later; for lists publishing does
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(sa.text("ANALYZE interactions, surveys, scores, latest_scores"))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, databases: Any) -> Iterator[Connection]:
    with databases.open(request.param) as engine:
        fill(engine)
        with engine.connect() as conn:
            yield conn


def plan(conn: Connection, query: sa.Select[Any], **values: Any) -> str:
    """How the database means to answer, as text."""
    dialect = conn.dialect
    sql = str(query.params(**values).compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    column, explain = (3, "EXPLAIN QUERY PLAN") if dialect.name == "sqlite" else (0, "EXPLAIN")
    return "\n".join(str(row[column]) for row in conn.exec_driver_sql(f"{explain} {sql}"))


def uses(index: str, found: str) -> bool:
    scanned = "SCAN" in found or "Seq Scan" in found
    sorted_ = "TEMP B-TREE" in found or "Sort" in found
    return index in found and not scanned and not sorted_


FILTERED = [
    (Filters(), None),
    *(
        (Filters(**{name: value}), name)
        for name, value in zip(LIST_FILTERS, ("o7", "smb", "north", "watch"), strict=True)
    ),
    (Filters(min_mrr=0.1), None),
]


@pytest.mark.parametrize("rank_by", RANKS)
@pytest.mark.parametrize(("filters", "column"), FILTERED)
def test_a_page_is_a_range_of_an_index(filled: Connection, rank_by: str, filters: Filters, column: str | None) -> None:
    query = lists._page_query(rank_by, lists._chosen(filters)).limit(50)
    found = plan(filled, query, **lists._values(2, filters), after_rank=10)
    if column is not None:
        assert uses(f"ix_risk_list_entries_list_id_{column}_{rank_by}", found), found
    elif rank_by == "rank_by_probability":
        assert uses("ix_risk_list_entries_list_id_rank_by_probability", found), found
    else:
        assert uses("pk_risk_list_entries", found) or uses("sqlite_autoindex_risk_list_entries_1", found), found


def test_a_page_by_two_filters_uses_the_index_of_one(filled: Connection) -> None:
    filters = Filters(owner="o7", band="watch")
    found = plan(
        filled,
        lists._page_query("rank_by_loss", lists._chosen(filters)).limit(50),
        **lists._values(2, filters),
        after_rank=0,
    )
    assert uses("ix_risk_list_entries_list_id_owner_rank_by_loss", found), found


def test_the_latest_score_is_two_look_ups_by_primary_key(filled: Connection) -> None:
    found = plan(filled, scores.LATEST, account_id="a00007")
    if filled.dialect.name == "sqlite":
        assert found.splitlines() == [
            "SEARCH latest_scores USING PRIMARY KEY (account_id=?)",
            "SEARCH scores USING INDEX sqlite_autoindex_scores_1 (account_id=? AND as_of=? AND model_id=?)",
        ]
    else:
        assert uses("pk_latest_scores", found), found
        assert "pk_scores" in found, found


@pytest.mark.parametrize("table", ["interactions", "surveys"])
def test_one_account_is_found_by_its_id(filled: Connection, table: str) -> None:
    several = history._about(filled.dialect.name, table)
    ids = wanted(filled, ["a00007", "a00008"])
    explain = "EXPLAIN QUERY PLAN" if filled.dialect.name == "sqlite" else "EXPLAIN"
    compiled = several.compile(dialect=filled.dialect)
    if filled.dialect.name == "sqlite":
        found = "\n".join(str(row[3]) for row in filled.exec_driver_sql(f"{explain} {compiled}", (ids["wanted"],)))
    else:
        found = "\n".join(row[0] for row in filled.exec_driver_sql(f"{explain} {compiled}", ids))
    assert f"ix_{table}_account_id" in found, found


@pytest.mark.parametrize("table", ["interactions", "surveys"])
def test_the_earliest_known_row_is_the_first_hit_of_an_index(filled: Connection, table: str) -> None:
    for query in history._first_known_queries(table, T + 9 * HOUR):
        found = plan(filled, query)
        assert uses(f"ix_{table}_", found), found


@pytest.mark.parametrize("table", ["interactions", "surveys"])
def test_freshness_is_the_end_of_an_index(filled: Connection, table: str) -> None:
    found = plan(filled, sa.select(sa.func.max(CONTRACT[table].c.recorded_at)))
    assert f"ix_{table}_recorded_at" in found, found
    assert "SCAN" not in found, found
    assert "Seq Scan" not in found, found


#: What else is asked about some accounts or some days: issued lists, overrides, sentiment, disagreements, portfolios.
WHO = [f"a{i:05d}" for i in range(20)]
OWNER = Book(owners=("o7",))
RUN = moves.Run(1, T, "m-1", N)

ASKED: dict[str, Callable[[Connection], Any]] = {
    "an account's override": lambda conn: overrides.override(conn, WHO[0], T),
    "overrides of a page": lambda conn: overrides.overrides(conn, WHO, T),
    "whether an override changed": lambda conn: overrides.version(conn, T),
    "an account's sentiment": lambda conn: opinions.sentiment(conn, WHO[0]),
    "views of 90 days": lambda conn: opinions.latest_since(conn, T - 90 * DAY),
    "views of 90 days in a book": lambda conn: opinions.latest_since(conn, T - 90 * DAY, OWNER),
    "terms that changed in 90 days": lambda conn: disagreement._terms(conn, T - 90 * DAY, T, EVERYBODY),
    "who was approached lately": lambda conn: issued.approached(conn, 28, T),
    "who of a list was approached": lambda conn: outcomes.outreached(conn, WHO, T, T + DAY),
    "who of a pool may have left": lambda conn: outcomes._may_have_left(conn, WHO),
    "entries of some accounts": lambda conn: issued.entries_of(conn, 2, WHO),
    "a list in order": lambda conn: lists.fitting(conn, 2, "rank_by_loss", Filters()),
    "an owner's list in order": lambda conn: lists.fitting(conn, 2, "rank_by_probability", Filters(owner="o7")),
    "the list of a book in order": lambda conn: lists.fitting(conn, 2, "rank_by_loss", Filters(), OWNER),
    "scores of a run": lambda conn: scores.scores_of(conn, WHO, T, "m-1"),
    "latest scores of a page": lambda conn: scores.latest_of(conn, WHO),
    "an owner's accounts": lambda conn: moves.members(conn, (EVERYBODY, OWNER), [RUN, RUN], 5_000),
}


def plans(conn: Connection, ask: Callable[[Connection], Any]) -> list[str]:
    """How the database means to answer each statement of a question, without sequential scans where it has a choice."""
    sent: list[tuple[str, Any]] = []

    def remember(*args: Any) -> None:
        sent.append((args[2], args[3]))

    with conn.begin_nested() if conn.in_transaction() else conn.begin():
        if conn.dialect.name == "postgresql":
            # The tables here are so small that reading all of one is cheapest; the question is whether it must be.
            conn.execute(sa.text("SET LOCAL enable_seqscan = off"))
        sa.event.listen(conn, "before_cursor_execute", remember)
        ask(conn)
        sa.event.remove(conn, "before_cursor_execute", remember)
        column, explain = (3, "EXPLAIN QUERY PLAN") if conn.dialect.name == "sqlite" else (0, "EXPLAIN")
        return [
            "\n".join(str(row[column]) for row in conn.exec_driver_sql(f"{explain} {statement}", given))
            for statement, given in sent
        ]


@pytest.mark.parametrize("name", ASKED)
def test_no_table_is_read_from_end_to_end(filled: Connection, name: str) -> None:
    for found in plans(filled, ASKED[name]):
        lines = [line for line in found.splitlines() if "VIRTUAL TABLE" not in line]
        assert not [line for line in lines if "Seq Scan" in line or ("SCAN" in line and "USING" not in line)], found


def test_a_scan_would_be_seen(filled: Connection) -> None:
    query = sa.text("SELECT count(*) FROM accounts WHERE name = 'x' OR mrr > 5")
    (found,) = plans(filled, lambda conn: conn.execute(query).all())
    assert "Seq Scan" in found or "SCAN" in found


def test_a_book_is_a_range_of_an_index(filled: Connection) -> None:
    """Whose account it is, and the entries of a book: never by reading everybody's."""
    mine = sa.select(CONTRACT["accounts"].c.account_id).where(*books._conditions(books.Book(owners=("o7",))))
    found = plan(filled, mine)
    assert uses("ix_accounts_owner_account_id", found), found
    filters = Filters()
    query = lists._book_query("rank_by_loss", lists._chosen(filters), books.Book(owners=("o7",))).limit(50)
    found = plan(filled, query, **lists._values(2, filters), after_rank=0)
    assert "ix_accounts_owner_account_id" in found, found
    assert "SCAN accounts" not in found and "Seq Scan on accounts" not in found, found


@pytest.mark.parametrize("column", ["action", "subject"])
def test_the_audit_log_is_read_from_an_index(filled: Connection, column: str) -> None:
    log = tables.audit_log.c
    query = sa.select(tables.audit_log).where(log[column] == "x", log.entry_id < 9).order_by(log.entry_id.desc())
    found = plan(filled, query.limit(50))
    assert f"ix_audit_log_{column}_entry_id" in found or "pk_audit_log" in found, found
    assert "SCAN" not in found, found
