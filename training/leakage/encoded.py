"""Numbers that were made from the label: the mean of the label by id, shop or region, its own rows included.

Each distinct value of such a number stands for one id, or for all of one rate. How far the rates of those values differ
from each other is part truth and part chance, and an honest number can explain the truth only:

    200 regions, 10 rows each; rates vary by .031, of which .016 is chance (what rows vary inside their region)
    an honest number explains at most 1 - .016/.031 = 48 % of it
    the encoded mean explains 99 %: it knows the chance, too

Above half of the chance explained, and more than luck explains once in a hundred thousand columns (what is left over of
an honest number is chi-squared distributed), the number was made from these very labels.
"""

from collections.abc import Iterator

import numpy as np
from scipy.special import chdtr

from training.leakage.alone import LEAST
from training.leakage.codes import Codes, Column, Table, Vector
from training.leakage.findings import Finding

#: Fewer distinct values say nothing.
VALUES = 5
#: Groups that share a value, for what is chance in its rate to be known.
PIECES = 3
#: Share of the chance that has to be explained, and of the differences as well: rates that hardly differ leave
#: nothing over whatever stands beside them ...
KNOWN = 0.5
#: ... and how rarely luck may explain so much.
LUCK = 1e-5


def findings(table: Table) -> Iterator[Finding]:
    """Columns that explain what only chance can have made."""
    for column in table.columns if min(table.events, table.others) >= LEAST else ():
        measured = _chance_known(column, table)
        if measured is None or measured[0] <= KNOWN:
            continue
        known, values = measured
        yield Finding(
            "encoded",
            "error",
            column.name,
            f"The {values:,.0f} values of {column.name!r} follow the rate of the rows that share them so closely that "
            f"{known:.0%} of what is chance in those rates is explained: it was made from these labels.",
            "Compute it from other rows (out of fold, or from the time before), or give the text it stands for.",
            {"chance_explained": known, "values": values},
        )


def _chance_known(column: Column, table: Table) -> tuple[float, float] | None:
    """The share of chance that a column explains, and its number of values; None where it cannot be told."""
    if column.x is None:
        return None
    codes = column.exact if column.exact is not None else column.codes
    known = codes > 0
    return _explained(codes[known], column.x[known], table.y[known], table.groups[known])


def _explained(codes: Codes, x: Vector, y: Vector, groups: Codes) -> tuple[float, float] | None:
    """The share of chance explained, from values that several groups share.

    Rows of one group at one value are one piece of evidence. The chance in a value's rate is the variance of a mean of
    its pieces (each as heavy as its rows); what is left over of it beside a line through the values is compared with a
    chi-squared of as many degrees of freedom as those variances are worth together (Satterthwaite).
    """
    codes = np.unique(codes, return_inverse=True)[1]
    levels = int(codes.max(initial=-1)) + 1
    if levels < VALUES:
        return None
    pieces, piece = np.unique(groups * levels + codes, return_inverse=True)
    rows = np.bincount(piece).astype(np.float64)
    level = pieces % levels
    count = np.bincount(level, minlength=levels)
    weight = np.bincount(codes).astype(np.float64)
    rate = np.bincount(codes, weights=y) / weight
    off = rows * (np.bincount(piece, weights=y) / rows - rate[level])
    used = count >= PIECES
    if used.sum() < VALUES:
        return None
    spread = np.bincount(level, weights=off**2, minlength=levels)[used] / weight[used]
    chance = spread * count[used] / (count[used] - 1)
    value = (np.bincount(codes, weights=x) / weight)[used]
    return _compared(value, rate[used], weight[used], chance)


def _compared(value: Vector, rate: Vector, weight: Vector, chance: Vector) -> tuple[float, float] | None:
    total, between = float(chance.sum()), float(weight @ (rate - np.average(rate, weights=weight)) ** 2)
    explained = _fit(value, rate, weight)
    if total <= 0 or explained <= KNOWN:
        return None
    left_over = max(0.0, between * (1 - explained) / total)
    freedom = max(1.0, total**2 / float(chance @ chance) - 2)
    lucky = float(chdtr(freedom, left_over * freedom))
    return (1 - left_over if lucky < LUCK else 0.0), float(len(value))


def _fit(value: Vector, rate: Vector, weight: Vector) -> float:
    """The share of the rates' weighted variance that a line through the values explains."""
    dv, dr = value - np.average(value, weights=weight), rate - np.average(rate, weights=weight)
    spread = float(weight @ dv**2) * float(weight @ dr**2)
    return float(weight @ (dv * dr)) ** 2 / spread if spread > 0 else 0.0
