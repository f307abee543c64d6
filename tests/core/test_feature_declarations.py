"""What every feature's declaration must keep to, whatever it measures."""

from datetime import UTC, datetime
from string import Formatter

import polars as pl
import pytest

from models.features import FEATURES, FeatureSet, compute
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


#: Feature -> directions for the two ways of leaving: silently, and after a voice (0: free).
HAZARDS = {
    "contact_drop_28d": (-1, 1),
    "contact_drop_90d": (-1, 1),
    "silence_surprise": (1, -1),
    "gap_ratio": (1, -1),
    "zero_after_busy": (1, 0),
    "never_contacted": (1, -1),
    "nonresponse_streak": (1, -1),
    "response_rate_change": (-1, 0),
    "abandoned_contacts_90d": (1, 0),
    "quiet_failures_90d": (1, 0),
    "quiet_failures_365d": (1, 0),
    "self_service_drop_28d": (-1, 0),
    "outreach_silence_180d": (1, 0),
    "active_contacts_ratio": (-1, 0),
    "days_since_voice": (1, -1),
    "days_since_failure": (1, 0),
    "escalations_90d": (0, 1),
    "escalation_recency": (0, 1),
    "complaint_recency": (-1, 1),
    **dict.fromkeys(("days_to_renewal", "billing", "mrr_ln", "segment"), (0, 0)),
    **dict.fromkeys(("csat_level", "csat_trend", "nps_last", "feedback_score", "ces_mean_180d"), (-1, -1)),
    **dict.fromkeys(("tenure_ln", "mrr_change_180d", "seats_change_180d"), (-1, -1)),
}


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_directions_are_those_of_the_two_ways_of_leaving(feature):
    # All others (effort, slow or broken service, uneven answers, early life) raise both.
    silent, vocal = HAZARDS.get(feature.name, (1, 1))
    assert feature.silent == silent
    # Leaving at all goes where one of them leads, unless they oppose each other.
    assert feature.churn == (0 if silent == -vocal else silent or vocal)


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_a_basis_fits_its_value(feature):
    knots = feature.basis.knots
    assert list(knots) == sorted(set(knots))
    assert len(knots) >= {"line": 2, "steps": 1, "category": 0}[feature.basis.kind]
    assert feature.categorical == (feature.name in FEATURES.texts)


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_a_declaration_is_complete(feature):
    assert feature.label and feature.unit and feature.missing
    window = feature.name.rsplit("_", 1)[-1]
    if window.endswith("d") and window[:-1].isdigit() and not feature.name.endswith("change_180d"):
        assert feature.window_days == int(window[:-1])


def test_a_name_is_declared_once():
    with pytest.raises(ValueError, match="share a name"):
        FeatureSet([FEATURES[0], FEATURES[0]])


def test_a_feature_is_found_by_place_and_by_name():
    assert FEATURES["billing"] is FEATURES[FEATURES.names.index("billing")]
    assert "billing" in FEATURES and "weather" not in FEATURES
    assert set(FEATURES.numeric) | set(FEATURES.texts) == set(FEATURES.names)
