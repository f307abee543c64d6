"""What a worker asks again and again is answered from an index, however long the log."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from models.store import deliveries, inbound, outbox
from models.store.tables import inbound_messages, webhook_deliveries, webhook_events
from tests.webhooks.cast import NOW, subscribe

N = 3_000


@pytest.fixture
def long(store):
    """A receiver with a long log, of which little is due."""
    endpoint, _ = subscribe(store)
    said = {"type": "list.published", "at": NOW, "data": {}, "account_id": None, "topic": None, "state": None}
    events = [said | {"message_id": f"m{i}", "distributed_at": NOW if i else None} for i in range(N)]
    sent = {"endpoint_id": endpoint, "topic": "account.band", "state": "watch", "attempts": 1, "log": []}
    rows = [
        sent
        | {"event_no": i + 1, "account_id": f"a{i}", "created_at": NOW}
        | ({"status": "delivered", "due_at": None} if i % 100 else {"status": "pending", "due_at": NOW})
        for i in range(N)
    ]
    came = [
        {
            "door": "zendesk",
            "digest": str(i),
            "received_at": NOW,
            "body": "{}",
            "subject": f"ticket:{i % 500}",
            "attempts": 0,
        }
        | ({"status": "done", "due_at": None} if i % 100 else {"status": "pending", "due_at": NOW})
        for i in range(N)
    ]
    with store.begin() as conn:
        for table, some in ((webhook_events, events), (webhook_deliveries, rows), (inbound_messages, came)):
            conn.execute(table.insert(), some)
    if store.dialect.name == "postgresql":  # its daemon would, sooner or later
        with store.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.execute(sa.text("ANALYZE webhook_events, webhook_deliveries, inbound_messages"))
    return store, endpoint


def plans(engine, act) -> list[str]:
    """How the database answers each query that an act asks about the long tables."""
    asked: list[tuple[str, object]] = []

    def listen(conn, cursor, statement, parameters, context, executemany):
        if statement.startswith("SELECT") and any(name in statement for name in ("webhook_", "inbound_")):
            asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", listen)
    act()
    event.remove(engine, "before_cursor_execute", listen)
    explain, column = ("EXPLAIN QUERY PLAN", 3) if engine.dialect.name == "sqlite" else ("EXPLAIN", 0)
    with engine.connect() as conn:
        return [
            "\n".join(str(r[column]) for r in conn.exec_driver_sql(f"{explain} {sql}", given)) for sql, given in asked
        ]


def read(engine, query, *given) -> None:
    with engine.connect() as conn:
        query(conn, *given)


ACTS = {
    "claim": lambda engine, endpoint: deliveries.claim(engine, endpoint, NOW),
    "distribute": lambda engine, _: outbox.distribute(engine, NOW),
    "log": lambda engine, endpoint: read(engine, deliveries.deliveries, endpoint, 50, None, 2_000),
    "claim a message": lambda engine, _: inbound.claim(engine, NOW + timedelta(days=1)),
    "messages about": lambda engine, _: read(engine, inbound.about, "zendesk", {"ticket:7", "user:3"}),
    "inbox": lambda engine, _: read(engine, inbound.messages, 50, None, 2_000),
}


@pytest.mark.parametrize("name", ACTS)
def test_no_long_table_is_read_from_end_to_end(long, name):
    engine, endpoint = long
    found = plans(engine, lambda: ACTS[name](engine, endpoint))
    assert found
    for plan in found:
        lines = [line for line in plan.splitlines() if "webhook_endpoints" not in line]
        assert not [line for line in lines if "Seq Scan" in line or line.startswith("SCAN")], plan
