"""Erased accounts and persons, by a keyed hash, and the key of this store."""

import secrets

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL, TEXT, Instant

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    key = op.create_table(
        "erasure_key",
        sa.Column("key", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_erasure_key")),
    )
    op.bulk_insert(key, [{"key": secrets.token_hex(32)}])
    op.create_table(
        "erasures",
        sa.Column("erasure_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("erased_at", Instant(), nullable=False),
        sa.Column("erased_by", TEXT, nullable=False),
        sa.Column("receipt", sa.JSON(), nullable=False),
        sa.Column("lifted_at", Instant(), nullable=True),
        sa.Column("lifted_by", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("erasure_id", name=op.f("pk_erasures")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_erasures_hash_lifted_at"), "erasures", ["hash", "lifted_at"], unique=False)
