"""Reasons of one account told quickly: the sentences of `models.reasons`, word for word, from compiled templates.

Reading a format string costs more than filling it in. A service that tells fifty reasons per request reads each
feature's sentence once, at the first request.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any

from models.features import FEATURES, Feature
from models.health import POINTS_PER_LOG_ODD, Floats
from models.model import ChurnModel
from models.reasons import _SAID, Reason, _chosen, _renewal
from models.scorecard import PairTerm, Scorecard, Term

Row = Mapping[str, Any]
_Part = tuple[str, str | None, Callable[[Any], str]]


def tell(
    model: ChurnModel,
    card: Scorecard,
    contributions: Floats,
    row: Row,
    top: int | None = None,
    *,
    harmful_only: bool = False,
) -> list[Reason]:
    """One account's reasons as `models.reasons.reasons` chooses and tells them, the strongest first.

    `contributions` (terms,) is its line of `card.contributions`; `row` its features and, where known, the facts they
    quote.
    """
    usual = model.usual_in(row.get("segment"))
    quoted = {**row, "renewal": _renewal(row)}
    terms = card.all_terms
    chosen = _chosen(contributions, top, harmful_only=harmful_only)
    return [_reason(terms[i], float(contributions[i]), quoted, usual) for i in chosen]


def _reason(term: Term | PairTerm, log_odds: float, row: Row, usual: Mapping[str, float]) -> Reason:
    points = -POINTS_PER_LOG_ODD * log_odds + 0.0
    names = term.features
    feature = FEATURES[names[0]]
    if len(names) > 1:
        both = [FEATURES[name] for name in names]
        label = " x ".join(one.label for one in both)
        words = " together with ".join(_sentence(one, row) for one in both)
        return Reason(
            term.name, label, feature.component, points, log_odds, None, None, f"{words}: {points:+.1f} points"
        )
    common = usual.get(feature.name)
    compared = _usual(feature, common)
    words = _sentence(feature, row)
    if compared:
        words = f"{words}; {compared}"
    return Reason(
        feature.name,
        feature.label,
        feature.component,
        points,
        log_odds,
        row.get(feature.name),
        common,
        f"{words}: {points:+.1f} points",
    )


def _sentence(feature: Feature, row: Row) -> str:
    value = row.get(feature.name)
    if value is None:
        return f"{feature.label}: unknown"
    try:
        return _filled(_compiled(feature.sentence), row)
    except (KeyError, TypeError):
        return f"{feature.label}: {value if isinstance(value, str) else f'{value:.3g}'}"


def _usual(feature: Feature, common: float | None) -> str:
    if not feature.usual or ("{" in feature.usual and common is None):
        return ""
    return _filled(_compiled(feature.usual), {"": common})


def _filled(parts: Sequence[_Part], row: Row) -> str:
    words = []
    for literal, name, said in parts:
        words.append(literal)
        if name is not None:
            value = row[name]
            if value is None:
                raise TypeError("A number is unknown.")
            words.append(said(value))
    return "".join(words)


@cache
def _compiled(template: str) -> tuple[_Part, ...]:
    return tuple((literal, name, _saying(spec or "")) for literal, name, spec, _ in Formatter().parse(template))


def _saying(spec: str) -> Callable[[Any], str]:
    said = _SAID.get(spec)
    if said is not None:
        return lambda value: said(float(value))
    return lambda value: format(value, spec)
