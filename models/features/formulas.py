"""The few formulas feature declarations share."""

import math

import polars as pl

#: Pseudo-observations that draw a small account's rate towards its segment's.
SHRINK = 10.0


def shrunk(above: str, below: str, usual: str, weight: float = SHRINK) -> pl.Expr:
    """(x + m p0) / (n + m): a rate drawn towards the segment's usual one, which it equals without observations."""
    return (pl.col(above) + weight * pl.col(f"base_{usual}")) / (pl.col(below) + weight)


def count(name: str) -> pl.Expr:
    """A counted fact as a number."""
    return pl.col(name).cast(pl.Float64)


def flag(condition: pl.Expr) -> pl.Expr:
    """1 where a condition holds, 0 where it does not."""
    return condition.cast(pl.Float64)


def drop(counted: str, expected: str) -> pl.Expr:
    """ln((n_w + c) / (b w + c)) with c = 1/2, cut to +-2: negative where they fell below the own baseline."""
    return ((pl.col(counted) + 0.5) / (pl.col(expected) + 0.5)).log().clip(-2.0, 2.0)


def level(name: str, usual: str, weight: float = 3.0) -> pl.Expr:
    """A half-life weighted mean score (share of its scale), drawn towards the segment's by `weight` answers."""
    total = pl.col(f"{name}_sum_365d") + weight * pl.col(f"base_{usual}")
    return pl.when(pl.col(f"{name}_365d") > 0).then(total / (pl.col(f"{name}_weight_365d") + weight))


def halved(age: pl.Expr, half_life_days: float) -> pl.Expr:
    """The weight 2^(-age / half-life).

    A product, not a quotient: a column divided by a number is one thing for one row and, rounded otherwise, another for
    many, because Polars then multiplies by the reciprocal.
    """
    return (age * (-math.log(2) / half_life_days)).exp()
