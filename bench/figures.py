"""What a bench found, beside its yardstick and its aim, as lines of one table."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measurement. `aim` is the bound that `measured` should keep to, at most or, with `at_least`, at least;
    `yardstick` says in words what was measured beside it in the same run."""

    name: str
    measured: float
    unit: str
    yardstick: str = ""
    aim: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if self.aim is None:
            return None
        return self.measured >= self.aim if self.at_least else self.measured <= self.aim

    def line(self) -> str:
        """Name, measured, yardstick, aim, verdict."""
        bound = "" if self.aim is None else f"{'>=' if self.at_least else '<='} {_said(self.aim)}"
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        value = f"{_said(self.measured)} {self.unit}".strip()
        return f"{self.name:<58}{value:>22}  {self.yardstick:<46}{bound:>10}  {verdict}".rstrip()


HEADER = f"{'figure':<58}{'measured':>22}  {'yardstick of the same run':<46}{'aim':>10}"


def _said(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


@dataclass
class Watch:
    """Seconds on the clock and of this process's own work: on a shared machine the second is the steadier."""

    wall: float = 0.0
    cpu: float = 0.0
    #: Seconds on the clock by part of the work.
    parts: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        """Time what happens inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield self
        finally:
            self.wall += time.perf_counter() - wall
            self.cpu += time.process_time() - cpu

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the work under its name."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - began

    def cores(self) -> str:
        """How much of the machine it got: less than it could use where others are at work."""
        return f"{self.cpu:.1f} s of work, {self.cpu / max(self.wall, 1e-9):.1f} cores"

    def told(self) -> str:
        """The parts, the longest first."""
        parts = sorted(self.parts.items(), key=lambda part: -part[1])
        return ", ".join(f"{name} {seconds:.1f}" for name, seconds in parts)


def timed(work: Callable[[], object]) -> Watch:
    """Do it once."""
    with Watch().running() as watch:
        work()
    return watch


def alternating(works: Iterable[Callable[[], object]], times: int) -> list[Watch]:
    """Do each several times in turn, so that a busy neighbour slows all of them alike; gives the medians."""
    works = list(works)
    runs = [[timed(work) for work in works] for _ in range(times)]
    return [Watch(median(run[i].wall for run in runs), median(run[i].cpu for run in runs)) for i in range(len(works))]


def load() -> str:
    """How busy the machine is, so that a reader can judge the figures."""
    return f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
