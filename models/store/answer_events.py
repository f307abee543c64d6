"""Low answers that are about to be stored, told as events."""

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.store.outbox import emit, wanted
from models.store.tables import CONTRACT
from models.surveys import SURVEYS
from models.voice import low_answer
from models.webhooks.events import low_score

#: Older answers are history that is being read in, no news.
NEWS = timedelta(days=7)
_PART = 1_000


def tell_of_answers(conn: Connection, rows: pl.DataFrame, at: datetime) -> None:
    """Write down which of these rows of surveys are low answers nobody had stored before, in the transaction that will
    store them. Answers of test accounts are nobody's news. `at`: the present."""
    if "survey.low_score" not in wanted(conn):
        return
    absent = [pl.lit(None, SURVEYS.schema[name]).alias(name) for name in SURVEYS.names if name not in rows.columns]
    full = rows.with_columns(absent)
    low = full.filter(low_answer(), pl.col("responded_at").is_between(at - NEWS, at + timedelta(days=1)))
    for part in low.iter_slices(_PART):
        old = _answered(conn, part["survey_id"].to_list())
        tests = _tests(conn, part["account_id"].unique().to_list())
        news = (
            row
            for row in part.iter_rows(named=True)
            if old.get(row["survey_id"]) != row["score"] and row["account_id"] not in tests
        )
        emit(conn, [low_score(row, at) for row in news])


def _answered(conn: Connection, survey_ids: list[str]) -> dict[str, Any]:
    surveys = CONTRACT["surveys"].c
    query = sa.select(surveys.survey_id, surveys.score).where(surveys.survey_id.in_(survey_ids))
    return {row.survey_id: row.score for row in conn.execute(query)}


def _tests(conn: Connection, account_ids: list[str]) -> set[str]:
    accounts = CONTRACT["accounts"].c
    return set(
        conn.scalars(sa.select(accounts.account_id).where(accounts.account_id.in_(account_ids), accounts.is_test))
    )
