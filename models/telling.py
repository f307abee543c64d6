"""Reasons of one account told quickly: the sentences of `models.reasons`, word for word, from compiled templates.

Reading a format string costs more than filling it in, and what is usual in a segment is the same for all its
accounts. A service that tells fifty reasons per request does both once per model.
"""

from collections.abc import Callable, Mapping, Sequence
from string import Formatter
from typing import Any, NamedTuple

from models.features import FEATURES, Feature
from models.health import POINTS_PER_LOG_ODD
from models.model import ChurnModel
from models.reasons import _SAID, LEAST_POINTS, _renewal, _usual
from models.scorecard import PairTerm, Scorecard, Target, Term

Row = Mapping[str, Any]
_Say = Callable[[Row], str]
_LEAST = LEAST_POINTS / POINTS_PER_LOG_ODD


class Subject(NamedTuple):
    """What a reason is about: as `models.reasons.Reason` has it. `value`: the feature whose value is shown, if one."""

    feature: str
    label: str
    component: str
    value: str | None


class Told(NamedTuple):
    """One reason; `term` is its place among the scorecard's terms, the rest as in `models.reasons.Reason`."""

    term: int
    points: float
    log_odds: float
    value: float | str | None
    usual: float | None
    sentence: str


class Teller:
    """Tells the reasons of one target of a model."""

    def __init__(self, model: ChurnModel, target: Target) -> None:
        card: Scorecard = getattr(model, target)
        self._model = model
        self.subjects = [_subject(term) for term in card.all_terms]
        self._says = [_says(term) for term in card.all_terms]
        self._usual: dict[str | None, list[tuple[float | None, str]]] = {}

    def tell(
        self, contributions: Sequence[float], row: Row, top: int | None = None, *, harmful_only: bool = False
    ) -> list[Told]:
        """The reasons as `models.reasons.reasons` chooses and words them, the strongest first.

        `contributions` are the scorecard's for `row`: the features and, where known, the facts they quote.
        """
        usual = self._usual_in(row.get("segment"))
        found = []
        for i in _chosen(contributions, top, harmful_only=harmful_only):
            amount = contributions[i]
            points = -POINTS_PER_LOG_ODD * amount + 0.0
            common, compared = usual[i]
            name = self.subjects[i].value
            value = None if name is None else row.get(name)
            found.append(
                Told(i, points, amount, value, common, f"{self._says[i](row)}{compared}: {points:+.1f} points")
            )
        return found

    def _usual_in(self, segment: str | None) -> list[tuple[float | None, str]]:
        known = segment if segment in self._model.usual else None
        if known not in self._usual:
            values = self._model.usual_in(known)
            self._usual[known] = [_compared(subject.value, values) for subject in self.subjects]
        return self._usual[known]


def _chosen(contributions: Sequence[float], top: int | None, *, harmful_only: bool) -> list[int]:
    order = sorted(
        range(len(contributions)),
        key=(lambda i: -contributions[i]) if harmful_only else (lambda i: -abs(contributions[i])),
    )
    if top is None and not harmful_only:
        return order
    return [i for i in order if (contributions[i] if harmful_only else abs(contributions[i])) >= _LEAST][:top]


def _subject(term: Term | PairTerm) -> Subject:
    features = [FEATURES[name] for name in term.features]
    label = " x ".join(feature.label for feature in features)
    return Subject(term.name, label, features[0].component, term.name if len(features) == 1 else None)


def _says(term: Term | PairTerm) -> _Say:
    says = [_sentence(FEATURES[name]) for name in term.features]
    if len(says) == 1:
        return says[0]
    return lambda row: " together with ".join(say(row) for say in says)


def _compared(name: str | None, usual: Mapping[str, float]) -> tuple[float | None, str]:
    if name is None:
        return None, ""
    text = _usual(FEATURES[name], usual.get(name))
    return usual.get(name), f"; {text}" if text else ""


def _sentence(feature: Feature) -> _Say:
    name, unknown, label = feature.name, f"{feature.label}: unknown", feature.label
    parts = [
        (literal, field or "", None if field is None else _saying(spec or ""))
        for literal, field, spec, _ in Formatter().parse(feature.sentence)
    ]

    def say(row: Row) -> str:
        value = row.get(name)
        if value is None:
            return unknown
        try:
            words = ""
            for literal, field, said in parts:
                words += literal
                if said is not None:
                    words += said(row[field]) if field != "renewal" else _renewal(row)
        except (KeyError, TypeError):
            # A caller who sends features alone has no facts to quote: the feature's own number then speaks.
            return f"{label}: {value if isinstance(value, str) else f'{value:.3g}'}"
        return words

    return say


def _saying(spec: str) -> Callable[[Any], str]:
    said: Callable[[float], str] | None = _SAID.get(spec)
    if said is not None:
        words = said
        return lambda value: words(float(value))
    if spec:
        return lambda value: format(value, spec)
    return _as_it_is


def _as_it_is(value: Any) -> str:
    if value is None:
        raise TypeError("A number is unknown.")
    return format(value)
