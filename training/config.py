"""The training configuration: a TOML file with the few things a run may be told, kept whole in the artefact."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from models.errors import ArtefactError, SettingsError
from models.features import COMPONENTS
from models.labels import LabelParams
from training.deployment import Deployment
from training.measures import Declared
from training.profit import ProfitParams
from training.tables.declare import TableConfig, of_column, of_table
from training.train import Config

_PLAIN = ("every_days", "blocks", "groups", "seed", "capacity")
#: Of the assumptions about profit; the margin is a setting of the deployment.
_PROFIT = ("accepted", "incentive", "contact_cost", "months")
#: Kept by their content, since their place on a machine says nothing elsewhere.
_FILES = ("expert",)


def load(path: Path | None, margin: float = 1.0) -> Config:
    """Read a configuration; without a file, the defaults. `margin` is the deployment's (`EBBTIDE_MARGIN`).

    Raises `SettingsError` naming what is wrong.
    """
    if path is None:
        return Config(profit=ProfitParams(margin=margin))
    try:
        declared = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The configuration {path.name} is not valid TOML: {error}.") from None
    return read(declared, path.name, path.parent, margin)


def read(declared: dict[str, Any], where: str, folder: Path, margin: float = 1.0) -> Config:
    """A configuration from what a file declares. `where` names it in errors; paths are relative to `folder`.
    `margin` is the deployment's."""
    tables = ("label", "measures", "profit", "deployment", "table", "columns")
    _known(declared, (*_PLAIN, "allow_leak", "expert", *tables), where)
    plain: dict[str, Any] = {name: _whole(declared[name], name) for name in _PLAIN if name in declared}
    label = _table(declared, "label", "the label")
    _known(label, tuple(field.name for field in fields(LabelParams)), f"[label] of {where}")
    params = LabelParams(**{name: _whole(value, name) for name, value in label.items()})
    expert = folder / _file(declared["expert"], "expert") if "expert" in declared else None
    measures = {name: _measure(name, entry) for name, entry in _tables(declared, "measures").items()}
    allowed = _texts(declared.get("allow_leak", []), "allow_leak")
    money = _table(declared, "profit", "what a call costs and brings")
    _known(money, _PROFIT, f"[profit] of {where}")
    profit = ProfitParams(**{name: _number(value, name) for name, value in money.items()}, margin=margin)
    columns = {name: of_column(name, entry) for name, entry in _tables(declared, "columns").items()}
    table = of_table(_table(declared, "table", "a wide table"), columns)
    met = _table(declared, "deployment", "the deployment")
    _known(met, tuple(field.name for field in fields(Deployment)), f"[deployment] of {where}")
    more: dict[str, Any] = {"measures": measures, "profit": profit, "deployment": Deployment(**met), "table": table}
    return Config(**plain, label=params, expert=expert, allow_leak=allowed, **more)


def _table(declared: dict[str, Any], name: str, of: str) -> dict[str, Any]:
    found = declared.get(name, {})
    if not isinstance(found, dict):
        raise SettingsError(f"Write what is declared of {of} as a table: [{name}].")
    return found


def _tables(declared: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    found = declared.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(entry, dict) for entry in found.values()):
        raise SettingsError(f"Write what is declared of {name} as tables: [{name}.NAME].")
    return found


def _measure(name: str, declared: dict[str, Any]) -> Declared:
    where = f"[measures.{name}]"
    _known(declared, tuple(field.name for field in fields(Declared)), where)
    _among(declared, "direction", (-1, 0, 1), where)
    _among(declared, "component", COMPONENTS, where)
    _among(declared, "use", (True, False), where)
    for key in ("label", "unit"):
        if not isinstance(declared.get(key, ""), str):
            raise SettingsError(f"{where} needs a text as {key}.")
    return Declared(**declared)


def _among(declared: dict[str, Any], key: str, choices: tuple[Any, ...], where: str) -> None:
    value = declared.get(key, choices[0])
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        shown = ", ".join(str(choice).lower() for choice in choices)
        raise SettingsError(f"{where} sets {key} to {value!r}; it is one of {shown}.")


def _known(declared: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(declared) - set(names))
    if unknown:
        raise SettingsError(f"{where} sets {unknown[0]!r}; it may set {', '.join(names)}.")


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise SettingsError(f"{name} must be a whole number, 0 or more.")
    return value


def _file(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f'{name} must name a file, as in {name} = "{name}.toml".')
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"{name} must be a list of texts.")
    return tuple(value)


def to_plain(config: Config) -> dict[str, Any]:
    """The configuration as JSON values, with the content of the files it names."""
    return {item.name: _plain(getattr(config, item.name)) for item in fields(config)}


def from_plain(plain: Mapping[str, Any], folder: Path) -> Config:
    """The inverse of `to_plain`; the files are written to `folder`. What an older version did not know has its default.

    Raises `ArtefactError` for what this version does not know.
    """
    unknown = sorted(set(plain) - {item.name for item in fields(Config)})
    if unknown:
        raise ArtefactError(f"The artefact was trained with {unknown[0]!r}, which this version does not know.")
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    for name in _FILES:
        if given.get(name) is not None:
            path = folder / f"{name}.toml"
            path.write_text(given[name], "utf-8")
            given[name] = path
    if "label" in given:
        given["label"] = LabelParams(**given["label"])
    if "deployment" in given:
        given["deployment"] = Deployment(**given["deployment"])
    if "profit" in given:
        given["profit"] = ProfitParams(**given["profit"])
    if "measures" in given:
        given["measures"] = {name: Declared(**said) for name, said in given["measures"].items()}
    if "table" in given:
        given["table"] = TableConfig.from_plain(given["table"])
    return Config(**given)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Path):
        return value.read_text("utf-8")
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise SettingsError(f"{name} must be a finite number.")
    return float(value)
