"""What features do, as hashes: a model fitted on other features than this code computes is noticed.

A feature's hash covers its name, what its declaration promises (kind, unit, missing, directions) and its values on a
small reference history. It does not cover words meant for people (label, sentence, note), nor how the value is
computed: a rewrite that changes no value changes no hash.
"""

import hashlib
from functools import lru_cache

import polars as pl

from models.features import reference
from models.features.baselines import DEFAULT
from models.features.catalogue import FEATURES
from models.features.compute import compute
from models.features.feature import Feature, FeatureSet

#: Values are compared to this many significant digits, so that another processor's last bit is no difference.
DIGITS = 9


def fingerprints(features: FeatureSet = FEATURES) -> dict[str, str]:
    """Feature name -> hash (16 hexadecimal digits), in the order of the set."""
    return dict(_fingerprints(features))


@lru_cache(maxsize=8)
def _fingerprints(features: FeatureSet) -> tuple[tuple[str, str], ...]:
    history, questions = reference.history(), reference.questions()
    values = pl.concat(
        [
            compute(history, questions, reference.BASELINES, features),
            compute(history, reference.MOMENTS[-1], DEFAULT, features),
        ]
    )
    return tuple((feature.name, _hash(feature, values[feature.name])) for feature in features)


def fingerprint(features: FeatureSet = FEATURES) -> str:
    """One hash for the whole set, its order included."""
    lines = (f"{name} {value}" for name, value in fingerprints(features).items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _hash(feature: Feature, values: pl.Series) -> str:
    declared = (feature.name, feature.basis.kind, feature.unit, feature.missing, feature.churn, feature.silent)
    told = "\n".join([repr(declared), *map(_said, values.to_list())])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _said(value: float | str | None) -> str:
    # Adding zero makes minus zero plain zero.
    return f"{value + 0.0:.{DIGITS}g}" if isinstance(value, float) else repr(value)
