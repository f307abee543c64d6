"""Looks at a model in service."""

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL, TEXT, Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "monitor_runs",
        sa.Column("run_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("computed_at", Instant(), nullable=False),
        sa.Column("worst", TEXT, nullable=True),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_monitor_runs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_monitor_runs_model_id_as_of"), "monitor_runs", ["model_id", "as_of"], unique=False)
