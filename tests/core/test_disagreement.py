"""Who sees an account differently: the worked examples, and the edges."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.disagreement import LEAST, SAYS, by_sentiment, by_terms, gaps


def terms(**changes) -> pl.DataFrame:
    plain = {"account_id": "a", "mrr_before": None, "mrr_after": None, "seats_before": None, "seats_after": None}
    return pl.DataFrame([plain | changes], schema_overrides=dict.fromkeys(list(plain)[1:], pl.Float64))


def test_the_examples_of_the_module():
    views = pl.DataFrame({"account_id": ["a"], "sentiment": [2]})
    (worried,) = gaps(by_sentiment(views), pl.DataFrame({"account_id": ["a"], "health": [72.0]})).to_dicts()
    assert (worried["gap"], worried["direction"]) == (42.0, "model_less_worried")
    grown = by_terms(terms(seats_before=10, seats_after=14))
    (calm,) = gaps(grown, pl.DataFrame({"account_id": ["a"], "health": [38.0]})).to_dicts()
    assert (calm["gap"], calm["direction"], calm["term"]) == (-52.0, "model_more_worried", "seats")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [(100, 90, 30.0), (100, 90.1, None), (100, 70, 10.0), (100, 110, 70.0), (100, 130, 90.0), (100, 0, 10.0),
     (0, 50, None), (100, 100, None), (30, 33, 70.0)],
)  # fmt: skip
def test_what_terms_say(before, after, says):
    found = by_terms(terms(mrr_before=before, mrr_after=after))["says"].to_list()
    assert found == ([] if says is None else [says])


def test_the_stronger_change_speaks():
    (told,) = by_terms(terms(mrr_before=100, mrr_after=80, seats_before=10, seats_after=16)).to_dicts()
    assert (told["term"], told["before"], told["after"], told["says"]) == ("seats", 10, 16, 90.0)


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100)), max_size=30))
def test_only_wide_gaps_are_told_the_widest_first(drawn):
    ids = [f"a{i}" for i in range(len(drawn))]
    views = pl.DataFrame({"account_id": ids, "sentiment": [s for s, _ in drawn]}, schema_overrides={"sentiment": int})
    health = pl.DataFrame({"account_id": ids, "health": [h for _, h in drawn]}, schema_overrides={"health": float})
    views, health = (frame.cast({"account_id": pl.String}) for frame in (views, health))
    found = gaps(by_sentiment(views), health)
    wide = {i for i, (s, h) in zip(ids, drawn, strict=True) if abs(h - SAYS[s]) >= LEAST}
    assert set(found["account_id"]) == wide
    sizes = found["gap"].abs().to_list()
    assert sizes == sorted(sizes, reverse=True)
