"""What holds for all features together, bit for bit, whatever the history.

The future is invisible; one account at a time equals the batch; one moment at a time equals many; the order of rows,
repeated imports and the size of the parts mean nothing; and only differences of time count, not the calendar.
"""

import random
from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from models.errors import UnknownAccount
from models.features import DEFAULT, FEATURES, Baselines, FeatureSet, expand, measure, reference
from models.features import compute as compute_features
from models.features.baselines import Usual
from models.features.facts import FACTS
from models.features.measures import measure_feature
from models.history import TABLES, History
from tests.core.histories import NOW, Drawn, Row, histories, moments, pairs, properties

BASELINES = Baselines(
    overall=Usual(repeat_rate=0.2),
    segments={"smb": Usual(contacts_per_day=0.1, csat=0.6), "mid": Usual(gap_days=3.0)},
    answer_minutes=45.0,
    resolution_minutes=300.0,
    tracks_onboarding=True,
)


#: The catalogue and three measures, the last of which no history has.
ALL = FeatureSet([*FEATURES, *map(measure_feature, ("logins", "seats_used", "unheard"))])


def compute(history: History, as_of: datetime | pl.DataFrame, baselines: Baselines = DEFAULT) -> pl.DataFrame:
    return compute_features(history, as_of, baselines, ALL)


def same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    assert_frame_equal(left, right, check_exact=True)


# --- the future is invisible -----------------------------------------------------------------------------


@properties
@given(histories(), moments())
def test_nothing_counts_that_was_not_known(drawn: Drawn, at: datetime):
    history = drawn.history()
    same(compute(history.known_at(at), at, BASELINES), compute(history, at, BASELINES))


@properties
@given(histories(), histories(), moments(), st.randoms(use_true_random=False))
def test_another_future_makes_the_same_features(drawn: Drawn, other: Drawn, at: datetime, chance: random.Random):
    # Every row that was not known is replaced by rows of another history, every value by another one as unknown.
    history = drawn.history()
    known = history.known_at(at)
    tables = {
        name: [*_changed(name, known, history, at, drawn.delay, chance), *_unheard(name, other, at, known)]
        for name in TABLES
        if name != "accounts"
    }
    tables["accounts"] = _changed("accounts", known, history, at, drawn.delay, chance)
    changed = drawn.with_tables(tables).history()
    same(compute(changed, at, BASELINES), compute(history, at, BASELINES))


def _changed(
    name: str, known: History, history: History, at: datetime, delay: timedelta, chance: random.Random
) -> list[Row]:
    """The known rows; values hidden from `at` are replaced by others that are hidden too."""
    key = list(TABLES[name].key)
    seen = known.frame(name).select(key)
    whole = seen.join(history.frame(name), on=key, how="left", maintain_order="left").to_dicts()
    return [
        {column: _other(column, row, masked, at, chance) for column in row}
        for row, masked in zip(whole, known.frame(name).to_dicts(), strict=True)
    ]


#: Values without a time of their own, and others they may have had (none that would move the time they hang on).
_HIDDEN = {
    "end_reason": ("voluntary", "involuntary"),
    "score": (0.0, 1.0),
    "reopens": (0, 1, 7),
    "transfers": (0, 2, 9),
    "outcome": ("resolved", "unresolved", "auto_closed", "abandoned"),
}


def _other(column: str, row: Row, masked: Row, at: datetime, chance: random.Random) -> object:
    value = row[column]
    if value is None or value == masked[column]:
        return value
    if isinstance(value, datetime):
        # Moved further into the future by the same time in all columns, so that what hangs on it stays hidden.
        return value + timedelta(days=11, microseconds=3)
    return chance.choice(_HIDDEN.get(column, (value,)))


def _unheard(name: str, other: Drawn, at: datetime, known: History) -> list[Row]:
    """Rows of another history that were not known at `at`, under keys nobody knows."""
    later = other.history()
    unknown = later.frame(name).join(later.known_at(at).frame(name), on=TABLES[name].key, how="anti")
    fresh = unknown.join(known.frame(name), on=TABLES[name].key, how="anti")
    return fresh.to_dicts()


def test_an_account_nobody_had_described_yet_has_no_features():
    rows = [{"account_id": "ann", "started_at": NOW}, {"account_id": "bo", "recorded_at": NOW + timedelta(days=1)}]
    history = Drawn({"accounts": rows}).history()
    assert compute(history, NOW)["account_id"].to_list() == []
    asked = compute(history, pairs(history, [NOW, NOW + timedelta(days=2)]))
    nothing = asked.filter(pl.col("as_of") == NOW).drop("account_id", "as_of")
    assert nothing.height == 2
    assert all(nothing[name].null_count() == 2 for name in nothing.columns)
    assert asked.filter(pl.col("as_of") > NOW)["segment"].to_list() == ["unknown", "unknown"]


# --- one by one, together, in parts ----------------------------------------------------------------------


@properties
@given(histories(), moments())
def test_one_account_at_a_time_equals_the_batch(drawn: Drawn, at: datetime):
    history = drawn.history()
    batch = compute(history, at, BASELINES)
    alone = [compute(history.of([account_id]), at, BASELINES) for account_id in batch["account_id"]]
    same(pl.concat([batch.clear(), *alone]), batch)


def test_every_question_of_the_reference_portfolio_alone_has_the_same_answer():
    # Two hundred questions, so that an expression that rounds otherwise for one row than for many has no excuse.
    history, questions = reference.history(), reference.questions()
    together = compute(history, questions, reference.BASELINES)
    alone = [compute(history, questions[row], reference.BASELINES) for row in range(questions.height)]
    same(pl.concat(alone), together)


@properties
@given(histories(), st.lists(moments(), min_size=1, max_size=4))
def test_one_moment_at_a_time_equals_many(drawn: Drawn, at: list[datetime]):
    history = drawn.history()
    asked = [pairs(history, [moment]) for moment in at]
    together = compute(history, pl.concat(asked), BASELINES)
    same(pl.concat([compute(history, part, BASELINES) for part in asked]), together)


@pytest.mark.parametrize("size", [1, 7])
@properties
@given(drawn=histories(), at=st.lists(moments(), min_size=1, max_size=3))
def test_the_size_of_the_parts_means_nothing(drawn: Drawn, at: list[datetime], size: int):
    history = drawn.history()
    asked = pairs(history, at)
    whole, usual = compute(history, asked, BASELINES), measure(history, at[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expand, "CHUNK_EVENTS", size)
        same(compute(history, asked, BASELINES), whole)
        assert measure(history, at[0]) == usual


# --- order, repetition, calendar -------------------------------------------------------------------------


@properties
@given(histories(), moments(), st.randoms(use_true_random=False))
def test_the_order_of_rows_means_nothing(drawn: Drawn, at: datetime, chance: random.Random):
    shuffled = drawn.with_tables({name: chance.sample(rows, len(rows)) for name, rows in drawn.tables.items()})
    same(compute(shuffled.history(), at, BASELINES), compute(drawn.history(), at, BASELINES))
    assert measure(shuffled.history(), at) == measure(drawn.history(), at)


@properties
@given(histories(), moments(), st.randoms(use_true_random=False))
def test_importing_again_means_nothing(drawn: Drawn, at: datetime, chance: random.Random):
    once = drawn.history()
    again = {name: [*once.frame(name).to_dicts(), *_later_copies(name, once, chance)] for name in TABLES}
    same(compute(drawn.with_tables(again).history(), at, BASELINES), compute(once, at, BASELINES))


def _later_copies(name: str, history: History, chance: random.Random) -> list[Row]:
    """Some rows twice, some recorded later."""
    rows = history.frame(name).to_dicts()
    chosen = chance.sample(rows, chance.randint(0, len(rows)))
    later = timedelta(days=chance.choice((0, 0, 3)))
    return [row | {"recorded_at": row["recorded_at"] and row["recorded_at"] + later} for row in chosen]


@properties
@given(histories(), moments())
def test_older_versions_mean_nothing(drawn: Drawn, at: datetime):
    newest = [row | {"updated_at": row["updated_at"] or NOW} for row in drawn.tables["interactions"]]
    older = [
        row
        | {
            "updated_at": row["updated_at"] - timedelta(days=1),
            "recorded_at": None,
            "kind": "complaint",
            "transfers": 40,
        }
        for row in newest
    ]
    first = {row["interaction_id"]: row["opened_at"] + drawn.delay for row in newest}
    # The first arrival stays with the row, whichever version it came with.
    arrived = [
        row | {"recorded_at": min(row["recorded_at"] or first[row["interaction_id"]], first[row["interaction_id"]])}
        for row in newest
    ]
    clean = drawn.with_tables(drawn.tables | {"interactions": arrived}).history()
    both = drawn.with_tables(drawn.tables | {"interactions": [*newest, *older]}).history()
    same(compute(both, at, BASELINES), compute(clean, at, BASELINES))


@properties
@given(histories(), moments(), st.integers(-(10**15), 10**15))
def test_only_differences_of_time_count(drawn: Drawn, at: datetime, microseconds: int):
    by = timedelta(microseconds=microseconds)
    moved = compute(drawn.shifted(by).history(), at + by, BASELINES)
    same(moved.drop("as_of"), compute(drawn.history(), at, BASELINES).drop("as_of"))
    assert measure(drawn.shifted(by).history(), at + by) == measure(drawn.history(), at)


# --- the frame -------------------------------------------------------------------------------------------


@properties
@given(histories(), moments())
def test_the_frame_is_what_it_promises(drawn: Drawn, at: datetime):
    found = compute(drawn.history(), at, measure(drawn.history(), at))
    facts = [name for name in FACTS if name not in FEATURES]
    assert found.columns == ["account_id", "as_of", *ALL.names, *facts]
    assert [name for name in found.columns[2:] if found.schema[name] != pl.Float64] == ["billing", "segment"]
    numbers = found.select(pl.col(pl.Float64))
    assert all(numbers[name].is_finite().all() for name in numbers.columns)


def test_rows_come_in_the_order_they_were_asked_for():
    history = Drawn({"accounts": [{"account_id": name} for name in ("b", "a", "c")]}).history()
    asked = pl.DataFrame({"account_id": ["c", "a", "c", "b"], "as_of": [NOW, NOW, NOW - timedelta(days=3), NOW]})
    assert compute(history, asked)["account_id"].to_list() == ["c", "a", "c", "b"]
    assert compute(history, NOW)["account_id"].to_list() == ["a", "b", "c"]


def test_a_pair_about_a_stranger_is_refused():
    history = Drawn({"accounts": [{"account_id": "ann"}]}).history()
    with pytest.raises(UnknownAccount, match="No account 'zoe' is described"):
        compute(history, pl.DataFrame({"account_id": ["zoe"], "as_of": [NOW]}))


def test_no_questions_have_no_answers():
    history = Drawn({"accounts": [{"account_id": "ann"}]}).history()
    none = compute(
        history,
        pl.DataFrame(
            {"account_id": [], "as_of": []}, schema={"account_id": pl.String, "as_of": pl.Datetime("us", "UTC")}
        ),
    )
    same(none, compute(history, NOW).clear())
    assert compute(Drawn({}).history(), NOW).is_empty()


def test_measuring_nothing_gives_what_is_customary():
    usual = measure(Drawn({}).history(), NOW)
    assert usual.overall == DEFAULT.overall
    assert usual.segments == {}
