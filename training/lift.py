"""Who is caught, tenth by tenth: ranked by risk, and ranked by revenue at risk.

Ten customers, ranked; those at places 1, 3 and 8 left. Base rate 3 of 10:

    tenth   exits   rate   lift             exits so far   share so far
    1       1       1.0    1.0 / .3 = 3.33  1              .333
    2       0       0      0                1              .333
    3       1       1.0    3.33             2              .667

Equal predictions cannot be told apart, so a run of them that lies across an edge is divided in proportion: rows and
exits of a tenth need not be whole, and all tenths of a model that says the same of everybody have a lift of 1. The
tenths always add up to the whole.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from training.intervals import Estimate, interval, wilson
from training.sample import Ranking, Sample, Vector

TENTHS = 10
Table = npt.NDArray[np.float64]


def cumulated(ranking: Ranking, w: Vector, values: Sequence[Vector]) -> Table:
    """(len(values), 11) totals of weighted values above each edge between tenths of the weight, 0 and all included."""
    reached = np.concatenate([[0.0], np.cumsum(ranking.sums(w))])
    edges = reached[-1] * np.arange(TENTHS + 1) / TENTHS
    return np.array(
        [np.interp(edges, reached, np.concatenate([[0.0], np.cumsum(ranking.sums(w * v))])) for v in values]
    )


def lift_table(sample: Sample, draws: Iterable[Vector]) -> list[dict[str, Any]]:
    """Ten entries, highest risk first: tenth, rows, accounts, exits (rows), accounts_left, rate, lift (estimate),
    exits_so_far, share_so_far (estimate). Empty without rows; lift and share are null without an exit."""
    if not len(sample.y):
        return []
    ones = np.ones(len(sample.y))
    rows, exits = cumulated(sample.by_p, ones, [ones, sample.y])
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.array([cumulated(sample.by_p, w, [sample.y])[0] for w in draws]).reshape(-1, TENTHS + 1)
        shares, lifts = exits / exits[-1], np.diff(exits) / exits[-1] * TENTHS
        drawn_shares = drawn / drawn[:, -1:]
        drawn_lifts = np.diff(drawn, axis=1) / drawn[:, -1:] * TENTHS
    whose = _accounts(sample)
    table = []
    for i in range(TENTHS):
        accounts, left = whose[i]
        low, high = interval(drawn_lifts[:, i])
        if exits[-1] and exits[i + 1] == exits[i]:
            # No draw can contain an exit that is not there; one in so many accounts may still have been missed.
            high = wilson(0.0, accounts)[1] * rows[-1] / exits[-1]
        table.append(
            {
                "tenth": i + 1,
                "rows": float(rows[i + 1] - rows[i]),
                "accounts": accounts,
                "exits": float(exits[i + 1] - exits[i]),
                "accounts_left": left,
                "rate": float((exits[i + 1] - exits[i]) / (rows[i + 1] - rows[i])),
                "lift": Estimate(lifts[i], low, high).to_plain(),
                "exits_so_far": float(exits[i + 1]),
                "share_so_far": Estimate(shares[i + 1], *interval(drawn_shares[:, i + 1])).to_plain(),
            }
        )
    return table


def _accounts(sample: Sample) -> list[tuple[int, int]]:
    """Different accounts in each tenth, and how many of them left; a run across an edge belongs to both."""
    ranking = sample.by_p
    begins = np.append(ranking.begins, len(ranking.order))
    lengths = np.diff(begins)
    above, below = np.repeat(begins[:-1], lengths), np.repeat(begins[1:], lengths)
    account, left = sample.account[ranking.order], sample.y[ranking.order] == 1
    found = []
    for i in range(TENTHS):
        low, high = np.array([i, i + 1]) * len(above) / TENTHS
        inside = (above < high) & (below > low)
        found.append((len(np.unique(account[inside])), len(np.unique(account[inside & left]))))
    return found


def revenue_table(sample: Sample, draws: Iterable[Vector]) -> list[dict[str, Any]] | None:
    """Ten entries ranked by p x mrr: tenth, rows, exits, revenue_lost and expected_loss (a month's revenue of those
    who left; p x mrr summed), share of the lost revenue and share_so_far (estimates).

    Rows of unknown revenue take no part. None where no revenue is known; shares are null where none was lost.
    """
    known = (~np.isnan(sample.mrr)).astype(np.float64)
    if not known.sum():
        return None
    expected = sample.p * np.nan_to_num(sample.mrr)
    ones = np.ones(len(sample.y))
    rows, exits, lost, loss = cumulated(sample.by_loss, known, [ones, sample.y, sample.lost, expected])
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.array([cumulated(sample.by_loss, w * known, [sample.lost])[0] for w in draws])
        drawn = drawn.reshape(-1, TENTHS + 1)
        so_far, drawn_so_far = lost / lost[-1], drawn / drawn[:, -1:]
    shares, drawn_shares = np.diff(so_far), np.diff(drawn_so_far, axis=1)
    return [
        {
            "tenth": i + 1,
            "rows": float(rows[i + 1] - rows[i]),
            "exits": float(exits[i + 1] - exits[i]),
            "revenue_lost": float(lost[i + 1] - lost[i]),
            "expected_loss": float(loss[i + 1] - loss[i]),
            "share": Estimate(shares[i], *interval(drawn_shares[:, i])).to_plain(),
            "share_so_far": Estimate(so_far[i + 1], *interval(drawn_so_far[:, i + 1])).to_plain(),
        }
        for i in range(TENTHS)
    ]
