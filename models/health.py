"""From log-odds to what people read: probabilities, health, components, bands, trend and confidence.

    health = clip(50 - (10 / ln 2) * (logit p_churn - logit p_ref), 0, 100)

50 is the reference risk frozen at training; every ten points halve or double the odds of leaving. Worked
with p_ref = 4.3 % in 90 days:

    health     70     60     50     40     30     20
    p_churn   1.1 %  2.2 %  4.3 %  8.2 %  15.2 %  26.4 %

The churn scorecard is additive, so health is too: with its tables centred on the reference population and
p_ref = expit(base), an account's points per term sum to `health - 50` before clipping, and so do the five
components. p_ref is therefore never chosen freely: `HealthParams.for_base` freezes it and `check_reference`
refuses a scorecard with any other base.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from models.errors import ArtefactError, ContractError, FeatureMismatch
from models.terms import AnyTerm

Floats = npt.NDArray[np.float64]
Amount = TypeVar("Amount", float, Floats)
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.object_]

#: Health points lost per unit of log-odds: ten for each doubling of the odds.
POINTS_PER_LOG_ODD = 10 / math.log(2)
COMPONENTS = ("effort", "resolution", "sentiment", "silence", "commercial")
#: From worst to best.
BANDS = ("critical", "at_risk", "watch", "healthy")
#: A movement smaller than this is never called one, however small its standard error.
STEADY_POINTS = 5.0
#: Standard errors a movement must exceed: 90 % two-sided.
STEADY_ERRORS = 1.64
#: Rounding allowed between the base and the reference, in health points.
_REFERENCE_TOLERANCE = 1e-9


@dataclass(frozen=True)
class HealthParams:
    """What turns log-odds into health and a band; stored with every artefact.

    `p_ref`: the risk whose health is 50. `healthy`, `watch`, `at_risk`: lower edges (inclusive) of the bands,
    below the last is critical. `hysteresis`: points beyond an edge before a band changes. Raises
    `ArtefactError` for numbers that make no sense.
    """

    p_ref: float
    healthy: float = 60.0
    watch: float = 45.0
    at_risk: float = 30.0
    hysteresis: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.p_ref < 1:
            raise ArtefactError(f"The reference risk must lie between 0 and 1, not at {self.p_ref}.")
        if not 0 < self.at_risk < self.watch < self.healthy < 100:
            raise ArtefactError("The band edges must rise within 0 to 100: at_risk, watch, healthy.")
        narrowest = min(self.watch - self.at_risk, self.healthy - self.watch)
        if not 0 <= self.hysteresis < narrowest / 2:
            raise ArtefactError(f"A hysteresis of {self.hysteresis} points leaves no room between the band edges.")

    @classmethod
    def for_base(cls, base: float, **edges: float) -> "HealthParams":
        """The parameters of a centred churn scorecard: p_ref = expit(base)."""
        return cls(p_ref=float(expit(np.array([base]))[0]), **edges)

    @property
    def reference(self) -> float:
        """logit(p_ref)."""
        return math.log(self.p_ref) - math.log1p(-self.p_ref)

    @property
    def edges(self) -> tuple[float, float, float]:
        """Lower edges of at_risk, watch and healthy."""
        return (self.at_risk, self.watch, self.healthy)

    def to_plain(self) -> dict[str, float]:
        """A dict of numbers."""
        return {name: float(value) for name, value in asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "HealthParams":
        """Read `to_plain`'s form. Raises `ArtefactError` for anything else."""
        try:
            return cls(**{name: float(value) for name, value in plain.items()})
        except (TypeError, ValueError) as error:
            raise ArtefactError(f"The stored health parameters cannot be read: {error}.") from error


def check_reference(base: float, params: HealthParams) -> None:
    """Raise `ArtefactError` unless p_ref is the risk of the churn scorecard's base.

    With another p_ref the five components would miss a constant and no longer sum to the health.
    """
    if abs(POINTS_PER_LOG_ODD * (base - params.reference)) > _REFERENCE_TOLERANCE:
        raise ArtefactError(
            f"The reference risk {params.p_ref:.6g} is not that of the churn scorecard's base {base:.6g}; "
            "centre the scorecard and freeze p_ref = expit(base)."
        )


def expit(log_odds: Floats) -> Floats:
    """Probability of the log-odds, without overflow; the same bits for one row as for many."""
    # Contiguous first: the vectorised exponential and its fallback for strided input may differ in a bit.
    decay = np.exp(-np.abs(np.ascontiguousarray(log_odds, dtype=np.float64)))
    return np.where(np.asarray(log_odds) >= 0, 1.0, decay) / (1.0 + decay)


class Probabilities(NamedTuple):
    """(n,) each, within the horizon; p_silent + p_vocal = p_churn and none is negative."""

    p_churn: Floats
    p_silent: Floats
    p_vocal: Floats


def probabilities(log_odds_churn: Floats, log_odds_silent: Floats) -> Probabilities:
    """Probabilities of the two scorecards. They are fitted apart, so silent is capped at churn."""
    p_churn = expit(log_odds_churn)
    p_silent = np.minimum(expit(log_odds_silent), p_churn)
    return Probabilities(p_churn, p_silent, p_churn - p_silent)


def expected_revenue_loss(p_silent: Floats, mrr: Floats, margin: float = 1.0) -> Floats:
    """p_silent x monthly revenue x 12 x margin, in the currency of `mrr`; NaN (unknown) where `mrr` is."""
    return p_silent * mrr * 12 * margin


def points(contribution: Amount) -> Amount:
    """Health points of a contribution in log-odds: positive where it lowers the risk."""
    return -POINTS_PER_LOG_ODD * contribution


def unclipped_health(log_odds_churn: Floats, params: HealthParams) -> Floats:
    """(n,) health before it is cut to 0..100; 50 plus the components."""
    return 50.0 + points(log_odds_churn - params.reference)


def health(log_odds_churn: Floats, params: HealthParams) -> Floats:
    """(n,) health, 0 to 100."""
    return np.clip(unclipped_health(log_odds_churn, params), 0.0, 100.0)


def components(contributions: Floats, terms: Sequence[AnyTerm], component_of: Mapping[str, str]) -> dict[str, Floats]:
    """Component -> (n,) points; 50 plus their sum is the unclipped health of the same churn scorecard.

    `contributions` (n, terms) come from the scorecard, `component_of` maps each feature to its component. A
    grid of several features gives the component of each an equal part. Raises `FeatureMismatch` for a feature
    without one.
    """
    found = {name: np.zeros(len(contributions)) for name in COMPONENTS}
    for column, term in zip(contributions.T, terms, strict=True):
        share = points(column) / len(term.features)
        for feature in term.features:
            name = component_of.get(feature)
            if name not in found:
                raise FeatureMismatch(f"The feature {feature!r} belongs to no component of health.")
            found[name] += share
    return found


def bands(scores: Floats, params: HealthParams, previous: Texts | None = None) -> Texts:
    """(n,) band of each health, given the band it had before (None where it had none).

    Each edge switches on its own: upwards once the score is `hysteresis` points above it (inclusive),
    downwards once it is more than that below. With the default edges a healthy account at 57 stays healthy,
    at 56.9 it is in watch, and from there it needs 63 to be healthy again. Raises `ContractError` for an
    unknown band or score.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if np.isnan(scores).any():
        raise ContractError("A health score is not a number, so it has no band.")
    edges = np.array(params.edges)
    level = np.searchsorted(edges, scores, "right")
    if previous is not None:
        least = np.searchsorted(edges + params.hysteresis, scores, "right")
        most = np.searchsorted(edges - params.hysteresis, scores, "right")
        before = np.array([_level(name) for name in previous], dtype=np.intp)
        level = np.where(before < 0, level, np.clip(before, least, most))
    return np.array(BANDS, dtype=object)[level]


def band(score: float, params: HealthParams, previous: str | None = None) -> str:
    """The band of one health; see `bands`."""
    return str(bands(np.array([score]), params, np.array([previous], dtype=object))[0])


def _level(name: str | None) -> int:
    if name is None:
        return -1
    if name not in BANDS:
        raise ContractError(f"{name!r} is not a band; the bands are {', '.join(BANDS)}.")
    return BANDS.index(name)


class Trend(NamedTuple):
    """(n,) each: change in points, and `up`, `down`, `steady`, or None where there was no score before."""

    change: Floats
    moving: Texts


def trend(now: Floats, before: Floats, standard_error: Floats | None = None) -> Trend:
    """Movement of health between two moments, both scored by the same model.

    `now`, `before`: (n,) health, NaN where there was none. `standard_error`: (n,) of the difference, in
    points, or None where the model carries no spread. A change counts from 5 points and 1.64 standard errors.
    """
    change = np.asarray(now, dtype=np.float64) - before
    errors = np.zeros(len(change)) if standard_error is None else standard_error
    threshold = np.fmax(STEADY_POINTS, STEADY_ERRORS * errors)
    moving = np.full(len(change), "steady", dtype=object)
    moving[change >= threshold] = "up"
    moving[change <= -threshold] = "down"
    moving[np.isnan(change)] = None
    return Trend(change, moving)


#: From least to most is known about the account.
GRADES = ("D", "C", "B", "A")


def confidence(
    history_days: Floats, contacts_365d: Floats, responses_365d: Floats, never_contacted: Flags, fresh: Flags
) -> Texts:
    """(n,) how much the score rests on the account's own history, A to D.

    A: 180 days of history and 5 contacts or 2 survey responses in 365 days. B: 90 days and 2 contacts or 1
    response. C: has interacted at least once. D: never contacted us and answered nothing in 365 days.
    Where a source is not up to date (`fresh` false) the grade is one lower. Unknown counts (NaN) prove nothing.
    """
    earned = _earned(history_days, contacts_365d, responses_365d, never_contacted)
    lowered = np.maximum(np.where(fresh, earned, earned - 1), 0)
    found: Texts = np.array(GRADES, dtype=object)[lowered]
    return found


def confidence_reason(
    history_days: float, contacts_365d: float, responses_365d: float, never_contacted: bool, fresh: bool
) -> str:
    """Why one account has the grade `confidence` gives it, as a sentence."""
    full = GRADES[_earned(history_days, contacts_365d, responses_365d, never_contacted)]
    known = "{} of history, {} and {} in the last 365 days".format(
        _count(history_days, "day"), _count(contacts_365d, "contact"), _count(responses_365d, "survey response")
    )
    reason = {
        "A": f"{known}: enough to judge the account by itself",
        "B": f"{known}; the best grade needs 180 days and 5 contacts or 2 responses",
        "C": f"Only {known}; the score leans on what is usual for its segment",
        "D": "Never contacted us and answered no survey; the score rests on segment and contract alone",
    }[full]
    if fresh:
        return f"{reason}."
    return f"{reason}; {'one grade lower because ' if full != 'D' else ''}a source is not up to date or was down."


def _earned(days: Any, contacts: Any, responses: Any, never: Any) -> Any:
    """Position in `GRADES` before freshness, for arrays or for single numbers. Each rung implies those below."""
    touched = (never == 0) | (contacts >= 1) | (responses >= 1)
    some = (days >= 90) & ((contacts >= 2) | (responses >= 1))
    much = (days >= 180) & ((contacts >= 5) | (responses >= 2))
    return 0 + touched + some + much


def _count(number: float, noun: str) -> str:
    if math.isnan(number):
        return f"an unknown number of {noun}s"
    return f"{number:.0f} {noun}" if number == 1 else f"{number:.0f} {noun}s"
