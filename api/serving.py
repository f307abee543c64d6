"""The model in service: noticed when it changes, swapped without dropping a request.

At most once a second some request looks at the pointer's directory entry. When it changed, that request loads
the new artefact while all others go on with the old model; a request keeps the model it began with. An
artefact that cannot be used is refused and logged, and the old model stays in service.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog

from models import registry
from models.errors import ArtefactError
from models.labels import DEFAULTS, LabelParams
from models.loading import load_model
from models.model import ChurnModel
from models.reasons import Subject
from models.registry import Manifest
from models.rows import RowScorer
from models.scorecard import Target

#: Seconds between two looks at the pointer.
LOOK_SECONDS = 1.0
#: Models kept by id, so that the reasons of older scores can be told.
KEEP_MODELS = 8


@dataclass(frozen=True)
class Served:
    """A model and what its artefact says about itself."""

    model: ChurnModel
    manifest: Manifest

    @cached_property
    def rows(self) -> RowScorer:
        """The model prepared for single rows."""
        return RowScorer(self.model)

    def subjects(self, target: Target) -> dict[str, Subject]:
        """What each term of a scorecard is about."""
        rows = self.rows
        return dict(zip(rows.cards[target].names, rows.tellers[target].subjects, strict=True))


class Serving:
    """The artefact store as one process sees it. `swapped` is told of every attempt: `loaded` or `refused`."""

    def __init__(self, root: Path, swapped: Callable[[str, str], None], trust: registry.Trust | None = None) -> None:
        self._root = root
        self._trust = trust or registry.Trust()
        self._swapped = swapped
        self._lock = threading.Lock()
        self._seen: registry.Stamp = None
        self._next_look = 0.0
        self._current: Served | None = None
        self._refusal = "No model has been put in service yet; run: ebbtide train --promote."
        self._kept: OrderedDict[str, Served | None] = OrderedDict()

    def current(self) -> Served:
        """The model in service. Raises `ArtefactError` where there is none that can be used."""
        if time.monotonic() >= self._next_look:
            self._look()
        served = self._current
        if served is None:
            raise ArtefactError(self._refusal)
        return served

    def by_id(self, model_id: str) -> Served | None:
        """The model that made an older score; None where its artefact is no longer there or cannot be used."""
        served = self._current
        if served is not None and served.model.model_id == model_id:
            return served
        with self._lock:
            if model_id not in self._kept:
                self._keep(model_id, self._load_or_none(model_id))
            self._kept.move_to_end(model_id)
            return self._kept[model_id]

    def label(self) -> LabelParams:
        """The label's parameters of the model in service, or the product's where there is none."""
        return DEFAULTS if self._current is None else self._current.model.label

    def require_history(self) -> None:
        """Raise `TableModel` where the model in service cannot score accounts."""
        if time.monotonic() >= self._next_look:
            self._look()
        if self._current is not None:
            self._current.model.require_history()

    def _look(self) -> None:
        # Nobody waits for a load, except where there is nothing else to serve with.
        if not self._lock.acquire(blocking=self._current is None):
            return
        try:
            if time.monotonic() < self._next_look:
                return
            stamp = registry.stamp(self._root)
            if stamp != self._seen:
                self._swap()
                self._seen = stamp
            self._next_look = time.monotonic() + LOOK_SECONDS
        finally:
            self._lock.release()

    def _swap(self) -> None:
        model_id = ""
        try:
            change = registry.current(self._root)
            if change is None:
                return
            model_id = change.model_id
            served = self._load(model_id)
        except ArtefactError as error:
            self._refusal = str(error)
            structlog.get_logger().error("model_refused", model_id=model_id, reason=str(error))
            self._swapped("refused", model_id)
            return
        if self._current is not None:
            self._keep(self._current.model.model_id, self._current)
        self._current = served
        structlog.get_logger().info("model_loaded", model_id=model_id, status=served.model.status)
        self._swapped("loaded", model_id)

    def _load(self, model_id: str) -> Served:
        return Served(*load_model(self._root, model_id, self._trust))

    def _load_or_none(self, model_id: str) -> Served | None:
        try:
            return self._load(model_id)
        except ArtefactError as error:
            structlog.get_logger().warning("older_model_missing", model_id=model_id, reason=str(error))
            return None

    def _keep(self, model_id: str, served: Served | None) -> None:
        self._kept[model_id] = served
        while len(self._kept) > KEEP_MODELS:
            self._kept.popitem(last=False)
