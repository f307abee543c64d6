"""The users' own numbers: the latest value known before a moment, worked by hand and against a plain loop."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given

from models.features import DEFAULT, FEATURES, FeatureSet, compute
from models.features.feature import Feature
from models.features.measures import MEASURE, measure_feature
from models.history import History
from tests.core.histories import NOW, Drawn, histories, moments, pairs, properties

NAMES = ("logins", "seats_used")
BOTH = FeatureSet([*FEATURES, *map(measure_feature, NAMES)])
ACCOUNTS = [{"account_id": "ann", "started_at": datetime(2025, 1, 1, tzinfo=UTC)}, {"account_id": "bo"}]


def march(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def value(name: str, number: float, at: datetime, known: datetime | None = None, account: str = "ann") -> dict:
    return {"account_id": account, "name": name, "value": number, "at": at, "recorded_at": known}


def asked(rows: list[dict], *moments: datetime, account: str = "ann", delay: timedelta = timedelta(0)) -> list:
    history = Drawn({"accounts": ACCOUNTS, "measures": rows}, delay).history()
    questions = pl.DataFrame({"account_id": [account] * len(moments), "as_of": list(moments)})
    return compute(history, questions, DEFAULT, BOTH)[f"{MEASURE}logins"].to_list()


TOLD_LATE = [
    value("logins", 3.0, march(1)),
    value("logins", 12.0, march(10), march(20)),
    value("logins", 5.0, march(15)),
    value("seats_used", 99.0, march(14)),
]


def test_the_latest_value_known_counts_however_it_became_known() -> None:
    assert asked(TOLD_LATE, march(12), march(17), march(25)) == [3.0, 5.0, 5.0]


def test_what_was_told_late_counts_from_then_on() -> None:
    rows = TOLD_LATE[:2]
    assert asked(rows, march(19), march(20), march(20, 1)) == [3.0, 12.0, 12.0]


def test_a_value_counts_after_its_moment_not_at_it() -> None:
    instant = timedelta(microseconds=1)
    assert asked(TOLD_LATE[:1], march(1), march(1) + instant) == [None, 3.0]


def test_a_source_that_tells_late_is_believed_late() -> None:
    assert asked(TOLD_LATE[:1], march(2), march(3), delay=timedelta(days=2)) == [None, 3.0]


def test_missing_is_not_zero() -> None:
    rows = [value("logins", 0.0, march(1)), value("logins", 7.0, march(1), account="stranger")]
    assert asked(rows, march(2)) == [0.0]
    assert asked(rows, march(2), account="bo") == [None]


def test_a_value_holds_for_years() -> None:
    assert asked([value("logins", 4.0, datetime(2019, 5, 1, tzinfo=UTC))], march(1)) == [4.0]


@properties
@given(histories(), moments())
def test_it_is_what_a_plain_loop_finds(drawn: Drawn, at: datetime) -> None:
    history = drawn.history()
    questions = pairs(history, [at, at - timedelta(days=14), NOW])
    found = compute(history, questions, DEFAULT, BOTH)
    for name in NAMES:
        expected = [_latest(history, name, *question) for question in questions.iter_rows()]
        assert found[f"{MEASURE}{name}"].to_list() == expected


def _latest(history: History, name: str, account_id: str, at: datetime) -> float | None:
    known = history.known_at(at)
    if account_id not in known.accounts["account_id"]:
        return None
    rows = known.measures.filter(pl.col("account_id") == account_id, pl.col("name") == name).sort("at")
    return rows["value"][-1] if rows.height else None


@pytest.mark.parametrize("label", ["", "Logins {per} week"])
def test_a_measure_is_declared_like_any_feature(label: str) -> None:
    feature: Feature = measure_feature("weekly_logins", label=label, unit="{h}", direction=-1)
    assert feature.name == "measure:weekly_logins"
    assert feature.label == (label or "weekly logins")
    assert (feature.churn, feature.silent) == (-1, -1)
    said = feature.sentence.format(value=_Plain(3))
    assert said == f"{feature.label} 3 {{h}}"


class _Plain(int):
    def __format__(self, spec: str) -> str:
        assert spec == "plain"
        return str(int(self))
