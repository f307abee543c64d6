"""Offline scoring without a store: a history in, a table out."""

import json
from datetime import datetime
from pathlib import Path

import polars as pl

from models.clock import isoformat
from models.errors import ContractError
from models.history import History
from models.model import ChurnModel
from models.reasons import reasons
from models.scoring import is_fresh, last_known, score_history

COLUMNS = (
    *("account_id", "as_of", "health", "band", "p_churn", "p_silent", "p_vocal", "expected_revenue_loss", "quiet"),
    *("confidence", "model_id", "reasons"),
)


def predict(
    model: ChurnModel, history: History, as_of: datetime, margin: float, currency: str, top: int
) -> pl.DataFrame:
    """Every customer at `as_of`, the likeliest to leave silently first; `reasons` is a JSON list of sentences."""
    fresh = is_fresh(last_known(history, as_of), as_of)
    scored = score_history(model, history, as_of, fresh=fresh, margin=margin, currency=currency)
    told = reasons(model, scored.features, "silent", top, harmful_only=True)
    sentences = [json.dumps([reason.sentence for reason in row], ensure_ascii=False) for row in told]
    rows = scored.scores.with_columns(pl.Series("reasons", sentences, dtype=pl.String))
    return rows.select(COLUMNS).sort(["p_silent", "account_id"], descending=[True, False])


def write(rows: pl.DataFrame, out: Path) -> None:
    """Write `.csv` (instants in ISO 8601, UTC) or `.parquet`. Raises `ContractError` for any other ending."""
    if out.suffix == ".parquet":
        rows.write_parquet(out)
    elif out.suffix == ".csv":
        if "as_of" in rows.columns:
            when = isoformat(rows["as_of"][0]) if rows.height else None
            rows = rows.with_columns(pl.lit(when, pl.String).alias("as_of"))
        rows.write_csv(out)
    else:
        raise ContractError(f"Cannot write {out.name}; name it .csv or .parquet.")
