"""Sources: who tells us things, when, and whether they have fallen silent."""

import sqlalchemy as sa
from alembic import op

from models.store.types import TEXT, Instant

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sources",
        sa.Column("source", TEXT, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("first_at", Instant(), nullable=False),
        sa.Column("last_at", Instant(), nullable=False),
        sa.Column("last_happened_at", Instant(), nullable=True),
        sa.Column("quiet_since", Instant(), nullable=True),
        sa.Column("quiet_due", sa.Double(), nullable=True),
        sa.Column("retired_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("source", "table_name", name=op.f("pk_sources")),
    )
    op.create_table(
        "source_hours",
        sa.Column("source", TEXT, nullable=False),
        sa.Column("table_name", TEXT, nullable=False),
        sa.Column("hour", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", "table_name", "hour", name=op.f("pk_source_hours")),
    )
