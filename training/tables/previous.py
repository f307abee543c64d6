"""The model in service on the rows a new model of a table was tested on.

Where enough customers left on rows after the last moment the model in service learnt from, only those rows count. If
not, it may have learnt from some of them itself, which flatters it and nobody else: a new model that holds its own all
the same does so on the harder side; that one loses proves nothing, and `why` says so.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from models import registry
from models.clock import parse_instant
from models.errors import EbbtideError
from models.health import expit
from models.loading import load_model
from models.model import ChurnModel, columns
from models.schema import Schema
from training.previous import LEAST_EXITS, PREVIOUS, Previous, pair

FLATTERED = "The model in service may have learnt from some of these rows itself, which flatters it."


def in_service(root: Path, trust: registry.Trust, label: str) -> Previous:
    """The model in service, if it reads a table with the same label; or why there is none to compare a new one with."""
    change = registry.current(root)
    if change is None:
        return Previous()
    try:
        model, manifest = load_model(root, change.model_id, trust)
    except EbbtideError as error:
        return Previous(why=f"The model in service cannot be compared with: {error}")
    if model.columns.source != "table":
        return Previous(why="The model in service reads a history, so it cannot score a table.")
    if manifest.label.get("column") != label:
        return Previous(why=f"The model in service predicts another label: {manifest.label.get('column')!r}.")
    return _of(model, manifest)


def as_recorded(root: Path, told: Mapping[str, Any] | None, trust: registry.Trust) -> Previous:
    """What a report's `previous` was compared with, to make the same comparison again."""
    model_id = (told or {}).get("model_id")
    if model_id is None:
        return Previous(why=(told or {}).get("why") or Previous.why)
    try:
        model, manifest = load_model(root, model_id, trust)
    except EbbtideError as error:
        return Previous(why=f"The model in service cannot be compared with: {error}")
    return _of(model, manifest)


def _of(model: ChurnModel, manifest: registry.Manifest) -> Previous:
    cutoff = manifest.metrics.get("cutoff")
    return Previous(model, None if cutoff is None else parse_instant(cutoff))


def compare(
    previous: Previous, frame: pl.DataFrame, schema: Schema, rows: pl.DataFrame, *, k: int = 20, seed: int = 0
) -> dict[str, Any]:
    """As `training.previous.compare`, of `churn` alone. `frame`: the table's columns, one row for each of `rows`
    (as for `training.metrics.evaluate`; `as_of` null where no row has a moment); `schema`: what the columns are."""
    model = previous.model
    if model is None:
        return {"status": "none", "why": previous.why, "model_id": None, "cutoff": None}
    told: dict[str, Any] = {"model_id": model.model_id, "cutoff": previous.cutoff}
    if why := _unreadable(model.columns, schema):
        return {"status": "none", "why": why, **told}
    p = expit(model.churn.log_odds(columns(frame, model.columns)))
    scored, why = _unseen(rows.with_columns(pl.Series(f"p_{PREVIOUS}", p)), previous.cutoff)
    found = pair(scored, k, {"resamples": 200, "seed": seed})
    return {"status": "compared", "why": why, **told, "churn": found}


def _unreadable(old: Schema, new: Schema) -> str | None:
    """Why a model of the old columns cannot read a table of the new ones."""
    for column in old.columns:
        if column.name not in new:
            return f"The model in service reads a column {column.name!r}, which this table does not have."
        if column.form != new[column.name].form:
            return (
                f"The model in service reads {column.name!r} as {column.form}, and here it is {new[column.name].form}."
            )
    return None


def _unseen(rows: pl.DataFrame, cutoff: datetime | None) -> tuple[pl.DataFrame, str | None]:
    """The rows the model in service cannot have learnt from; all of them, and what that means, where these are few or
    none can tell."""
    if cutoff is not None and rows["as_of"].dtype == pl.Datetime:
        later = rows.filter(pl.col("as_of") > cutoff)
        if later.filter(pl.col("y") == 1)["account_id"].n_unique() >= LEAST_EXITS:
            return later, None
    return rows, FLATTERED
