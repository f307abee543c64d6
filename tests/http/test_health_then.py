"""Health as of then: bit for bit what a run gave, with what was known, beside what was said."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import quote

import polars as pl
import pytest

from models.clock import isoformat
from models.store.upsert import upsert
from tests.http.cast import NOW, accounts, day, interactions, surveys
from tests.http.conftest import Served, let_go, serve
from tests.http.test_changes import run, ticket
from tests.http.test_errors import assert_problem

#: Members that are about the asking, not about the score.
ASKING = {"account_id", "computed_at", "explanation", "horizon", "data", "override", "known_at", "said"}


@pytest.fixture
def chronicle(store, model_store) -> Iterator[Served]:
    """Runs eight and four weeks ago and today; in between a ticket became known late."""
    found = serve(store, *model_store)
    upsert(found.engine, "accounts", accounts())
    upsert(found.engine, "interactions", interactions())
    upsert(found.engine, "surveys", surveys())
    for moment in (day(56), day(28)):
        run(found, moment)
    upsert(found.engine, "interactions", pl.DataFrame([ticket("late", day(35), known=day(20))]))
    run(found, NOW)
    yield found
    let_go(found)


def then(served, account: str = "slipping", **asked) -> dict:
    path = f"/v1/accounts/{quote(account, safe='')}/health"
    got = served.get(path, query_string={name: isoformat(at) for name, at in asked.items()})
    assert got.status_code == 200, got.json
    return got.json


def test_it_is_to_the_bit_what_the_run_of_that_moment_said(chronicle):
    """Though a contact of those days became known only afterwards."""
    for moment in (day(56), day(28), NOW):
        for account in ("slipping", "healthy", "vocal", "a/b c", "undated", "priceless"):
            body = then(chronicle, account, as_of=moment)
            told = {name: value for name, value in body.items() if name not in ASKING}
            said = body["said"]
            assert said["as_of"] == isoformat(moment) == body["known_at"]
            assert told == {name: said[name] for name in told}
            whole = body["explanation"]
            added = whole["base_log_odds"] + sum(reason["log_odds"] for reason in whole["reasons"])
            assert abs(added - whole["log_odds"]) < 1e-9


def test_what_was_told_later_and_what_was_not_known_yet(chronicle):
    """The late ticket happened 35 days ago and was told 20 days ago."""
    at_once = then(chronicle, as_of=day(28))
    assert then(chronicle, as_of=day(28), known_at=day(21))["p_churn"] == at_once["p_churn"]
    hindsight = then(chronicle, as_of=day(28), known_at=day(20))
    assert hindsight["p_churn"] != at_once["p_churn"]
    assert hindsight["said"] == at_once["said"], "what was said does not change"
    assert (hindsight["as_of"], hindsight["known_at"]) == (isoformat(day(28)), isoformat(day(20)))
    unaware = then(chronicle, as_of=day(5), known_at=day(21))
    aware = then(chronicle, as_of=day(5))
    assert unaware["p_churn"] != aware["p_churn"]
    assert aware["data"]["interactions_recorded_until"] > unaware["data"]["interactions_recorded_until"]


def test_between_two_runs_the_earlier_one_had_spoken(chronicle):
    body = then(chronicle, as_of=day(40))
    assert body["said"]["as_of"] == isoformat(day(56))
    assert body["as_of"] == isoformat(day(40))
    assert then(chronicle, known_at=day(2))["as_of"] == isoformat(NOW)


def test_members_and_refusals(told):
    path = "/v1/accounts/slipping/health"
    asked = f"as_of={quote(isoformat(NOW))}"
    assert set(told.get(f"{path}?{asked}&fields=band,said").json) == {"band", "said"}
    assert told.get(f"{path}?fields=said").status_code == 422, "now, nothing else was said"
    later = quote(isoformat(NOW + timedelta(seconds=1)))
    for query in (f"as_of={later}", f"{asked}&known_at={later}", "as_of=x", "known_at=2026-01-01T00:00:00"):
        assert_problem(told.get(f"{path}?{query}"), 422, "invalid_query")
    assert_problem(told.get(f"/v1/accounts/gone/health?{asked}"), 409, "account_ended")
    early = quote(isoformat(day(800)))
    assert_problem(told.get(f"{path}?as_of={early}"), 409, "account_not_started")
    assert_problem(told.get(f"/v1/accounts/nobody/health?{asked}"), 404, "unknown_account")
    while_customer = told.get(f"/v1/accounts/gone/health?as_of={quote(isoformat(day(90)))}").json
    assert while_customer["said"] is None
    assert while_customer["health"] >= 0
