"""Making a model of a wide table again from what its manifest says."""

from pathlib import Path
from tempfile import TemporaryDirectory

from models import registry
from models.errors import ArtefactError
from models.progress import Tell, unheard
from training import config as configs
from training.reproduce import compared, manifest_of, other_data, vouched
from training.tables.previous import as_recorded
from training.tables.read import Names, load
from training.tables.train import Overruling, file_hash, train


def reproduce(
    root: Path,
    model_id: str,
    path: Path,
    trust: registry.Trust,
    progress: Tell = unheard,
    revision: str | None = None,
) -> list[str]:
    """As `training.reproduce.reproduce`, of a file."""
    manifest = manifest_of(root, model_id, trust)
    label = manifest.label
    if "column" not in label:
        raise ArtefactError(f"The artefact {model_id} learnt from a history; say where it is: --data FOLDER or --db.")
    names = Names(label["column"], label["id"] or "", label["as_of_column"] or "")
    given = dict(manifest.config or {})
    given.pop("as_of")
    with TemporaryDirectory() as folder:
        config = configs.from_plain(given, Path(folder))
        progress("comparing the data")
        if told := other_data(manifest, file_hash(load(path, names, config.table)[0])):
            return told
        served = as_recorded(root, manifest.metrics.get("previous"), trust)
        trained = train(path, names, config, progress, overruling=Overruling(*vouched(manifest)), served=served)
        return compared(manifest, trained, config, Path(folder), revision)
