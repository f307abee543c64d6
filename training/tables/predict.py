"""Rows of a wide table scored by a model of one: the same columns, checked, and a table out."""

import difflib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from models.clock import INSTANT
from models.errors import ContractError
from models.imports.read import read
from models.model import ChurnModel
from models.reasons import reasons
from models.scoring import score_features
from training.tables.declare import TableConfig
from training.tables.read import identities, moments_of, prepare

COLUMNS = ("account_id", "health", "band", "p_churn", "p_churn_low", "p_churn_high", "p_silent", "p_vocal", "model_id")


@dataclass(frozen=True)
class Predicted:
    """One row per row of the file in its order: `COLUMNS` and `reasons` (a JSON list of sentences); and what was said
    on the way."""

    rows: pl.DataFrame
    notes: tuple[str, ...]


def predict(model: ChurnModel, path: Path, identity: str, as_of: datetime, top: int) -> Predicted:
    """Score a file. Whose row it is says the column `identity`, or the one the model was trained with; as of when the
    column the model was trained with, else `as_of`.

    Raises `ContractError` for a model of histories, missing columns, and cells that cannot be read, by line.
    """
    schema = model.columns
    if not model.of_table:
        raise ContractError(f"The model {model.model_id} was trained on histories; use --data instead of --table.")
    raw = read(path)
    if identity and identity not in raw.names:
        raise ContractError(f"{path.name} has no column {identity!r} (--id); it has {', '.join(raw.names)}.")
    _refuse_missing(model, raw.names, path.name)
    whose = identity or (schema.identity if schema.identity in raw.names else "")
    dated = any(column.form == "date" for column in schema.columns)
    config = TableConfig(as_of=as_of.isoformat())
    moments = moments_of(raw.frame, schema.moment if dated else "", config).cast(INSTANT)
    frame = prepare(schema, raw.frame, moments)
    scored = score_features(model, frame).with_columns(pl.col("p_churn_low", "p_churn_high").fill_nan(None))
    told = reasons(model, frame, "churn", top, harmful_only=True)
    sentences = [json.dumps([reason.sentence for reason in row], ensure_ascii=False) for row in told]
    rows = scored.with_columns(
        identities(raw.frame, whose).alias("account_id"), pl.Series("reasons", sentences, dtype=pl.String)
    )
    known = {*schema.names, schema.moment, whose}
    unread = [name for name in raw.names if name not in known]
    notes = [f"not read by the model: {', '.join(unread)}"] if unread else []
    notes += [f"line {one.line} {one.reason} and was passed over" for one in raw.broken]
    return Predicted(rows.select(*COLUMNS, "reasons"), tuple(notes))


def _refuse_missing(model: ChurnModel, names: tuple[str, ...], file: str) -> None:
    schema = model.columns
    dated = any(column.form == "date" for column in schema.columns)
    wanted = [*schema.names, *([schema.moment] if dated and schema.moment else [])]
    missing = [name for name in wanted if name not in names]
    if not missing:
        return
    near = difflib.get_close_matches(missing[0].lower(), [name.lower() for name in names], 1)
    close = [name for name in names if near and name.lower() == near[0]]
    hint = f"; it has {close[0]!r}, which may be meant" if close else ""
    others = f" and {len(missing) - 1} more ({', '.join(missing[1:])})" if len(missing) > 1 else ""
    raise ContractError(f"{file} lacks the column {missing[0]!r} that the model reads{others}{hint}.")
