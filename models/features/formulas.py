"""The few formulas feature declarations share."""

import math

import polars as pl

#: Pseudo-observations that draw a small account's rate towards its segment's.
SHRINK = 10.0
#: Contacts a segment's usual rate is worth in an account's own baseline (the gamma prior's shape).
PRIOR_CONTACTS = 2.0
#: An own baseline needs this many days to be measured on.
BASELINE_DAYS = 60
_LN2 = math.log(2)


def shrunk(above: str, below: str, usual: str, weight: float = SHRINK) -> pl.Expr:
    """(x + m p0) / (n + m): a rate drawn towards the segment's usual one, which it equals without observations."""
    return (pl.col(above) + weight * pl.col(f"base_{usual}")) / (pl.col(below) + weight)


def own_rate(window_days: int, seen: str = "contacts") -> pl.Expr:
    """An account's own contacts per day over [as_of - 365, as_of - window), with the segment's rate as gamma prior:
    (n + a0) / (T + a0 / l0). Unknown with fewer than 60 days to measure it on."""
    count = pl.col(f"{seen}_365d") - pl.col(f"{seen}_{window_days}d")
    days = pl.col("history_days").clip(0, 365) - window_days
    usual = pl.col("base_contacts_per_day").clip(1e-6)
    rate = (count + PRIOR_CONTACTS) / (days + PRIOR_CONTACTS / usual)
    return pl.when(days >= BASELINE_DAYS).then(rate)


def drop(window_days: int) -> pl.Expr:
    """ln((n_w + c) / (b w + c)) with c = 1/2, cut to +-2: negative where contacts fell below the own baseline."""
    expected = own_rate(window_days) * window_days
    return ((pl.col(f"contacts_{window_days}d") + 0.5) / (expected + 0.5)).log().clip(-2.0, 2.0)


def silence_days() -> pl.Expr:
    """Days since the last inbound contact; for an account that never contacted us, the days it has been watched."""
    return pl.coalesce("days_since_contact", "history_days")


def level(name: str, usual: str, weight: float = 3.0) -> pl.Expr:
    """A half-life weighted mean score (share of its scale), drawn towards the segment's by `weight` answers."""
    total = pl.col(f"{name}_sum_365d") + weight * pl.col(f"base_{usual}")
    return pl.when(pl.col(f"{name}_365d") > 0).then(total / (pl.col(f"{name}_weight_365d") + weight))


def spread(count: str, total: str, squares: str, least: int) -> pl.Expr:
    """Sample standard deviation from sums, where there are at least `least` observations."""
    n = pl.col(count)
    variance = (pl.col(squares) - pl.col(total) * pl.col(total) / n) / (n - 1)
    return pl.when(n >= least).then(variance.clip(0.0).sqrt())


def halved(age: pl.Expr, half_life_days: float) -> pl.Expr:
    """The weight 2^(-age / half-life)."""
    return (-age / half_life_days * _LN2).exp()
