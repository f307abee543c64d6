"""A fitted model for the benches to score with, kept as an artefact so that other processes can open it."""

from pathlib import Path

from models.clock import now
from models.history import History
from models.loading import load_model
from models.model import ChurnModel
from training import simulator
from training.artefact import save
from training.train import Config, Trained, train

#: Of 125 weeks come 24 snapshots, 28 days apart.
WEEKS = 125
SNAPSHOTS = 24
#: Accounts of the model that other benches score with.
ACCOUNTS = 400


def training_history(accounts: int) -> tuple[History, simulator.Simulated]:
    """A simulated base long enough for 24 snapshots."""
    simulated = simulator.simulate(accounts, WEEKS, "default", 1)
    return History.from_frames(simulated.tables), simulated


def fitted(folder: Path) -> ChurnModel:
    """The model of this folder, fitted on first use."""
    artefacts = folder / "artefacts"
    if not artefacts.exists():
        history, simulated = training_history(ACCOUNTS)
        keep(artefacts, train(history, simulated.end, Config()))
    (model_id,) = (path.name for path in artefacts.iterdir() if path.is_dir() and path.name[0].isdigit())
    return load_model(artefacts, model_id)[0]


def keep(artefacts: Path, trained: Trained) -> str:
    """Store a trained model where `fitted` finds it."""
    return save(trained, artefacts, now(), Config(), None)
