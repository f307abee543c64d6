"""In SQLite, REPLACE takes a line of the audit log away without a DELETE that a trigger would see."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_log_no_replace BEFORE INSERT ON audit_log "
            "WHEN EXISTS (SELECT 1 FROM audit_log WHERE entry_id = NEW.entry_id) "
            "BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
        )
