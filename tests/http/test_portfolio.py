"""GET /v1/portfolio/changes: the accounts' ledgers added up, who came and who went; everything adds up."""

from collections.abc import Iterator

import polars as pl
import pytest

import api.portfolio
from models.clock import isoformat
from models.store.books import Book
from models.store.keys import create_key
from models.store.upsert import upsert
from tests.http.cast import NOW, accounts, day, interactions, put_model, surveys
from tests.http.conftest import Served, let_go, serve
from tests.http.test_changes import run, ticket
from tests.http.test_errors import assert_problem

PATH = "/v1/portfolio/changes"
PARTS = ["corrected", "late", "time", "behaviour", "model"]


@pytest.fixture
def two_runs(store, tmp_path) -> Iterator[Served]:
    """A run eight weeks ago and one today by another model; since then a ticket came late, one account has left, one is
    new, and a contact of long ago was corrected."""
    artefacts = tmp_path / "artefacts"
    one, other = put_model(artefacts, NOW), put_model(artefacts, NOW.replace(second=1), shift=0.5)
    found = serve(store, artefacts, one)
    upsert(found.engine, "accounts", accounts())
    upsert(found.engine, "interactions", interactions())
    upsert(found.engine, "surveys", surveys())
    run(found, day(56), one)
    late = ticket("late", day(60), known=day(20))
    never = {"resolved_at": None, "outcome": "unresolved", "updated_at": day(118)}
    fixed = ticket("slipping-120", day(120), known=day(120)) | never
    upsert(found.engine, "interactions", pl.DataFrame([late, fixed]))
    run(found, NOW, other)
    yield found
    let_go(found)


def asked(served: Served, who: str = "admin", **query) -> dict:
    got = served.get(PATH, who, query_string={"from": isoformat(day(50)), **query})
    assert got.status_code == 200, got.json
    return got.json


def check(found: dict, target: str) -> None:
    units = ("log_odds", "points") if target == "churn" else ("log_odds",)
    for unit in units:
        parts = sum(part[unit] for part in found["parts"])
        expected = found["first"][unit] + found["came"][unit] - found["went"][unit] + parts
        assert expected == pytest.approx(found["last"][unit], abs=1e-9)
        assert found[unit] == pytest.approx(found["last"][unit] - found["first"][unit], abs=1e-9)
    counts = {name: found[name]["accounts"] for name in ("first", "came", "went", "last")}
    assert counts["first"] + counts["came"] - counts["went"] == counts["last"]


def test_everything_adds_up_on_the_whole_and_by_group(two_runs):
    for target in ("churn", "silent"):
        whole = asked(two_runs, target=target)
        check(whole, target)
        assert [part["part"] for part in whole["parts"]] == PARTS
        assert all(part["log_odds"] for part in whole["parts"]), "each cause is at work"
        assert (whole["from"]["as_of"], whole["to"]["as_of"]) == (isoformat(day(56)), isoformat(NOW))
        for by in ("owner", "segment", "region"):
            told = asked(two_runs, target=target, by=by)
            assert {**told, "groups": None, "by": None} == whole
            assert len({group[by] for group in told["groups"]}) == len(told["groups"]) > 1
            for group in told["groups"]:
                check(group, target)
            for i, name in enumerate(PARTS):
                added = sum(group["parts"][i]["log_odds"] for group in told["groups"])
                assert added == pytest.approx(whole["parts"][i]["log_odds"], abs=1e-9), name


def test_it_is_the_sum_of_the_accounts_own_ledgers(two_runs):
    whole = asked(two_runs)
    added = dict.fromkeys(PARTS, 0.0)
    for account in ("healthy", "slipping", "fading", "priceless", "vocal", "a%2Fb%20c", "undated"):
        span = {"from": isoformat(day(56)), "to": isoformat(NOW)}
        for part in two_runs.get(f"/v1/accounts/{account}/changes", query_string=span).json["parts"]:
            added[part["part"]] += part["log_odds"]
    assert {part["part"]: part["log_odds"] for part in whole["parts"]} == pytest.approx(added, abs=1e-9)
    came, went = (whole[name]["accounts"] for name in ("came", "went"))
    assert (came, went) == (1, 1), "young began, leaving gave notice"


def test_of_part_of_the_portfolio(two_runs, monkeypatch):
    bobs = asked(two_runs, owner="bob@example.org")
    assert (bobs["first"]["accounts"], bobs["last"]["accounts"]) == (1, 1)
    two_runs.keys["bob"] = create_key(two_runs.engine, "bob", ["read"], NOW, book=Book(owners=("bob@example.org",)))[1]
    assert asked(two_runs, "bob") == asked(two_runs, "bob", owner="bob@example.org") == bobs
    nobody = asked(two_runs, "bob", owner="ana@example.org")
    assert (nobody["last"]["accounts"], nobody["log_odds"], nobody["last"]["mean_health_unclipped"]) == (0, 0, None)
    monkeypatch.setattr(api.portfolio, "MOST", asked(two_runs)["first"]["accounts"])
    assert_problem(two_runs.get(f"{PATH}?from=2026-05-01T00:00:00Z"), 422, "too_many_accounts")


def test_what_does_not_fit(two_runs):
    for query in ("", "from=x", "from=2026-05-01T00:00:00Z&by=name", "from=2026-05-01T00:00:00Z&owner=a%00"):
        assert_problem(two_runs.get(f"{PATH}?{query}"), 422, "invalid_query")
    assert_problem(two_runs.get(f"{PATH}?from=2020-05-01T00:00:00Z"), 409, "not_scored_then")
