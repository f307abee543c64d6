"""When a customer raised their voice, and since when anybody could have heard it."""

from datetime import datetime

import polars as pl

from models.history import History
from models.surveys import INSTRUMENTS


def voice_events(history: History) -> pl.DataFrame:
    """Every moment at which a customer told us something was wrong: account_id, at, kind.

    kind `complaint`: an inbound complaint, when it was opened; `escalation`: one the customer asked for;
    `survey`: an answer that is low on its own scale. No voice: ordinary contacts, functional escalations,
    cancellation requests, neutral scores, unanswered invitations, answers to instruments we do not know.
    """
    complaints = history.interactions.filter(inbound() & (pl.col("kind") == "complaint")).select(
        "account_id", at="opened_at", kind=pl.lit("complaint")
    )
    escalations = history.interactions.filter(
        (pl.col("escalation") == "customer") & pl.col("escalated_at").is_not_null()
    ).select("account_id", at="escalated_at", kind=pl.lit("escalation"))
    answers = history.surveys.filter(low_answer() & pl.col("responded_at").is_not_null()).select(
        "account_id", at="responded_at", kind=pl.lit("survey")
    )
    return pl.concat([complaints, escalations, answers]).sort("account_id", "at", "kind")


def inbound() -> pl.Expr:
    """Whether the customer began the contact (unknown: yes)."""
    return pl.col("direction").fill_null("inbound") == "inbound"


def low_answer() -> pl.Expr:
    """Whether an answer lies at or below the share of its scale where dissatisfaction starts."""
    scales = {name: (i.scale_min, i.scale_max, i.low) for name, i in INSTRUMENTS.items()}

    def usual(position: int) -> pl.Expr:
        values = {name: scale[position] for name, scale in scales.items()}
        return pl.col("instrument").replace_strict(values, default=None, return_dtype=pl.Float64)

    low_end, high_end = pl.coalesce("scale_min", usual(0)), pl.coalesce("scale_max", usual(1))
    share = (pl.col("score") - low_end) / (high_end - low_end)
    share = pl.when(pl.col("low_is_good").fill_null(value=False)).then(1 - share).otherwise(share)
    # (3 - 1) / 6 and 2 / 6 are the same float; other scales may differ in the last bit.
    return (share.is_finite() & (share <= usual(2) + 1e-9)).fill_null(value=False)


def observed_since(history: History, at: datetime) -> datetime | None:
    """Since when every voice channel has been watched, as known at `at`; None without a single interaction.

    The first interaction of any account and, where the history has surveys at all, the first survey: before
    the survey programme ran, silence cannot be told from not having been asked.
    """
    contacts, surveys = source_start(history, "interactions", at), source_start(history, "surveys", at)
    if contacts is None:
        return None
    return max(contacts, surveys) if surveys else contacts


def source_start(history: History, table: str, at: datetime) -> datetime | None:
    """Since when a table's source has been watched, as known at `at`; None if nothing was known of it."""
    return min((since for known_from, since in history.watched(table) if known_from <= at), default=None)
