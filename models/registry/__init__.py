"""The artefact registry: models stored, listed, verified, put in service and taken out again.

    model_id = put(root, model.to_plain(), facts, created_at, {"CARD.md": card})
    promote(root, model_id, who="ana", when=now(), why="better lift on the last two folds")
    artefact = load(root, current(root).model_id)

`artefacts` holds the store, `plain` the reader that cannot run code, `manifest` what an artefact says about
itself, `signing` who vouches for it, `pointer` the model in
service, `rules` what speaks against putting one there, `comparisons` what is known of two.
"""

from models.registry.artefacts import Listed, LoadedArtefact, check_writable, list_artefacts, load, put, show, verify
from models.registry.comparisons import Comparison, keep, latest
from models.registry.manifest import PROTOCOL, Facts, File, Manifest, check_features, library_versions
from models.registry.pointer import Change, Stamp, current, events, history, promote, rollback, sign, stamp
from models.registry.rules import objections, same_recipe
from models.registry.signing import SigningKey, Standing, Trust, create_key

__all__ = [
    "PROTOCOL",
    "Change",
    "Comparison",
    "Facts",
    "File",
    "Listed",
    "LoadedArtefact",
    "Manifest",
    "SigningKey",
    "Stamp",
    "Standing",
    "Trust",
    "check_features",
    "check_writable",
    "create_key",
    "current",
    "events",
    "history",
    "keep",
    "latest",
    "library_versions",
    "list_artefacts",
    "load",
    "objections",
    "promote",
    "put",
    "rollback",
    "same_recipe",
    "show",
    "sign",
    "stamp",
    "verify",
]
