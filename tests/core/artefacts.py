"""Artefacts for tests: plain, and forged with matching hashes."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from models.registry import (
    Facts,
    File,
    Manifest,
    put,
    verify,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
PLAIN = {"churn": {"base": -3.0, "values": np.array([0.5, -0.5])}, "names": ["a", "b"], "flag": True, "none": None}
FACTS = Facts(
    status="expert prior, uncalibrated",
    phase="P0",
    features={"crr_90d": "1f", "csat": "2e", "tenure": "3d"},
    p_ref=0.043,
    label={"look_back_days": 90},
    data_range=("2024-01-01T00:00:00Z", "2026-11-01T00:00:00Z"),
    thresholds={"list": "maximum recall @ precision >= 0.3"},
    metrics={"auc_silent": [0.79, 0.75, 0.83]},
    versions={"numpy": "2.4.6"},
    seed=7,
    git_revision="1a2b3c4",
)
CARD = {"CARD.md": b"# A model\n"}


def stored(root: Path, minutes: int = 0) -> str:
    return put(root, PLAIN, FACTS, NOW + timedelta(minutes=minutes), CARD)


def forged(root: Path, content: bytes) -> str:
    """An artefact around a model file of the attacker's choice: every hash and the id match."""
    manifest = Manifest.of(FACTS, NOW, {"model.joblib": File.of(content)})
    directory = root / manifest.model_id
    directory.mkdir(parents=True)
    (directory / "model.joblib").write_bytes(content)
    (directory / "manifest.json").write_bytes(manifest.to_json())
    verify(root, manifest.model_id)
    return manifest.model_id


def same(a: object, b: object) -> bool:
    """Equal values of equal types, arrays included, NaN equal to itself."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (a != a and b != b)


def environment(hash_seed: str = "0") -> dict[str, str]:
    return {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])}


def tampered(root: Path, change) -> str:
    model_id = stored(root)
    directory = root / model_id
    for path in directory.iterdir():
        path.chmod(0o644)
    change(directory)
    return model_id


def flip(directory: Path) -> None:
    content = bytearray((directory / "model.joblib").read_bytes())
    content[-3] ^= 1
    (directory / "model.joblib").write_bytes(content)
