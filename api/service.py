"""What one running application holds, and how a request reaches it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from flask import current_app

from api.auth import Keys
from api.freshness import Arrivals, Reach
from api.idempotency import Once
from api.limits import Limits
from api.metrics import Metrics
from api.overriding import Overrides
from api.published import Lists
from api.rescoring import Rescoring
from api.serving import Serving
from models.settings import Settings
from models.store.access import Store

if TYPE_CHECKING:
    from api.sources import Feeds

_NAME = "ebbtide"


@dataclass(frozen=True)
class Service:
    """The parts of the application; built once by `create_app`."""

    settings: Settings
    clock: Callable[[], datetime]
    store: Store
    keys: Keys
    serving: Serving
    rescoring: Rescoring
    freshness: Reach
    arrivals: Arrivals
    feeds: "Feeds"
    lists: Lists
    overrides: Overrides
    metrics: Metrics
    limits: Limits
    once: Once


def the_service() -> Service:
    """The service of the application that handles this request."""
    service: Service = current_app.extensions[_NAME]
    return service
