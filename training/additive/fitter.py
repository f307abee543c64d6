"""Fit an additive scorecard on plain columns: members, their blend, one table per set of features.

    linear    straight lines, penalised            for what is nearly linear, and for few rows
    boosted   explainable boosting with pairs      for steps and bends
    trees     boosted trees of depth three         for what three features do together
    deep      boosted trees of many leaves         for what two or three do in narrow spans, given many rows

Every member is fitted on the same bags, each of which leaves two parts of the groups out: on one it stops, on the
other it is judged, and there members are weighted and calibrated (`blend`). Nothing is set per table.
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

from models.errors import EbbtideError
from models.health import expit
from models.scorecard import Scorecard, Target
from training.additive import blend as blending
from training.additive.bags import deal
from training.additive.boosted import Boosted
from training.additive.columns import Column, Columns, learn
from training.additive.directions import check, directed
from training.additive.linear import Linear
from training.additive.member import Material, Member
from training.additive.parts import Part, merged, purified, scorecard
from training.additive.trees import Deep, Trees

Floats = npt.NDArray[np.float64]
Progress = Callable[[str], None]

#: Member -> how it is fitted; the simplest first.
MEMBERS: dict[str, Callable[[Material], Member]] = {
    "linear": Linear,
    "boosted": Boosted,
    "trees": Trees,
    "deep": Deep,
}
#: Member -> the rows below which it is not fitted: trees of many leaves then tell chance, and cost time.
LEAST_ROWS = {"deep": 20_000}
FINE, COARSE = 128, 32
#: Fewer groups with an event (or with none) than this leave bags that nothing can be learned from.
LEAST_GROUPS = 20


class Estimator:
    """The blend by its members' own library objects: for data scientists, and to check the scorecard against."""

    def __init__(self, members: Sequence[Member], blend: blending.Blend) -> None:
        self.members, self.blend = list(members), blend

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) log-odds."""
        total = np.full(len(next(iter(columns.values()))), self.blend.intercept)
        for member, weight in zip(self.members, self.blend.weights, strict=True):
            if weight > 0:
                total = total + weight * member.log_odds(columns)
        return total

    def predict_proba(self, columns: Columns) -> Floats:
        """(n, 2) probabilities of staying and of leaving."""
        p = expit(self.log_odds(columns))
        return np.column_stack([1 - p, p])


@dataclass(frozen=True)
class Fitted:
    """The scorecard, what it was read from, and how it came about (plain numbers and texts)."""

    card: Scorecard
    estimator: Estimator
    report: dict[str, Any]


def fit(
    columns: Columns,
    y: npt.NDArray[Any],
    groups: npt.NDArray[Any],
    *,
    directions: Mapping[str, int] = MappingProxyType({}),
    target: Target = "churn",
    seed: int = 0,
    members: Sequence[str] = tuple(MEMBERS),
    progress: Progress = lambda _: None,
) -> Fitted:
    """Fit `columns` (name -> (n,) float64 with NaN, or texts with None, for missing) to labels `y` (n,) of 0 and 1.

    Rows of one of `groups` (n,) stay together in every bag. `directions`: column -> 1 where the risk may only rise
    with it, -1 where only fall: the scorecard keeps to it (`directions`), the estimator's own objects do not.
    `members`: which of `MEMBERS` to fit and weigh; those of `LEAST_ROWS` only where there are as many rows. Raises
    `EbbtideError` where there is nothing to learn from.
    """
    labels = np.asarray(y, dtype=np.float64)
    codes = np.unique(groups, return_inverse=True)[1]
    learned, left_out = learn(columns, FINE, COARSE)
    _check(labels, codes, learned, members)
    members = [member for member in members if len(labels) >= LEAST_ROWS.get(member, 0)]
    check(directions, learned, columns)
    bags = how_many_bags(len(labels))
    material = Material(columns, tuple(learned), labels, deal(labels, codes, bags, seed), bags, seed)
    fitted = _together(members, material, progress)
    blend, compared = blending.choose(np.column_stack([member.held_out for member in fitted]), labels, codes)
    progress("writing one scorecard")
    card = _card(target, fitted, blend, material, directions)
    about = {
        name: {"weight": weight, **member.about}
        for name, weight, member in zip(members, blend.weights.tolist(), fitted, strict=True)
    }
    report = {
        "bags": bags,
        "left_out": left_out,
        "directions": dict(directions),
        "members": about,
        "held_out_loss": blend.loss,
        "compared": compared,
        "slope": float(blend.weights.sum()),
        "intercept": blend.intercept,
    }
    return Fitted(card, Estimator(fitted, blend), report)


def _check(y: Floats, groups: npt.NDArray[np.intp], learned: Sequence[Column], members: Sequence[str]) -> None:
    rarer = min(len(np.unique(groups[y == outcome])) for outcome in (0, 1))
    if rarer < LEAST_GROUPS:
        raise EbbtideError(f"Boosting needs {LEAST_GROUPS} groups with either outcome; here one outcome has {rarer}.")
    if not learned:
        raise EbbtideError("Every column holds a single value or rare texts only; there is nothing to learn from.")
    if not members or not set(members) <= set(MEMBERS):
        raise EbbtideError(
            f"The members of a fit are some of {', '.join(MEMBERS)}, not {', '.join(members) or 'none'}."
        )
    least = min(LEAST_ROWS.get(member, 0) for member in members)
    if len(y) < least:
        raise EbbtideError(
            f"{' and '.join(members)} is fitted from {least:,} rows on; here are {len(y):,}. Name other members, too."
        )


def _together(names: Sequence[str], material: Material, progress: Progress) -> list[Member]:
    """Fit the members at the same time, as many as there are cores: their libraries work outside the interpreter."""

    def one(name: str) -> Member:
        progress(f"fitting {name} on {material.bags} bags of {len(material.y):,} rows")
        return MEMBERS[name](material)

    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        # The booster tells of missing values, which have their own bin.
        warnings.filterwarnings("ignore", category=UserWarning, module="interpret")
        return list(pool.map(one, names))


def how_many_bags(rows: int) -> int:
    """Many where rows are few: each then keeps little away from learning, and the mean of many is steady."""
    return 10 if rows < 10_000 else 8 if rows < 30_000 else 5


def _card(
    target: Target,
    members: Sequence[Member],
    blend: blending.Blend,
    material: Material,
    directions: Mapping[str, int],
) -> Scorecard:
    """One table per set of features, centred on the rows, moving as declared."""
    used = [(member, weight) for member, weight in zip(members, blend.weights, strict=True) if weight > 0]
    # Where no member told strangers apart, all weights are 0, and everybody has the base rate.
    bases = np.full(material.bags, blend.intercept)
    for member, weight in used:
        bases = bases + weight * member.bases
    free = merged(part.weighted(weight) for member, weight in used for part in member.parts)
    columns, order = material.columns, material.learned
    bound = directed(free, directions, columns)
    card = scorecard(target, bases, _told(bound, columns), order)
    if any(directions.values()):
        # What a projection adds or takes on average goes back into the base.
        card = with_mean_risk(card, columns, _mean_risk(scorecard(target, bases, free, order), columns))
    return card.centred(card.means(columns))


def _told(parts: Sequence[Part], columns: Columns) -> list[Part]:
    """The parts with every feature's own effect in its own table, and no edge that separates nothing."""
    split = [purified(part, columns) if len(part.features) > 1 else [part] for part in parts]
    return [part.pruned() for part in merged(piece for pieces in split for piece in pieces)]


def _mean_risk(card: Scorecard, columns: Columns) -> float:
    return float(expit(card.log_odds(columns)).mean())


def with_mean_risk(card: Scorecard, columns: Columns, risk: float) -> Scorecard:
    """The scorecard with its base moved so that the mean probability of the rows is `risk`."""
    log_odds = card.log_odds(columns)
    shift = float(brentq(lambda moved: float(expit(log_odds + moved).mean()) - risk, -30.0, 30.0))
    return replace(card, base=card.base + shift, base_replicates=tuple(base + shift for base in card.base_replicates))
