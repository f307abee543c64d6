"""Contract terms alone: what a finance department would have ranked without any service data, at any past moment.

Whatever a list of customers is worth must be more than this is worth: days to renewal alone rank silent exits well, in
a world where service does not matter at all.
"""

from dataclasses import replace
from datetime import datetime

import polars as pl

from models.features import FEATURES, FeatureSet, compute, measure
from models.history import History
from models.labels import LabelParams, label
from models.scorecard import Scorecard
from training import fitting
from training.cross import DEFAULT_TAU
from training.expert import Expert
from training.snapshots import snapshots

_TERMS = FeatureSet(fitting.CONTRACT_TERMS)


def of_tables(expert: Expert) -> Scorecard:
    """The contract terms among an expert's tables (silent), where nothing can be fitted."""
    card = expert.scorecard("silent")
    return replace(card, terms=tuple(term for term in card.terms if term.feature in set(_TERMS.names)))


def fitted(
    known: History, day: datetime, expert: Expert, every_days: int, params: LabelParams, phase: str
) -> Scorecard:
    """A silent scorecard of the contract terms, fitted on every labelled snapshot known on a day, as free as the phase
    lets a model be; the service signals' tau has its default."""
    if phase == "P0":
        return of_tables(expert)
    pairs = snapshots(known, day, every_days, params)
    labels = label(known, pairs, day, params)
    features = compute(known, pairs, measure(known, day), _TERMS)
    other = [pl.lit(None).alias(name) for name in FEATURES.names if name not in features.columns]
    frame = features.with_columns(other).hstack(labels.select("y_churn", "y_silent"))
    prepared = fitting.Material.of(frame, "silent", expert, fitting.CONTRACT_TERMS).prepare()
    tau = fitting.RECALIBRATED if phase == "P1" else DEFAULT_TAU
    return fitting.scorecard(prepared, fitting.path(prepared, (fitting.RECALIBRATED, tau))[-1])
