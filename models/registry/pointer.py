"""Which artefact is in service: `<root>/current`, and `<root>/history.jsonl` of who put it there, when and why.

`current` holds the latest change as JSON and is replaced as a whole; the history gets the same change as one
more line. A change counts from the moment `current` is replaced. Should the process die before the line is
written, the next change writes it first, and `history` shows it meanwhile, so no change is ever lost.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from models.clock import isoformat
from models.errors import ArtefactError
from models.registry import artefacts
from models.registry.artefacts import verify
from models.registry.files import append_synced, locked, replace_file, truncate_torn_line
from models.registry.manifest import Manifest, check_model_id, check_moment
from models.registry.signing import SigningKey, Trust

CURRENT = "current"
HISTORY = "history.jsonl"
_LOCK = ".lock"
_ANYBODY = Trust()

#: Changes whenever `current` does; None where nothing is in service.
Stamp = tuple[int, int, int] | None


@dataclass(frozen=True)
class Change:
    """One change of the model in service. `number` counts from 1; `previous` is None for the first."""

    number: int
    action: str
    model_id: str
    previous: str | None
    who: str
    when: str
    why: str


def promote(root: Path, model_id: str, who: str, when: datetime, why: str, trust: Trust = _ANYBODY) -> Change:
    """Put an artefact in service. Promoting the one in service changes nothing and returns its change.

    Raises `ArtefactError` (or its kin) for an artefact that does not verify and where `who` or `why` is empty.
    """
    verify(root, check_model_id(model_id), trust)
    with locked(root / _LOCK):
        changes = _settled(root)
        if changes and changes[-1].model_id == model_id:
            return changes[-1]
        return _change(root, changes, "promote", model_id, who, when, why)


def rollback(root: Path, who: str, when: datetime, why: str, trust: Trust = _ANYBODY) -> Change:
    """Put back the artefact that was in service before the current one, one promotion per call.

    Raises `ArtefactError` where there is none or it no longer verifies, and where `who` or `why` is empty.
    """
    with locked(root / _LOCK):
        changes = _settled(root)
        served = _served(changes)
        if len(served) < 2:
            raise ArtefactError("There is no earlier model to go back to.")
        verify(root, served[-2], trust)
        return _change(root, changes, "rollback", served[-2], who, when, why)


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


def _change(
    root: Path, changes: Sequence[Change], action: str, model_id: str, who: str, when: datetime, why: str
) -> Change:
    if not who.strip() or not why.strip():
        raise ArtefactError("A change of the model in service needs to say who makes it and why.")
    previous = changes[-1].model_id if changes else None
    change = Change(len(changes) + 1, action, model_id, previous, who, isoformat(check_moment(when)), why)
    try:
        replace_file(root / CURRENT, _line(change))
        append_synced(root / HISTORY, _line(change))
    except OSError as error:
        raise ArtefactError(f"The artefact store {root} cannot be changed: {error.strerror}.") from error
    return change


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
    """The complete lines of the history; a line still being written has no end yet."""
    try:
        content = (root / HISTORY).read_bytes()
    except FileNotFoundError:
        return []
    return [_read(line, HISTORY) for line in content.split(b"\n")[:-1]]


def _line(change: Change) -> bytes:
    return json.dumps(asdict(change), ensure_ascii=False).encode() + b"\n"


def _read(content: bytes, name: str) -> Change:
    try:
        entries: Any = json.loads(content)
        change = Change(**entries)
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"The file {name} of the artefact store is damaged: {error}.") from error
    texts = (change.action, change.model_id, change.who, change.when, change.why)
    if type(change.number) is not int or not all(isinstance(value, str) for value in texts):
        raise ArtefactError(f"The file {name} of the artefact store is damaged: a value is of the wrong type.")
    check_model_id(change.model_id)
    return change
