"""Writing what training produced as an artefact: the model, the fitted objects, the card and the report."""

import hashlib
import io
import json
import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import joblib

from models import registry
from models.clock import isoformat
from training import config as configs
from training.report import card, page
from training.train import Config, Trained

LIBRARIES = ("ebbtide", "numpy", "polars", "scipy", "joblib")


def save(
    trained: Trained,
    root: Path,
    created_at: datetime,
    config: Config,
    revision: str | None,
    signer: registry.SigningKey | None = None,
    command: Sequence[str] | None = None,
) -> str:
    """Store the artefact below `root` and return its model id. Nothing is visible until all of it is there.

    `revision`: of the code; `signer`: who vouches for it; `command`: the arguments it was asked for with.
    """
    model, report = trained.model, plain(trained.report)
    facts = registry.Facts(
        status=model.status,
        phase=model.phase,
        features=dict(model.fingerprints),
        p_ref=model.health.p_ref,
        label=report["label"] if model.of_table else asdict(model.label),
        data_range=_range(report),
        thresholds=model.health.to_plain(),
        metrics=report,
        versions=registry.library_versions(*LIBRARIES),
        seed=config.seed,
        git_revision=revision,
        data_hash=report["data"]["sha256"],
        command=None if command is None else list(command),
        config=configs.to_plain(config) | {"as_of": report["cutoff"]},
    )
    origin = _origin(facts)
    files: dict[str, bytes | Path] = {
        "estimator.joblib": _estimator(trained.estimator),
        "CARD.md": card(model, report, origin).encode(),
        "report.html": page(model, report, origin).encode(),
    }
    return registry.put(root, model.to_plain(), facts, created_at, files, signer)


def _origin(facts: registry.Facts) -> dict[str, Any]:
    """How to make the model again, for people; the moment of making is in the id, so that equal runs read equal."""
    config = {name: value for name, value in (facts.config or {}).items() if value is not None}
    as_of = config.pop("as_of", None)
    if "column" not in facts.label:  # of a history, nothing about tables was told
        config.pop("table", None)
    profit = dict(config.get("profit") or {})
    margin = profit.pop("margin", None)  # a setting of the deployment, which no configuration file may hold
    if profit:
        config["profit"] = profit
    if "expert" in config:
        config["expert"] = f"a file with the SHA-256 {hashlib.sha256(config['expert'].encode()).hexdigest()}"
    told = {
        "command": None if facts.command is None else shlex.join(["ebbtide", *facts.command]),
        "as of": as_of,
        "seed": facts.seed,
        "configuration": config,
        "EBBTIDE_MARGIN": margin,
        "data (SHA-256)": facts.data_hash,
        "data range": " to ".join(facts.data_range) if facts.data_range else None,
        "code revision": facts.git_revision,
        "versions": dict(facts.versions),
    }
    return {name: value for name, value in told.items() if value is not None}


def plain(value: Any) -> Any:
    """JSON values only: instants as text, arrays as lists, keys as text, numbers that are none as null."""
    return json.loads(json.dumps(_jsonable(value), allow_nan=False))


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, datetime):
        return isoformat(value)
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _range(report: dict[str, Any]) -> tuple[str, str] | None:
    first, last = report["data"]["from"], report["data"]["to"]
    return (first, last) if first and last else None


def _estimator(fitted: dict[str, Any]) -> bytes:
    """The fitted objects for data scientists; the service never opens them."""
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    return buffer.getvalue()
