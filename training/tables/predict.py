"""Rows of a wide table scored by a model of one: the same columns, checked, and a table out."""

import difflib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from models.clock import INSTANT
from models.errors import ContractError
from models.imports.read import Raw, read
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


@dataclass(frozen=True)
class Ready:
    """Rows as a model reads them: `frame` (n rows) its columns, `accounts` (n,) whose they are, and the names of the
    columns it does not read."""

    frame: pl.DataFrame
    accounts: pl.Series
    unread: tuple[str, ...]


def predict(model: ChurnModel, path: Path, identity: str, as_of: datetime, top: int) -> Predicted:
    """Score a file. Whose row it is says the column `identity`, or the one the model was trained with; as of when the
    column the model was trained with, else `as_of`.

    Raises `ContractError` for a model of histories, missing columns, and cells that cannot be read, by line.
    """
    if not model.of_table:
        raise ContractError(f"The model {model.model_id} was trained on histories; use --data instead of --table.")
    return predict_rows(model, read(path), path.name, identity, as_of, top)


def predict_rows(model: ChurnModel, raw: Raw, name: str, identity: str, as_of: datetime, top: int) -> Predicted:
    """The same of rows that have been read already; `name` is what they are called."""
    rows = ready(model, raw, name, identity, as_of)
    scored = score_features(model, rows.frame).with_columns(pl.col("p_churn_low", "p_churn_high").fill_nan(None))
    told = reasons(model, rows.frame, "churn", top, harmful_only=True)
    sentences = [json.dumps([reason.sentence for reason in row], ensure_ascii=False) for row in told]
    made = scored.with_columns(rows.accounts.alias("account_id"), pl.Series("reasons", sentences, dtype=pl.String))
    notes = [f"not read by the model: {', '.join(rows.unread)}"] if rows.unread else []
    notes += [f"line {one.line} {one.reason} and was passed over" for one in raw.broken]
    return Predicted(made.select(*COLUMNS, "reasons"), tuple(notes))


def ready(model: ChurnModel, raw: Raw, name: str, identity: str, as_of: datetime) -> Ready:
    """Rows as the model of a table reads them. Raises `ContractError` as `predict` does."""
    schema = model.columns
    if identity and identity not in raw.names:
        raise ContractError(f"{name} has no column {identity!r} (--id); it has {', '.join(raw.names)}.")
    _refuse_missing(model, raw.names, name)
    whose = identity or (schema.identity if schema.identity in raw.names else "")
    dated = any(column.form == "date" for column in schema.columns)
    config = TableConfig(as_of=as_of.isoformat())
    moments = moments_of(raw.frame, schema.moment if dated else "", config).cast(INSTANT)
    known = {*schema.names, schema.moment, whose}
    unread = tuple(column for column in raw.names if column not in known)
    return Ready(prepare(schema, raw.frame, moments), identities(raw.frame, whose), unread)


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
