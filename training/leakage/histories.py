"""The guard over a history's training matrix: its arithmetic first, then every doubt about its columns."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from models.features import FEATURES
from models.history import History
from models.labels import DEFAULTS, LabelParams
from training.folds import Folds
from training.leakage import alone, codes
from training.leakage.findings import Findings, ordered, require
from training.leakage.folds import fold_findings, label_findings
from training.leakage.recompute import Recompute, recomputed
from training.leakage.tables import examine


def check(
    history: History,
    matrix: pl.DataFrame,
    folds: Folds,
    params: LabelParams = DEFAULTS,
    *,
    recompute: Recompute,
    features: Sequence[str] = FEATURES.names,
    allowed: Collection[str] = (),
    who: str = "",
    when: datetime | None = None,
    sample: int = 64,
    seed: int = 0,
) -> dict[str, Any]:
    """Raise `LeakageError` with every finding that stops, numbered, or return what was checked as plain values.

    matrix     the training rows: account_id, as_of, the features, decided_at, y_churn and y_silent
    folds      positions in those rows
    recompute  (history, pairs) -> the features of the pairs, with the baselines the matrix was computed with
    features   the columns a model may see
    allowed    columns whose errors become recorded overrides, by `who` at `when`; the arithmetic cannot be overruled
    sample     rows computed again
    """
    watched = [name for name in features if name in matrix.columns]
    compared, differences = recomputed(history, matrix, features, recompute, sample, seed)
    arithmetic = (*fold_findings(matrix, folds, history.accounts, params), *label_findings(matrix, params))
    doubts = columns(matrix, watched, seed)
    findings = replace(doubts, found=ordered((*arithmetic, *doubts.found, *differences)))
    return {
        "folds": len(folds),
        "purge_days": folds.purge / timedelta(days=1),
        "rows_recomputed": compared,
        "columns_compared": len(watched),
        "columns_ranked_alone": len(doubts.aucs),
        "allowed": sorted(allowed),
        **require(findings, allowed, who, when),
    }


def columns(matrix: pl.DataFrame, watched: Sequence[str], seed: int = 0) -> Findings:
    """Doubts about the columns for any exit; and those that alone rank silent exits too well."""
    decided = "decided_at" if "decided_at" in matrix.columns else None
    churn = examine(
        matrix, watched, "y_churn", "account_id", as_of="as_of", decided_at=decided, seed=seed, read=FEATURES.names
    )
    rows = matrix.filter(pl.col("y_silent").is_not_null())
    silent = codes.of(rows, watched, "y_silent", "account_id")
    single = alone.measured(silent, seed)
    known = {found.column for found in churn.found if found.kind == "auc"}
    more = [found for found in alone.findings(single) if found.column not in known]
    aucs = {name: max(auc, single[name].auc if name in single else 0.0) for name, auc in churn.aucs.items()}
    missing = {**churn.not_checked, **alone.unmeasured(silent, "y_silent")}
    return Findings(ordered((*churn.found, *more)), tuple(watched), aucs, churn.twice, missing)
