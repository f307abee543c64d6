"""What managers say of accounts beside the model: overrides and sentiment."""

import sqlalchemy as sa
from alembic import op

from models.store.types import TEXT, Instant

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "health_overrides",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("band", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("set_at", Instant(), nullable=False),
        sa.Column("set_by", TEXT, nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("changed_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_health_overrides")),
    )
    op.create_index(op.f("ix_health_overrides_changed_at"), "health_overrides", ["changed_at"], unique=False)
    op.create_index(op.f("ix_health_overrides_expires_at"), "health_overrides", ["expires_at"], unique=False)
    op.create_table(
        "sentiments",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("sentiment", sa.BigInteger(), nullable=False),
        sa.Column("who", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=True),
        sa.Column("set_by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "at", name=op.f("pk_sentiments")),
    )
    op.create_index(op.f("ix_sentiments_at"), "sentiments", ["at"], unique=False)
