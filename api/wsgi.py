"""What a WSGI server starts: `gunicorn --config python:api.gunicorn_conf 'api.wsgi:build()'`."""

import os

from flask import Flask

from api.app import create_app
from api.logs import configure
from models.settings import Settings


def build() -> Flask:
    """The application, with its settings from the environment. Raises `SettingsError` for one it cannot use."""
    settings = Settings.from_environment(os.environ)
    configure(settings.log_level)
    return create_app(settings)
