"""What comparing two models found: `<root>/comparisons.jsonl`, one line each, so that a promotion can rest on it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from models.errors import ArtefactError
from models.registry.files import append_synced, locked, truncate_torn_line
from models.registry.manifest import check_model_id

COMPARISONS = "comparisons.jsonl"
_LOCK = ".lock"

Verdict = Literal["better", "worse", "tie", "too_little"]
#: forward: both as stored, on rows after both were trained. folds: both configurations on the same forward folds.
How = Literal["forward", "folds"]
_FLIPPED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better", "tie": "tie", "too_little": "too_little"}


@dataclass(frozen=True)
class Comparison:
    """`verdict` is about the challenger; `sentence` says it. `gains`: target -> metric -> {value, low, high}, above
    zero where the challenger is better. `rows`, `exits`: how much it rests on (accounts that left silently)."""

    champion: str
    challenger: str
    how: How
    verdict: Verdict
    sentence: str
    gains: Mapping[str, Any]
    rows: int
    exits: int
    data_hash: str
    when: str
    who: str


def keep(root: Path, comparison: Comparison) -> None:
    """Remember a comparison. Raises `ArtefactError` where the store cannot be written."""
    check_model_id(comparison.champion)
    check_model_id(comparison.challenger)
    line = json.dumps(asdict(comparison), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with locked(root / _LOCK):
        try:
            truncate_torn_line(root / COMPARISONS)
            append_synced(root / COMPARISONS, line)
        except OSError as error:
            raise ArtefactError(f"The artefact store {root} cannot be changed: {error.strerror}.") from error


def comparisons(root: Path) -> list[Comparison]:
    """Every comparison, oldest first."""
    try:
        lines = (root / COMPARISONS).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    return [_read(line) for line in lines]


def latest(root: Path, champion: str, challenger: str) -> Comparison | None:
    """The last comparison of these two that could tell anything, seen from the challenger; None where there is none."""
    for found in reversed(comparisons(root)):
        if {found.champion, found.challenger} == {champion, challenger} and found.verdict != "too_little":
            return found if found.champion == champion else _turned(found)
    return None


def _turned(found: Comparison) -> Comparison:
    """The same, with the verdict about the other; its sentence speaks of the challenger, who is named."""
    told = f"The challenger was {found.challenger}. {found.sentence}"
    return replace(found, verdict=_FLIPPED[found.verdict], sentence=told)


def _read(line: bytes) -> Comparison:
    try:
        found = Comparison(**json.loads(line))
    except (TypeError, ValueError) as error:
        raise ArtefactError(f"The file {COMPARISONS} of the artefact store is damaged: {error}.") from error
    if found.verdict not in _FLIPPED:
        raise ArtefactError(
            f"The file {COMPARISONS} of the artefact store is damaged: {found.verdict!r} is no verdict."
        )
    return found
