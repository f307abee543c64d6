"""Training on 24 snapshots, with forward folds, intervals and report."""

import tempfile
from pathlib import Path

from bench.figures import Figure, Watch
from bench.model import SNAPSHOTS, keep, training_history
from training.train import Config, train

#: What the aim is declared for.
ACCOUNTS = 3_000
AIM_SECONDS = 60.0


def figures(accounts: int) -> list[Figure]:
    """Seconds from a history to an artefact."""
    history, simulated = training_history(accounts)
    with tempfile.TemporaryDirectory() as folder, Watch().running() as watch:
        trained = train(history, simulated.end, Config())
        keep(Path(folder), trained)
    aim = AIM_SECONDS if accounts == ACCOUNTS else None
    name = f"train, {accounts:,} accounts x {trained.report['rows']['moments']} snapshots, folds and report"
    assert trained.report["rows"]["moments"] == SNAPSHOTS
    return [Figure(name, watch.wall, "s", watch.cores(), aim)]
