"""A look at a model from the command line: taken, kept, and shown as a table."""

import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import now
from models.errors import EbbtideError
from models.history import History
from models.imports.run import read_folder
from models.model import ChurnModel
from models.monitor.findings import SEVERITIES, worst
from models.monitor.watch import Watch, watch

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

_STYLES = {"alarm": "bold red", "warning": "yellow", "info": "cyan"}


def look(
    engine: "Engine | None",
    model: ChurnModel,
    as_of: datetime | None,
    folder: Path | None,
    source: str,
    tell: Callable[[str], None],
) -> Watch:
    """Watch the store and keep what was found, or watch a folder of contract files."""
    tell("reading the history")
    if folder is not None:
        frames, _ = read_folder(folder, source)
        history = History.from_frames(frames)
        tell("comparing")
        return watch(model, history, as_of or _end(history))
    from models.store.watches import keep_watch  # noqa: PLC0415
    from models.store.watching import watch_store  # noqa: PLC0415

    assert engine is not None
    assert as_of is not None
    found = watch_store(engine, model, as_of)
    keep_watch(engine, found, now())
    return found


def fails(found: Watch, severity: str) -> bool:
    """Whether a finding is as grave as this or graver."""
    gravest = worst(found.findings)
    return gravest is not None and SEVERITIES.index(gravest) >= [*SEVERITIES].index(severity)  # type: ignore[arg-type]


def shown(found: Watch) -> None:
    """The findings as a table, then observed against expected and what the scores promise."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    against = "keeps no reference" if found.reference is None else f"trained {found.reference:%Y-%m-%d}"
    console.print(
        f"Model {found.model_id} ({against}) as of {found.as_of:%Y-%m-%d %H:%M} UTC: {found.accounts:,} accounts",
        highlight=False,
    )
    if found.findings:
        console.print(_table(found), highlight=False)
    else:
        console.print("Nothing has changed beyond chance.")
    for one in found.observed:
        console.print(
            f"{one.target}, {one.span}: {one.exits} accounts left; observed / expected {one.ratio:.2f} "
            f"({one.low:.2f} to {one.high:.2f})",
            highlight=False,
        )
    for target, promised in found.estimated.items():
        if promised["auc"] is not None:
            console.print(
                f"{target}: if the probabilities are right, AUC {promised['auc']:.3f} and "
                f"{promised['exits']:.0f} exits in the coming horizon",
                highlight=False,
            )


def _table(found: Watch) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("", "kind", "since", "what", "what to do"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("", "kind", "since"))
    for finding in found.findings:
        table.add_row(
            Text(finding.severity, style=_STYLES[finding.severity]),
            finding.kind,
            "" if finding.since is None else f"{finding.since:%Y-%m-%d}",
            Text(finding.sentence),
            Text(finding.action),
        )
    return table


def _end(history: History) -> datetime:
    """Just after the last thing that happened."""
    last = history.last_event(planned=False) or history.last_event()
    if last is None:
        raise EbbtideError("The history is empty; there is nothing to look at.")
    return last + timedelta(microseconds=1)
