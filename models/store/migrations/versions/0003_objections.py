"""What spoke against a promotion."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("model_pointer_history", sa.Column("objections", sa.JSON(none_as_null=True), nullable=True))
