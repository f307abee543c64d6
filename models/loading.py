"""From an artefact to a model that may serve: verified, opened safely, and fitting this code's features."""

from pathlib import Path

from models import registry
from models.errors import ArtefactError
from models.model import ChurnModel
from models.schema import Schema

_ANYBODY = registry.Trust()


def load_model(root: Path, model_id: str, trust: registry.Trust = _ANYBODY) -> tuple[ChurnModel, registry.Manifest]:
    """Open an artefact of the store at `root`, if `trust` admits it; the default asks for no signature.

    Raises `ArtefactError` for one that is missing or damaged, `UnsafeArtefact` for one that is not trusted or not
    plain, and `FeatureMismatch` with the differing names where it was fitted on other feature definitions.
    """
    artefact = registry.load(root, model_id, trust)
    read = Schema.from_plain(artefact.plain.get("columns"))
    registry.check_features(artefact.manifest, read.names, read.fingerprints())
    return ChurnModel.from_plain(artefact.plain, model_id), artefact.manifest


def current_model_id(root: Path) -> str:
    """The id of the model in service. Raises `ArtefactError` where none was ever promoted."""
    change = registry.current(root)
    if change is None:
        raise ArtefactError("No model is in service; run `ebbtide train --promote` first.")
    return change.model_id
