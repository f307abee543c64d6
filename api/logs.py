"""Logs as JSON lines on standard output, and the request id that ties them to an answer.

A request is one line: id, method, route (as declared, never the path with its ids), status, time, key id, sizes.
Bodies, query values, comments and keys are never logged.
"""

import json
import logging
import os
import re
import sys
import time
from typing import Any

import structlog
from flask import Flask, Response, g, request

from api.metrics import Metrics

REQUEST_ID = "X-Request-Id"
_GIVEN = re.compile(r"[A-Za-z0-9._:-]{1,64}")
#: Rules of addresses that are asked all the time by machines; they are counted, not logged.
_UNLOGGED = frozenset({"/healthz", "/readyz", "/metrics"})


def configure(level: str) -> None:
    """Set up logging of this process; `level` as in `EBBTIDE_LOG_LEVEL`."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


def install(app: Flask, metrics: Metrics) -> None:
    """Give every request an id and, once answered, a line in the log and its place in the metrics."""
    log = structlog.get_logger().bind()  # bound once, not per line

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()
        given = request.environ.get("HTTP_X_REQUEST_ID", "")
        g.request_id = given if given and _GIVEN.fullmatch(given) else os.urandom(12).hex()

    @app.after_request
    def end(response: Response) -> Response:
        response.headers[REQUEST_ID] = g.request_id
        route = request.url_rule.rule if request.url_rule else "unmatched"
        seconds = time.perf_counter() - g.began
        status = response.status_code
        metrics.answered(route, request.method, status, seconds)
        if route not in _UNLOGGED:
            log.info(
                "request",
                request_id=g.request_id,
                method=request.method,
                route=route,
                status=status,
                ms=round(1000 * seconds, 2),
                key_id=g.get("key_id"),
                bytes_in=request.content_length,
                bytes_out=response.content_length,
            )
        return response


_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def _dumps(value: Any, **options: Any) -> str:  # noqa: ARG001 - the renderer offers a default that we have
    return _encode(value)
