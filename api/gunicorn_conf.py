"""How gunicorn runs the service: several processes of several threads, each with an application of its own.

The application is not loaded before the fork: the threads of the columnar engine would not survive it. Bound
address, processes and threads can be set on gunicorn's own command line, which wins over this file.
"""

import os
import shutil
import tempfile
from typing import Any

# prometheus_client decides once, when it is first imported, whether processes share their counts. So it is not
# imported here, where that folder is not known yet.
SHARED = "PROMETHEUS_MULTIPROC_DIR"

bind = "127.0.0.1:8000"
workers = 2
threads = 4
worker_class = "api.gunicorn_worker.Worker"
preload_app = False
timeout = 120
graceful_timeout = 30
keepalive = 75
# The beat of the processes belongs into memory: on a disk that stalls it would look as if they had died.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112
control_socket_disable = True
# Requests are logged by the application, as JSON; this is for gunicorn's own words.
accesslog = None
errorlog = "-"


def on_starting(server: Any) -> None:
    """Give the processes a folder in which to leave their counts for each other."""
    if not os.environ.get(SHARED):
        folder = tempfile.mkdtemp(prefix="ebbtide-metrics-")
        os.environ[SHARED] = folder
        server.ebbtide_metrics = folder


def on_exit(server: Any) -> None:
    """Remove that folder."""
    folder = getattr(server, "ebbtide_metrics", None)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


def child_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
    """Keep what a process counted, without counting it as alive."""
    from prometheus_client import multiprocess  # noqa: PLC0415

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
