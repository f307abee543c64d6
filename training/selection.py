"""Champion or challenger: the simpler kind of model stays unless the other is better beyond doubt.

Both predicted the same rows in the same forward folds. The challenger is taken where its log loss is better with a 95 %
interval (accounts drawn with replacement, the same draws for both) that leaves out zero, on three blocks of time or
more, and the lift of the top tenth, which lists live by, does not fall. Everything else is a tie, and ties go to the
simpler.

A choice among two made on the rows it is then reported on flatters a little; how much is measured: each half of the
accounts is judged by the kind that the other half would have chosen (`by_other_half`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from models.health import expit
from training.cross import OutOfFold
from training.metrics import paired
from training.sample import Sample, measure

#: How many blocks of time a challenger must have been tested on.
LEAST_BLOCKS = 3
_SHOWN = ("auc", "log_loss", "top_decile_lift")


@dataclass(frozen=True)
class Selection:
    """The kind that is served, and why (for the report)."""

    kind: str
    report: dict[str, Any]


def select(made: OutOfFold, matrix: pl.DataFrame, seed: int) -> Selection:
    """Choose among the kinds of `made`; `matrix` are the rows it was predicted from (account_id, as_of)."""
    champion, *challengers = made.kinds
    if not challengers:
        return Selection(champion, {"kind": champion, "why": "too few silent exits for a challenger"})
    rows = _rows(made, matrix)
    everyone = np.ones(len(made.y), dtype=np.bool_)
    gain = _gain(rows, everyone, champion, challengers[0], seed)
    kind, why = _decided(gain, len(made.told), champion, challengers[0])
    halves = [made.group % 2 == half for half in (0, 1)]
    by_half = [
        _decided(_gain(rows, half, champion, challengers[0], seed), len(made.told), champion, challengers[0])[0]
        for half in halves
    ]
    crossed = np.where(halves[0], made.kinds[by_half[1]], made.kinds[by_half[0]])
    report = {
        "kind": kind,
        "why": why,
        "blocks": len(made.told),
        "tried": {name: _measured(rows, expit(z)) for name, z in made.kinds.items()},
        "gain": gain,
        "by_other_half": {"chosen": by_half, **_measured(rows, expit(crossed))},
    }
    return Selection(kind, report)


def _rows(made: OutOfFold, matrix: pl.DataFrame) -> pl.DataFrame:
    kinds = {name: pl.Series(expit(z)) for name, z in made.kinds.items()}
    return matrix[made.rows].select("account_id", "as_of").with_columns(pl.Series("y", made.y), **kinds)


def _measured(rows: pl.DataFrame, p: npt.NDArray[np.float64]) -> dict[str, float]:
    return measure(Sample.of(rows.with_columns(pl.Series("p", p))), None, _SHOWN)


def _gain(
    rows: pl.DataFrame, part: npt.NDArray[np.bool_], champion: str, challenger: str, seed: int
) -> dict[str, dict[str, float | None]]:
    chosen = rows.filter(pl.Series(part))
    one, other = (Sample.of(chosen, p=name) for name in (challenger, champion))
    return {name: found.to_plain() for name, found in paired(one, other, _SHOWN, seed=seed).items()}


def _decided(gain: dict[str, dict[str, float | None]], blocks: int, champion: str, challenger: str) -> tuple[str, str]:
    if blocks < LEAST_BLOCKS:
        return champion, f"tested on {blocks} blocks of time, where {LEAST_BLOCKS} are needed to change the kind"
    low, high = gain["log_loss"]["low"], gain["log_loss"]["high"]
    if high is not None and high < 0:
        return champion, f"{challenger} are worse in log loss, beyond doubt; the simpler stays"
    if not (low or 0.0) > 0:
        return champion, f"the gain of {challenger} in log loss is not beyond doubt; the simpler stays"
    if (gain["top_decile_lift"]["value"] or 0.0) < 0:
        return champion, f"the lift of the top tenth falls with {challenger}; the simpler stays"
    return challenger, f"{challenger} gain in log loss beyond doubt, and the lift of the top tenth does not fall"
