"""The model in service on the rows the new one was tested on.

Only rows it cannot have learnt from count: those on or after the moment up to which it knew everything (its cutoff).
Retraining often therefore leaves little to compare on, which is said rather than papered over:

    the model in service was trained on what was known at      2025-09-01
    tested moments of the new one                              2025-03-03 ... 2025-12-08
    compared on                                                2025-09-15 ... 2025-12-08
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from models import registry
from models.clock import isoformat, parse_instant
from models.errors import EbbtideError
from models.features import compute
from models.health import expit
from models.history import History
from models.loading import load_model
from models.model import ChurnModel, columns
from models.scorecard import Target
from training.metrics import COMPARED, OF_A_PART, part

#: The baseline's name: the column `p_previous`, the key of `gain`.
PREVIOUS = "previous"
#: With fewer exits on later rows, a comparison would be noise.
LEAST_EXITS = 10


@dataclass(frozen=True)
class Previous:
    """The model in service and the moment up to which it knew everything; or `why` there is none to compare with."""

    model: ChurnModel | None = None
    cutoff: datetime | None = None
    why: str = "No model is in service."


def in_service(root: Path, trust: registry.Trust) -> Previous:
    """The model in service of an artefact store; or why there is none to compare a new one with."""
    change = registry.current(root)
    return Previous() if change is None else _load(root, change.model_id, trust)


def as_recorded(root: Path, told: Mapping[str, Any] | None, trust: registry.Trust) -> Previous:
    """What a report's `previous` was compared with, to make the same comparison again."""
    model_id = (told or {}).get("model_id")
    if model_id is None:
        return Previous(why=(told or {}).get("why") or Previous.why)
    return _load(root, model_id, trust)


def _load(root: Path, model_id: str, trust: registry.Trust) -> Previous:
    try:
        model, manifest = load_model(root, model_id, trust)
    except EbbtideError as error:
        return Previous(why=f"The model in service cannot be compared with: {error}")
    cutoff = manifest.metrics.get("cutoff")
    if cutoff is None or model.columns.source != "history":
        return Previous(why="The model in service was not made from a history, so it cannot score this one.")
    return Previous(model, parse_instant(cutoff))


def untested(previous: Previous) -> dict[str, Any]:
    """What `compare` says where no row was tested."""
    if previous.model is None:
        return {"status": "none", "why": previous.why, "model_id": None, "cutoff": None}
    why = "Nothing was fitted, so there are no tested rows to compare on."
    return {"status": "none", "why": why, "model_id": previous.model.model_id, "cutoff": previous.cutoff}


def compare(
    previous: Previous,
    known: History,
    tested: Mapping[Target, pl.DataFrame],
    *,
    k: int = 20,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """status (`compared`, `none`, `too_recent`), why (a sentence, or null), model_id, cutoff, and by target, where
    compared: counts, OF_A_PART of the new model, `previous` (the same of the one in service), `gain` (estimates,
    positive: the new one is better) and `quiet` (the same three inside the quiet set).

    tested: target -> rows as for `training.metrics.evaluate`.
    """
    model, cutoff = previous.model, previous.cutoff
    if model is None or cutoff is None:
        return untested(previous)
    told: dict[str, Any] = {"model_id": model.model_id, "cutoff": cutoff}
    later = {target: rows.filter(pl.col("as_of") >= cutoff) for target, rows in tested.items()}
    exits = {target: rows.filter(pl.col("y") == 1)["account_id"].n_unique() for target, rows in later.items()}
    few = min(exits.values())
    if few < LEAST_EXITS:
        why = (
            f"The model in service knew everything up to {isoformat(cutoff)[:10]}, and only {few} accounts left after "
            f"a tested moment later than that; {LEAST_EXITS} are needed for a comparison."
        )
        return {"status": "too_recent", "why": why, **told}
    draw = {"resamples": resamples, "seed": seed}
    compared: dict[str, Any] = {t: _both(model, known, t, rows, k, draw) for t, rows in later.items()}
    return {"status": "compared", "why": None, **told, **compared}


def _both(
    model: ChurnModel, known: History, target: Target, rows: pl.DataFrame, k: int, draw: dict[str, int]
) -> dict[str, Any]:
    features = compute(known, rows.select("account_id", "as_of"), model.baselines, model.columns.features)
    card = model.card(target)
    scored = rows.with_columns(pl.Series(f"p_{PREVIOUS}", expit(card.log_odds(columns(features, model.columns)))))
    found = pair(scored, k, draw)
    if "quiet" in scored.columns:
        found["quiet"] = pair(scored.filter(pl.col("quiet")), k, draw)
    return found


def pair(scored: pl.DataFrame, k: int, draw: dict[str, int]) -> dict[str, Any]:
    """Of rows with p and `p_previous`: what the new model is worth, what the one in service is, and the gain."""
    new = part(scored, OF_A_PART, k, draw, (PREVIOUS,))
    old = part(scored.with_columns(p=f"p_{PREVIOUS}"), OF_A_PART, k, draw)
    gain = {name: new["gain"][PREVIOUS][name] for name in COMPARED}
    return {**{name: value for name, value in new.items() if name != "gain"}, PREVIOUS: old, "gain": gain}
