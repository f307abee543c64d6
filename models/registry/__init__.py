"""The artefact registry: models stored, listed, verified, put in service and taken out again.

    model_id = put(root, model.to_plain(), facts, created_at, {"CARD.md": card})
    promote(root, model_id, who="ana", when=now(), why="better lift on the last two folds")
    artefact = load(root, current(root).model_id)

`artefacts` holds the store, `plain` the reader that cannot run code, `manifest` what an artefact says about
itself, `pointer` the model in service.
"""

from models.registry.artefacts import Listed, LoadedArtefact, list_artefacts, load, put, show, verify
from models.registry.manifest import PROTOCOL, Facts, File, Manifest, check_features, library_versions
from models.registry.pointer import Change, Stamp, current, history, promote, rollback, stamp

__all__ = [
    "PROTOCOL",
    "Change",
    "Facts",
    "File",
    "Listed",
    "LoadedArtefact",
    "Manifest",
    "Stamp",
    "check_features",
    "current",
    "history",
    "library_versions",
    "list_artefacts",
    "load",
    "promote",
    "put",
    "rollback",
    "show",
    "stamp",
    "verify",
]
