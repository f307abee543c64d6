"""A service under load: starting it, pressing it, and what that showed."""

import argparse
import os
import selectors
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Load:
    """What a measurement found. `cpu`: seconds of processor time the server spent per request."""

    per_second: float
    p50: float
    p99: float
    cpu: float


@dataclass(frozen=True)
class Server:
    """A running gunicorn."""

    port: int
    pid: int

    def cpu(self) -> float:
        """Seconds of processor time its processes have spent."""
        ticks = 0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if self.pid in (int(stat.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def gunicorn(target: str, options: Sequence[str], environment: dict[str, str], folder: Path) -> Iterator[Server]:
    """A server on a free port, until the context ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn_conf"]
    with (folder / f"server-{port}.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *options, "--bind", f"127.0.0.1:{port}", target],
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
        )
        try:
            _wait(port, lambda: server.poll() is None, log.name)
            yield Server(port, server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=40)


def _wait(port: int, alive: Callable[[], bool], log: str) -> None:
    for _ in range(300):
        if not alive():
            raise SystemExit(Path(log).read_text())
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The server did not start.")


#: Seconds of a turn.
TURN = 0.5


def compare(
    pool: ProcessPoolExecutor,
    args: argparse.Namespace,
    ours: tuple[Server, Sequence[bytes]],
    yardstick: tuple[Server, Sequence[bytes]],
) -> tuple[Load, Load]:
    """Two measurements in turns."""
    turns = [
        (measure(pool, args, *ours, TURN), measure(pool, args, *yardstick, TURN))
        for _ in range(max(1, round(args.seconds / TURN)))
    ]
    found, base = (
        Load(*(statistics.median(values) for values in zip(*map(astuple, loads), strict=True)))
        for loads in zip(*turns, strict=True)
    )
    return found, base


def measure(
    pool: ProcessPoolExecutor, args: argparse.Namespace, server: Server, requests: Sequence[bytes], seconds: float
) -> Load:
    """Requests per second of all load processes together, and the latency callers saw."""
    spent = server.cpu()
    job = (server.port, requests, args.connections, seconds)
    found = list(pool.map(_press, *zip(*[job] * args.clients, strict=True)))
    spent = server.cpu() - spent
    times = np.concatenate([np.array(times) for times, _ in found])
    return Load(
        sum(len(times) / took for times, took in found),
        float(np.quantile(times, 0.5)),
        float(np.quantile(times, 0.99)),
        spent / len(times),
    )


def _press(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> tuple[list[float], float]:
    """Keep connections busy for some seconds, at most; gives the latencies and the time it took."""
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    turn, times = 0, []
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        connection.sendall(requests[turn % len(requests)])
        sent[connection] = time.perf_counter()
        turn += 1
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for key, _ in selector.select(timeout=10):
            connection = key.fileobj  # type: ignore[assignment]
            _receive(connection)
            moment = time.perf_counter()
            times.append(moment - sent[connection])
            sent[connection] = moment
            connection.sendall(requests[turn % len(requests)])
            turn += 1
    took = time.perf_counter() - began
    for connection in sent:
        connection.close()
    return times, took


def ask_in_turn(port: int, requests: Sequence[bytes]) -> list[float]:
    times = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for request in requests:
            began = time.perf_counter()
            connection.sendall(request)
            _receive(connection)
            times.append(time.perf_counter() - began)
    return times


def _receive(connection: socket.socket) -> bytes:
    """One answer; anything but a success ends the bench."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            raise SystemExit("The server closed a connection.")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
        raise SystemExit(f"Unexpected answer: {data[:600]!r}")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(1 << 20)
    return body
