"""What both doors share: cells out of JSON, and rows into files of an export."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: File of an export -> its rows, every cell text or unknown.
Files = dict[str, list[dict[str, str | None]]]
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def member(value: Any, *path: str) -> Any:
    """A member within members; None where there is none."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def text(value: Any) -> str | None:
    """A cell: text and whole numbers as they are, everything else unknown. What no file and no database holds, half a
    character (a text cut within an emoji) or NUL, becomes the sign for an unreadable one."""
    if isinstance(value, str):
        told = value.replace("\0", _UNREADABLE).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return told if told.strip() else None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def write_files(folder: Path, files: Files, columns: Mapping[str, tuple[str, ...]]) -> None:
    """One CSV file per file of the export; those of `columns` without rows have their header, so that a mapping finds
    them."""
    for name, names in columns.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(files.get(name, []))


#: Stands for words that are not kept: that something was said matters where what was said does not.
SAID = "\N{HORIZONTAL ELLIPSIS}"


def redacted(value: Any, private: frozenset[str]) -> Any:
    """The same with `SAID` for the texts under these names."""
    if isinstance(value, dict):
        kept = {name: SAID if _said(name, part, private) else part for name, part in value.items()}
        return {name: redacted(part, private) for name, part in kept.items()}
    if isinstance(value, list):
        return [redacted(part, private) for part in value]
    return value


def _said(name: str, part: Any, private: frozenset[str]) -> bool:
    return name in private and isinstance(part, str) and bool(part.strip())
