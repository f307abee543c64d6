"""The training configuration: a TOML file with the few things a run may be told."""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from models.errors import SettingsError
from models.labels import LabelParams
from training.train import Config

_PLAIN = ("every_days", "blocks", "groups", "seed")


def load(path: Path | None) -> Config:
    """Read a configuration; without a file, the defaults. Raises `SettingsError` naming what is wrong."""
    if path is None:
        return Config()
    try:
        declared = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration {path.name} is not valid TOML: {error}.") from None
    _known(declared, (*_PLAIN, "expert", "label"), path.name)
    plain = {name: _whole(declared[name], name) for name in _PLAIN if name in declared}
    label = declared.get("label", {})
    _known(label, tuple(field.name for field in fields(LabelParams)), f"[label] of {path.name}")
    params = LabelParams(**{name: _whole(value, name) for name, value in label.items()})
    expert = path.parent / declared["expert"] if "expert" in declared else None
    return Config(**plain, label=params, expert=expert)


def _known(declared: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(declared) - set(names))
    if unknown:
        raise SettingsError(f"{where} sets {unknown[0]!r}; it may set {', '.join(names)}.")


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SettingsError(f"{name} must be a whole number, 0 or more.")
    return value
