"""What a WSGI server starts: `gunicorn --config python:api.gunicorn_conf 'api.wsgi:build()'`."""

import os

import structlog
from flask import Flask

from api.app import create_app
from api.logs import configure
from api.service import Service
from models import registry
from models.errors import EbbtideError
from models.settings import Settings
from models.store.audit import By


def build() -> Flask:
    """The application, with its settings from the environment. Raises `SettingsError` for one it cannot use."""
    settings = Settings.from_environment(os.environ)
    configure(settings.log_level)
    app = create_app(settings)
    service: Service = app.extensions["ebbtide"]
    try:
        service.store.remember_settings(By("service", service.clock()), settings.to_plain())
        service.store.catch_up(registry.events(settings.artifacts))
    except EbbtideError as error:
        # The service starts all the same, to say by /readyz what is wrong with its store.
        structlog.get_logger().warning("not_audited", reason=str(error))
    return app
