"""What every command shares: how times are written on the command line, and how progress is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from models.clock import parse_instant
from models.errors import EbbtideError
from models.imports.times import EARLIEST, LATEST
from models.progress import Tell, unheard

_OUTSIDE = f"{{}} lies outside the years {EARLIEST.year} to {LATEST.year - 1}."
#: No source tells of a contact ten years late.
LONGEST = timedelta(days=3650)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """An instant: ISO 8601 with an offset, or a date (its midnight, UTC)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it, or say how to write it."""
        try:
            moment = value if isinstance(value, datetime) else parse_instant(value)
        except OverflowError:
            self.fail(_OUTSIDE.format(value), param, ctx)
        except (ValueError, EbbtideError) as error:
            self.fail(f"{error} Write 2026-03-02 or 2026-03-02T08:00:00Z.", param, ctx)
        if not EARLIEST <= moment < LATEST:
            self.fail(_OUTSIDE.format(value), param, ctx)
        return moment


class Span(click.ParamType[timedelta]):
    """A length of time: 24h, 90m or 2d."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it, or say how to write it."""
        if isinstance(value, timedelta):
            return value
        number, unit = value[:-1], value[-1:]
        if unit not in _UNITS or not (number.isascii() and number.isdigit()):
            self.fail(f"{value!r} is no length of time; write 90m, 24h or 2d.", param, ctx)
        try:
            length = timedelta(**{_UNITS[unit]: int(number)})
        except (ValueError, OverflowError):
            length = timedelta.max
        if length > LONGEST:
            self.fail(f"{value!r} is too long; the most is {LONGEST.days}d.", param, ctx)
        return length


@contextmanager
def telling(*, quiet: bool = False, steps: int | None = None, counted: bool = False) -> Iterator[Tell]:
    """A function that shows what is being done, and since when: on a terminal; silent in a pipe.

    `steps`: how many times it will be called at most; a bar then shows how many of them are done. `counted`: that will
    be said by one of the calls.
    """
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield unheard
        return
    counts = (BarColumn(), MofNCompleteColumn()) if steps or counted else ()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *counts, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task, told = shown.add_task("starting", total=steps), 0

        def tell(what: str, steps: int | None = None, /) -> None:
            nonlocal told
            shown.update(task, description=what, completed=told, total=steps)
            told += 1

        yield tell


def bar() -> Progress:
    """A progress bar of things done out of all: on a terminal; silent in a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
