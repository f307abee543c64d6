"""A simulated base, the expert's tables centred on it, and what was normal at the end of training."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl
import pytest

from models.features import FEATURES, compute, measure
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams, label
from models.model import ChurnModel, columns, usual_values
from models.monitor.reference import Reference, take
from training import expert, simulator
from training.fitting import with_base_rate
from training.simulator import Fault
from training.snapshots import snapshots

ACCOUNTS, WEEKS, CUT, SINCE = 500, 128, 104, 112


@dataclass(frozen=True)
class Served:
    """A model in service and the world it was fitted on."""

    model: ChurnModel
    reference: Reference
    history: History
    start: datetime

    def at(self, week: int) -> datetime:
        return self.start + timedelta(weeks=week)


def faulty(name: str, week: int = SINCE) -> History:
    simulated = simulator.simulate(ACCOUNTS, WEEKS, "default", 4, faults=[Fault(name, week)])
    return History.from_frames(simulated.tables)


@pytest.fixture(scope="session")
def served() -> Served:
    simulated = simulator.simulate(ACCOUNTS, WEEKS, "default", 4)
    history = History.from_frames(simulated.tables)
    cutoff = simulated.start + timedelta(weeks=CUT)
    known = history.known_at(cutoff)
    labels = label(known, snapshots(known, cutoff), cutoff)
    labels = labels.filter(pl.col("y_churn").is_not_null())
    baselines = measure(known, cutoff)
    features = compute(known, labels.select("account_id", "as_of").filter(pl.col("as_of") == labels["as_of"].max()))
    cards = []
    for target in ("churn", "silent"):
        card = expert.load().scorecard(target)
        rate = labels[f"y_{target}"].mean()
        card = with_base_rate(card, features, rate)
        cards.append(card.centred(card.means(columns(features))))
    model = ChurnModel(
        churn=cards[0],
        silent=cards[1],
        health=HealthParams.for_base(cards[0].base),
        label=LabelParams(),
        baselines=baselines,
        usual=usual_values(features),
        status="test",
        phase="P0",
        fingerprints=fingerprints(),
        model_id="m",
    )
    reference = take(model, known, cutoff, labels)
    assert reference is not None
    assert len(FEATURES) == len(set(FEATURES.names))
    return Served(replace(model, reference=reference.to_plain()), reference, history, simulated.start)
