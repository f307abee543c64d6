"""Reasons in words: what moved an account's score, with its own number and what is usual for its segment.

    3 of 9 contacts in 90 days were repeats within 7 days; usual is 1 in 9: -4.1 points

A reason's points are the scorecard's own table value in health points (ten double the odds), so all of an
account's reasons add up to its score; nothing is estimated after the fact.
"""

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from models.features import FEATURES, Feature
from models.features.commercial import MONTHLY
from models.health import points as health_points
from models.model import ChurnModel, columns
from models.scorecard import PairTerm, Scorecard, Target, Term

#: Reasons that move the score by less are not told among the first.
LEAST_POINTS = 0.05


@dataclass(frozen=True)
class Reason:
    """One term's part in a score. `points`: health points, negative where it raises the risk; `log_odds`: the same in
    log-odds of the target; `value` and `usual`: the account's number or text and its segment's mean (None: unknown)."""

    feature: str
    label: str
    component: str
    points: float
    log_odds: float
    value: float | str | None
    usual: float | None
    sentence: str

    def to_plain(self) -> dict[str, Any]:
        """As a dict for JSON."""
        return asdict(self)


def reasons(
    model: ChurnModel,
    features: pl.DataFrame,
    target: Target,
    top: int | None = None,
    *,
    harmful_only: bool = False,
) -> list[list[Reason]]:
    """Per row of `features` (with facts, where known) its reasons, the strongest first.

    Without `top` all terms are told, so that 50 plus their points is the unclipped health (target churn) and the base
    plus their log-odds the score's log-odds. `harmful_only` keeps those that raise the risk.
    """
    card: Scorecard = getattr(model, target)
    contributions = card.contributions(columns(features))
    rows = features.to_dicts()
    return [
        [
            _reason(model, card.all_terms[i], float(line[i]), row)
            for i in _chosen(line, top, harmful_only=harmful_only)
        ]
        for line, row in zip(contributions, rows, strict=True)
    ]


def _chosen(line: np.ndarray, top: int | None, *, harmful_only: bool) -> Sequence[int]:
    order = np.argsort(-line if harmful_only else -np.abs(line), kind="stable")
    if top is None and not harmful_only:
        return [int(i) for i in order]
    least = -LEAST_POINTS / health_points(1.0)
    told = [int(i) for i in order if (line[i] if harmful_only else abs(line[i])) >= least]
    return told[:top]


def _reason(model: ChurnModel, term: Term | PairTerm, log_odds: float, row: Mapping[str, Any]) -> Reason:
    feature: Feature = FEATURES[term.features[0]]
    points = float(health_points(log_odds)) + 0.0
    usual = model.usual_in(row.get("segment")).get(feature.name)
    if len(term.features) > 1:
        both = [FEATURES[name] for name in term.features]
        told = " together with ".join(_sentence(one, row) for one in both)
        return Reason(
            term.name,
            " x ".join(one.label for one in both),
            feature.component,
            points,
            log_odds,
            None,
            None,
            f"{told}: {points:+.1f} points",
        )
    compared = _usual(feature, usual)
    sentence = "; ".join(part for part in (_sentence(feature, row), compared) if part)
    return Reason(
        feature.name,
        feature.label,
        feature.component,
        points,
        log_odds,
        row.get(feature.name),
        usual,
        f"{sentence}: {points:+.1f} points",
    )


def _sentence(feature: Feature, row: Mapping[str, Any]) -> str:
    if row.get(feature.name) is None:
        return f"{feature.label}: unknown"
    try:
        return _WORDS.vformat(feature.sentence, (), {**row, "renewal": _renewal(row)})
    except (KeyError, TypeError):
        # A caller who sends features alone has no facts to quote: the feature's own number then speaks.
        value = row[feature.name]
        return f"{feature.label}: {value if isinstance(value, str) else f'{value:.3g}'}"


def _usual(feature: Feature, usual: float | None) -> str:
    if not feature.usual or ("{" in feature.usual and usual is None):
        return ""
    return _WORDS.vformat(feature.usual, (usual,), {})


def _renewal(row: Mapping[str, Any]) -> str:
    days = row.get("days_to_renewal")
    if days is None:
        return "no renewal date known"
    if days == MONTHLY:
        return "on a monthly plan, free to leave every month"
    return f"renewal in {days:.0f} days"


class _Words(string.Formatter):
    """Formats numbers the way people say them: n (a count), odds (1 in 9), ratio (of a logarithm, 2.3 times),
    days and money (of a logarithm of 1 + x)."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            raise TypeError("A number is unknown.")
        said = _SAID.get(format_spec)
        return said(float(value)) if said else format(value, format_spec)


def _odds(share: float) -> str:
    if share < 0.005:
        return "almost none"
    return f"1 in {1 / share:.0f}" if share <= 0.4 else f"{share:.0%}"


_SAID = {
    "n": lambda value: f"{value:.0f}",
    "odds": _odds,
    "ratio": lambda value: f"{math.exp(value):.1f} times" if math.exp(value) < 10 else f"{math.exp(value):.0f} times",
    "days": lambda value: f"{math.expm1(value):.0f} days",
    "money": lambda value: f"{math.expm1(value):,.0f}",
}
_WORDS = _Words()
