"""One simulated customer base and the model trained on it, shared by the tests that only look."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.history import History
from training import simulator
from training.simulator import Simulated
from training.train import Config, Trained, train


@pytest.fixture(scope="session")
def simulated() -> Simulated:
    return simulator.simulate(400, 120, "default", 11)


@pytest.fixture(scope="session")
def history(simulated: Simulated) -> History:
    return History.from_frames(simulated.tables)


@pytest.fixture(scope="session")
def told() -> list[str]:
    """What the training run of `trained` said, step by step; what the data allow in one piece."""
    return []


@pytest.fixture(scope="session")
def trained(simulated: Simulated, history: History, told: list[str]) -> Trained:
    return train(history, simulated.end, Config(seed=3), told.append, lambda said: told.append(" ".join(said)))


@pytest.fixture
def artefacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty deployment: artefact store and SQLite file below a temporary folder."""
    monkeypatch.setenv("EBBTIDE_ARTIFACTS", str(tmp_path / "artefacts"))
    monkeypatch.setenv("EBBTIDE_DATABASE_URL", f"sqlite:///{tmp_path}/ebbtide.db")
    yield tmp_path / "artefacts"
