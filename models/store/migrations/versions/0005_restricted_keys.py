"""Keys that expire, rotate, or are restricted to the accounts of some owners or segments."""

import sqlalchemy as sa
from alembic import op

from models.store.types import TEXT, Instant

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("expires_at", "previous_until"):
        op.add_column("api_keys", sa.Column(name, Instant(), nullable=True))
    op.add_column("api_keys", sa.Column("previous_hash", TEXT, nullable=True))
    for name in ("owners", "segments"):
        op.add_column("api_keys", sa.Column(name, sa.JSON(none_as_null=True), nullable=True))
    for name in ("owner", "segment"):
        op.create_index(op.f(f"ix_accounts_{name}_account_id"), "accounts", [name, "account_id"], unique=False)
