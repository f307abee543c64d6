"""What came in by the live doors."""

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL, TEXT, Instant

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbound_messages",
        sa.Column("message_no", SERIAL, autoincrement=True, nullable=False),
        sa.Column("door", TEXT, nullable=False),
        sa.Column("digest", TEXT, nullable=False),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("body", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("due_at", Instant(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("error", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("message_no", name=op.f("pk_inbound_messages")),
        sqlite_autoincrement=True,
    )
    for columns, unique in ((("door", "digest"), True), (("status", "due_at"), False)):
        op.create_index(
            op.f(f"ix_inbound_messages_{'_'.join(columns)}"), "inbound_messages", list(columns), unique=unique
        )
    third = ["door", "subject", "message_no"]
    op.create_index(op.f(f"ix_inbound_messages_{'_'.join(third)}"), "inbound_messages", third, unique=False)
