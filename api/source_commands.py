"""Commands for the sources of data: which there are, and that one will tell nothing more."""

import os

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import isoformat, now
from models.settings import Settings


@click.group()
def sources() -> None:
    """Who tells us things: when last, and whether one has fallen silent."""


@sources.command("list")
def list_() -> None:
    """Every source, judged now against its own rhythm."""
    from api.commands import _store
    from models.store.sources import look

    table = Table("source", "table", "last seen", "state", box=None)
    for one in look(_store(Settings.from_environment(os.environ)), now()):
        quiet = (
            f"quiet since {isoformat(one.quiet_since)}, {one.quiet_due:,.0f} were due" if one.quiet_since else "alive"
        )
        state = f"retired {isoformat(one.retired_at)}" if one.retired_at else quiet
        table.add_row(Text(one.source), one.table_name, isoformat(one.last_at), state)
    Console(width=None if os.isatty(1) else 180).print(table)


@sources.command()
@click.argument("source")
def retire(source: str) -> None:
    """Say that a source will tell nothing more, so that its silence holds nothing up, until it tells more."""
    from api.commands import _store
    from api.key_commands import _by
    from models.store.audit import audit
    from models.store.engine import writing
    from models.store.sources import retire as end

    with writing(_store(Settings.from_environment(os.environ))) as conn:
        end(conn, source, now())
        audit(conn, _by(), "source.retired", source)
    click.echo(f"source {source} is retired")
