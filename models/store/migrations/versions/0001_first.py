"""The first tables: the contract, scores, lists, keys, model pointer history and imports."""

import sqlalchemy as sa
from alembic import op

from models.store.types import SERIAL, TEXT, Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("segment", TEXT, nullable=True),
        sa.Column("region", TEXT, nullable=True),
        sa.Column("plan", TEXT, nullable=True),
        sa.Column("parent_id", TEXT, nullable=True),
        sa.Column("mrr", sa.Double(), nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        sa.Column("billing", TEXT, nullable=True),
        sa.Column("seats", sa.BigInteger(), nullable=True),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("renewal_at", Instant(), nullable=True),
        sa.Column("onboarded_at", Instant(), nullable=True),
        sa.Column("notice_at", Instant(), nullable=True),
        sa.Column("ended_at", Instant(), nullable=True),
        sa.Column("end_reason", TEXT, nullable=True),
        sa.Column("is_test", sa.Boolean(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_accounts")),
    )
    op.create_index(op.f("ix_accounts_recorded_at"), "accounts", ["recorded_at"], unique=False)
    op.create_index(op.f("ix_accounts_started_at_recorded_at"), "accounts", ["started_at", "recorded_at"], unique=False)
    op.create_table(
        "api_keys",
        sa.Column("key_id", TEXT, nullable=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("last_used_at", Instant(), nullable=True),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_keys")),
    )
    op.create_table(
        "contracts",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("effective_at", Instant(), nullable=False),
        sa.Column("mrr", sa.Double(), nullable=True),
        sa.Column("billing", TEXT, nullable=True),
        sa.Column("plan", TEXT, nullable=True),
        sa.Column("seats", sa.BigInteger(), nullable=True),
        sa.Column("renewal_at", Instant(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "effective_at", name=op.f("pk_contracts")),
    )
    op.create_index(
        op.f("ix_contracts_effective_at_recorded_at"), "contracts", ["effective_at", "recorded_at"], unique=False
    )
    op.create_index(op.f("ix_contracts_recorded_at"), "contracts", ["recorded_at"], unique=False)
    op.create_table(
        "feature_layouts",
        sa.Column("layout_id", TEXT, nullable=False),
        sa.Column("layout", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("layout_id", name=op.f("pk_feature_layouts")),
    )
    op.create_table(
        "imports",
        sa.Column("import_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "interactions",
        sa.Column("interaction_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("issue_id", TEXT, nullable=True),
        sa.Column("contact_id", TEXT, nullable=True),
        sa.Column("channel", TEXT, nullable=True),
        sa.Column("direction", TEXT, nullable=True),
        sa.Column("category", TEXT, nullable=True),
        sa.Column("kind", TEXT, nullable=True),
        sa.Column("opened_at", Instant(), nullable=False),
        sa.Column("first_response_at", Instant(), nullable=True),
        sa.Column("resolved_at", Instant(), nullable=True),
        sa.Column("reopened_at", Instant(), nullable=True),
        sa.Column("escalated_at", Instant(), nullable=True),
        sa.Column("escalation", TEXT, nullable=True),
        sa.Column("reopens", sa.BigInteger(), nullable=True),
        sa.Column("transfers", sa.BigInteger(), nullable=True),
        sa.Column("customer_replies", sa.BigInteger(), nullable=True),
        sa.Column("wait_seconds", sa.Double(), nullable=True),
        sa.Column("handle_seconds", sa.Double(), nullable=True),
        sa.Column("abandoned", sa.Boolean(), nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.Column("sla_first_response_minutes", sa.Double(), nullable=True),
        sa.Column("sla_resolution_minutes", sa.Double(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.Column("updated_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("interaction_id", name=op.f("pk_interactions")),
    )
    op.create_index(
        op.f("ix_interactions_account_id_opened_at"), "interactions", ["account_id", "opened_at"], unique=False
    )
    op.create_index(
        op.f("ix_interactions_opened_at_recorded_at"), "interactions", ["opened_at", "recorded_at"], unique=False
    )
    op.create_index(op.f("ix_interactions_recorded_at"), "interactions", ["recorded_at"], unique=False)
    op.create_table(
        "latest_scores",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("computed_at", Instant(), nullable=False),
        sa.Column("health", sa.Double(), nullable=False),
        sa.Column("band", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_latest_scores")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "measures",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "name", "at", name=op.f("pk_measures")),
    )
    op.create_index(op.f("ix_measures_at_recorded_at"), "measures", ["at", "recorded_at"], unique=False)
    op.create_index(op.f("ix_measures_recorded_at"), "measures", ["recorded_at"], unique=False)
    op.create_table(
        "model_pointer_history",
        sa.Column("change_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("who", TEXT, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("why", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_model_pointer_history")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outreach",
        sa.Column("outreach_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("engaged_at", Instant(), nullable=True),
        sa.Column("outcome", TEXT, nullable=True),
        sa.Column("held_out", sa.Boolean(), nullable=True),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("outreach_id", name=op.f("pk_outreach")),
    )
    op.create_index(op.f("ix_outreach_account_id_at"), "outreach", ["account_id", "at"], unique=False)
    op.create_index(op.f("ix_outreach_at_recorded_at"), "outreach", ["at", "recorded_at"], unique=False)
    op.create_index(op.f("ix_outreach_recorded_at"), "outreach", ["recorded_at"], unique=False)
    op.create_table(
        "risk_list_entries",
        sa.Column("list_id", SERIAL, autoincrement=False, nullable=False),
        sa.Column("rank_by_loss", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rank_by_probability", sa.BigInteger(), nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("segment", TEXT, nullable=True),
        sa.Column("region", TEXT, nullable=True),
        sa.Column("mrr", sa.Double(), nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        sa.Column("p_silent", sa.Double(), nullable=False),
        sa.Column("p_churn", sa.Double(), nullable=False),
        sa.Column("expected_revenue_loss", sa.Double(), nullable=True),
        sa.Column("health", sa.Double(), nullable=False),
        sa.Column("band", TEXT, nullable=False),
        sa.Column("health_change_28d", sa.Double(), nullable=True),
        sa.Column("moving_28d", TEXT, nullable=True),
        sa.Column("health_change_91d", sa.Double(), nullable=True),
        sa.Column("moving_91d", TEXT, nullable=True),
        sa.Column("confidence", TEXT, nullable=False),
        sa.Column("reasons", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("list_id", "rank_by_loss", name=op.f("pk_risk_list_entries")),
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_account_id"), "risk_list_entries", ["list_id", "account_id"], unique=True
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_band_rank_by_loss"),
        "risk_list_entries",
        ["list_id", "band", "rank_by_loss"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_band_rank_by_probability"),
        "risk_list_entries",
        ["list_id", "band", "rank_by_probability"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_owner_rank_by_loss"),
        "risk_list_entries",
        ["list_id", "owner", "rank_by_loss"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_owner_rank_by_probability"),
        "risk_list_entries",
        ["list_id", "owner", "rank_by_probability"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_rank_by_probability"),
        "risk_list_entries",
        ["list_id", "rank_by_probability"],
        unique=True,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_region_rank_by_loss"),
        "risk_list_entries",
        ["list_id", "region", "rank_by_loss"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_region_rank_by_probability"),
        "risk_list_entries",
        ["list_id", "region", "rank_by_probability"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_segment_rank_by_loss"),
        "risk_list_entries",
        ["list_id", "segment", "rank_by_loss"],
        unique=False,
    )
    op.create_index(
        op.f("ix_risk_list_entries_list_id_segment_rank_by_probability"),
        "risk_list_entries",
        ["list_id", "segment", "rank_by_probability"],
        unique=False,
    )
    op.create_table(
        "risk_lists",
        sa.Column("list_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("population", sa.JSON(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("list_id", name=op.f("pk_risk_lists")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_risk_lists_status"), "risk_lists", ["status"], unique=False)
    op.create_table(
        "score_runs",
        sa.Column("run_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant(), nullable=True),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("summary", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_score_runs")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "scores",
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("as_of", Instant(), nullable=False),
        sa.Column("model_id", TEXT, nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("computed_at", Instant(), nullable=False),
        sa.Column("p_churn", sa.Double(), nullable=False),
        sa.Column("p_silent", sa.Double(), nullable=False),
        sa.Column("p_vocal", sa.Double(), nullable=False),
        sa.Column("p_churn_low", sa.Double(), nullable=True),
        sa.Column("p_churn_high", sa.Double(), nullable=True),
        sa.Column("p_silent_low", sa.Double(), nullable=True),
        sa.Column("p_silent_high", sa.Double(), nullable=True),
        sa.Column("log_odds_churn", sa.Double(), nullable=False),
        sa.Column("log_odds_silent", sa.Double(), nullable=False),
        sa.Column("health", sa.Double(), nullable=False),
        sa.Column("health_unclipped", sa.Double(), nullable=False),
        sa.Column("health_low", sa.Double(), nullable=True),
        sa.Column("health_high", sa.Double(), nullable=True),
        sa.Column("band", TEXT, nullable=False),
        sa.Column("effort_points", sa.Double(), nullable=False),
        sa.Column("resolution_points", sa.Double(), nullable=False),
        sa.Column("sentiment_points", sa.Double(), nullable=False),
        sa.Column("silence_points", sa.Double(), nullable=False),
        sa.Column("commercial_points", sa.Double(), nullable=False),
        sa.Column("confidence", TEXT, nullable=False),
        sa.Column("confidence_reason", TEXT, nullable=False),
        sa.Column("health_change_28d", sa.Double(), nullable=True),
        sa.Column("moving_28d", TEXT, nullable=True),
        sa.Column("health_change_91d", sa.Double(), nullable=True),
        sa.Column("moving_91d", TEXT, nullable=True),
        sa.Column("quiet", sa.Boolean(), nullable=True),
        sa.Column("expected_revenue_loss", sa.Double(), nullable=True),
        sa.Column("mrr", sa.Double(), nullable=True),
        sa.Column("currency", TEXT, nullable=True),
        sa.Column("model_status", TEXT, nullable=True),
        sa.Column("layout_id", TEXT, nullable=True),
        sa.Column("features", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "as_of", "model_id", name=op.f("pk_scores")),
    )
    op.create_index(op.f("ix_scores_run_id"), "scores", ["run_id"], unique=False)
    op.create_table(
        "surveys",
        sa.Column("survey_id", TEXT, nullable=False),
        sa.Column("account_id", TEXT, nullable=False),
        sa.Column("interaction_id", TEXT, nullable=True),
        sa.Column("contact_id", TEXT, nullable=True),
        sa.Column("instrument", TEXT, nullable=False),
        sa.Column("scale_min", sa.Double(), nullable=True),
        sa.Column("scale_max", sa.Double(), nullable=True),
        sa.Column("low_is_good", sa.Boolean(), nullable=True),
        sa.Column("sent_at", Instant(), nullable=True),
        sa.Column("responded_at", Instant(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("comment", TEXT, nullable=True),
        sa.Column("recorded_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("survey_id", name=op.f("pk_surveys")),
    )
    op.create_index(op.f("ix_surveys_account_id_sent_at"), "surveys", ["account_id", "sent_at"], unique=False)
    op.create_index(op.f("ix_surveys_recorded_at"), "surveys", ["recorded_at"], unique=False)
    op.create_index(
        op.f("ix_surveys_sent_at_responded_at_recorded_at"),
        "surveys",
        ["sent_at", "responded_at", "recorded_at"],
        unique=False,
    )
    op.create_table(
        "current_list",
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("list_id", SERIAL, nullable=False),
        sa.ForeignKeyConstraint(["list_id"], ["risk_lists.list_id"], name=op.f("fk_current_list_list_id_risk_lists")),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_current_list")),
    )
