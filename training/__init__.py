"""Offline: history -> labelled snapshots -> fit -> calibrate -> evaluate -> artefact.

In a notebook (docs/notebook.md):

    from training import ScorecardClassifier, fit, load, plots, score

Names are looked up when they are asked for: importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training import plots
    from training.estimator import ScorecardClassifier
    from training.notebook import Run, fit, load, score

#: Name -> the module that holds it; a module that holds itself is the whole of it.
_HELD = {
    "Run": "training.notebook",
    "ScorecardClassifier": "training.estimator",
    "fit": "training.notebook",
    "load": "training.notebook",
    "plots": "training.plots",
    "score": "training.notebook",
}

__all__ = ["Run", "ScorecardClassifier", "fit", "load", "plots", "score"]


def __getattr__(name: str) -> Any:
    if name not in _HELD:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    module = import_module(_HELD[name])
    return module if _HELD[name] == f"training.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
