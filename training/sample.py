"""How good predictions are: ranking, calibration and money, each of a weighted sample.

Four customers carried through this module, all looked at once, worth 100, 400, 100 and 100 a month:

    p      0.8   0.6   0.4   0.2
    left   yes   no    yes   no

    auc                 pairs (left, stayed) ranked the right way: 3 of 4                        0.75
    pr_auc              precision 1/1 at the first exit, 2/3 at the second, mean                 0.8333
    brier               (0.2^2 + 0.6^2 + 0.6^2 + 0.2^2) / 4                                      0.2
    brier_skill         1 - 0.2 / (0.5 * 0.5)                                                    0.2
    log_loss            -(ln 0.8 + ln 0.4 + ln 0.4 + ln 0.8) / 4                                 0.5697
    observed_expected   2 exits / (0.8 + 0.6 + 0.4 + 0.2)                                        1.0
    precision_at_2      one of the first two left                                                0.5
    lift of the top half    one of two left, against one in two overall                          1.0
    revenue captured in the top half by p * mrr (240, 80 | 40, 20): 100 of the 200 lost          0.5

A weight says how often a row counts. That makes the bootstrap of `training.metrics` cheap: a draw of accounts is
a count per account, and nothing is copied or sorted again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit, logit

from models.errors import ContractError

Vector = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

#: The share of customers a team can look after, for lift and captured revenue.
TOP_SHARE = 0.1
#: Equal-mass bins of the reliability table.
BINS = 10
#: Probabilities are kept this far from 0 and 1 where a logarithm is taken.
CLIP = 1e-6


@dataclass(frozen=True)
class Metric:
    """A number the evaluation reports, and which way is good: `higher`, `lower`, near `one` or near `zero`."""

    name: str
    better: Literal["higher", "lower", "one", "zero"]
    meaning: str


METRICS: tuple[Metric, ...] = (
    Metric("auc", "higher", "chance that one who left was ranked above one who stayed"),
    Metric("pr_auc", "higher", "average precision; compare with the base rate"),
    Metric("brier", "lower", "mean squared error of the probabilities"),
    Metric("brier_skill", "higher", "share of the base rate's squared error that is gone"),
    Metric("log_loss", "lower", "mean surprise, in nats"),
    Metric("observed_expected", "one", "exits over the sum of the probabilities"),
    Metric("calibration_intercept", "zero", "intercept of a logistic refit on the log-odds"),
    Metric("calibration_slope", "one", "its slope: below 1 the probabilities are too extreme"),
    Metric("ece", "lower", "mean distance of observed and predicted share over ten bins of equal mass"),
    Metric("top_decile_lift", "higher", "exits in the tenth ranked highest, as a multiple of the base rate"),
    Metric("precision_at_k", "higher", "share of the first k who left, mean over the moments"),
    Metric("revenue_captured", "higher", "share of the lost revenue in the tenth ranked highest by p * mrr"),
)
NAMES: tuple[str, ...] = tuple(metric.name for metric in METRICS)


@dataclass(frozen=True)
class Sample:
    """Outcomes and predictions of rows. y: 0 or 1; p: probabilities; mrr: money a month, NaN unknown; account and
    moment: integer codes from 0, rows of one account or one moment share them. All of one length."""

    y: Vector
    p: Vector
    mrr: Vector
    account: Codes
    moment: Codes
    k: int = 20

    @classmethod
    def of(cls, rows: pl.DataFrame, p: str = "p", k: int = 20) -> "Sample":
        """From a frame with account_id, as_of, y, the column `p` and, if there, mrr. Ties rank by account id.

        Raises `ContractError` for outcomes other than 0 and 1 or probabilities outside [0, 1].
        """
        rows = rows.sort("account_id", "as_of")
        y = rows.get_column("y").cast(pl.Float64).fill_null(np.nan).to_numpy()
        predicted = rows.get_column(p).cast(pl.Float64).fill_null(np.nan).to_numpy()
        if not np.isin(y, (0.0, 1.0)).all():
            raise ContractError("Outcomes to evaluate must be 0 or 1; leave out the rows without one.")
        if not ((predicted >= 0) & (predicted <= 1)).all():
            raise ContractError(f"The predictions in {p!r} are not all probabilities between 0 and 1.")
        mrr = rows.get_column("mrr") if "mrr" in rows.columns else pl.Series([None] * rows.height)
        return cls(
            y=y,
            p=predicted,
            mrr=mrr.cast(pl.Float64).fill_null(np.nan).to_numpy(),
            account=_codes(rows.get_column("account_id")),
            moment=_codes(rows.get_column("as_of")),
            k=k,
        )

    @property
    def accounts(self) -> int:
        """How many accounts there are: the number that can be drawn."""
        return int(self.account.max()) + 1 if len(self.account) else 0

    @cached_property
    def by_p(self) -> "Ranking":
        return Ranking.of(self.p)

    @cached_property
    def by_loss(self) -> "Ranking":
        return Ranking.of(self.p * np.nan_to_num(self.mrr))

    @cached_property
    def log_odds(self) -> Vector:
        return np.asarray(logit(np.clip(self.p, CLIP, 1 - CLIP)), dtype=np.float64)

    @cached_property
    def standard_log_odds(self) -> tuple[Vector, float, float]:
        """The log-odds less their mean, over their spread; with both."""
        mean, spread = float(self.log_odds.mean()), float(self.log_odds.std())
        return (self.log_odds - mean) / max(spread, 1e-9), mean, spread

    @cached_property
    def line(self) -> tuple[float, float]:
        """The calibration line of all rows, on standard log-odds: where the line of a resample is near."""
        return _line(self.standard_log_odds[0], self.y, np.ones(len(self.y)))

    @cached_property
    def squared(self) -> Vector:
        return (self.y - self.p) ** 2

    @cached_property
    def surprise(self) -> Vector:
        clipped = np.clip(self.p, CLIP, 1 - CLIP)
        return -np.log(np.where(self.y == 1, clipped, 1 - clipped))

    @cached_property
    def by_moment(self) -> Codes:
        """Rows as the lists of each moment show them: by moment, then falling p, then account id."""
        return np.lexsort((-self.p, self.moment))


def _codes(values: pl.Series) -> Codes:
    return (values.rank("dense") - 1).to_numpy().astype(np.intp)


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score down: their `order`, and where in it each run of equal scores begins."""

    order: Codes
    begins: Codes

    @classmethod
    def of(cls, score: Vector) -> "Ranking":
        order = np.argsort(-score, kind="stable")
        changes = np.flatnonzero(np.diff(score[order])) + 1
        return cls(order, np.concatenate([[0], changes]).astype(np.intp))

    def sums(self, values: Vector) -> Vector:
        """The total of `values` in each run of equal scores."""
        if len(self.begins) == len(self.order):
            return values[self.order]
        return np.asarray(np.add.reduceat(values[self.order], self.begins), dtype=np.float64)


def measure(sample: Sample, weights: Vector | None = None, names: Sequence[str] = NAMES) -> dict[str, float]:
    """The named metrics of a sample, in the order of METRICS; NaN where one is undefined.

    Undefined: anything about ranking without both an exit and a stay, calibration where all predictions agree.
    """
    if not len(sample.y):
        return dict.fromkeys((name for name in NAMES if name in names), np.nan)
    w = np.ones(len(sample.y)) if weights is None else weights
    values: dict[str, float] = {}
    with np.errstate(divide="ignore", invalid="ignore"):
        for made, function in _FUNCTIONS:
            if any(name in names for name in made):
                values |= dict(zip(made, function(sample, w), strict=True))
    return {name: values[name] if np.isfinite(values[name]) else np.nan for name in NAMES if name in names}


def _dot(a: Vector, b: Vector) -> float:
    """The sum of products, without the threads that BLAS would start for every call."""
    return float(np.einsum("i,i->", a, b))


def _ranks(sample: Sample, w: Vector) -> tuple[float, ...]:
    """auc, pr_auc: with equal scores as one step."""
    left, stayed = sample.by_p.sums(w * sample.y), sample.by_p.sums(w * (1 - sample.y))
    ranked_below = stayed.sum() - np.cumsum(stayed)
    auc = np.sum(left * (ranked_below + stayed / 2)) / (left.sum() * stayed.sum())
    found, seen = np.cumsum(left), np.cumsum(left + stayed)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    return float(auc), float(np.sum(left * precision) / left.sum())


def _errors(sample: Sample, w: Vector) -> tuple[float, ...]:
    """brier, brier_skill, log_loss, observed_expected."""
    left, total = np.float64(_dot(w, sample.y)), w.sum()
    brier, base = _dot(w, sample.squared) / total, left / total
    skill = 1 - brier / (base * (1 - base))
    return float(brier), float(skill), _dot(w, sample.surprise) / float(total), float(left / _dot(w, sample.p))


def _refit(sample: Sample, w: Vector) -> tuple[float, ...]:
    """calibration_intercept, calibration_slope: a + b * logit(p) by maximum likelihood."""
    z, mean, spread = sample.standard_log_odds
    if spread < 1e-9:
        return np.nan, np.nan
    whole = sample.line
    a, b = _line(z, sample.y, w, start=whole if np.isfinite(whole[1]) else None)
    return a - b * mean / spread, b / spread


def _line(z: Vector, y: Vector, w: Vector, start: tuple[float, float] | None = None) -> tuple[float, float]:
    """The logistic regression of y on z by Newton's steps; NaN where the two groups are cleanly apart."""
    share = _dot(w, y) / w.sum()
    if not 0 < share < 1:
        return np.nan, np.nan
    squared = z**2
    a, b = start or (float(logit(share)), 0.0)
    for _ in range(50):
        fitted = expit(a + b * z)
        miss, v = w * (y - fitted), w * fitted * (1 - fitted)
        g0, g1, h00, h01, h11 = miss.sum(), _dot(miss, z), v.sum(), _dot(v, z), _dot(v, squared)
        determinant = h00 * h11 - h01**2
        if not determinant > 1e-9 * h00 * h11:
            return np.nan, np.nan
        step_a, step_b = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        # Far from the answer a whole step may overshoot without end.
        shorter = min(1.0, 2.0 / max(abs(step_a), abs(step_b), 1e-300))
        a, b = float(a + shorter * step_a), float(b + shorter * step_b)
        if max(abs(step_a), abs(step_b)) < 1e-8:
            return a, b
    return np.nan, np.nan


def mass_bins(sample: Sample, w: Vector, bins: int) -> tuple[Vector, Vector, Vector]:
    """Weight, exits and expected exits in bins of equal mass from the highest p down; equal p share a bin."""
    mass = sample.by_p.sums(w)
    middle = np.cumsum(mass) - mass / 2
    position = np.minimum((bins * middle / mass.sum()).astype(np.intp), bins - 1)

    def total(values: Vector) -> Vector:
        return np.bincount(position, weights=values, minlength=bins).astype(np.float64)

    return total(mass), total(sample.by_p.sums(w * sample.y)), total(sample.by_p.sums(w * sample.p))


def _ece(sample: Sample, w: Vector) -> tuple[float, ...]:
    _, left, expected = mass_bins(sample, w, BINS)
    return (float(np.abs(left - expected).sum() / w.sum()),)


def _first(ranking: Ranking, values: Vector, w: Vector, share: float) -> float:
    """The total of `values` among the `share` of the weight ranked highest; of a run at the edge its part."""
    mass, gain = ranking.sums(w), ranking.sums(values * w)
    room = np.clip(share * mass.sum() - (np.cumsum(mass) - mass), 0, mass)
    return float(np.sum(gain * np.divide(room, mass, out=np.zeros_like(mass), where=mass > 0)))


def _lift(sample: Sample, w: Vector, share: float = TOP_SHARE) -> tuple[float, ...]:
    return (_first(sample.by_p, sample.y, w, share) / share / np.float64(_dot(w, sample.y)),)


def _revenue(sample: Sample, w: Vector, share: float = TOP_SHARE) -> tuple[float, ...]:
    """Rows of unknown mrr take no part, neither in the ranking nor in the loss."""
    known = w * ~np.isnan(sample.mrr)
    lost = sample.y * np.nan_to_num(sample.mrr)
    return (_first(sample.by_loss, lost, known, share) / np.float64(_dot(known, lost)),)


def _precision(sample: Sample, w: Vector) -> tuple[float, ...]:
    """The first k of each moment's list; a moment with fewer rows is a shorter list."""
    order = sample.by_moment
    weight, moment = w[order], sample.moment[order]
    before = np.cumsum(weight) - weight
    offered = np.bincount(moment, weights=weight)
    begin = np.concatenate([[0.0], np.cumsum(offered)[:-1]])
    taken = np.clip(sample.k - (before - begin[moment]), 0, weight)
    found = np.bincount(moment, weights=taken * sample.y[order])
    length = np.minimum(offered, sample.k)
    listed = length > 0
    return (float(np.mean(found[listed] / length[listed])) if listed.any() else np.nan,)


_FUNCTIONS: tuple[tuple[tuple[str, ...], Callable[[Sample, Vector], tuple[float, ...]]], ...] = (
    (("auc", "pr_auc"), _ranks),
    (("brier", "brier_skill", "log_loss", "observed_expected"), _errors),
    (("calibration_intercept", "calibration_slope"), _refit),
    (("ece",), _ece),
    (("top_decile_lift",), _lift),
    (("precision_at_k",), _precision),
    (("revenue_captured",), _revenue),
)


def hanley_mcneil(auc: float, n_left: int, n_stayed: int) -> tuple[float, float]:
    """The 95 % interval of an AUC of independent rows, cut to [0, 1] (Hanley and McNeil, Radiology 1982, 143:29).

    AUC .75 with 10 of 310 who left: standard error .090, interval .57 to .93. NaN without both groups.
    """
    if min(n_left, n_stayed) < 1:
        return np.nan, np.nan
    both, other = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    variance = auc * (1 - auc) + (n_left - 1) * (both - auc**2) + (n_stayed - 1) * (other - auc**2)
    error = 1.959964 * np.sqrt(variance / (n_left * n_stayed))
    return max(0.0, float(auc - error)), min(1.0, float(auc + error))
