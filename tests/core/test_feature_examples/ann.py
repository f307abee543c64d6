"""Ann's rows, and her features."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from models.features import DEFAULT, Baselines, compute
from tests.core.histories import NOW, Drawn, Row

_LONG_AGO = 1000


def ago(days: float) -> datetime:
    """A moment, days before NOW."""
    return NOW - timedelta(days=days)


def contact(days_ago: float, *, minutes: float | None = None, answered: float | None = None, **values: Any) -> Row:
    """An inbound contact; `minutes`: to its resolution, `answered`: to the first response."""
    opened = ago(days_ago)
    times: Row = {"opened_at": opened}
    if minutes is not None:
        times["resolved_at"] = opened + timedelta(minutes=minutes)
    if answered is not None:
        times["first_response_at"] = opened + timedelta(minutes=answered)
    return {"account_id": "ann", "category": None, **times, **values}


def solved(days_ago: float, **values: Any) -> Row:
    """A contact that was resolved within an hour."""
    return contact(days_ago, minutes=60, **values)


def survey(instrument: str, sent: float | None, answered: float | None = None, score: float | None = None) -> Row:
    """An invitation sent and answered days before NOW; None: never."""
    return {
        "account_id": "ann",
        "instrument": instrument,
        "sent_at": None if sent is None else ago(sent),
        "responded_at": None if answered is None else ago(answered),
        "score": score,
    }


def answer(instrument: str, days_ago: float, score: float, **values: Any) -> Row:
    """An answer, to an invitation of the same day."""
    return survey(instrument, days_ago, days_ago, score) | values


def terms(days_ago: float, **values: Any) -> Row:
    """Terms that took effect."""
    return {"account_id": "ann", "effective_at": ago(days_ago), **values}


def approach(days_ago: float, **values: Any) -> Row:
    """Something the company did about Ann."""
    return {"account_id": "ann", "at": ago(days_ago), "kind": "call", **values}


def features(
    *,
    account: Row | None = None,
    contacts: list[Row] | None = None,
    surveys: list[Row] | None = None,
    contracts: list[Row] | None = None,
    outreach: list[Row] | None = None,
    usual: Baselines = DEFAULT,
    watched_days: float = _LONG_AGO,
) -> Row:
    """Ann's features and facts at NOW."""
    tables = {
        "accounts": [{"account_id": "ann", "started_at": ago(_LONG_AGO), **(account or {})}],
        "interactions": _numbered("interaction_id", contacts),
        "surveys": _numbered("survey_id", surveys),
        "contracts": contracts or [],
        "outreach": _numbered("outreach_id", outreach),
    }
    history = Drawn(tables, observed_from={"interactions": ago(watched_days)}).history()
    (row,) = compute(history, NOW, usual).to_dicts()
    return row


def _numbered(key: str, rows: list[Row] | None) -> list[Row]:
    return [{key: str(number), **row} for number, row in enumerate(rows or [])]


def about(expected: float) -> Any:
    """Equal but for the grid that logarithms and weights are rounded to."""
    return pytest.approx(expected, abs=2e-6)


def roughly(expected: float) -> Any:
    """Equal but for the grid of 2^-16 that scores are rounded to."""
    return pytest.approx(expected, abs=2e-3, rel=1e-5)
