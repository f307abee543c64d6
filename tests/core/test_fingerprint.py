"""A feature's hash changes when what it does changes, and only then."""

import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest

from models.features import COMPONENTS, FEATURES, FeatureSet, compute, reference
from models.features.feature import Basis
from models.features.fingerprint import fingerprint, fingerprints


def changed(name: str, **values: object) -> FeatureSet:
    """The features with one of them declared otherwise."""
    return FeatureSet([replace(f, **values) if f.name == name else f for f in FEATURES])


def differing(features: FeatureSet) -> set[str]:
    """The names whose hashes are not those of FEATURES."""
    return {name for name, value in fingerprints(features).items() if value != fingerprints()[name]}


@pytest.mark.parametrize(
    "values",
    [
        {"value": FEATURES["repeat_rate_90d"].value * 1.000001},
        {"value": pl.when(pl.col("contacts_90d") > 0).then(FEATURES["repeat_rate_90d"].value)},
        {"unit": "share of contacts"},
        {"missing": "no contacts: unknown"},
        {"churn": 0},
        {"silent": -1},
        {"basis": Basis("steps", (0.1, 0.2))},
    ],
    ids=["value", "null", "unit", "missing", "churn", "silent", "kind"],
)
def test_what_matters_changes_a_features_own_hash_and_no_other(values):
    features = changed("repeat_rate_90d", **values)
    assert differing(features) == {"repeat_rate_90d"}
    assert fingerprint(features) != fingerprint()


@pytest.mark.parametrize(
    "values",
    [
        {"label": "Came back"},
        {"sentence": "{repeats_90d:n} repeats"},
        {"note": "See the catalogue."},
        {"value": (FEATURES["repeat_rate_90d"].value + 1.0) - 1.0},
        {"basis": Basis("line", (0.0, 0.1, 0.9))},
    ],
    ids=["label", "sentence", "note", "last bits", "knots"],
)
def test_words_and_last_bits_change_nothing(values):
    features = changed("repeat_rate_90d", **values)
    assert differing(features) == set()
    assert fingerprint(features) == fingerprint()


@pytest.mark.parametrize("feature", FEATURES, ids=FEATURES.names)
def test_every_feature_would_be_noticed(feature):
    # Another value for every account at which the reference portfolio knows it: a constant would hide a change.
    known = compute(reference.history(), reference.questions(), reference.BASELINES)[feature.name].drop_nulls()
    assert known.n_unique() >= 2


def test_order_changes_the_hash_of_the_set():
    backwards = FeatureSet(list(FEATURES)[::-1])
    assert differing(backwards) == set()
    assert fingerprint(backwards) != fingerprint()


def test_another_process_finds_the_same():
    code = "from models.features.fingerprint import fingerprint; print(fingerprint())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == fingerprint()


def test_the_answer_is_the_callers_own():
    fingerprints().clear()
    assert list(fingerprints()) == list(FEATURES.names)


def test_components_are_those_of_the_score():
    assert {feature.component for feature in FEATURES} == set(COMPONENTS)
