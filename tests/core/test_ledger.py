"""Why a score changed: the parts add up, and each takes what is its own."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ContractError, UnknownAccount
from models.features import DEFAULT, FEATURES
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams
from models.ledger import PARTS, Ledger, Said, ledger
from models.model import OVERALL, ChurnModel
from models.scorecard import Scorecard, Term
from tests.core.histories import Drawn, histories, moments, properties

START = datetime(2026, 3, 1, tzinfo=UTC)
LATER = datetime(2026, 4, 1, tzinfo=UTC)


def model(seed: int) -> ChurnModel:
    """A model with a term for every feature, all of them drawn."""
    dice = np.random.default_rng(seed)

    def term(feature) -> Term:
        knots, kind = feature.basis.knots, feature.basis.kind
        if feature.categorical:
            return Term(feature.name, kind, (), ("smb", "annual"), tuple(dice.normal(size=2)), *dice.normal(size=2))
        return Term(feature.name, kind, knots, (), tuple(dice.normal(size=len(knots) + (kind == "steps"))), -0.3)

    churn, silent = (Scorecard(t, dice.normal(), tuple(map(term, FEATURES))) for t in ("churn", "silent"))
    parts = (LabelParams(), DEFAULT, {OVERALL: {}}, "tested", "P2", fingerprints())
    return ChurnModel(churn, silent, HealthParams.for_base(churn.base), *parts)


ONE, OTHER = model(1), model(2)


@given(
    histories(contacts=8, surveys=4),
    st.tuples(moments(), moments()).map(sorted),
    st.booleans(),
    st.sampled_from(["churn", "silent"]),
)
@properties
def test_the_parts_add_up(drawn: Drawn, asked, other_model: bool, target):
    history = drawn.history()
    ids = history.known_at(asked[0]).accounts["account_id"].to_list()
    first, last = Said(ONE, asked[0]), Said(OTHER if other_model else ONE, asked[1])
    found = ledger(history, ids, first, last, target)
    added = sum((found.total(part) for part in PARTS), found.first)
    assert np.abs(added - found.last).max(initial=0.0) < 1e-9
    assert tuple(found.amounts) == PARTS
    if not other_model:
        assert not found.total("model").any()


@given(histories(), moments())
@properties
def test_between_a_moment_and_itself_nothing_changes(drawn: Drawn, at: datetime):
    history = drawn.history()
    known = history.known_at(at).accounts["account_id"].to_list()
    found = ledger(history, known, Said(ONE, at), Said(ONE, at))
    assert not any(amount.any() for part in found.amounts.values() for amount in part.values())


def history(*contacts: dict) -> History:
    began = START - timedelta(days=400)
    described = {"account_id": "a", "started_at": began, "recorded_at": began, "billing": "annual"}
    described["renewal_at"] = LATER + timedelta(days=40)
    usual = [contact(f"u{n}", START - timedelta(days=20 * n + 10)) for n in range(12)]
    rows = [{"account_id": "a", "direction": "inbound", "kind": "problem"} | row for row in (*usual, *contacts)]
    return History.from_frames({"accounts": pl.DataFrame([described]), "interactions": pl.DataFrame(rows)})


def contact(name: str, opened: datetime, known: datetime | None = None) -> dict:
    return {
        "interaction_id": name,
        "opened_at": opened,
        "resolved_at": opened + timedelta(hours=5),
        "outcome": "resolved",
        "recorded_at": known or opened,
        "updated_at": known or opened + timedelta(hours=5),
    }


def moved(found: Ledger, part: str) -> set[str]:
    return {name for name, amount in found.amounts[part].items() if amount[0]}


def test_with_nothing_new_only_time_works():
    found = ledger(history(), ["a"], Said(ONE, START), Said(ONE, LATER))
    assert "days_to_renewal" in moved(found, "time")
    assert not moved(found, "late") | moved(found, "behaviour") | moved(found, "model")


def test_what_happened_in_between_is_behaviour():
    quiet = ledger(history(), ["a"], Said(ONE, START), Said(ONE, LATER))
    found = ledger(history(contact("new", START + timedelta(days=5))), ["a"], Said(ONE, START), Said(ONE, LATER))
    assert "contact_drop_28d" in moved(found, "behaviour")
    assert found.total("time") == quiet.total("time")
    assert not moved(found, "late")


def test_what_had_happened_and_was_told_later_is_late():
    late = contact("late", START - timedelta(days=2), START + timedelta(days=3))
    there = contact("late", START - timedelta(days=2))
    told = ledger(history(late), ["a"], Said(ONE, START), Said(ONE, START + timedelta(days=4)))
    known = ledger(history(there), ["a"], Said(ONE, START), Said(ONE, START + timedelta(days=4)))
    assert moved(told, "late")
    assert not moved(known, "late")
    assert told.first + told.total("late") == pytest.approx(known.first, abs=1e-12)
    assert told.total("time") == known.total("time")
    assert not moved(told, "behaviour")


def test_another_model_is_a_part_of_its_own():
    found = ledger(history(), ["a"], Said(ONE, START), Said(OTHER, START))
    assert not moved(found, "late") | moved(found, "time") | moved(found, "behaviour")
    assert found.amounts["model"]["base"][0] == OTHER.churn.base - ONE.churn.base
    assert found.total("model") == pytest.approx(found.last - found.first, abs=1e-12)


def test_a_comparison_runs_forwards_and_about_somebody():
    with pytest.raises(ContractError, match="backwards"):
        ledger(history(), ["a"], Said(ONE, LATER), Said(ONE, START))
    with pytest.raises(UnknownAccount):
        ledger(history(), ["b"], Said(ONE, START), Said(ONE, LATER))
