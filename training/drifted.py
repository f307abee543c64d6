"""What has changed since the model in service was trained: in what it is fed, and in what is said of today's customers.

The first is what `ebbtide monitor` says of that model at the new one's cutoff, so that a report and a look can never
disagree; the second scores everybody who is a customer then with both.

    today's 20 likeliest to leave silently    16 are the same by both models
    mean risk of leaving silently             2.9 % by the new one, 3.1 % by the one before
"""

from datetime import datetime
from typing import Any

import polars as pl

from models.history import History
from models.model import ChurnModel
from models.monitor.rows import sampled, scored_rows
from models.monitor.watch import watch
from training.previous import Previous

TARGETS = ("churn", "silent")


def drifted(previous: Previous, model: ChurnModel, known: History, cutoff: datetime, k: int = 20) -> dict[str, Any]:
    """`drift`: accounts, since (when the normal it is held against was measured, or null), findings {kind, severity,
    subject, sentence, since}, lists {k, shared} and means {target: {this, previous}}; empty without a model in service.

    `known`: the history as it was known at `cutoff`; `k`: how many accounts of a list a team can call.
    """
    if previous.model is None:
        return {}
    held = known.of(sampled(known.accounts["account_id"].to_list()))
    this, before = (scored_rows(one, held, [cutoff]) for one in (model, previous.model))
    if not this.height:
        return {}
    told = watch(previous.model, known, cutoff).to_plain()
    kept = ("kind", "severity", "subject", "sentence", "since")
    first, other = (_first(rows, k) for rows in (this, before))
    found = {
        "accounts": this.height,
        "since": told["reference"],
        "findings": [{name: finding[name] for name in kept} for finding in told["findings"]],
        "lists": {"k": len(first), "shared": len(first & other)},
        "means": {target: {"this": _mean(this, target), "previous": _mean(before, target)} for target in TARGETS},
    }
    return {"drift": found}


def _first(rows: pl.DataFrame, k: int) -> set[str]:
    """Those a model takes to be the likeliest to leave silently; equal ones by their ids, as on a list."""
    return set(rows.sort(["p_silent", "account_id"], descending=[True, False]).head(k)["account_id"])


def _mean(rows: pl.DataFrame, target: str) -> float:
    return float(rows[f"p_{target}"].to_numpy().mean())
