"""The grade of a list: did more of its accounts leave than of those it could have held?

A pool of 40 accounts, 6 of which left; a list of 8 of them, 4 of which left:

    rate of the list    4 / 8 = .50     95 % from .157 to .843 (Clopper and Pearson)
    base rate           6 / 40 = .15    lift .50 / .15 = 3.3
    chance              8 x .15 = 1.2 of 8 drawn blindly; 0 to 3 in 95 of 100 draws; as many as 4: .0095

Two questions, two distributions. What a blind draw from this very pool would have held is *hypergeometric*: the pool
and its exits are fixed, only which accounts are drawn is chance, and they are drawn without being put back. How well
lists made like this one do is asked of one list as a sample of lists to come: *Clopper and Pearson's* interval, whose
coverage is never below 95 %, however few the accounts (Clopper and Pearson, Biometrika 1934).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, gammaln

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Grade:
    """`left` of `listed` accounts left, and `pool_left` of the `pool` they were picked from (the list included).

    Shares are None without accounts, `lift` also without an exit. `chance_low`, `chance_high`: the exits that the
    middle 95 % of blind draws would hold; `chance`: the probability that one would hold as many as the list did.
    """

    listed: int
    left: int
    pool: int
    pool_left: int
    rate: float | None
    rate_low: float | None
    rate_high: float | None
    base_rate: float | None
    lift: float | None
    expected: float | None
    chance_low: int | None
    chance_high: int | None
    chance: float | None


def grade(listed: int, left: int, pool: int, pool_left: int) -> Grade:
    """The grade from its four counts; see the module."""
    counts = (listed, left, pool, pool_left)
    if not listed:
        return Grade(*counts, None, None, None, pool_left / pool if pool else None, None, None, None, None, None)
    base, rate = pool_left / pool, left / listed
    low, high = clopper_pearson(left, listed)
    drawn_low, drawn_high, as_many = blind_draws(listed, left, pool, pool_left)
    lift = rate / base if pool_left else None
    return Grade(*counts, rate, low, high, base, lift, listed * base, drawn_low, drawn_high, as_many)


def clopper_pearson(count: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The exact interval of a share seen `count` times of `of`."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, of - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, of - count, 1 - tail)) if count < of else 1.0
    return low, high


def blind_draws(
    listed: int, left: int, pool: int, pool_left: int, confidence: float = CONFIDENCE
) -> tuple[int, int, float]:
    """Of draws of `listed` accounts: the exits in the middle `confidence` of them (lowest, highest: no more than the
    tail lies beyond either), and the share of draws with `left` exits or more."""
    exits = np.arange(max(0, listed - (pool - pool_left)), min(listed, pool_left) + 1)
    chances = np.exp(
        _choose(pool_left, exits) + _choose(pool - pool_left, listed - exits) - _choose(pool, np.array([listed]))
    )
    below, tail = np.cumsum(chances), (1 - confidence) / 2
    above = np.cumsum(chances[::-1])[::-1]
    # Rounding must not push a tail that is exactly reached over the edge.
    low = exits[np.argmax(below > tail * (1 + 1e-9))]
    high = exits[len(exits) - 1 - np.argmax(above[::-1] > tail * (1 + 1e-9))]
    return int(low), int(high), float(min(1.0, chances[exits >= left].sum()))


def _choose(n: int, k: np.typing.NDArray[np.int64]) -> np.typing.NDArray[np.float64]:
    """The logarithms of the binomial coefficients."""
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)
