"""Every table of the store.

The six contract tables are generated from their declarations (`models.history.TABLES`), so the store cannot
disagree with the contract. They refer to accounts without a foreign key: a row about an account nobody has
described is an orphan, which is kept.
"""

import sqlalchemy as sa

from models.accounts import ACCOUNTS
from models.columns import Table
from models.history import TABLES
from models.store.types import SERIAL, SQL_TYPES, TEXT, Instant

#: The columns of accounts by which a key may be restricted (`models.store.books`).
BOOK = ("owner", "segment")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    }
)


def _contract_table(declared: Table) -> sa.Table:
    columns = [
        sa.Column(
            column.name,
            SQL_TYPES[column.type],
            primary_key=column.name in declared.key,
            nullable=not column.required,
        )
        for column in declared.columns
    ]
    return sa.Table(declared.name, metadata, *columns, *_contract_indexes(declared))


def _contract_indexes(declared: Table) -> list[sa.Index]:
    """For one account's rows in order, the earliest row known by a moment, and the latest arrival."""
    indexes = [sa.Index(None, *declared.happened, "recorded_at"), sa.Index(None, "recorded_at")]
    if declared.key[0] != "account_id":
        indexes.append(sa.Index(None, "account_id", declared.happened[0]))
    if declared is ACCOUNTS:
        indexes += [sa.Index(None, column, "account_id") for column in BOOK]
    return indexes


CONTRACT: dict[str, sa.Table] = {name: _contract_table(declared) for name, declared in TABLES.items()}

score_runs = sa.Table(
    "score_runs",
    metadata,
    sa.Column("run_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("as_of", Instant(), nullable=False),
    sa.Column("model_id", TEXT, nullable=False),
    sa.Column("started_at", Instant(), nullable=False),
    sa.Column("finished_at", Instant()),
    sa.Column("status", TEXT, nullable=False),  # running | done | failed | abandoned
    sa.Column("summary", sa.JSON),
    sqlite_autoincrement=True,
)

#: How the numbers and texts of a feature blob are called; see models.store.codec.
feature_layouts = sa.Table(
    "feature_layouts",
    metadata,
    sa.Column("layout_id", TEXT, primary_key=True),
    sa.Column("layout", sa.JSON, nullable=False),
)

scores = sa.Table(
    "scores",
    metadata,
    sa.Column("account_id", TEXT, primary_key=True),
    sa.Column("as_of", Instant(), primary_key=True),
    sa.Column("model_id", TEXT, primary_key=True),
    sa.Column("run_id", sa.BigInteger),  # null: scored on the arrival of new facts
    sa.Column("computed_at", Instant(), nullable=False),
    sa.Column("p_churn", sa.Double, nullable=False),
    sa.Column("p_silent", sa.Double, nullable=False),
    sa.Column("p_vocal", sa.Double, nullable=False),
    sa.Column("p_churn_low", sa.Double),  # 80 % intervals; null: the model carries no spread
    sa.Column("p_churn_high", sa.Double),
    sa.Column("p_silent_low", sa.Double),
    sa.Column("p_silent_high", sa.Double),
    sa.Column("log_odds_churn", sa.Double, nullable=False),
    sa.Column("log_odds_silent", sa.Double, nullable=False),
    sa.Column("health", sa.Double, nullable=False),
    sa.Column("health_unclipped", sa.Double, nullable=False),
    sa.Column("health_low", sa.Double),
    sa.Column("health_high", sa.Double),
    sa.Column("band", TEXT, nullable=False),
    sa.Column("effort_points", sa.Double, nullable=False),
    sa.Column("resolution_points", sa.Double, nullable=False),
    sa.Column("sentiment_points", sa.Double, nullable=False),
    sa.Column("silence_points", sa.Double, nullable=False),
    sa.Column("commercial_points", sa.Double, nullable=False),
    sa.Column("confidence", TEXT, nullable=False),
    sa.Column("confidence_reason", TEXT, nullable=False),
    sa.Column("health_change_28d", sa.Double),
    sa.Column("moving_28d", TEXT),
    sa.Column("health_change_91d", sa.Double),
    sa.Column("moving_91d", TEXT),
    sa.Column("quiet", sa.Boolean),  # null: the voice channels were not observed
    sa.Column("expected_revenue_loss", sa.Double),
    sa.Column("mrr", sa.Double),
    sa.Column("currency", TEXT),
    sa.Column("model_status", TEXT),
    sa.Column("layout_id", TEXT),
    sa.Column("features", sa.LargeBinary),
    sa.Index(None, "run_id"),
)

#: Which row of `scores` speaks for an account now, with the two values asked for in bulk.
latest_scores = sa.Table(
    "latest_scores",
    metadata,
    sa.Column("account_id", TEXT, primary_key=True),
    sa.Column("as_of", Instant(), nullable=False),
    sa.Column("model_id", TEXT, nullable=False),
    sa.Column("computed_at", Instant(), nullable=False),
    sa.Column("health", sa.Double, nullable=False),
    sa.Column("band", TEXT, nullable=False),
    sqlite_with_rowid=False,
)

risk_lists = sa.Table(
    "risk_lists",
    metadata,
    sa.Column("list_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("kind", TEXT, nullable=False),
    sa.Column("as_of", Instant(), nullable=False),
    sa.Column("model_id", TEXT, nullable=False),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("entries", sa.BigInteger, nullable=False),
    sa.Column("population", sa.JSON, nullable=False),
    sa.Column("parameters", sa.JSON, nullable=False),
    sa.Column("status", TEXT, nullable=False),  # building | published | retired
    sa.Index(None, "status"),
    sqlite_autoincrement=True,
)

#: The columns a list can be narrowed by, each with its own index per ranking.
LIST_FILTERS = ("owner", "segment", "region", "band")
RANKS = ("rank_by_loss", "rank_by_probability")

risk_list_entries = sa.Table(
    "risk_list_entries",
    metadata,
    sa.Column("list_id", SERIAL, primary_key=True, autoincrement=False),
    sa.Column("rank_by_loss", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rank_by_probability", sa.BigInteger, nullable=False),
    sa.Column("account_id", TEXT, nullable=False),
    sa.Column("name", TEXT),
    sa.Column("owner", TEXT),
    sa.Column("segment", TEXT),
    sa.Column("region", TEXT),
    sa.Column("mrr", sa.Double),
    sa.Column("currency", TEXT),
    sa.Column("p_silent", sa.Double, nullable=False),
    sa.Column("p_churn", sa.Double, nullable=False),
    sa.Column("expected_revenue_loss", sa.Double),
    sa.Column("health", sa.Double, nullable=False),
    sa.Column("band", TEXT, nullable=False),
    sa.Column("health_change_28d", sa.Double),
    sa.Column("moving_28d", TEXT),
    sa.Column("health_change_91d", sa.Double),
    sa.Column("moving_91d", TEXT),
    sa.Column("confidence", TEXT, nullable=False),
    sa.Column("reasons", TEXT),  # JSON
    sa.Column("place", sa.BigInteger),  # of an issued list: in the ranking it was picked from
    sa.Index(None, "list_id", "rank_by_probability", unique=True),
    sa.Index(None, "list_id", "account_id", unique=True),
    *(sa.Index(None, "list_id", column, rank) for column in LIST_FILTERS for rank in RANKS),
)

#: What an issued list was picked from, and what changed since the one before.
risk_list_receipts = sa.Table(
    "risk_list_receipts",
    metadata,
    sa.Column("list_id", SERIAL, sa.ForeignKey("risk_lists.list_id"), primary_key=True, autoincrement=False),
    sa.Column("pool", sa.LargeBinary, nullable=False),  # account ids, see models.store.issued
    sa.Column("changes", sa.JSON(none_as_null=True)),  # null: there was none before
)

#: What a manager says instead of the model's band, for a time; the latest one of an account.
health_overrides = sa.Table(
    "health_overrides",
    metadata,
    sa.Column("account_id", TEXT, primary_key=True),
    sa.Column("band", TEXT, nullable=False),
    sa.Column("owner", TEXT, nullable=False),
    sa.Column("reason", TEXT, nullable=False),
    sa.Column("set_at", Instant(), nullable=False),
    sa.Column("set_by", TEXT, nullable=False),  # key_id
    sa.Column("expires_at", Instant(), nullable=False),
    sa.Column("ended_at", Instant()),  # null: not taken back
    sa.Column("changed_at", Instant(), nullable=False),
    sa.Index(None, "changed_at"),
    sa.Index(None, "expires_at"),
)

#: How managers feel about their accounts; every view that was given.
sentiments = sa.Table(
    "sentiments",
    metadata,
    sa.Column("account_id", TEXT, primary_key=True),
    sa.Column("at", Instant(), primary_key=True),
    sa.Column("sentiment", sa.BigInteger, nullable=False),  # 1 to 5, see models.disagreement
    sa.Column("who", TEXT, nullable=False),
    sa.Column("note", TEXT),
    sa.Column("set_by", TEXT, nullable=False),  # key_id
    sa.Index(None, "at"),
)

current_list = sa.Table(
    "current_list",
    metadata,
    sa.Column("kind", TEXT, primary_key=True),
    sa.Column("list_id", SERIAL, sa.ForeignKey("risk_lists.list_id"), nullable=False),
)

model_pointer_history = sa.Table(
    "model_pointer_history",
    metadata,
    sa.Column("change_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("model_id", TEXT, nullable=False),
    sa.Column("action", TEXT, nullable=False),  # promote | rollback | refuse
    sa.Column("who", TEXT, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("why", TEXT),
    sa.Column("objections", sa.JSON(none_as_null=True)),  # list of sentences; null: none
    sqlite_autoincrement=True,
)

#: Every look of `ebbtide monitor` at a model; the service shows the latest one of the model in service.
monitor_runs = sa.Table(
    "monitor_runs",
    metadata,
    sa.Column("run_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("model_id", TEXT, nullable=False),
    sa.Column("as_of", Instant(), nullable=False),
    sa.Column("computed_at", Instant(), nullable=False),
    sa.Column("worst", TEXT),  # info | warning | alarm; null: nothing was found
    sa.Column("result", sa.JSON, nullable=False),
    sa.Index(None, "model_id", "as_of"),
    sqlite_autoincrement=True,
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("key_id", TEXT, primary_key=True),
    sa.Column("hash", TEXT, nullable=False),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("last_used_at", Instant()),
    sa.Column("revoked_at", Instant()),
    sa.Column("expires_at", Instant()),  # null: never
    sa.Column("previous_hash", TEXT),  # of the secret before the last rotation, good until previous_until
    sa.Column("previous_until", Instant()),
    sa.Column("owners", sa.JSON(none_as_null=True)),  # restricted to these; null: not by owner
    sa.Column("segments", sa.JSON(none_as_null=True)),
)

#: Who changed what. Triggers refuse to change or delete a row.
audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("entry_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("actor", TEXT, nullable=False),  # key:<key id> | cli:<user> | service
    sa.Column("action", TEXT, nullable=False),
    sa.Column("subject", TEXT, nullable=False),
    sa.Column("details", sa.JSON, nullable=False),
    sa.Column("request_id", TEXT),
    sa.Index(None, "action", "entry_id"),
    sa.Index(None, "subject", "entry_id"),
    sqlite_autoincrement=True,
)

#: What was answered to writes that carried an Idempotency-Key.
idempotent_answers = sa.Table(
    "idempotent_answers",
    metadata,
    sa.Column("key_id", TEXT, primary_key=True),
    sa.Column("idempotency_key", TEXT, primary_key=True),
    sa.Column("fingerprint", TEXT, nullable=False),
    sa.Column("started_at", Instant(), nullable=False),
    sa.Column("kept_until", Instant(), nullable=False),
    sa.Column("status", sa.BigInteger),  # null: being worked on
    sa.Column("headers", sa.JSON(none_as_null=True)),
    sa.Column("body", sa.LargeBinary),  # packed
    sa.Index(None, "kept_until"),
)

import_runs = sa.Table(
    "imports",
    metadata,
    sa.Column("import_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("source", TEXT, nullable=False),
    sa.Column("started_at", Instant(), nullable=False),
    sa.Column("finished_at", Instant()),
    sa.Column("status", TEXT, nullable=False),  # running | done | failed
    sa.Column("summary", sa.JSON),
    sqlite_autoincrement=True,
)

#: Where events are sent. The secrets sign messages, so they are kept as they are: whoever reads this table can sign.
webhook_endpoints = sa.Table(
    "webhook_endpoints",
    metadata,
    sa.Column("endpoint_id", TEXT, primary_key=True),
    sa.Column("url", TEXT, nullable=False),
    sa.Column("description", TEXT),
    sa.Column("events", sa.JSON, nullable=False),  # list of types
    sa.Column("format", TEXT, nullable=False),  # standard | slack
    sa.Column("cooldown_seconds", sa.BigInteger, nullable=False),
    sa.Column("secrets", sa.JSON, nullable=False),  # [secret, microseconds when it ends or null], newest first
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("disabled_at", Instant()),
    sa.Column("disabled_why", TEXT),  # gone: it answered 410
    sa.Column("paused_until", Instant()),  # it asked us to wait
    sa.Column("failing_since", Instant()),  # the first failure since it last accepted something
    sa.Column("created_at", Instant(), nullable=False),
)

#: The outbox: what happened, written in the transaction that made it happen.
webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("event_no", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("message_id", TEXT, nullable=False),
    sa.Column("type", TEXT, nullable=False),
    sa.Column("at", Instant(), nullable=False),
    sa.Column("account_id", TEXT),
    sa.Column("topic", TEXT),
    sa.Column("state", TEXT),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("distributed_at", Instant()),  # null: no deliveries have been made of it yet
    sa.Index(None, "distributed_at", "event_no"),
    sa.Index(None, "account_id"),
    sqlite_autoincrement=True,
)

#: One event for one receiver, with every attempt.
webhook_deliveries = sa.Table(
    "webhook_deliveries",
    metadata,
    sa.Column("delivery_no", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("endpoint_id", TEXT, nullable=False),
    sa.Column("event_no", sa.BigInteger, nullable=False),
    sa.Column("topic", TEXT),
    sa.Column("account_id", TEXT),
    sa.Column("state", TEXT),
    sa.Column("status", TEXT, nullable=False),  # pending | delivered | failed | superseded
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("due_at", Instant()),  # null: finished. While it is being sent: when another worker may take it over
    sa.Column("created_at", Instant(), nullable=False),
    sa.Column("finished_at", Instant()),
    sa.Column("last_status", sa.BigInteger),
    sa.Column("last_error", TEXT),
    sa.Column("log", sa.JSON, nullable=False),  # [at, status, error] per attempt, as ISO 8601
    sa.Index(None, "endpoint_id", "status", "due_at"),
    sa.Index(None, "endpoint_id", "delivery_no"),
    sa.Index(None, "endpoint_id", "account_id", "topic", "status", "delivery_no"),
    sa.Index(None, "event_no"),
    sqlite_autoincrement=True,
)


#: The secret that ids are hashed with before an erasure is remembered; one row, made with the table.
erasure_key = sa.Table("erasure_key", metadata, sa.Column("key", TEXT, primary_key=True))

#: Who was erased, by a keyed hash: nothing here says who it was. In force until `lifted_at`.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("erasure_id", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("kind", TEXT, nullable=False),  # account | contact
    sa.Column("hash", TEXT, nullable=False),
    sa.Column("erased_at", Instant(), nullable=False),
    sa.Column("erased_by", TEXT, nullable=False),
    sa.Column("receipt", sa.JSON, nullable=False),
    sa.Column("lifted_at", Instant()),
    sa.Column("lifted_by", TEXT),
    sa.Index(None, "hash", "lifted_at"),
    sqlite_autoincrement=True,
)

#: Who tells us things, by contract table: how far each has come, and whether it has fallen silent.
sources = sa.Table(
    "sources",
    metadata,
    sa.Column("source", TEXT, primary_key=True),
    sa.Column("table_name", TEXT, primary_key=True),
    sa.Column("first_at", Instant(), nullable=False),  # when it told us something, by our clock
    sa.Column("last_at", Instant(), nullable=False),
    sa.Column("last_happened_at", Instant()),  # the latest thing it told of
    sa.Column("quiet_since", Instant()),  # null: alive, or too young to tell
    sa.Column("quiet_due", sa.Double),
    sa.Column("retired_at", Instant()),  # somebody said that it will tell nothing more
)

#: How many rows each source told in which hour (counted from 1970): its rhythm.
source_hours = sa.Table(
    "source_hours",
    metadata,
    sa.Column("source", TEXT, primary_key=True),
    sa.Column("table_name", TEXT, primary_key=True),
    sa.Column("hour", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
)

#: What came in by the live doors, as it came: kept before anything is made of it, and again when something goes wrong.
inbound_messages = sa.Table(
    "inbound_messages",
    metadata,
    sa.Column("message_no", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("door", TEXT, nullable=False),
    sa.Column("digest", TEXT, nullable=False),  # of the body: the same message is kept once
    sa.Column("received_at", Instant(), nullable=False),
    sa.Column("body", TEXT, nullable=False),  # without free text once it was read
    sa.Column("subject", TEXT),  # what it is about, such as ticket:70; null: not read yet, or cannot be
    sa.Column("status", TEXT, nullable=False),  # pending | done | failed
    sa.Column("due_at", Instant()),  # null: finished. While it is being read: when another worker may take it over
    sa.Column("attempts", sa.BigInteger, nullable=False),
    sa.Column("finished_at", Instant()),
    sa.Column("error", TEXT),
    sa.Index(None, "door", "digest", unique=True),
    sa.Index(None, "status", "due_at"),
    sa.Index(None, "door", "subject", "message_no"),
    sqlite_autoincrement=True,
)
