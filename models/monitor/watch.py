"""One look at a model in service: everything compared, everything found, with what to do.

Pure: a model, a history and a moment in; findings out. What the scores said then may be handed in (`said`); where it is
not, the past is scored again with the same model and what was known then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import polars as pl

from models.clock import isoformat
from models.errors import ContractError
from models.history import History
from models.labels import exits
from models.model import ChurnModel
from models.monitor.estimate import estimate
from models.monitor.findings import Finding, ordered, worst
from models.monitor.inputs import TARGETS, feature_findings, score_findings
from models.monitor.outcomes import Observed, no_exits, observed, outcome_findings, settled_rows, to_plain
from models.monitor.reference import Reference
from models.monitor.rows import EVERY_DAYS, moments_back, sampled, scored_rows
from models.monitor.sources import source_findings, stopped

#: Moments looked back on at most: a year.
MONTHS = 13


@dataclass(frozen=True)
class Watch:
    """What a look found. `reference`: when the model's normal was measured (None: it was not, see `no_reference`);
    `observed`: observed against expected, where outcomes are known; `estimated`: what the scores promise now, and
    promised at training, if they are right; `predictions`: how many rows of the past were scored then (`stored`) and
    now (`rescored`)."""

    model_id: str
    as_of: datetime
    accounts: int
    reference: datetime | None
    findings: tuple[Finding, ...]
    observed: tuple[Observed, ...]
    estimated: Mapping[str, Mapping[str, Any]]
    predictions: Mapping[str, int]

    def to_plain(self) -> dict[str, Any]:
        """For JSON and the store."""
        return {
            "model_id": self.model_id,
            "as_of": isoformat(self.as_of),
            "accounts": self.accounts,
            "reference": None if self.reference is None else isoformat(self.reference),
            "worst": worst(self.findings),
            "findings": [finding.to_plain() for finding in self.findings],
            "observed": [_instants(to_plain(one)) for one in self.observed],
            "estimated": {name: dict(value) for name, value in self.estimated.items()},
            "predictions": dict(self.predictions),
        }


def watch(model: ChurnModel, history: History, as_of: datetime, said: pl.DataFrame | None = None) -> Watch:
    """Look at a model as of a moment, with what was known then.

    `said`: stored scores of earlier moments (account_id, as_of, p_churn, p_silent); they stand in for scoring the past
    again. Raises `ContractError` where nobody is a customer at `as_of`.
    """
    held = history.of(sampled(history.accounts["account_id"].to_list()))
    reference = None if model.reference is None else Reference.from_plain(model.reference)
    rows = scored_rows(model, held, _moments(reference, as_of))
    return judge(model, held.known_at(as_of), as_of, rows, reference, said)


def judge(
    model: ChurnModel,
    known: History,
    as_of: datetime,
    rows: pl.DataFrame,
    reference: Reference | None,
    said: pl.DataFrame | None = None,
) -> Watch:
    """The same from rows that were scored already (`rows.scored_rows`, of `as_of` and moments before it)."""
    present = rows.filter(pl.col("as_of") == as_of)
    if not present.height:
        raise ContractError(f"No account is a customer at {isoformat(as_of)}, so there is nothing to watch.")
    normal = reference if reference is not None and reference.settled else None
    found = source_findings(known, as_of, normal.sources if normal else None)
    outcomes: Sequence[Observed] = ()
    predictions = {"stored": 0, "rescored": 0}
    if normal is None:
        found.append(_no_reference(model) if reference is None else _too_young(model, reference))
    elif not stopped(found):
        # Features of a stopped feed only repeat that it stopped, in the words of a hundred silent customers.
        found += feature_findings(model, normal, rows)
        found += score_findings(normal, rows)
    if reference is not None:
        past, predictions = _with_said(rows, said)
        decided = exits(known, as_of, model.label)
        settled = settled_rows(past, known, as_of, model.label, reference, decided)
        if decided.height:
            outcomes = observed(settled, reference)
            found += outcome_findings(outcomes, reference)
        else:
            found.append(no_exits(settled))
    return Watch(
        model_id=model.model_id,
        as_of=as_of,
        accounts=present.height,
        reference=normal.as_of if normal else None,
        findings=ordered(found),
        observed=tuple(outcomes),
        estimated=_estimated(present, normal),
        predictions=predictions,
    )


def _moments(reference: Reference | None, as_of: datetime) -> list[datetime]:
    """A year of moments; none that the training had finished learning from."""
    return moments_back(as_of, MONTHS) if reference else [as_of]


def _with_said(rows: pl.DataFrame, said: pl.DataFrame | None) -> tuple[pl.DataFrame, dict[str, int]]:
    """The rows of the past with what the scores said then where that was kept."""
    if said is None or not said.height:
        return rows, {"stored": 0, "rescored": rows.height}
    kept = said.select("account_id", "as_of", "p_churn", "p_silent")
    stored = kept["as_of"].unique()
    # A snapshot scored again gives way where a run was stored within half a step of it: no exit counts twice.
    near = [
        moment
        for moment in rows["as_of"].unique()
        if any(abs(other - moment) <= timedelta(days=EVERY_DAYS / 2) for other in stored)
    ]
    again = rows.filter(~pl.col("as_of").is_in(near)).select(kept.columns)
    return pl.concat([kept, again]), {"stored": kept.height, "rescored": again.height}


def _estimated(present: pl.DataFrame, reference: Reference | None) -> dict[str, dict[str, Any]]:
    return {
        target: estimate(present[f"p_{target}"].to_numpy()).to_plain()
        | {"auc_at_training": None if reference is None else _known(reference.auc[target])}
        for target in TARGETS
    }


def _known(value: float) -> float | None:
    """For JSON: what is undefined as null."""
    return value if isfinite(value) else None


def _no_reference(model: ChurnModel) -> Finding:
    return Finding(
        kind="no_reference",
        severity="warning",
        subject=model.model_id,
        sentence="The artefact keeps no reference, so drift of features and scores and observed against expected "
        "cannot be told; only abrupt changes of the sources can.",
        action="Train again: every model trained by this version keeps one.",
    )


def _too_young(model: ChurnModel, reference: Reference) -> Finding:
    return Finding(
        kind="no_reference",
        severity="info",
        subject=model.model_id,
        sentence=f"When the model was trained ({reference.as_of:%Y-%m-%d}), contacts had been recorded for less than a "
        "year, so what is normal over a year is not known and drift of features and scores cannot be told; observed "
        "against expected and abrupt changes of the sources can.",
        action="Train again once contacts have been recorded for a year.",
    )


def _instants(plain: dict[str, object]) -> dict[str, object]:
    return {name: isoformat(value) if isinstance(value, datetime) else value for name, value in plain.items()}
