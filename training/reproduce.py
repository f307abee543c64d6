"""Making an artefact again from what its manifest says, and comparing the two byte by byte."""

import textwrap
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from models import registry
from models.clock import parse_instant
from models.errors import ArtefactError
from models.history import History
from training import artefact
from training import config as configs
from training.fingerprint import history_hash
from training.previous import as_recorded
from training.train import Config, Trained, train

#: Differing numbers that are told one by one.
_MOST_TOLD = 5


def reproduce(
    root: Path,
    model_id: str,
    history: History,
    trust: registry.Trust,
    progress: Callable[[str], None] = lambda _: None,
    revision: str | None = None,
) -> list[str]:
    """Train again as the artefact was trained, and say in sentences what differs; nothing: all files and numbers are
    identical. `revision`: of the code that trains now.

    Raises `ArtefactError` for an artefact that does not verify, or that does not say how it was made.
    """
    manifest = manifest_of(root, model_id, trust)
    if "column" in manifest.label:
        raise ArtefactError(f"The artefact {model_id} learnt from a wide table; name the file: --table FILE.")
    given = dict(manifest.config or {})
    cutoff = parse_instant(given.pop("as_of"))
    progress("comparing the data")
    if told := other_data(manifest, history_hash(history.known_at(cutoff))):
        return told
    with TemporaryDirectory() as folder:
        config = configs.from_plain(given, Path(folder))
        who, when = vouched(manifest)
        served = as_recorded(root, manifest.metrics.get("previous"), trust)
        trained = train(history, cutoff, config, progress, who=who, when=when, previous=served)
        return compared(manifest, trained, config, Path(folder), revision)


def manifest_of(root: Path, model_id: str, trust: registry.Trust) -> registry.Manifest:
    """The manifest of an artefact that verifies and says how it was made. Raises `ArtefactError`."""
    manifest = registry.load(root, model_id, trust).manifest
    if manifest.config is None or manifest.data_hash is None:
        raise ArtefactError(f"The artefact {model_id} does not say how it was made; it is older than such records.")
    return manifest


def other_data(manifest: registry.Manifest, found: str) -> list[str]:
    """What is to be said of data with this hash: nothing if the artefact learnt from them."""
    learnt = manifest.data_hash or ""
    if found == learnt:
        return []
    return [f"The data are not those it learnt from (SHA-256 {found[:12]}..., not {learnt[:12]}...)."]


def compared(
    manifest: registry.Manifest, trained: Trained, config: Config, folder: Path, revision: str | None
) -> list[str]:
    """What an artefact made anew has that the stored one has not, in sentences; `folder` is for the new one."""
    made, then = parse_instant(manifest.created_at), manifest.git_revision
    again = artefact.save(trained, folder, made, config, then, command=manifest.command)
    told = list(differences(manifest, registry.show(folder, again)))
    if told and revision != then:
        told.append(f"It may be the code: its revision is {revision} instead of {then}.")
    return told


def vouched(manifest: registry.Manifest) -> tuple[str, datetime | None]:
    """Who overruled the leakage guard then, and when: part of the record, so part of the repetition."""
    overrides = manifest.metrics.get("leakage", {}).get("overrides", [])
    return (overrides[0]["who"], parse_instant(overrides[0]["when"])) if overrides else ("", None)


def differences(old: registry.Manifest, new: registry.Manifest) -> Iterator[str]:
    """What the second artefact has that the first has not, in sentences; library versions only beside others."""
    files = sorted({*old.files, *new.files})
    told = [f"{name} differs." for name in files if old.files.get(name) != new.files.get(name)]
    numbers = [
        f"{place} is {_short(after)} instead of {_short(before)}."
        for entry in ("status", "phase", "p_ref", "label", "thresholds", "features", "metrics", "config")
        for place, before, after in _leaves(entry, getattr(old, entry), getattr(new, entry))
    ]
    told += numbers[:_MOST_TOLD]
    if len(numbers) > _MOST_TOLD:
        told.append(f"{len(numbers) - _MOST_TOLD} more values differ.")
    yield from told
    if told:
        for place, before, after in _leaves("versions", old.versions, new.versions):
            yield f"It may be the libraries: {place.removeprefix('versions.')} is {after} instead of {before}."


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60, placeholder=" ...")


def _leaves(place: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every value that differs, with its place."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            yield from _leaves(f"{place}.{key}", before.get(key), after.get(key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _leaves(f"{place}[{i}]", one, other)
    elif before != after:
        yield place, before, after
