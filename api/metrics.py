"""Counters for Prometheus. Labels are bounded: routes as declared, methods and results from short lists."""

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Where the processes of one service leave their counts for each other; set by `api/gunicorn_conf.py`.
SHARED = "PROMETHEUS_MULTIPROC_DIR"

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "ebbtide_http_requests", "Requests answered", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "ebbtide_http_request_seconds",
            "Time to answer, without sending",
            ("route", "method"),
            registry=registry,
            buckets=_SECONDS,
        )
        self.rows = Counter(
            "ebbtide_rows", "Rows received, by what became of them", ("table", "status"), registry=registry
        )
        self.scored = Counter(
            "ebbtide_scored", "Accounts scored for a caller, by what he sent", ("kind",), registry=registry
        )
        self.rescored = Counter("ebbtide_rescored", "Accounts scored because facts arrived", registry=registry)
        self.waiting = Counter(
            "ebbtide_left_to_next_run", "Accounts whose new facts wait for the next run", registry=registry
        )
        self.swaps = Counter("ebbtide_model_swaps", "Changes of the model in service", ("result",), registry=registry)
        self.loaded_at = Gauge(
            "ebbtide_model_loaded_timestamp_seconds",
            "When the newest model in service was loaded",
            registry=registry,
            multiprocess_mode="max",
        )
        self._children: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request. `route` is the declared rule, or `unmatched`."""
        # Children are looked up once per combination, of which there are few.
        key = (route, method, status)
        found = self._children.get(key)
        if found is None:
            known = method if method in _METHODS else "other"
            found = (self.requests.labels(route, known, str(status)), self.seconds.labels(route, known))
            if known == method:
                self._children[key] = found
        found[0].inc()
        found[1].observe(seconds)

    def swapped(self, result: str, model_id: str) -> None:  # noqa: ARG002 - ids would be labels without end
        """Count an attempt to change the model in service."""
        self.swaps.labels(result).inc()
        if result == "loaded":
            self.loaded_at.set_to_current_time()

    def text(self) -> bytes:
        """All counters of the service, of every process where there are several."""
        if not os.environ.get(SHARED):
            return generate_latest(self._registry)
        everybody = CollectorRegistry()
        MultiProcessCollector(everybody)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)
