"""What every feature's declaration must keep to, whatever it measures."""

from datetime import UTC, datetime
from string import Formatter

import polars as pl
import pytest

from models.features import FEATURES, compute
from models.history import History

AS_OF = datetime(2026, 3, 2, tzinfo=UTC)

#: Said by the reasons in words of their own.
WORDED = {"renewal"}


@pytest.fixture(scope="module")
def columns() -> set[str]:
    """The columns of a computed frame."""
    history = History.from_frames({"accounts": pl.DataFrame({"account_id": ["a"]})})
    return set(compute(history, AS_OF).columns)


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_a_sentence_quotes_columns_of_the_computed_frame(feature, columns):
    named = {name for _, name, _, _ in Formatter().parse(feature.sentence) if name is not None}
    assert named, "a sentence without the account's own number says nothing"
    assert named - WORDED <= columns


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_what_is_usual_names_at_most_one_value(feature):
    fields = [name for _, name, _, _ in Formatter().parse(feature.usual) if name is not None]
    assert fields in ([], [""])
