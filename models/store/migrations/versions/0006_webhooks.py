"""Webhooks: where events are sent, the outbox, and the log of deliveries."""

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL, TEXT, Instant

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=False),
        sa.Column("description", TEXT, nullable=True),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("format", TEXT, nullable=False),
        sa.Column("cooldown_seconds", sa.BigInteger(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", Instant(), nullable=True),
        sa.Column("disabled_why", TEXT, nullable=True),
        sa.Column("paused_until", Instant(), nullable=True),
        sa.Column("failing_since", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "webhook_events",
        sa.Column("event_no", SERIAL, autoincrement=True, nullable=False),
        sa.Column("message_id", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("account_id", TEXT, nullable=True),
        sa.Column("topic", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("distributed_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("event_no", name=op.f("pk_webhook_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_webhook_events_account_id"), "webhook_events", ["account_id"])
    op.create_index(op.f("ix_webhook_events_distributed_at_event_no"), "webhook_events", ["distributed_at", "event_no"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("delivery_no", SERIAL, autoincrement=True, nullable=False),
        sa.Column("endpoint_id", TEXT, nullable=False),
        sa.Column("event_no", sa.BigInteger(), nullable=False),
        sa.Column("topic", TEXT, nullable=True),
        sa.Column("account_id", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("last_status", sa.BigInteger(), nullable=True),
        sa.Column("last_error", TEXT, nullable=True),
        sa.Column("log", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_no", name=op.f("pk_webhook_deliveries")),
        sqlite_autoincrement=True,
    )
    for columns in (
        ("endpoint_id", "account_id", "topic", "status", "delivery_no"),
        ("endpoint_id", "delivery_no"),
        ("endpoint_id", "status", "due_at"),
        ("event_no",),
    ):
        op.create_index(op.f(f"ix_webhook_deliveries_{'_'.join(columns)}"), "webhook_deliveries", list(columns))
