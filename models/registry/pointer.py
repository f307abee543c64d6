"""Which artefact is in service: `<root>/current`, and `<root>/history.jsonl` of who put it there, when and why.

What speaks against a promotion (`rules`) refuses it, which `<root>/refusals.jsonl` keeps, unless it is forced; then the
change keeps what it was forced over. Rolling back is never refused for what a model is worth.

`current` holds the latest change as JSON and is replaced as a whole; the history gets the same change as one
more line. A change counts from the moment `current` is replaced. Should the process die before the line is
written, the next change writes it first, and `history` shows it meanwhile, so no change is ever lost.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from models.clock import isoformat
from models.errors import ArtefactError, PromotionRefused
from models.registry import artefacts
from models.registry.artefacts import verify
from models.registry.comparisons import latest
from models.registry.files import append_synced, locked, replace_file, truncate_torn_line
from models.registry.manifest import Manifest, check_model_id, check_moment
from models.registry.rules import objections
from models.registry.signing import SigningKey, Trust

CURRENT = "current"
HISTORY = "history.jsonl"
REFUSALS = "refusals.jsonl"
_LOCK = ".lock"
_ANYBODY = Trust()

#: Changes whenever `current` does; None where nothing is in service.
Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Change:
    """One change of the model in service. `number` counts from 1; `previous` is None for the first. `objections`: what
    it was forced over.

    A refused promotion has the action `refuse`, the number of the change it came after, and changed nothing.
    """

    number: int
    action: str
    model_id: str
    previous: str | None
    who: str
    when: str
    why: str
    objections: tuple[str, ...] = ()


def promote(
    root: Path,
    model_id: str,
    who: str,
    when: datetime,
    why: str,
    trust: Trust = _ANYBODY,
    *,
    force: bool = False,
) -> Change:
    """Put an artefact in service. Promoting the one in service changes nothing and returns its change.

    Raises `PromotionRefused` where something speaks against it (`rules.objections`) and `force` is not given, and
    `ArtefactError` (or its kin) for an artefact that does not verify and where `who` or `why` is empty.
    """
    new = verify(root, check_model_id(model_id), trust)
    _check_said(who, why)
    at = isoformat(check_moment(when))
    with locked(root / _LOCK):
        changes = _settled(root)
        served = changes[-1].model_id if changes else None
        if served == model_id:
            return changes[-1]
        found = _objections(root, new, served)
        if found and not force:
            refused = Change(len(changes), "refuse", model_id, served, who, at, why, found)
            truncate_torn_line(root / REFUSALS)
            _append(root, REFUSALS, refused)
            raise PromotionRefused(f"{model_id} is not put in service: {'; '.join(found)}; --force does so anyway.")
        return _change(root, Change(len(changes) + 1, "promote", model_id, served, who, at, why, found))


def rollback(
    root: Path,
    who: str,
    when: datetime,
    why: str,
    trust: Trust = _ANYBODY,
    opened: Callable[[str], object] | None = None,
) -> Change:
    """Put back the artefact that was in service before the current one, one promotion per call.

    `opened`: tries whether an artefact, by its id, can serve; what it raises leaves everything as it is. Raises
    `ArtefactError` where there is none or it no longer verifies, and where `who` or `why` is empty.
    """
    _check_said(who, why)
    at = isoformat(check_moment(when))
    with locked(root / _LOCK):
        changes = _settled(root)
        served = _served(changes)
        if len(served) < 2:
            raise ArtefactError("There is no earlier model to go back to.")
        verify(root, served[-2], trust)
        if opened is not None:
            opened(served[-2])
        return _change(root, Change(len(changes) + 1, "rollback", served[-2], served[-1], who, at, why))


def sign(root: Path, model_id: str, signer: SigningKey) -> Manifest:
    """Vouch for a stored artefact: its signature is replaced, nothing else. A service that refused it looks again.
    Errors as for `verify`."""
    signed = artefacts.sign(root, model_id, signer)
    with locked(root / _LOCK):
        served = current(root)
        if served is not None and served.model_id == model_id:
            replace_file(root / CURRENT, _line(served))
    return signed


def current(root: Path) -> Change | None:
    """The change that put the model in service there, or None where there is none."""
    try:
        content = (root / CURRENT).read_bytes()
    except FileNotFoundError:
        return None
    return _read(content, CURRENT)


def stamp(root: Path) -> Stamp:
    """Something that differs once `current` was replaced; costs one look at the directory entry."""
    try:
        status = (root / CURRENT).stat()
    except FileNotFoundError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def history(root: Path) -> list[Change]:
    """Every change, oldest first."""
    latest = current(root)  # before the lines: a change made in between then has its line
    changes = _written(root)
    if latest is not None and latest.number > len(changes):
        changes.append(latest)
    return changes


def events(root: Path) -> list[Change]:
    """Every change and every refusal, oldest first."""
    refused = [_read(line, REFUSALS) for line in _lines(root / REFUSALS)]
    return sorted([*history(root), *refused], key=lambda change: (change.number, change.action == "refuse"))


def _check_said(who: str, why: str) -> None:
    if not who.strip() or not why.strip():
        raise ArtefactError("A change of the model in service needs to say who makes it and why.")


def _objections(root: Path, new: Manifest, served: str | None) -> tuple[str, ...]:
    """What speaks against the new model. One in service that cannot be read is none to be worse than."""
    manifest = None
    if served is not None:
        with suppress(ArtefactError):
            manifest = verify(root, served)
    comparison = None if manifest is None else latest(root, manifest.model_id, new.model_id)
    return tuple(objections(new, manifest, comparison))


def _change(root: Path, change: Change) -> Change:
    try:
        replace_file(root / CURRENT, _line(change))
    except OSError as error:
        raise ArtefactError(f"The artefact store {root} cannot be changed: {error.strerror}.") from error
    _append(root, HISTORY, change)
    return change


def _append(root: Path, name: str, change: Change) -> None:
    try:
        append_synced(root / name, _line(change))
    except OSError as error:
        raise ArtefactError(f"The artefact store {root} cannot be changed: {error.strerror}.") from error


def _settled(root: Path) -> list[Change]:
    """The history, after writing what a process that died left unwritten. Only under the lock."""
    truncate_torn_line(root / HISTORY)
    changes = history(root)
    if len(changes) > len(_written(root)):
        append_synced(root / HISTORY, _line(changes[-1]))
    return changes


def _served(changes: Sequence[Change]) -> list[str]:
    """The models one can go back through, the current one last: promotions add one, rollbacks remove one."""
    served: list[str] = []
    for change in changes:
        if change.action == "promote":
            served.append(change.model_id)
        else:
            served.pop()
    return served


def _written(root: Path) -> list[Change]:
    """The changes whose lines are complete."""
    return [_read(line, HISTORY) for line in _lines(root / HISTORY)]


def _lines(path: Path) -> list[bytes]:
    """The complete lines of a file; a line still being written has no end yet."""
    try:
        return path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


def _line(change: Change) -> bytes:
    entries = asdict(change)
    if not change.objections:
        del entries["objections"]  # as it was written before there were any
    return json.dumps(entries, ensure_ascii=False).encode() + b"\n"


def _read(content: bytes, name: str) -> Change:
    try:
        entries: Any = json.loads(content)
        change = Change(**{**entries, "objections": tuple(entries.get("objections", ()))})
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtefactError(f"The file {name} of the artefact store is damaged: {error}.") from error
    texts = (change.action, change.model_id, change.who, change.when, change.why, *change.objections)
    if type(change.number) is not int or not all(isinstance(value, str) for value in texts):
        raise ArtefactError(f"The file {name} of the artefact store is damaged: a value is of the wrong type.")
    check_model_id(change.model_id)
    return change
