"""Facts about what the company did about an account, and whether anybody reacted."""

from datetime import timedelta

import polars as pl

from models.features.contacts import Facts
from models.features.expand import DAY_US, Rows, Source, instant
from models.history import ENGAGE_DAYS

_OUTCOME_AT = pl.coalesce("engaged_at", pl.col("at") + timedelta(days=ENGAGE_DAYS))
_AT = pl.col("at").to_physical()
#: What was done, and decided not to be done, about an account.
OUTREACH = Source(
    "outreach",
    (
        instant("engaged_at").alias("engaged_at"),
        pl.when(pl.col("outcome").is_in(["reached", "saved"])).then(_OUTCOME_AT).alias("reached_at").pipe(instant),
        pl.col("held_out").fill_null(value=False),
    ),
    happened=_AT,
    recent=_AT,
)


def outreach_facts(rows: Rows, lag: int) -> Facts:
    """Approaches of 180 days that had 14 days to be answered, and how many of them met silence. A decision to leave an
    account alone is none."""
    age, known = rows.at - rows["recent"], rows.at - lag
    due = (age >= ENGAGE_DAYS * DAY_US) & (age <= 180 * DAY_US) & ~rows["held_out"]
    reacted = (rows["engaged_at"] <= known) | (rows["reached_at"] <= known)
    return {
        "outreach_180d": rows.groups.count(due),
        "outreach_no_answer_180d": rows.groups.count(due & ~reacted),
    }
