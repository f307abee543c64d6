"""Levers on a history: which rows they change, what follows in the features, and that the parts add up."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.history import History
from models.what_if import LEVERS, NoSuchScore, what_if
from tests.core.histories import Drawn, histories, moments, properties
from tests.core.test_ledger import LATER, ONE, contact, history

NAMES = ONE.churn.names


def told(*contacts: dict, surveys: tuple[dict, ...] = ()) -> History:
    """The ledger's account with some contacts and invitations more."""
    known = history(*contacts)
    asked = [{"account_id": "a", "instrument": "csat", "responded_at": None, "score": None} | row for row in surveys]
    tables = {"accounts": known.accounts, "interactions": known.interactions}
    return History.from_frames(tables | ({"surveys": pl.DataFrame(asked)} if asked else {}))


def still_open(name: str, days: float, **more) -> dict:
    return contact(name, LATER - timedelta(days=days)) | {"resolved_at": None, "outcome": None} | more


def moved(known: History, *levers: str, score: float | None = None) -> list[tuple[list[str], set[str]]]:
    """Per lever the changed rows, and the features that moved."""
    steps = what_if(ONE, known, "a", LATER, levers, score)
    found = []
    for before, after in pairwise(steps):
        changes = after.contributions["churn"] - before.contributions["churn"]
        found.append((after.rows, {name for name, change in zip(NAMES, changes, strict=True) if change}))
    return found


def test_each_lever_has_its_rows():
    escalated = {"escalated_at": LATER - timedelta(days=30)}
    known = told(still_open("e", 40, **escalated), still_open("o", 20), still_open("mine", 5, direction="outbound"))
    (closed, by_closing), (answered, by_answering) = moved(known, "close_escalation", "answer_contacts")
    assert (closed, answered) == (["e"], ["o"])
    assert "open_backlog_days" in by_closing
    assert "open_backlog_days" in by_answering
    assert "days_to_renewal" not in by_closing | by_answering


def test_a_reopened_contact_is_open_and_a_closed_one_is_not():
    again = contact("again", LATER - timedelta(days=12)) | {"reopened_at": LATER - timedelta(days=2)}
    solved = contact("solved", LATER - timedelta(days=11))
    ((rows, _),) = moved(told(again, solved), "answer_contacts")
    assert rows == ["again"]


def test_the_latest_invitation_is_answered():
    days = {"old": 91, "first": 60, "last": 20}
    known = told(surveys=tuple({"survey_id": n, "sent_at": LATER - timedelta(days=d)} for n, d in days.items()))
    ((rows, by_answering),) = moved(known, "survey_answered", score=5.0)
    assert rows == ["last"]
    assert "nonresponse_streak" in by_answering
    with pytest.raises(NoSuchScore, match="between 1 and 5, the scale of the invitation 'last'"):
        moved(known, "survey_answered", score=5.1)


def test_where_nothing_is_there_nothing_changes():
    for rows, features in moved(told(), *LEVERS, score=3.0):
        assert (rows, features) == ([], set())


@given(histories(contacts=8, surveys=4), moments(), st.permutations(list(LEVERS)))
@properties
def test_the_parts_add_up_and_a_lever_pulled_twice_does_nothing(drawn: Drawn, at, levers):
    known = drawn.history()
    for account_id in known.known_at(at).accounts["account_id"].to_list()[:1]:
        steps = what_if(ONE, known, account_id, at, [*levers, *levers[:1]], None)
        for target in ("churn", "silent"):
            parts = [float((b.contributions[target] - a.contributions[target]).sum()) for a, b in pairwise(steps)]
            assert abs(sum(parts) - (steps[-1].log_odds[target] - steps[0].log_odds[target])) < 1e-9
        if levers[0] != "survey_answered":
            assert steps[-1].rows == []
            assert np.array_equal(steps[-1].contributions["churn"], steps[-2].contributions["churn"])
