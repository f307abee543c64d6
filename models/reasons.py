"""Reasons in words: what moved an account's score, with its own number and what is usual for its segment.

    3 of 9 contacts in 90 days were repeats within 7 days; usual is 1 in 9: -4.1 points

A reason's points are the scorecard's own table value in health points (ten double the odds), so all of an
account's reasons add up to its score; nothing is estimated after the fact.

Reading a format string costs more than filling it in, and what is usual in a segment is the same for all its
accounts: a `Teller` does both once per model, and one account's fifty reasons take microseconds each.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from string import Formatter
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from models.features.commercial import MONTHLY
from models.health import POINTS_PER_LOG_ODD, Floats
from models.model import ChurnModel, columns
from models.schema import Column, Schema
from models.scorecard import Target
from models.terms import AnyTerm

#: Reasons that move the score by less are not told among the first.
LEAST_POINTS = 0.05

Row = Mapping[str, Any]
_Say = Callable[[Row], str]
_LEAST = LEAST_POINTS / POINTS_PER_LOG_ODD
_OF_NOTHING = re.compile(r"\b0 of (the )?0\b|\bin 0 |\bfor 0 issues")


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
    card = model.card(target)
    teller = Teller(model, target)
    contributions = card.contributions(columns(features, model.columns))
    chosen = _all_chosen(contributions, top, harmful_only=harmful_only)
    return [
        [teller.reason(told) for told in teller.tell_of(terms, line, row)]
        for terms, line, row in zip(chosen, contributions.tolist(), features.iter_rows(named=True), strict=True)
    ]


class Subject(NamedTuple):
    """What a reason is about: as `Reason` has it. `value`: the feature whose value is shown, if one."""

    feature: str
    label: str
    component: str
    value: str | None


class Told(NamedTuple):
    """One reason; `term` is its place among the scorecard's terms, the rest as in `Reason`."""

    term: int
    points: float
    log_odds: float
    value: float | str | None
    usual: float | None
    sentence: str


class Teller:
    """Tells the reasons of one target of a model."""

    def __init__(self, model: ChurnModel, target: Target) -> None:
        card = model.card(target)
        self._model = model
        self.subjects = [_subject(term, model.columns) for term in card.all_terms]
        self._says = [_says(term, model.columns) for term in card.all_terms]
        self._usual: dict[str | None, list[tuple[float | None, str]]] = {}

    def tell(
        self, contributions: Sequence[float], row: Row, top: int | None = None, *, harmful_only: bool = False
    ) -> list[Told]:
        """One account's reasons, the strongest first; `top` and `harmful_only` as for `reasons`.

        `contributions` are the scorecard's for `row`: the features and, where known, the facts they quote.
        """
        return self.tell_of(_chosen(contributions, top, harmful_only=harmful_only), contributions, row)

    def tell_of(self, terms: Sequence[int], contributions: Sequence[float], row: Row) -> list[Told]:
        """One account's reasons of these terms (places among the scorecard's), in their order."""
        usual = self._usual_in(row.get("segment"))
        found = []
        for i in terms:
            amount = contributions[i]
            points = -POINTS_PER_LOG_ODD * amount + 0.0
            said = round(points, 1) + 0.0  # a rounded nothing has no sign
            common, compared = usual[i]
            name = self.subjects[i].value
            value = None if name is None else row.get(name)
            found.append(Told(i, points, amount, value, common, f"{self._says[i](row)}{compared}: {said:+.1f} points"))
        return found

    def reason(self, told: Told) -> Reason:
        """A told reason with what it is about."""
        subject = self.subjects[told.term]
        return Reason(subject.feature, subject.label, subject.component, *told[1:])

    def _usual_in(self, segment: str | None) -> list[tuple[float | None, str]]:
        known = segment if segment in self._model.usual else None
        if known not in self._usual:
            values = self._model.usual_in(known)
            self._usual[known] = [_compared(subject.value, values, self._model.columns) for subject in self.subjects]
        return self._usual[known]


def _chosen(contributions: Sequence[float], top: int | None, *, harmful_only: bool) -> list[int]:
    order = sorted(
        range(len(contributions)),
        key=(lambda i: -contributions[i]) if harmful_only else (lambda i: -abs(contributions[i])),
    )
    if top is None and not harmful_only:
        return order
    return [i for i in order if (contributions[i] if harmful_only else abs(contributions[i])) >= _LEAST][:top]


def _all_chosen(contributions: Floats, top: int | None, *, harmful_only: bool) -> list[list[int]]:
    """`_chosen` of every row of (n, terms)."""
    keys = -contributions if harmful_only else -np.abs(contributions)
    order = np.argsort(keys, axis=1, kind="stable")
    if top is None and not harmful_only:
        every: list[list[int]] = order.tolist()
        return every
    counts = np.count_nonzero(keys <= -_LEAST, axis=1)
    return [row[:count] for row, count in zip(order[:, :top].tolist(), counts.tolist(), strict=True)]


def _subject(term: AnyTerm, schema: Schema) -> Subject:
    columns = [schema[name] for name in term.features]
    label = " x ".join(column.label for column in columns)
    return Subject(term.name, label, columns[0].component, term.name if len(columns) == 1 else None)


def _says(term: AnyTerm, schema: Schema) -> _Say:
    says = [_sentence(schema[name]) for name in term.features]
    if len(says) == 1:
        return says[0]
    return lambda row: " together with ".join(say(row) for say in says)


def _compared(name: str | None, usual: Mapping[str, float], schema: Schema) -> tuple[float | None, str]:
    if name is None:
        return None, ""
    text = _usual(schema[name], usual.get(name))
    return usual.get(name), f"; {text}" if text else ""


def _sentence(column: Column) -> _Say:
    name, unknown, label = column.name, f"{column.label}: unknown", column.label
    parts = [
        (literal, name if field == "value" else field or "", None if field is None else _saying(spec or ""))
        for literal, field, spec, _ in Formatter().parse(column.sentence)
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
        # A share of nothing says nothing about the account: it is taken to be as usual.
        return f"{label}: nothing to go by" if _OF_NOTHING.search(words) else words

    return say


def _usual(column: Column, usual: float | None) -> str:
    if not column.usual or ("{" in column.usual and usual is None):
        return ""
    parts = Formatter().parse(column.usual)
    return "".join(literal + ("" if field is None else _saying(spec or "")(usual)) for literal, field, spec, _ in parts)


def _renewal(row: Row) -> str:
    days = row.get("days_to_renewal")
    if days is None:
        return "no renewal date known"
    if days == MONTHLY:
        return "on a monthly plan, free to leave every month"
    return f"renewal in {days:.0f} days"


def _saying(spec: str) -> Callable[[Any], str]:
    """How a number is said, by the format after its colon: those of `_SAID`, `# noun` for so many of something, or
    Python's own."""
    if spec.startswith("#"):
        noun = spec[1:].strip()
        return lambda value: f"{float(value):.0f} {noun}{'' if round(float(value)) == 1 else 's'}"
    said = _SAID.get(spec)
    if said is not None:
        return lambda value: said(float(value))
    if spec:
        return lambda value: format(value, spec)
    return _as_it_is


def _as_it_is(value: Any) -> str:
    if value is None:
        raise TypeError("A number is unknown.")
    return str(value)


def _odds(share: float) -> str:
    if share < 0.005:
        return "almost none"
    return f"1 in {1 / share:.0f}" if share <= 0.4 else f"{share:.0%}"


def _ratio(logarithm: float) -> str:
    times = math.exp(logarithm)
    return f"{times:.1f} times" if times < 10 else f"{times:.0f} times"


def _plain(value: float) -> str:
    """A number nobody knows more about: three digits that matter, whole ones in full."""
    if value == round(value) or abs(value) >= 100:
        return f"{value + 0.0:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1e-3 else f"{value:.1e}"


#: n: a count; odds: 1 in 9; ratio, days and money: of a logarithm (the latter two of 1 + x); plain: any number.
_SAID: dict[str, Callable[[float], str]] = {
    "n": lambda value: f"{value:.0f}",
    "plain": _plain,
    "share": lambda value: f"{value:.0%}",
    "ago": lambda value: f"{value:,.0f} days ago" if value >= 0 else f"in {-value:,.0f} days",
    "yes": lambda value: "yes" if value >= 0.5 else "no",
    "odds": _odds,
    "ratio": _ratio,
    "days": lambda value: f"{math.expm1(value):.0f} days",
    "money": lambda value: f"{math.expm1(value):,.0f}",
}
