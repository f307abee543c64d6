"""The artefact store: one immutable directory per model below a root.

    <root>/20261121T093000Z-1a2b3c4d/
        manifest.json     what it is, with the hash of every other file
        model.joblib      plain values; all that serving needs
        estimator.joblib  the fitted objects, for data scientists; never opened here
        report.html       CARD.md

The manifest's signature is checked first, by whom the deployment trusts; then the hash of every file; then the very
bytes that were hashed are read as plain values.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models.errors import ArtefactError, UnsafeArtefact
from models.registry.files import opened_directory, publish_directory, read_within, replace_file
from models.registry.manifest import (
    MANIFEST,
    MODEL,
    Facts,
    File,
    Manifest,
    check_file_name,
    check_model_id,
    is_model_id,
)
from models.registry.plain import dumps, loads
from models.registry.signing import SigningKey, Trust

_LARGEST_MANIFEST = 16 * 1024**2
#: Asks for no signature.
_ANYBODY = Trust()


@dataclass(frozen=True)
class LoadedArtefact:
    """A verified artefact: what `model.joblib` holds and what the manifest says."""

    plain: dict[str, Any]
    manifest: Manifest


@dataclass(frozen=True)
class Listed:
    """One line of the store's list; `manifest` is None where `problem` says why it cannot be read."""

    model_id: str
    manifest: Manifest | None
    problem: str | None


def check_writable(root: Path) -> None:
    """Before long work: whether an artefact could be stored below `root`, which is not made. Raises `ArtefactError`."""
    try:
        there = next(path for path in (root, *root.absolute().parents) if path.exists())
        with TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        raise _not_stored(root, error) from error


def _not_stored(root: Path, error: OSError) -> ArtefactError:
    return ArtefactError(f"The artefact cannot be stored in {root}: {error.strerror}.")


def put(
    root: Path,
    plain: dict[str, Any],
    facts: Facts,
    created_at: datetime,
    files: Mapping[str, bytes | Path] | None = None,
    signer: SigningKey | None = None,
) -> str:
    """Store an artefact and return its model id.

    `plain`: what `model.joblib` is to hold. `files`: further files by name, as content or as a path to copy
    from. `signer`: who vouches for it. The same content and moment give the same id, and storing it again changes
    nothing. A crash leaves no artefact, or the whole one. Raises `ArtefactError` for values or names that cannot be
    stored.
    """
    contents = {check_file_name(name): _content(source) for name, source in (files or {}).items()}
    if MODEL in contents:
        raise ArtefactError(f"{MODEL} is written from the plain values and cannot be passed as a file.")
    contents = {MODEL: dumps(plain), **contents}
    loads(contents[MODEL])
    manifest = Manifest.of(facts, created_at, {name: File.of(content) for name, content in contents.items()})
    manifest = _signed(manifest, signer) if signer else manifest
    contents[MANIFEST] = manifest.to_json()
    Manifest.from_json(contents[MANIFEST], manifest.model_id)
    try:
        root.mkdir(parents=True, exist_ok=True)
        fresh = publish_directory(root / manifest.model_id, contents)
    except OSError as error:
        raise _not_stored(root, error) from error
    if not fresh and verify(root, manifest.model_id).digest() != manifest.digest():
        raise ArtefactError(f"Another artefact is already stored as {manifest.model_id}; train again.")
    return manifest.model_id


def list_artefacts(root: Path) -> list[Listed]:
    """Every artefact below the root, oldest first. A missing root holds none."""
    if not root.is_dir():
        return []
    return [_listed(root, name) for name in sorted(path.name for path in root.iterdir()) if is_model_id(name)]


def show(root: Path, model_id: str) -> Manifest:
    """The manifest of an artefact, whose other files are not looked at. Errors as for `verify`."""
    with opened_directory(root / check_model_id(model_id)) as directory:
        return _manifest(directory, model_id)


def verify(root: Path, model_id: str, trust: Trust = _ANYBODY) -> Manifest:
    """Check that an artefact is trusted and holds the files its manifest lists, unchanged, and no others.

    Raises `UnsafeArtefact` for a signature that is bad, or missing where one is required, and naming the first file
    that differs; `ArtefactError` where there is no such artefact or it is of another protocol.
    """
    with opened_directory(root / check_model_id(model_id)) as directory:
        return _verified(directory, model_id, trust)[0]


def load(root: Path, model_id: str, trust: Trust = _ANYBODY) -> LoadedArtefact:
    """Verify an artefact, then read its model. Errors as for `verify`, and `UnsafeArtefact` for a model file
    that is not plain."""
    with opened_directory(root / check_model_id(model_id)) as directory:
        manifest, content = _verified(directory, model_id, trust)
    return LoadedArtefact(loads(content), manifest)


def sign(root: Path, model_id: str, signer: SigningKey) -> Manifest:
    """Vouch for a stored artefact: its signature is replaced, nothing else. Errors as for `verify`."""
    signed = _signed(verify(root, model_id), signer)
    try:
        replace_file(root / model_id / MANIFEST, signed.to_json(), drafts=root, mode=0o444)
    except OSError as error:
        raise ArtefactError(f"The artefact {model_id} cannot be signed in {root}: {error.strerror}.") from error
    return signed


def _signed(manifest: Manifest, signer: SigningKey) -> Manifest:
    return replace(manifest, signature=signer.sign(manifest))


def _listed(root: Path, model_id: str) -> Listed:
    try:
        return Listed(model_id, show(root, model_id), None)
    except ArtefactError as error:
        return Listed(model_id, None, str(error))


def _manifest(directory: int, model_id: str) -> Manifest:
    return Manifest.from_json(read_within(directory, MANIFEST, at_most=_LARGEST_MANIFEST), model_id)


def _verified(directory: int, model_id: str, trust: Trust) -> tuple[Manifest, bytes]:
    """The manifest, and the content of the model file, which are the bytes that were hashed."""
    manifest = _manifest(directory, model_id)
    trust.check(manifest)
    strangers = sorted(set(os.listdir(directory)) - {MANIFEST, *manifest.files})
    if strangers:
        raise UnsafeArtefact(f"The artefact {model_id} holds {strangers[0]!r}, which its manifest does not list.")
    model = b""
    for name, file in manifest.files.items():
        content = read_within(directory, name, size=file.size)
        if File.of(content) != file:
            raise UnsafeArtefact(f"The file {name} of {model_id} is not the one its manifest was made for.")
        model = content if name == MODEL else model
    return manifest, model


def _content(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise ArtefactError(f"The file {source} cannot be added to the artefact: {error.strerror}.") from error
