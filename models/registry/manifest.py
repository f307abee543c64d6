"""What an artefact says about itself: `manifest.json`.

The manifest lists every other file with its SHA-256 and size, and the model id ends in the hash of the
manifest: whoever changes a file must change the manifest, and then its name. That shows damage and careless
edits; against somebody who can write to the store it takes the signature, for which a field is reserved.

Protocol 1 is this file's form. Any change of it, or of what `model.joblib` holds, that an older reader would
misunderstand gets the next number, and the reader of the old one stays.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from importlib.metadata import version
from platform import python_version
from typing import Any

from models.clock import isoformat, parse_instant
from models.errors import ArtefactError, FeatureMismatch, NaiveTime, UnsafeArtefact

PROTOCOL = 1
MANIFEST = "manifest.json"
MODEL = "model.joblib"

_MODEL_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Left out of the hash in the model id: the id itself, and the signature that is made over it.
_NOT_HASHED = ("model_id", "signature")
#: Came later than the first artefacts of this protocol: absent from a manifest that does not say them.
_LATER = ("data_hash", "command", "config")


@dataclass(frozen=True)
class Facts:
    """What training knows about the model it made.

    `status`: in words, for people ("expert prior, uncalibrated"). `phase`: P0 to P3, or `table`. `features`: name ->
    fingerprint of each feature's definition, in the order the model was fitted on. `data_range`: first and
    last moment of the history (ISO 8601), None where no history was used. `label`: the label's parameters.
    `thresholds`, `metrics`: JSON values. `versions`: of the libraries at work. `seed`, `git_revision`: None
    where there is none. What it takes to make the model again: `data_hash`, SHA-256 of what was learnt from;
    `command`, the arguments as typed; `config`, everything the run was told (JSON values); None where nobody said.
    """

    status: str
    phase: str
    features: Mapping[str, str]
    p_ref: float
    label: Mapping[str, Any]
    data_range: tuple[str, str] | None = None
    thresholds: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    git_revision: str | None = None
    data_hash: str | None = None
    command: Sequence[str] | None = None
    config: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class File:
    """One file of an artefact: its SHA-256 in hexadecimal and its size in bytes."""

    sha256: str
    size: int

    @classmethod
    def of(cls, content: bytes) -> "File":
        """The entry for a file with this content."""
        return cls(hashlib.sha256(content).hexdigest(), len(content))


@dataclass(frozen=True)
class Manifest(Facts):
    """The facts, and what the registry adds when it stores an artefact."""

    protocol: int = PROTOCOL
    model_id: str = ""
    created_at: str = ""
    files: Mapping[str, File] = field(default_factory=dict)
    signature: str | None = None

    @classmethod
    def of(cls, facts: Facts, created_at: datetime, files: Mapping[str, File]) -> "Manifest":
        """The manifest of a new artefact; its id is the moment of creation and the content's hash."""
        check_moment(created_at)
        known = {item.name: getattr(facts, item.name) for item in fields(Facts)}
        draft = cls(**known, created_at=isoformat(created_at), files=dict(files))
        return cls(**{**vars(draft), "model_id": draft.proper_id()})

    def to_json(self) -> bytes:
        """The content of `manifest.json`. Raises `ArtefactError` for facts that are not JSON values."""
        entries = {name: value for name, value in asdict(self).items() if name not in _LATER or value is not None}
        try:
            return json.dumps(entries, indent=2, allow_nan=False, ensure_ascii=False).encode() + b"\n"
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"The facts about a model must be JSON values: {error}.") from error

    def digest(self) -> str:
        """SHA-256 of the manifest without its id and signature, in hexadecimal."""
        content = json.loads(self.to_json())
        hashed = {name: value for name, value in content.items() if name not in _NOT_HASHED}
        text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def proper_id(self) -> str:
        """The id an artefact with this manifest has: its moment, so that ids sort by age, and its hash."""
        moment = parse_instant(self.created_at).strftime("%Y%m%dT%H%M%SZ")
        return f"{moment}-{self.digest()[:8]}"

    @classmethod
    def from_json(cls, content: bytes, model_id: str) -> "Manifest":
        """Read the manifest of the artefact `model_id`.

        Raises `ArtefactError` for another protocol or form, `UnsafeArtefact` where it is not the manifest
        the id was made for or names files it must not.
        """
        try:
            entries = json.loads(content)
        except ValueError as error:
            raise ArtefactError(f"The manifest of {model_id} is not JSON: {error}.") from error
        except RecursionError:
            raise ArtefactError(f"The manifest of {model_id} is nested too deeply.") from None
        _check_protocol(entries, model_id)
        manifest = _read(cls, entries, model_id)
        if not manifest.model_id == model_id == manifest.proper_id():
            raise UnsafeArtefact(f"The manifest of {model_id} was changed after the artefact was made.")
        return manifest


def check_moment(moment: datetime) -> datetime:
    """The moment itself. Raises `NaiveTime` where it has no offset."""
    if moment.tzinfo is None:
        raise NaiveTime(f"The moment {moment.isoformat()} has no offset, so it is not known when it was.")
    return moment


def check_model_id(model_id: str) -> str:
    """The id itself. Raises `ArtefactError` unless it has the form of one: it becomes a directory's name."""
    if not _MODEL_ID.fullmatch(model_id):
        raise ArtefactError(f"{model_id!r} is not a model id; those look like 20261121T093000Z-1a2b3c4d.")
    return model_id


def is_model_id(name: str) -> bool:
    """Whether a directory of this name holds an artefact."""
    return _MODEL_ID.fullmatch(name) is not None


def check_file_name(name: str) -> str:
    """The name itself. Raises `UnsafeArtefact` unless it is that of a file in the artefact's own directory."""
    if not _FILE_NAME.fullmatch(name) or name == MANIFEST:
        raise UnsafeArtefact(f"An artefact cannot have a file named {name!r}.")
    return name


def check_features(manifest: Manifest, names: Sequence[str], fingerprints: Mapping[str, str]) -> None:
    """Raise `FeatureMismatch`, with the differences by name, unless the model was fitted on these definitions.

    `names` are the features this code computes, `fingerprints` the hash of each one's definition.
    """
    fitted = manifest.features
    differences = {
        "missing here": [name for name in fitted if name not in names],
        "new here": [name for name in names if name not in fitted],
        "defined differently": [name for name in names if name in fitted and fitted[name] != fingerprints[name]],
    }
    if any(differences.values()):
        shown = "; ".join(f"{what}: {', '.join(found)}" for what, found in differences.items() if found)
        raise FeatureMismatch(
            f"The model {manifest.model_id} was fitted on other features than this version computes ({shown}); "
            "retrain it, or run the version it was made with."
        )


def library_versions(*names: str) -> dict[str, str]:
    """The Python version and those of the named distributions, as installed."""
    return {"python": python_version(), **{name: version(name) for name in names}}


def _check_protocol(entries: Any, model_id: str) -> None:
    found = entries.get("protocol") if isinstance(entries, dict) else None
    if type(found) is not int:
        raise ArtefactError(f"The manifest of {model_id} states no protocol.")
    if found != PROTOCOL:
        raise ArtefactError(
            f"The artefact {model_id} is of protocol {found} and this version reads protocol {PROTOCOL}; "
            f"{'upgrade the program' if found > PROTOCOL else 'retrain the model'}."
        )


def _read(cls: type[Manifest], entries: dict[str, Any], model_id: str) -> Manifest:
    entries = {**dict.fromkeys(_LATER), **entries}
    expected = {item.name for item in fields(cls)}
    wrong = sorted(expected.symmetric_difference(entries))
    if wrong:
        raise ArtefactError(f"The manifest of {model_id} has a missing or unknown entry {wrong[0]!r}.")
    for name, kinds in _KINDS.items():
        if not isinstance(entries[name], kinds) or isinstance(entries[name], bool):
            raise ArtefactError(f"The entry {name!r} in the manifest of {model_id} is of the wrong type.")
    files = {check_file_name(name): _file(entry, name) for name, entry in entries["files"].items()}
    if MODEL not in files:
        raise ArtefactError(f"The manifest of {model_id} lists no {MODEL}.")
    _check_created_at(entries["created_at"], model_id)
    data_range = entries["data_range"]
    return cls(**{**entries, "files": files, "data_range": tuple(data_range) if data_range else None})


def _check_created_at(text: str, model_id: str) -> None:
    try:
        parse_instant(text)
    except (ValueError, NaiveTime) as error:
        raise ArtefactError(f"The manifest of {model_id} was created at {text!r}, which is no instant.") from error


_KINDS: dict[str, tuple[type, ...]] = {
    "model_id": (str,),
    "created_at": (str,),
    "status": (str,),
    "phase": (str,),
    "features": (dict,),
    "files": (dict,),
    "label": (dict,),
    "thresholds": (dict,),
    "metrics": (dict,),
    "versions": (dict,),
    "p_ref": (int, float),
    "data_range": (list, type(None)),
    "seed": (int, type(None)),
    "git_revision": (str, type(None)),
    "data_hash": (str, type(None)),
    "command": (list, type(None)),
    "config": (dict, type(None)),
    "signature": (str, type(None)),
}


def _file(entry: Any, name: str) -> File:
    try:
        found = File(**entry)
    except TypeError as error:
        raise ArtefactError(f"The manifest's entry for {name} is not a hash and a size.") from error
    if type(found.sha256) is not str or not _SHA256.fullmatch(found.sha256):
        raise ArtefactError(f"The manifest's SHA-256 of {name} is not one.")
    if type(found.size) is not int or found.size < 0:
        raise ArtefactError(f"The manifest's size of {name} is not one.")
    return found
