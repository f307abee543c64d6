"""Facts about what the company did about an account, and whether anybody reacted."""

from datetime import timedelta

import polars as pl

from models.features.contacts import Facts
from models.features.expand import DAY_US, Events, Rows, Span, arrays, instant, numbers_of
from models.history import ENGAGE_DAYS, History

_OUTCOME_AT = pl.coalesce("engaged_at", pl.col("at") + timedelta(days=ENGAGE_DAYS))
_COLUMNS = (
    instant("at").alias("recent"),
    pl.max_horizontal(instant("at") + 1, instant("recorded_at")).alias("visible_from"),
    instant("engaged_at").alias("engaged_at"),
    pl.when(pl.col("outcome").is_in(["reached", "saved"])).then(_OUTCOME_AT).alias("reached_at").pipe(instant),
)


def outreach_events(history: History, codes: pl.DataFrame, span: Span) -> Events:
    """Approaches to described accounts; the decisions to leave an account alone are none."""
    frame = history.outreach.filter(~pl.col("held_out").fill_null(value=False) & span.holds("at"))
    return Events.of(codes.height, numbers_of(frame, codes), arrays(frame.select(_COLUMNS)))


def outreach_facts(rows: Rows, lag: int) -> Facts:
    """Approaches of 180 days that had 14 days to be answered, and how many of them met silence."""
    age, known = rows.at - rows["recent"], rows.at - lag
    due = (age >= ENGAGE_DAYS * DAY_US) & (age <= 180 * DAY_US)
    reacted = (rows["engaged_at"] <= known) | (rows["reached_at"] <= known)
    return {
        "outreach_180d": rows.groups.count(due),
        "outreach_no_answer_180d": rows.groups.count(due & ~reacted),
    }
