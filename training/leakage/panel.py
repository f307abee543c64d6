"""Values that move at the exit: constant before it, different after it.

Where an account has several rows, each step from one to the next either crosses the exit or does not:

    plan     pro pro pro pro | pro      changes at 2 % of ordinary steps, at 3 % of exits      nothing
    state    ok  ok  ok  ok  | closed   changes at 0.1 % of ordinary steps, at 97 % of exits   written by the exit
    logins   31  28  30  17  | 4        changes at every step                                  cannot be told, nothing

A step crosses the exit where the label turns from 0 to 1, or where the decision lies between the two rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from training.leakage.alone import LEAST
from training.leakage.counts import ERRORS
from training.leakage.findings import Finding
from training.leakage.roles import Roles

#: A column that is written by the exit changes at no less than this share of exits; at half as many it is a doubt ...
AT_EXITS = 0.5
#: ... and at least so many times as often as otherwise.
TIMES = 10.0

Mask = npt.NDArray[np.bool_]


def findings(rows: pl.DataFrame, columns: Sequence[str], roles: Roles) -> Iterator[Finding]:
    """Columns whose value moves at the exit and hardly ever else."""
    group, as_of = roles.group, roles.as_of
    if group is None or as_of is None:
        return
    ordered = rows.sort(group, as_of)
    same = (ordered[group] == ordered[group].shift(1)).fill_null(value=False).to_numpy()
    exits, others = _steps(ordered, same, roles.label, as_of, roles.decided_at)
    if exits.sum() < LEAST or others.sum() < LEAST:
        return
    for name in columns:
        changed = ordered[name].ne_missing(ordered[name].shift(1)).to_numpy()
        at, else_ = float(changed[exits].mean()), _upper(changed[others])
        least = _lower(changed[exits])
        if least > AT_EXITS / 2 and at > TIMES * else_:
            usual = float(changed[others].mean())
            yield Finding(
                "moves",
                "error" if least > AT_EXITS else "warning",
                name,
                f"{name!r} changes at {at:.0%} of exits and at {usual:.1%} of all other steps from row to row.",
                "It is written by the exit: take its value at each row's own moment.",
                {"at_exits": at, "otherwise": usual},
            )


def _steps(rows: pl.DataFrame, same: Mask, label: str, as_of: str, decided_at: str | None) -> tuple[Mask, Mask]:
    """Steps that cross the exit, and steps of accounts that stay, by the row they end in."""
    y, before = rows[label].to_numpy(), rows[label].shift(1).fill_null(0).to_numpy()
    crosses = same & (y == 1) & (before == 0)
    if decided_at is not None:
        gone = (rows[decided_at] <= rows[as_of]).fill_null(value=False)
        crosses |= same & gone.to_numpy() & ~gone.shift(1, fill_value=False).to_numpy()
    return crosses, same & ~crosses & (y == 0)


def _lower(changed: Mask) -> float:
    return float(changed.mean()) - _error(changed)


def _upper(changed: Mask) -> float:
    return float(changed.mean()) + _error(changed)


def _error(changed: Mask) -> float:
    """Three standard errors of a share, half a change added either way."""
    share = (changed.sum() + 0.5) / (len(changed) + 1)
    return ERRORS * float(np.sqrt(share * (1 - share) / len(changed)))
