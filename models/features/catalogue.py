"""What the model sees, in order: a diff of these lists is the change of model inputs."""

from models.features.commercial import COMMERCIAL
from models.features.effort import EFFORT
from models.features.feature import FeatureSet
from models.features.resolution import RESOLUTION
from models.features.sentiment import SENTIMENT
from models.features.silence import SILENCE

FEATURES = FeatureSet([*EFFORT, *RESOLUTION, *SENTIMENT, *SILENCE, *COMMERCIAL])
