"""What the model would say if a manager did what a manager can do: levers that change the history's rows.

    as it is                                            log-odds -1.20
      close_escalation   T-7 resolved now                         -0.30     open backlog, resolution time, ...
      answer_contacts    T-9 answered and resolved now            -0.05
      survey_answered    S-4 answered now with 4                  -0.10     answers, silence, ...
    as it would be                                                -1.65

Rows are changed and features computed again from them, by the one way there is; no feature is edited. A lever changes
what the one before it left. What follows is *association*: accounts whose history looks like that leave this much less
often. Nobody knows from it what closing the escalation would do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from models.clock import INSTANT
from models.features import compute
from models.history import TABLES, History, closed_at
from models.ledger import Floats
from models.model import ChurnModel, columns
from models.scorecard import Target
from models.surveys import INSTRUMENTS

#: What happens now has happened just before it: a question asked as of now sees what came before.
_JUST_BEFORE = timedelta(microseconds=1)
#: An invitation older than this is not answered any more.
SURVEY_DAYS = 90

#: Lever -> what it does, said to people.
LEVERS = {
    "close_escalation": "every open escalated contact is resolved now",
    "answer_contacts": "every other open contact is answered and resolved now",
    "survey_answered": "the latest unanswered survey invitation of 90 days is answered now",
}


@dataclass(frozen=True)
class Step:
    """A lever pulled: the ids of the rows it changed (none: nothing was there to change), and per target the (terms,)
    contributions and the log-odds after it."""

    lever: str
    rows: list[str]
    contributions: dict[Target, Floats]
    log_odds: dict[Target, float]


class NoSuchScore(ValueError):
    """A survey score outside its scale; says which scale."""


def what_if(
    model: ChurnModel,
    history: History,
    account_id: str,
    now: datetime,
    levers: Sequence[str],
    survey_score: float | None = None,
) -> list[Step]:
    """The score as it is (a step whose lever is empty), and after each lever in turn.

    `history` holds the account; `survey_score` is on the scale of the invitation that is answered. Raises
    `NoSuchScore`, `TableModel`.
    """
    steps, held = [_step(model.require_history(), history, account_id, now, "", [])], history
    for lever in levers:
        held, rows = _PULLED[lever](held, account_id, now, survey_score)
        steps.append(_step(model, held, account_id, now, lever, rows))
    return steps


def _step(model: ChurnModel, held: History, account_id: str, now: datetime, lever: str, rows: list[str]) -> Step:
    asked = pl.DataFrame({"account_id": [account_id], "as_of": [now]}, schema_overrides={"as_of": INSTANT})
    read = columns(compute(held, asked, model.baselines, model.columns.features), model.columns)
    found = {target: card.contributions(read) for target, card in model.cards.items()}
    totals = {target: float(model.card(target).total(amounts)[0]) for target, amounts in found.items()}
    return Step(lever, rows, {target: amounts[0] for target, amounts in found.items()}, totals)


def _open(held: History, account_id: str, now: datetime) -> pl.DataFrame:
    """The account's inbound contacts that are open, as known now."""
    known = held.known_at(now).interactions
    again = (pl.col("reopened_at") > pl.col("resolved_at")).fill_null(value=False)
    mine = (pl.col("account_id") == account_id) & (pl.col("direction") == "inbound")
    return known.filter(mine & (closed_at().is_null() | again)).sort("interaction_id")


def _resolved(held: History, ids: list[str], now: datetime) -> History:
    at, mine = pl.lit(now - _JUST_BEFORE, INSTANT), pl.col("interaction_id").is_in(ids)
    answered = pl.when(pl.col("first_response_at") < at).then("first_response_at").otherwise(at)
    changed: dict[str, pl.Expr] = {
        "first_response_at": answered,
        "resolved_at": at,
        "updated_at": at,
        "outcome": pl.lit("resolved"),
        "abandoned": pl.lit(value=False),
    }
    frame = held.interactions.with_columns(
        pl.when(mine).then(value).otherwise(pl.col(name)).alias(name) for name, value in changed.items()
    )
    return replace(held, interactions=frame.select(TABLES["interactions"].names))


def _close_escalation(held: History, account_id: str, now: datetime, _: float | None) -> tuple[History, list[str]]:
    ids = _open(held, account_id, now).filter(pl.col("escalated_at").is_not_null())["interaction_id"].to_list()
    return _resolved(held, ids, now), ids


def _answer_contacts(held: History, account_id: str, now: datetime, _: float | None) -> tuple[History, list[str]]:
    ids = _open(held, account_id, now).filter(pl.col("escalated_at").is_null())["interaction_id"].to_list()
    return _resolved(held, ids, now), ids


def _survey_answered(held: History, account_id: str, now: datetime, score: float | None) -> tuple[History, list[str]]:
    known = held.known_at(now).surveys
    lately = (pl.col("sent_at") > pl.lit(now - timedelta(days=SURVEY_DAYS), INSTANT)) & pl.col("responded_at").is_null()
    waiting = known.filter((pl.col("account_id") == account_id) & lately).sort("sent_at", "survey_id").tail(1)
    if waiting.is_empty():
        return held, []
    row = waiting.row(0, named=True)
    given = _on_scale(row, score)
    at, mine = pl.lit(now - _JUST_BEFORE, INSTANT), pl.col("survey_id") == row["survey_id"]
    frame = held.surveys.with_columns(
        pl.when(mine).then(at).otherwise("responded_at").alias("responded_at"),
        pl.when(mine).then(given).otherwise("score").alias("score"),
    )
    return replace(held, surveys=frame.select(TABLES["surveys"].names)), [row["survey_id"]]


def _on_scale(row: dict[str, float | str | None], score: float | None) -> float | None:
    """The score, which must lie on the invitation's scale; None: answered without one."""
    instrument = INSTRUMENTS.get(str(row["instrument"]))
    low, high = row["scale_min"], row["scale_max"]
    if instrument is not None:
        low = instrument.scale_min if low is None else low
        high = instrument.scale_max if high is None else high
    if score is not None and low is not None and high is not None and not float(low) <= score <= float(high):
        raise NoSuchScore(f"must lie between {low:g} and {high:g}, the scale of the invitation {row['survey_id']!r}")
    return score


_PULLED: dict[str, Callable[[History, str, datetime, float | None], tuple[History, list[str]]]] = {
    "close_escalation": _close_escalation,
    "answer_contacts": _answer_contacts,
    "survey_answered": _survey_answered,
}
