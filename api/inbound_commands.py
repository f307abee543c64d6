"""Commands for the live doors: read what came in, list it, read it again."""

import os
import signal
import threading

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import isoformat, now
from models.settings import Settings

POLL, TROUBLE = 1.0, 5.0


@click.group()
def inbound() -> None:
    """What helpdesks send by the live doors: read it, list it, read it again."""


@inbound.command()
@click.option("--once", is_flag=True, help="Read what is waiting, then end.")
def read(once: bool) -> None:
    """Read what came in until stopped. Any number of these may run at once.

    Accounts are scored with the next run.
    """
    from api.commands import _store
    from api.receiving import Reader
    from models.store.errors import StoreError

    reader, stop = Reader(_store(Settings.from_environment(os.environ)), now), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if once:
        click.echo(f"{reader.all_due(stop.is_set)} messages read")
        return
    while not stop.is_set():
        try:
            reader.all_due(stop.is_set)
        except StoreError as error:
            click.echo(f"ebbtide: {error}", err=True)
            stop.wait(TROUBLE)
        stop.wait(POLL)


@inbound.command("list")
@click.option("--status", type=click.Choice(["pending", "done", "failed"]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
def list_(status: str | None, limit: int) -> None:
    """What came in, latest first, and why something could not be read."""
    from api.commands import _store
    from models.store.engine import reading
    from models.store.inbound import messages

    table = Table("message", "door", "received", "about", "state", "error", box=None)
    with reading(_store(Settings.from_environment(os.environ))) as conn:
        for one in messages(conn, limit, status):
            about, error = Text(one.subject or ""), Text(one.error or "")
            table.add_row(str(one.message_no), one.door, isoformat(one.received_at), about, one.status, error)
    Console(width=None if os.isatty(1) else 200).print(table)


@inbound.command()
@click.argument("numbers", type=click.IntRange(1), nargs=-1, required=True, metavar="MESSAGE...")
def replay(numbers: tuple[int, ...]) -> None:
    """Have messages read again, by number."""
    from api.commands import _store
    from models.store.inbound import replay as again

    click.echo(f"{again(_store(Settings.from_environment(os.environ)), now(), numbers)} messages will be read again")
