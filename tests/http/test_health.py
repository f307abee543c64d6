"""GET /v1/accounts/{id}/health: the latest score, its reasons, and why there may be none."""

import math
import shutil
from datetime import timedelta

import pytest

from models.features import COMPONENTS
from tests.http.cast import NOW, day
from tests.http.conftest import serve
from tests.http.test_errors import assert_problem


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_a_slipping_account(either):
    got = either.get("/v1/accounts/slipping/health")
    assert got.status_code == 200
    body = got.json
    assert body["account_id"] == "slipping"
    assert body["as_of"] == "2026-06-01T12:00:00Z"
    assert body["model"] == {"id": either.model_id, "status": "expert prior, uncalibrated"}
    assert body["horizon"] == {"from_days": 14, "to_days": 104}
    assert body["quiet"] is True
    assert body["band"] == "critical"
    assert body["health"] < 30
    assert 0 < body["p_silent"] <= body["p_churn"] < 1
    assert body["p_vocal"] == pytest.approx(body["p_churn"] - body["p_silent"], abs=1e-15)
    assert body["expected_revenue_loss"]["amount"] == pytest.approx(body["p_silent"] * 2000 * 12)
    assert body["expected_revenue_loss"]["currency"] == "EUR"
    assert body["expected_revenue_loss"]["months"] == 12
    assert body["data"]["contacts_up_to_date"] is True
    assert body["data"]["interactions_recorded_until"].startswith("2026-05-30")


@pytest.mark.parametrize("account", ["healthy", "slipping", "fading", "priceless", "vocal", "young", "undated"])
def test_what_is_said_adds_up(told, account):
    body = told.get(f"/v1/accounts/{account}/health").json
    explanation = body["explanation"]
    added = explanation["base_log_odds"] + sum(reason["log_odds"] for reason in explanation["reasons"])
    assert added == pytest.approx(explanation["log_odds"], abs=1e-9)
    assert logit(body["p_churn"]) == pytest.approx(explanation["log_odds"], abs=1e-9)
    assert 50 + sum(body["components"].values()) == pytest.approx(body["health_unclipped"], abs=1e-9)
    assert 50 + sum(reason["points"] for reason in explanation["reasons"]) == pytest.approx(
        body["health_unclipped"], abs=1e-9
    )
    for name in COMPONENTS:
        own = [reason["points"] for reason in explanation["reasons"] if reason["component"] == name]
        assert sum(own) == pytest.approx(body["components"][name], abs=1e-9)
    assert body["health"] == min(max(body["health_unclipped"], 0), 100)


def test_reasons_come_strongest_first_and_quote_the_accounts_numbers(told):
    reasons = told.get("/v1/accounts/slipping/health").json["explanation"]["reasons"]
    sizes = [abs(reason["log_odds"]) for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    renewal = next(reason for reason in reasons if reason["feature"] == "days_to_renewal")
    assert renewal["value"] == 20
    assert renewal["sentence"].startswith("renewal in 20 days")
    assert renewal["points"] < 0 < renewal["log_odds"]


def test_reasons_of_the_silent_risk(told):
    body = told.get("/v1/accounts/slipping/health?target=silent").json
    explanation = body["explanation"]
    assert explanation["target"] == "silent"
    added = explanation["base_log_odds"] + sum(reason["log_odds"] for reason in explanation["reasons"])
    assert added == pytest.approx(explanation["log_odds"], abs=1e-9)
    assert body["p_silent"] == pytest.approx(1 / (1 + math.exp(-added)), abs=1e-12)


@pytest.mark.parametrize(
    ("account", "status", "code"),
    [
        ("gone", 409, "account_ended"),
        ("leaving", 409, "account_leaving"),
        ("test", 409, "account_is_test"),
        ("future", 409, "account_not_started"),
        ("nobody", 404, "unknown_account"),
        ("x" * 129, 404, "not_found"),
        ("nul%00", 404, "not_found"),
    ],
)
def test_no_score_and_why(told, account, status, code):
    got = told.get(f"/v1/accounts/{account}/health")
    assert (got.status_code, got.json["code"]) == (status, code)


def test_an_account_waiting_for_the_next_run(served):
    served.app.extensions["ebbtide"].store.upsert("accounts", _one("new"))
    got = served.get("/v1/accounts/new/health")
    assert (got.status_code, got.json["code"]) == (409, "not_scored_yet")


def _one(account_id: str):
    import polars as pl

    return pl.DataFrame({"account_id": [account_id], "started_at": [day(100)]})


def test_an_id_may_hold_slashes_and_spaces(told):
    assert told.get("/v1/accounts/a%2Fb%20c/health").json["account_id"] == "a/b c"
    assert told.get("/v1/accounts/a%2fb c/health?fields=account_id").json == {"account_id": "a/b c"}
    assert_problem(told.get("/v1/accounts/a/b c/health"), 404, "not_found")


def test_unknown_revenue_is_unknown_loss(told):
    body = told.get("/v1/accounts/priceless/health").json
    assert body["mrr"] is None
    assert body["expected_revenue_loss"] is None


def test_a_bad_target(told):
    got = told.get("/v1/accounts/slipping/health?target=none")
    assert got.status_code == 422
    assert got.json["errors"] == [{"pointer": "target", "code": "invalid", "message": "is churn or silent"}]


def test_a_score_outlives_its_artefact(told, tmp_path):
    """The numbers stand; only what the tables said can no longer be told."""
    root = tmp_path / "artefacts"
    shutil.copytree(told.artefacts, root)
    shutil.rmtree(root / told.model_id)
    later = serve(told.engine, root, told.model_id)
    body = later.get("/v1/accounts/slipping/health").json
    assert body["explanation"] is None
    assert told.model_id in body["explanation_missing"]
    assert body["health"] == told.get("/v1/accounts/slipping/health").json["health"]


def test_freshness_is_judged_now(told):
    told.app.extensions["ebbtide"].clock.moment = NOW + timedelta(days=30)
    assert told.get("/v1/accounts/slipping/health").json["data"]["contacts_up_to_date"] is False
