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
    def lost(self) -> Vector:
        """The revenue of those who left; unknown counts nothing."""
        return self.y * np.nan_to_num(self.mrr)

    @cached_property
    def by_p(self) -> "Ranking":
        return Ranking.of(self.p, self.y)

    @cached_property
    def by_loss(self) -> "Ranking":
        return Ranking.of(self.p * np.nan_to_num(self.mrr), self.lost)

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
    def lists(self) -> "Lists":
        return Lists.of(self)


@dataclass(frozen=True)
class Lists:
    """The ranked list of each moment, one after the other: by falling p, then account id.

    order: row positions; begins: where each list begins, and the end of the last; exits: places in `order` of
    those who left; exit_list: the list each of them is on.
    """

    order: Codes
    begins: Codes
    exits: Codes
    exit_list: Codes

    @classmethod
    def of(cls, sample: Sample) -> "Lists":
        order = np.lexsort((-sample.p, sample.moment))
        moment = sample.moment[order]
        begins = np.concatenate([[0], np.flatnonzero(np.diff(moment)) + 1, [len(order)]]).astype(np.intp)
        exits = np.flatnonzero(sample.y[order])
        return cls(order, begins, exits, np.searchsorted(begins, exits, side="right") - 1)


def _codes(values: pl.Series) -> Codes:
    return (values.rank("dense") - 1).to_numpy().astype(np.intp)


@dataclass(frozen=True)
class Ranking:
    """Rows from the highest score down, and the few of them that gain something (exits, or what they cost).

    order: row positions; begins: where in it each run of equal scores begins; rows: the rows that gain;
    runs: the runs they are in, ascending; place: the position in `runs` of each of them.
    """

    order: Codes
    begins: Codes
    rows: Codes
    runs: Codes
    place: Codes

    @classmethod
    def of(cls, score: Vector, gain: Vector) -> "Ranking":
        order = np.argsort(-score, kind="stable")
        changes = np.flatnonzero(np.diff(score[order])) + 1
        run = np.empty(len(score), dtype=np.intp)
        run[order] = np.searchsorted(changes, np.arange(len(score)), side="right")
        rows = np.flatnonzero(gain)
        runs, place = np.unique(run[rows], return_inverse=True)
        return cls(order, np.concatenate([[0], changes]).astype(np.intp), rows, runs, place)

    def sums(self, values: Vector) -> Vector:
        """The total of `values` in each run of equal scores."""
        if len(self.begins) == len(self.order):
            return values[self.order]
        return np.asarray(np.add.reduceat(values[self.order], self.begins), dtype=np.float64)

    def steps(self, w: Vector, gain: Vector) -> tuple[Vector, Vector, Vector, float]:
        """At each run in `runs`: its gain, its weight and the weight ranked above it; and the weight of all."""
        reached = np.cumsum(self.sums(w))
        above = np.where(self.runs > 0, reached[self.runs - 1], 0.0)
        gained = np.bincount(self.place, weights=(w * gain)[self.rows], minlength=len(self.runs))
        return gained.astype(np.float64), reached[self.runs] - above, above, float(reached[-1])


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
    """auc, pr_auc, top_decile_lift: with equal scores as one step."""
    left, mass, above, total = sample.by_p.steps(w, sample.y)
    exits, found = left.sum(), np.cumsum(left)
    stayed_below = (total - above - mass) - (exits - found)
    auc = np.sum(left * (stayed_below + (mass - left) / 2)) / (exits * (total - exits))
    precision = np.divide(found, above + mass, out=np.zeros_like(found), where=above + mass > 0)
    lift = _first(left, mass, TOP_SHARE * total - above) / exits / TOP_SHARE
    return float(auc), float(np.sum(left * precision) / exits), float(lift)


def _first(gained: Vector, mass: Vector, room: Vector) -> np.float64:
    """The gain within the room left for each run; of a run at the edge its part."""
    part = np.divide(np.clip(room, 0, mass), mass, out=np.zeros_like(mass), where=mass > 0)
    return np.float64(np.sum(gained * part))


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
        if max(abs(step_a), abs(step_b)) < 1e-5:  # the next step would be its square
            return a, b
    return np.nan, np.nan


def mass_bins(sample: Sample, w: Vector, bins: int) -> tuple[Vector, Vector, Vector]:
    """Weight, exits and expected exits in bins of equal mass from the highest p down; equal p share a bin."""
    mass = sample.by_p.sums(w)
    position = _mass_position(mass, bins)

    def total(values: Vector) -> Vector:
        return np.bincount(position, weights=values, minlength=bins).astype(np.float64)

    return total(mass), total(sample.by_p.sums(w * sample.y)), total(sample.by_p.sums(w * sample.p))


def _mass_position(mass: Vector, bins: int) -> Codes:
    """The bin that the middle of each run of equal scores lies in."""
    middle = np.cumsum(mass) - mass / 2
    position: Codes = np.minimum((bins * middle / mass.sum()).astype(np.intp), bins - 1)
    return position


def row_bins(sample: Sample, bins: int) -> Codes:
    """(n,) the bin of `mass_bins` each row is in, every row counting once."""
    ranking = sample.by_p
    mass = ranking.sums(np.ones(len(sample.y)))
    found = np.empty(len(sample.y), dtype=np.intp)
    found[ranking.order] = np.repeat(_mass_position(mass, bins), mass.astype(np.intp))
    return found


def _ece(sample: Sample, w: Vector) -> tuple[float, ...]:
    _, left, expected = mass_bins(sample, w, BINS)
    return (float(np.abs(left - expected).sum() / w.sum()),)


def _revenue(sample: Sample, w: Vector) -> tuple[float, ...]:
    """Rows of unknown mrr take no part, neither in the ranking nor in the loss."""
    lost, mass, above, total = sample.by_loss.steps(w * ~np.isnan(sample.mrr), sample.lost)
    return (float(_first(lost, mass, TOP_SHARE * total - above) / lost.sum()),)


def _precision(sample: Sample, w: Vector) -> tuple[float, ...]:
    """The first k of each moment's list; a moment with fewer rows is a shorter list."""
    lists = sample.lists
    reached = np.concatenate([[0.0], np.cumsum(w[lists.order])])
    begin = reached[lists.begins[:-1]]
    length = np.minimum(reached[lists.begins[1:]] - begin, sample.k)
    above = reached[lists.exits] - begin[lists.exit_list]
    taken = np.clip(sample.k - above, 0, w[lists.order[lists.exits]])
    found = np.bincount(lists.exit_list, weights=taken, minlength=len(length))
    listed = length > 0
    return (float(np.mean(found[listed] / length[listed])) if listed.any() else np.nan,)


_FUNCTIONS: tuple[tuple[tuple[str, ...], Callable[[Sample, Vector], tuple[float, ...]]], ...] = (
    (("auc", "pr_auc", "top_decile_lift"), _ranks),
    (("brier", "brier_skill", "log_loss", "observed_expected"), _errors),
    (("calibration_intercept", "calibration_slope"), _refit),
    (("ece",), _ece),
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
