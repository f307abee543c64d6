"""The application: built from settings, with nothing done at import."""

from collections.abc import Callable
from datetime import datetime

from flask import Flask

from api import (
    accounts,
    audit,
    browsing,
    changes,
    contract,
    disagreements,
    errors,
    grades,
    health,
    inbound,
    interactions,
    issued,
    keys,
    logs,
    measures,
    model,
    model_history,
    operations,
    opinions,
    personal_data,
    portfolio,
    risk_lists,
    schemas,
    scores,
    sources,
    surveys,
    transport,
    webhooks,
    what_if,
)
from api.auth import Keys
from api.freshness import Arrivals, Reach
from api.idempotency import Once
from api.limits import Limits
from api.metrics import Metrics
from api.overriding import Overrides
from api.published import Lists
from api.rescoring import Background, Rescoring
from api.service import Service
from api.serving import Serving
from models.clock import now
from models.settings import Settings
from models.store.access import Store
from models.store.engine import connect

RESOURCES = (
    accounts,
    interactions,
    surveys,
    measures,
    health,
    opinions,
    what_if,
    changes,
    portfolio,
    scores,
    risk_lists,
    issued,
    grades,
    disagreements,
    model,
    model_history,
    webhooks,
    keys,
    audit,
    personal_data,
    sources,
    browsing,
    inbound,
    operations,
)


def create_app(settings: Settings, clock: Callable[[], datetime] = now) -> Flask:
    """The application for these settings. The database must have been migrated; `/readyz` says if it was not.

    `clock` tells the present. Raises `StoreError` for a database address that makes no sense.
    """
    app = Flask("ebbtide", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_mb * 1024**2
    metrics = Metrics()
    app.extensions["ebbtide"] = _service(settings, clock, metrics)
    errors.install(app)
    logs.install(app, metrics)
    transport.install(app)
    api = contract.install(app)
    api.spec.components.schema("Problem", schema=schemas.Problem)
    api.spec.components.schema("StreamLine", schema=schemas.StreamLine)
    for module in RESOURCES:
        api.register_blueprint(module.resource)
    return app


def _service(settings: Settings, clock: Callable[[], datetime], metrics: Metrics) -> Service:
    store = Store(connect(settings.database_url), clock)
    background = Background()
    reach = Reach(store, clock)
    serving = Serving(settings.artifacts, metrics.swapped, settings.trust)
    return Service(
        settings=settings,
        clock=clock,
        store=store,
        keys=Keys(store, clock, background.later),
        serving=serving,
        rescoring=Rescoring(settings, store, serving, metrics, clock, background, reach),
        freshness=reach,
        feeds=sources.Feeds(),
        arrivals=Arrivals(store, clock, background.later),
        lists=Lists(store),
        overrides=Overrides(store, clock),
        metrics=metrics,
        limits=Limits(settings.rate_limit, settings.redis_url),
        once=Once(
            store,
            clock,
            background.later,
            settings.idempotency_hours,
            settings.idempotency_most,
            settings.max_body_mb * 1024**2,
        ),
    )
