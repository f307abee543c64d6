"""The day-one scorecard: an expert's tables, read from a TOML file a team can edit."""

import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

from models.errors import SettingsError
from models.features import FEATURES
from models.scorecard import Scorecard, Target, Term

STATUS = "expert prior, uncalibrated"
_SETTINGS = ("status", "base_rate_churn", "base_rate_silent")


@dataclass(frozen=True)
class Expert:
    """An expert's tables (uncentred log-odds) and the base rates to assume before anything has been counted."""

    terms: tuple[Term, ...]
    base_rate_churn: float
    base_rate_silent: float

    def scorecard(self, target: Target) -> Scorecard:
        """The tables as a scorecard of one target, its base the assumed base rate's log-odds."""
        rate = self.base_rate_churn if target == "churn" else self.base_rate_silent
        return Scorecard(target, math.log(rate / (1 - rate)), self.terms)


def load(path: Path | None = None) -> Expert:
    """Read an expert's file, or the one that comes with the product. Raises `SettingsError` naming what is wrong."""
    try:
        text = (
            path.read_text("utf-8") if path else resources.files("training").joinpath("expert.toml").read_text("utf-8")
        )
        declared = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"The expert weights are not valid TOML: {error}.") from None
    unknown = [name for name in declared if name not in FEATURES.names and name not in _SETTINGS]
    if unknown:
        raise SettingsError(f"The expert weights name {unknown[0]!r}, which is no feature; see docs/features.md.")
    rates = [_rate(declared, name) for name in _SETTINGS[1:]]
    if rates[1] > rates[0]:
        raise SettingsError("The expert weights let more customers leave silently than leave at all.")
    if declared.get("status", STATUS) != STATUS:
        raise SettingsError(f"What an expert says has the status {STATUS!r} until exits are counted; leave that line.")
    terms = tuple(_term(name, table) for name, table in declared.items() if name not in _SETTINGS)
    for term in terms:
        _moves_as_declared(term)
    return Expert(terms, *rates)


def _rate(declared: dict[str, Any], name: str) -> float:
    rate = declared.get(name)
    if not isinstance(rate, float) or not 0 < rate < 1:
        raise SettingsError(f"The expert weights need {name} between 0 and 1.")
    return rate


def _term(name: str, table: Any) -> Term:
    kind = FEATURES[name].basis.kind
    wanted = {"line": "line", "steps": "steps", "category": "text"}[kind]
    if not isinstance(table, dict) or wanted not in table:
        raise SettingsError(f"The expert weights must give {name!r} as `{wanted} = ...`; it is a {kind} feature.")
    known = {wanted, "missing", *(("edges",) if kind == "steps" else ())}
    if strange := sorted(set(table) - known):
        raise SettingsError(
            f"The expert weights of {name!r} say {strange[0]!r}; they may say {', '.join(sorted(known))}."
        )
    missing = _number(table.get("missing", 0.0), name)
    if kind == "category":
        texts = table["text"]
        if not isinstance(texts, dict):
            raise SettingsError(f"The expert weights must give {name!r} as `text = {{ a = 0.1, b = -0.2 }}`.")
        values = tuple(_number(value, name) for value in texts.values())
        return Term(name, kind, categories=tuple(texts), values=values, missing=missing)
    if kind == "steps":
        edges, steps = _numbers(table.get("edges", []), name), _numbers(table["steps"], name)
        return Term(name, kind, edges, (), steps, missing)
    points = [_numbers(point, name) for point in table["line"]] if isinstance(table["line"], list) else [()]
    if not all(len(point) == 2 for point in points):
        raise SettingsError(f"The expert weights must give {name!r} as points, `line = [[0.0, 0.1], [5.0, 0.4]]`.")
    return Term(name, kind, tuple(x for x, _ in points), (), tuple(value for _, value in points), missing)


def _numbers(values: Any, name: str) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise SettingsError(f"The expert weights of {name!r} hold {values!r} where a list of numbers belongs.")
    return tuple(_number(value, name) for value in values)


def _number(value: Any, name: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise SettingsError(f"The expert weights of {name!r} hold {value!r} where a number belongs.")
    return float(value)


def _moves_as_declared(term: Term) -> None:
    """The catalogue's directions hold for everybody's tables, an expert's too."""
    feature = FEATURES[term.feature]
    for direction in {feature.churn, feature.silent} - {0} if term.kind != "category" else ():
        if any(direction * (after - before) < 0 for before, after in pairwise(term.values)):
            way = "raises" if direction > 0 else "lowers"
            raise SettingsError(
                f"The expert weights of {term.feature!r} go against its declared direction: more of it {way} the risk; "
                "let them move that way only, or leave the feature out."
            )
