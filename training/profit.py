"""Expected maximum profit of calling the customers ranked highest (EMPB), and of calling as many as a team can.

EMPB for business customers: Janssens, Bogaert, Bague and Van den Poel, B2Boost, Annals of Operations Research 2022,
doi 10.1007/s10479-022-04631-5. Whoever is called costs `contact_cost`; the offer costs `incentive` of the customer's
value (CLV); of those who would have left a share `accepted` stays for it (the mean of Beta(6, 14)), of those who would
have stayed everybody takes it:

    would have left     accepted * (1 - incentive) * CLV - contact_cost
    would have stayed   -incentive * CLV - contact_cost

Four customers of CLV 1,000, 4,000, 1,000 and 2,000, ranked in this order; the first and the third leave:

    called         1                2                3               4
    each earns     .3*950-15 = 270  -200-15 = -215   270             -100-15 = -115
    together       270              55               325             210

The best is to call three: 325 over four customers, EMPB 81.25, fraction to target .75. The optimum is chosen in
hindsight on the very rows it is measured on; `at_capacity` chooses nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.errors import SettingsError
from training.intervals import Estimate, interval
from training.sample import Ranking, Sample, Vector


@dataclass(frozen=True)
class ProfitParams:
    """What calling a customer costs and brings; money in the currency of mrr. CLV = mrr * months * margin.

    Raises `SettingsError` for values without a meaning.
    """

    accepted: float = 0.30
    incentive: float = 0.05
    contact_cost: float = 15.0
    months: float = 12.0
    margin: float = 1.0

    def __post_init__(self) -> None:
        for name in ("accepted", "incentive", "margin"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be a share between 0 and 1.")
        for name in ("contact_cost", "months"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must not be negative.")

    def of_rows(self, sample: Sample) -> Vector:
        """(n,) what calling each row's customer earns; 0 where the revenue is unknown."""
        value = np.nan_to_num(sample.mrr) * self.months * self.margin
        kept = self.accepted * (1 - self.incentive) * value
        earned = np.where(sample.y == 1, kept, -self.incentive * value) - self.contact_cost
        return np.where(np.isnan(sample.mrr), 0.0, earned)


def best(ranking: Ranking, w: Vector, earned: Vector) -> tuple[float, float]:
    """EMPB (profit per customer when the best number of the highest ranked is called) and that fraction.

    Customers with equal scores are called together or not at all; with several optima, the fewest are called.
    """
    reached = np.concatenate([[0.0], np.cumsum(ranking.sums(w))])
    profit = np.concatenate([[0.0], np.cumsum(ranking.sums(w * earned))])
    place = int(profit.argmax())
    return float(profit[place] / reached[-1]), float(reached[place] / reached[-1])


def at_capacity(sample: Sample, w: Vector, earned: Vector) -> float:
    """Mean over the moments of what calling the first k of that day's list earns."""
    lists = sample.lists
    weight, profit = w[lists.order], earned[lists.order]
    reached = np.concatenate([[0.0], np.cumsum(weight)])
    above = reached[:-1] - np.repeat(reached[lists.begins[:-1]], np.diff(lists.begins))
    taken = np.clip(sample.k - above, 0, weight)
    held = reached[lists.begins[1:]] > reached[lists.begins[:-1]]
    return float((taken * profit).sum() / held.sum()) if held.any() else np.nan


def expected_profit(
    sample: Sample, draws: Iterable[Vector], params: ProfitParams, rivals: Mapping[str, Sample] | None = None
) -> dict[str, Any] | None:
    """EMPB of the sample's ranking, with the fraction to target, beside its rivals'; None where no revenue is known.

    per_account (estimate, per customer and list), fraction, accounts_per_list (fraction x customers of a day),
    by_loss {per_account, fraction} (ranked by p x revenue, as the list is), at_capacity (estimate, per list of k),
    baselines: name -> {per_account, fraction}, assumptions.
    """
    known = ~np.isnan(sample.mrr)
    if not known.any():
        return None
    w, earned = known.astype(np.float64), params.of_rows(sample)
    per_account, fraction = best(sample.by_p, w, earned)
    by_loss = best(sample.by_loss, w, earned)
    pairs = [_drawn(sample, w, earned, drawn) for drawn in draws]
    most, listed = np.array(pairs).reshape(-1, 2).T
    moments = int(sample.moment.max()) + 1
    others = {name: best(rival.by_p, w, earned) for name, rival in (rivals or {}).items()}
    return {
        "per_account": Estimate(per_account, *interval(most)).to_plain(),
        "fraction": fraction,
        "accounts_per_list": fraction * float(w.sum()) / moments,
        "by_loss": {"per_account": by_loss[0], "fraction": by_loss[1]},
        "at_capacity": Estimate(at_capacity(sample, np.ones(len(w)), earned), *interval(listed)).to_plain(),
        "baselines": {name: {"per_account": value, "fraction": share} for name, (value, share) in others.items()},
        "assumptions": asdict(params),
    }


def _drawn(sample: Sample, known: Vector, earned: Vector, drawn: Vector) -> tuple[float, float]:
    """EMPB and the profit at capacity of one draw of accounts."""
    w = known * drawn
    return best(sample.by_p, w, earned)[0] if w.any() else np.nan, at_capacity(sample, drawn, earned)
