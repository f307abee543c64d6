"""What this much history allows, said before anything is fitted: the phase, the precision that can be claimed, and
what the next phase waits for.

Exits are accounts, not rows: an account looked at on five days before it left is one piece of evidence. Worked, with
34 accounts of 900 that left silently in labelled snapshots spanning 16 months:

    phase       34 >= 30, < 300                                    P2
    precision   Hanley-McNeil, AUC .75, 34 left, 866 stayed        .65 to .85
    next        300 - 34 = 266 more; 34 / 16 = 2.1 a month         about 126 months at the present rate
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.labels import LabelParams
from training import fitting
from training.sample import hanley_mcneil

MONTH = timedelta(days=30.4375)
#: Phase -> accounts that must have left silently.
THRESHOLDS: Mapping[str, int] = {"P1": fitting.P1_EVENTS, "P2": fitting.P2_EVENTS, "P3": fitting.P3_EVENTS}
ALLOWS: Mapping[str, str] = {
    "P0": "the expert's scorecard serves as it is, marked uncalibrated; nothing is fitted",
    "P1": "level and weight of the expert's score are fitted to your exits, and nothing else",
    "P2": "every feature may move away from the expert's tables, held back by the folds",
    "P3": "pairs of features are tried as well, and taken only where the folds show that they are better",
}
#: The discrimination at which precision is quoted: what service data reach when things go well.
TYPICAL_AUC = 0.75
#: So many silent exits without a vocal one look like a source that records no voice.
LEAST_UNHEARD = 10


def gates(
    labels: pl.DataFrame,
    known_exits: pl.DataFrame,
    since: datetime | None,
    cutoff: datetime,
    blocked: str = "",
    params: LabelParams | None = None,
) -> dict[str, Any]:
    """What the data allow, as plain values with `sentences`.

    labels       labelled snapshots (`models.labels.label`, rows with a y_churn only)
    known_exits  every decision known at the cutoff (`models.labels.exits`)
    since        the first contact of any account; None: there is none
    blocked      why nothing can be tested on later moments, whatever the counts; empty: it can

    phase, allows, blocked; exits: silent, vocal, any (accounts among the labelled snapshots); known_exits: all that
    are known, labelled or not; accounts, snapshots, moments, months (of history), labelled_months; thresholds;
    claim: {auc, low, high} of the silent target at these counts (null: no exits); next: {phase, needs, missing,
    per_month, months} or null at the top (per_month, months null without an exit to count by).
    """
    counts = _counts(labels)
    phase = "P0" if blocked else fitting.phase(counts["silent"])
    accounts, moments = labels["account_id"].n_unique(), labels["as_of"].n_unique()
    span = _labelled_span(labels, params or LabelParams())
    low, high = hanley_mcneil(TYPICAL_AUC, counts["silent"], accounts - counts["silent"])
    undefined = bool(np.isnan(low))
    found: dict[str, Any] = {
        "phase": phase,
        "allows": ALLOWS[phase],
        "blocked": blocked or None,
        "exits": counts,
        "known_exits": known_exits.filter(~pl.col("cause").is_in(["pending", "involuntary"]))["account_id"].n_unique(),
        "accounts": accounts,
        "snapshots": labels.height,
        "moments": moments,
        "months": max(0.0, (cutoff - since) / MONTH) if since else 0.0,
        "labelled_months": span,
        "thresholds": dict(THRESHOLDS),
        "claim": {
            "auc": TYPICAL_AUC,
            "low": None if undefined else low,
            "high": None if undefined else high,
        },
        "next": _next(phase, counts["silent"], span),
    }
    return found | {"sentences": list(_sentences(found))}


def _counts(labels: pl.DataFrame) -> dict[str, int]:
    def accounts(condition: pl.Expr) -> int:
        return labels.filter(condition)["account_id"].n_unique()

    return {
        "silent": accounts(pl.col("y_silent") == 1),
        "vocal": accounts(pl.col("outcome") == "vocal"),
        "any": accounts(pl.col("y_churn") == 1),
    }


def _labelled_span(labels: pl.DataFrame, params: LabelParams) -> float:
    """Months in which an exit could have been counted: from the first horizon's begin to the last one's end."""
    if not labels.height:
        return 0.0
    first, last = labels.select(a=pl.col("as_of").min(), b=pl.col("as_of").max()).row(0)
    span: timedelta = last - first + timedelta(days=params.horizon_days)
    return span / MONTH


def _next(phase: str, silent: int, span: float) -> dict[str, Any] | None:
    following = {"P0": "P1", "P1": "P2", "P2": "P3"}.get(phase)
    if following is None:
        return None
    missing = max(0, THRESHOLDS[following] - silent)
    rate = silent / span if silent and span else None
    months = math.ceil(missing / rate) if rate else None
    return {"phase": following, "needs": THRESHOLDS[following], "missing": missing, "per_month": rate, "months": months}


def _sentences(found: Mapping[str, Any]) -> Iterator[str]:
    exits = found["exits"]
    yield (
        f"{_exits(exits['silent'])} known to have left silently and {exits['vocal']} after saying so "
        f"({exits['any']} of their own will in all), among {found['accounts']:,} accounts looked at on "
        f"{found['moments']} days; the history covers {found['months']:.0f} months."
    )
    if found["known_exits"] > exits["any"]:
        yield (
            f"{found['known_exits'] - exits['any']} further exits are known that no snapshot can learn from: too "
            "early, too recent, or too soon after the last look."
        )
    if exits["silent"] >= LEAST_UNHEARD and not exits["vocal"]:
        yield (
            "Not one of those who left is known to have said a word before: if complaints, escalations and low scores "
            "are not recorded here, every exit looks silent, and the silent list is a list of any churn."
        )
    yield f"That is phase {found['phase']}: {found['allows']}."
    if found["blocked"]:
        yield f"What stands in the way: {found['blocked']}"
    yield from _claim(found)
    yield from _unlock(found)


def _exits(n: int) -> str:
    return "1 account is" if n == 1 else f"{n} accounts are"


def _claim(found: Mapping[str, Any]) -> Iterator[str]:
    claim, silent = found["claim"], found["exits"]["silent"]
    if claim["low"] is None:
        yield "Without a silent exit nothing can be said about how well anything ranks them."
        return
    yield (
        f"With {silent} silent {'exit' if silent == 1 else 'exits'} an AUC of {_short(claim['auc'])} means "
        f"{_short(claim['low'])} to {_short(claim['high'])} (95 %, Hanley-McNeil)"
        + (": no claim that one model beats another by less than .10 should be believed." if silent < 30 else ".")
    )


def _short(share: float) -> str:
    """An AUC as its field writes it: .75."""
    return f"{share:.2f}".removeprefix("0")


def _unlock(found: Mapping[str, Any]) -> Iterator[str]:
    step = found["next"]
    if step is None or not step["missing"]:
        return
    when = (
        f"about {step['months']} months at the present rate of {step['per_month']:.1f} a month"
        if step["months"] is not None
        else "no rate to count by yet"
    )
    yield f"{step['phase']} begins at {step['needs']} silent exits: {step['missing']} more, {when}."
