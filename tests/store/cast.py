"""Rows for the store's tests: small frames with everything a table needs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.history import TABLES
from models.store.lists import ENTRY_SCHEMA
from models.store.scores import SCORE_SCHEMA
from models.store.tables import CONTRACT

T = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def rows(table: str, *some: Mapping[str, Any]) -> pl.DataFrame:
    """A contract frame of these rows, with the columns that any of them names."""
    declared = TABLES[table]
    names = [name for name in declared.names if any(name in row for row in some)]
    return pl.DataFrame(list(some), schema={name: declared.schema[name] for name in names})


def stored(engine: Engine, table: str) -> list[dict[str, Any]]:
    """Everything in a contract table, by key."""
    target = CONTRACT[table]
    with engine.connect() as conn:
        found = conn.execute(sa.select(target).order_by(*target.primary_key.columns))
        return [dict(row._mapping) for row in found]


def empty(engine: Engine, *tables: sa.Table) -> None:
    """Remove every row of the tables."""
    with engine.begin() as conn:
        for table in tables:
            conn.execute(table.delete())


def scores(account_ids: Sequence[str], as_of: datetime = T, model_id: str = "m-1", **values: Any) -> pl.DataFrame:
    """Scores of these accounts, all alike but for `values`."""
    plain: dict[str, Any] = {
        name: 0.25 if dtype == pl.Float64 else True if dtype == pl.Boolean else "watch"
        for name, dtype in SCORE_SCHEMA.items()
    }
    plain |= {"as_of": as_of, "model_id": model_id} | values
    return pl.DataFrame([plain | {"account_id": account_id} for account_id in account_ids], schema=SCORE_SCHEMA)


def features(account_ids: Sequence[str], as_of: datetime = T) -> pl.DataFrame:
    """Features of these accounts: a number of their own, one unknown to all, and a text."""
    n = len(account_ids)
    columns = {
        "account_id": list(account_ids),
        "as_of": [as_of] * n,
        "contacts_90d": [float(i) for i in range(n)],
        "csat": pl.Series([None] * n, dtype=pl.Float64),
        "segment": ["smb"] * n,
    }
    return pl.DataFrame(columns, schema_overrides={"as_of": SCORE_SCHEMA["as_of"]})


def entries(*some: Mapping[str, Any]) -> pl.DataFrame:
    """List entries; what a row does not say is the same for all."""
    plain: dict[str, Any] = {name: 0.25 if dtype == pl.Float64 else "x" for name, dtype in ENTRY_SCHEMA.items()}
    return pl.DataFrame([plain | row for row in some], schema=ENTRY_SCHEMA)
