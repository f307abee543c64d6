"""No feature without an example."""

import pytest

from models.features import FEATURES
from tests.core.test_feature_examples import (
    test_commercial,
    test_effort,
    test_resolution,
    test_sentiment,
    test_silence,
)

THEMES = {
    "effort": test_effort,
    "resolution": test_resolution,
    "sentiment": test_sentiment,
    "silence": test_silence,
    "commercial": test_commercial,
}


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_a_feature_has_an_example_in_its_theme(feature):
    assert hasattr(THEMES[feature.component], f"test_{feature.name}")
