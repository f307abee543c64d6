"""What the report draws and no metric holds: where the folds lie in time, how many rows each bin was learnt from."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from models.scorecard import Columns, Scorecard
from training.folds import Folds


def terms(cards: Mapping[str, Scorecard], columns: Columns) -> dict[str, Any]:
    """How the training rows lie in the tables of each scorecard.

    target -> {`rows`, `terms`: term -> {`counts`: rows per place (single terms only), `weight`: mean absolute
    contribution in log-odds}}.
    """
    return {target: _card(card, columns) for target, card in cards.items()}


def _card(card: Scorecard, columns: Columns) -> dict[str, Any]:
    sizes = np.abs(card.contributions(columns))
    weights = dict(zip(card.names, sizes.mean(axis=0).tolist() if len(sizes) else [0.0] * len(card.names), strict=True))
    counted = card.counts(columns)
    found = {
        name: {"weight": weight} | ({"counts": counted[name]} if name in counted else {})
        for name, weight in weights.items()
    }
    return {"rows": len(sizes), "terms": found}


def folds(cut: Folds | None, rows: pl.DataFrame) -> dict[str, Any] | None:
    """Where each block learns and tests. rows: account_id, as_of, as the folds were cut over; None without folds."""
    if cut is None:
        return None
    first = rows["as_of"].min()
    blocks = []
    for block in sorted({fold.block for fold in cut}):
        parts = [fold for fold in cut if fold.block == block]
        blocks.append(
            {
                "learnt_from": first,
                "learnt_to": parts[0].train_to,
                "tested_from": parts[0].test_from,
                "tested_to": parts[0].test_to,
                "learnt_rows": round(sum(len(fold.train) for fold in parts) / len(parts)),
                "tested_rows": sum(len(fold.test) for fold in parts),
            }
        )
    return {"purge_days": cut.purge.days, "groups": cut.groups, "blocks": blocks}
