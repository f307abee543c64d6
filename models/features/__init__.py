"""What we measure about an account, declared as data and computed in one way."""

from models.features.baselines import DEFAULT, Baselines
from models.features.catalogue import FEATURES
from models.features.compute import compute
from models.features.feature import COMPONENTS, Basis, Feature, FeatureSet
from models.features.usual import measure

__all__ = [
    "COMPONENTS",
    "DEFAULT",
    "FEATURES",
    "Baselines",
    "Basis",
    "Feature",
    "FeatureSet",
    "compute",
    "measure",
]
