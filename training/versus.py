"""Two artefacts of the store compared; and a model with the one in service, as a promotion needs it."""

from collections.abc import Callable, Mapping
from datetime import datetime

import polars as pl

from models import registry
from models.clock import isoformat
from models.errors import ArtefactError
from models.history import History
from models.loading import load_model
from models.scorecard import Target
from models.settings import Settings
from training.compare import Compared, Entrant, check_comparable, forward, refitted
from training.reading import end_of

Progress = Callable[[str], None]


def versus(
    settings: Settings,
    champion: str,
    challenger: str,
    history: History,
    at: datetime,
    progress: Progress,
    *,
    refit: bool,
) -> Compared:
    """Compare two artefacts of the store: as they are stored, or (`refit`) their configurations on the same folds."""
    one, other = (
        Entrant(*load_model(settings.artifacts, model_id, settings.trust)) for model_id in (champion, challenger)
    )
    if refit:
        check_comparable(one, other)
        return refitted(one.manifest, other.manifest, history, at, progress)
    return forward(one, other, history, at, progress)


def against_served(
    settings: Settings,
    model_id: str,
    history: History,
    who: str,
    when: datetime,
    progress: Progress,
    tested: Mapping[Target, pl.DataFrame] | None = None,
) -> str:
    """Compare a model with the one in service and keep what was found; gives it as a sentence.

    On rows after both were trained; where these are too few, by their configurations on the same folds. Not where no
    comparison is needed (`models.registry.rules`) or none is possible: nothing readable is in service, one of the two
    was never fitted, they predict different things, or the one is the other's recipe on more data.
    `tested`: what the folds of the model's own training said, where it was trained on this very history just now.
    """
    change = registry.current(settings.artifacts)
    if change is None or change.model_id == model_id:
        return "No other model is in service."
    try:
        served = Entrant(*load_model(settings.artifacts, change.model_id, settings.trust))
    except ArtefactError as error:
        return f"The model in service cannot be read, so nothing was compared: {error}"
    new = Entrant(*load_model(settings.artifacts, model_id, settings.trust))
    if why := _not_compared(new.manifest, served.manifest):
        return why
    at = end_of(history)
    found = forward(served, new, history, at, progress)
    if found.verdict == "too_little":
        found = refitted(served.manifest, new.manifest, history, at, progress, tested)
    registry.keep(settings.artifacts, found.to_record(change.model_id, model_id, isoformat(when), who))
    return found.sentence


def _not_compared(new: registry.Manifest, served: registry.Manifest) -> str:
    """Why there is nothing to compare; empty where there is."""
    if "P0" in (new.phase, served.phase):
        return "One of the two was never fitted on exits, so there is nothing to compare."
    if dict(new.label) != dict(served.label):
        return "The two predict different things, so they cannot be compared."
    if registry.same_recipe(new, served):
        return "Both are the same recipe, and the new one learnt from as many exits: folds could not tell them apart."
    return ""
