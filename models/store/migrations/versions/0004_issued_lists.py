"""Issued lists: places, pools and what changed."""

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("risk_list_entries", sa.Column("place", sa.BigInteger(), nullable=True))
    op.create_table(
        "risk_list_receipts",
        sa.Column("list_id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("pool", sa.LargeBinary(), nullable=False),
        sa.Column("changes", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["list_id"], ["risk_lists.list_id"], name=op.f("fk_risk_list_receipts_list_id_risk_lists")
        ),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_risk_list_receipts")),
    )
