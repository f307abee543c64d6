"""The contract: terms in force, terms before, and what stands in where nobody wrote them down."""

from dataclasses import replace
from math import log

import pytest

from models.features import DEFAULT
from tests.core.test_feature_examples.ann import about, ago, features, terms

TRACKED = replace(DEFAULT, tracks_onboarding=True)


@pytest.mark.parametrize(
    ("account", "contracts", "days"),
    [
        # Terms in force say it.
        ({}, [terms(320, billing="annual", renewal_at=ago(-45))], 45),
        ({}, [terms(320, billing="monthly", renewal_at=ago(-45))], -1),
        ({}, [terms(400, billing="annual", renewal_at=ago(20))], 345),  # renewed in silence, for another 365 days
        ({}, [terms(400, billing="quarterly", renewal_at=ago(20))], None),
        ({}, [terms(400, billing="annual")], None),
        ({"renewal_at": ago(-9)}, [terms(400, billing="annual")], None),
        ({"billing": "annual"}, [terms(400, renewal_at=ago(20))], 345),
        # Without terms, the account's row.
        ({"billing": "annual", "renewal_at": ago(-45)}, [], 45),
        ({"billing": "annual", "renewal_at": ago(-400)}, [], 35),  # the anniversary that lies ahead
        ({"billing": "monthly", "renewal_at": ago(-45)}, [], -1),
        ({"renewal_at": ago(-45)}, [], None),  # a date of today: for those who left it would be their end
        ({"renewal_at": ago(-400)}, [], None),
        ({"renewal_at": ago(1)}, [], None),
        ({}, [], None),
    ],
)
def test_days_to_renewal(account, contracts, days):
    assert features(account=account, contracts=contracts)["days_to_renewal"] == days


def test_billing():
    account = {"billing": "annual"}
    assert features(account=account)["billing"] == "annual"
    assert features(account=account, contracts=[terms(50, billing="monthly")])["billing"] == "monthly"
    assert features(account=account, contracts=[terms(50)])["billing"] == "annual"
    assert features()["billing"] is None


def test_tenure_ln():
    assert features(account={"started_at": ago(100)})["tenure_ln"] == about(log(101))
    assert features(account={"started_at": None})["tenure_ln"] is None


def test_tenure_early():
    assert features(account={"started_at": ago(181.9)})["tenure_early"] == 1
    assert features(account={"started_at": ago(182)})["tenure_early"] == 0
    assert features(account={"started_at": None})["tenure_early"] is None


def test_mrr_ln():
    assert features(contracts=[terms(9, mrr=500.0)])["mrr_ln"] == about(log(501))
    assert features(account={"mrr": 500.0}, contracts=[terms(9, mrr=0.0)])["mrr_ln"] == 0
    # What the row says now is no past: for those who left it may be the revenue of having left.
    assert features(account={"mrr": 500.0})["mrr_ln"] is None


def test_segment():
    assert features(account={"segment": "smb"})["segment"] == "smb"
    assert features()["segment"] == "unknown"


def test_mrr_change_180d():
    contracts = [terms(400, mrr=1000.0), terms(100, mrr=500.0), terms(5, mrr=100.0)]
    # 14 days ago 500, 194 days ago 1000; the change of 5 days ago may be part of an exit
    row = features(contracts=contracts)
    assert row["mrr_change_180d"] == about(log(0.5))
    assert (row["before_mrr"], row["settled_mrr"], row["mrr_now"]) == (1000, 500, 100)
    assert features(contracts=contracts[1:])["mrr_change_180d"] is None
    assert features(account={"mrr": 5.0})["mrr_change_180d"] is None


def test_seats_change_180d():
    contracts = [terms(400, seats=10), terms(100, seats=7), terms(5, seats=1)]
    assert features(contracts=contracts)["seats_change_180d"] == -3
    assert features(account={"seats": 5})["seats_change_180d"] is None


def test_onboarding_incomplete():
    young, old = {"started_at": ago(90)}, {"started_at": ago(91)}
    assert features(account=old, usual=TRACKED)["onboarding_incomplete"] == 1
    assert features(account=young, usual=TRACKED)["onboarding_incomplete"] == 0
    row = features(account=old | {"onboarded_at": ago(31)}, usual=TRACKED)
    assert (row["onboarding_incomplete"], row["onboarding_days"]) == (0, 60)
    assert features(account=old)["onboarding_incomplete"] is None
