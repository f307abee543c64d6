"""Intervals of rows that are not independent: rows of one account overlap in time and share their exit.

Two ways, for two kinds of numbers:

draws      metrics of a ranking: draw *accounts* with replacement, all rows of one or none, and take the middle 95 %
wilson     a share in a fixed set of rows: Wilson's interval at the effective number of rows (Korn and Graubard,
           Survey Methodology 1998, 24:193), which is defined and honest where nobody, or everybody, left:

    8 rows of 4 accounts, two each; both rows of one account are exits, no others
    share               2 / 8 = .25
    if independent      variance .25 * .75 / 8                                      = .0234
    by account          sums of y - .25: 1.5, -.5, -.5, -.5; 4/3 * 3 / 8^2          = .0625
    effective rows      .25 * .75 / .0625                                           = 3
    interval            Wilson at 3 rows                                            .037 to .744
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from training.sample import Codes, Sample, Vector

#: The 97.5 % point of the normal distribution.
Z = 1.959963984540054


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    def to_plain(self) -> dict[str, float | None]:
        """For JSON: NaN as null."""
        fields = {"value": self.value, "low": self.low, "high": self.high}
        return {name: None if np.isnan(number) else float(number) for name, number in fields.items()}


def draws(sample: Sample, resamples: int, seed: int) -> Iterator[Vector]:
    """For each resample, how often each row's account was drawn. The same seed and accounts give the same draws."""
    generator, n = np.random.default_rng(seed), sample.accounts
    for _ in range(resamples if n else 0):
        drawn = np.bincount(generator.integers(0, n, n), minlength=n)
        yield drawn[sample.account].astype(np.float64)


def interval(values: Vector) -> tuple[float, float]:
    """The middle 95 %; NaN unless nearly every resample had a value."""
    defined = values[~np.isnan(values)]
    if not len(values) or len(defined) < 0.9 * len(values):
        return np.nan, np.nan
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def wilson(share: float, rows: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of so many independent rows (they need not be whole); NaN without rows."""
    if not rows > 0:
        return np.nan, np.nan
    scale = 1 + Z**2 / rows
    middle = (share + Z**2 / (2 * rows)) / scale
    half = Z / scale * np.sqrt(share * (1 - share) / rows + Z**2 / (4 * rows**2))
    # Rounding must not put the share itself outside: at 0 of n the lower bound is exactly 0.
    return min(share, max(0.0, float(middle - half))), max(share, min(1.0, float(middle + half)))


def share_by_account(y: Vector, account: Codes) -> Estimate:
    """The share of rows with y = 1 and its interval, rows of one account taken together (see above).

    With equal outcomes everywhere each account counts as one row.
    """
    if not len(y):
        return Estimate(np.nan, np.nan, np.nan)
    share = float(y.mean())
    return Estimate(share, *wilson(share, effective_rows(y, account)))


def effective_rows(y: Vector, account: Codes) -> float:
    """How many independent rows these are worth, between 1 and their number."""
    share, n = float(y.mean()), len(y)
    members = np.unique(account, return_inverse=True)[1]
    accounts = int(members.max()) + 1
    if accounts == 1 or share in (0.0, 1.0):
        return float(accounts)
    sums = np.bincount(members, weights=y - share)
    variance = accounts / (accounts - 1) * float((sums**2).sum()) / n**2
    return float(np.clip(share * (1 - share) / variance, 1.0, n)) if variance > 0 else float(n)
