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
    text = path.read_text("utf-8") if path else resources.files("training").joinpath("expert.toml").read_text("utf-8")
    try:
        declared = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"The expert weights are not valid TOML: {error}.") from None
    unknown = [name for name in declared if name not in FEATURES.names and name not in _SETTINGS]
    if unknown:
        raise SettingsError(f"The expert weights name {unknown[0]!r}, which is no feature; see docs/features.md.")
    rates = [_rate(declared, name) for name in _SETTINGS[1:]]
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
    missing = float(table.get("missing", 0.0))
    if kind == "category":
        texts = table["text"]
        return Term(name, kind, categories=tuple(texts), values=tuple(map(float, texts.values())), missing=missing)
    if kind == "steps":
        return Term(name, kind, tuple(table.get("edges", ())), (), tuple(map(float, table["steps"])), missing)
    points = [(float(x), float(value)) for x, value in table["line"]]
    return Term(name, kind, tuple(x for x, _ in points), (), tuple(value for _, value in points), missing)


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
