"""Where a command's history comes from: a folder of files, or the store."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from models.errors import EbbtideError
from models.settings import Settings

if TYPE_CHECKING:
    from models.history import History


def read_history(data: Path | None, source: str, settings: Settings, delay: timedelta | None = None) -> "History":
    """The history of a folder, or of the store where none is given. `delay`: how much later the source told things."""
    from models.history import History

    if data is None:
        from models.store.engine import connect, reading
        from models.store.history import read_history as read_store
        from models.store.migrate import check_schema

        engine = connect(settings.database_url)
        check_schema(engine)
        with reading(engine) as conn:
            return read_store(conn, delay=delay or timedelta(0))
    from models.clock import now
    from models.imports.run import read_folder

    frames, summary = read_folder(data, source, delay=delay, present=now())
    for line in summary.lines():
        click.echo(line, err=True)
    return History.from_frames(frames, delay or timedelta(0))


def end_of(history: "History") -> datetime:
    """Just after the last contact or survey; dates of accounts and contracts may be plans."""
    last = history.last_event(planned=False) or history.last_event()
    if last is None:
        raise EbbtideError("The history is empty; there is nothing to look at.")
    return last + timedelta(microseconds=1)
