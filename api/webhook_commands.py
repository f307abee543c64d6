"""Commands for webhooks: make, list, rotate, delete, and the worker that delivers."""

import os
import signal
import threading
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import isoformat, now
from models.settings import Settings
from models.terminal import Span
from models.webhooks.events import EVENTS

if TYPE_CHECKING:
    from datetime import timedelta

    from api.delivering import Courier

#: Seconds between two looks for something to deliver, and after the database could not be used.
POLL, TROUBLE = 1.0, 5.0
#: Looks between two clean-ups of the log.
_TIDY_EVERY = 3_600
#: Seconds between two looks at whether a source has fallen silent.
_WATCH_EVERY = 60


@click.group()
def webhooks() -> None:
    """Events sent to other systems: make, list, rotate, delete, deliver."""


@webhooks.command()
@click.option("--url", required=True, help="https://host/path; others only within EBBTIDE_WEBHOOK_ALLOW.")
@click.option("--event", "events", multiple=True, type=click.Choice(list(EVENTS)), help="Which; default: all.")
@click.option("--format", "form", type=click.Choice(["standard", "slack"]), default="standard", show_default=True)
@click.option(
    "--cooldown", type=Span(), default="1h", show_default=True, help="Least time between events of an account."
)
@click.option("--description", help="What it is for.")
def create(url: str, events: tuple[str, ...], form: str, cooldown: "timedelta", description: str | None) -> None:
    """Have events sent to an address. The secret that signs them is shown once."""
    from api.commands import _store
    from api.key_commands import _by
    from models.store.audit import audit
    from models.store.engine import writing
    from models.store.webhooks import Wish, create_webhook

    settings = Settings.from_environment(os.environ)
    wish = Wish(url, events or tuple(EVENTS), description, form, cooldown)
    with writing(_store(settings)) as conn:
        made, secret = create_webhook(conn, wish, settings.webhook_allow, now())
        audit(conn, _by(), "webhook.created", made.endpoint_id, **made.audited())
    click.echo(f"webhook {made.endpoint_id} to {made.url}; its secret, not shown again:", err=True)
    click.echo(secret)


@webhooks.command("list")
def list_() -> None:
    """Every receiver, without its secrets."""
    from api.commands import _store
    from models.store.engine import reading
    from models.store.webhooks import list_webhooks

    table = Table("webhook", "address", "events", "format", "state", box=None)
    with reading(_store(Settings.from_environment(os.environ))) as conn:
        for one in list_webhooks(conn):
            failing = f"failing since {isoformat(one.failing_since)}" if one.failing_since else "on"
            state = failing if one.enabled else f"off: {one.disabled_why}"
            table.add_row(one.endpoint_id, Text(one.url), ", ".join(one.events), one.format, state)
    Console(width=None if os.isatty(1) else 200).print(table)


@webhooks.command()
@click.argument("webhook_id")
@click.option("--overlap", type=Span(), default="24h", show_default=True, help="How long the old secret signs, too.")
def rotate(webhook_id: str, overlap: "timedelta") -> None:
    """Make a new secret, shown once; the old one goes on signing for a while."""
    from api.commands import _store
    from api.key_commands import _by
    from models.store.audit import audit
    from models.store.engine import writing
    from models.store.webhooks import rotate_secret

    with writing(_store(Settings.from_environment(os.environ))) as conn:
        _, secret = rotate_secret(conn, webhook_id, now(), overlap)
        audit(conn, _by(), "webhook.rotated", webhook_id)
    click.echo(f"webhook {webhook_id} has a new secret, not shown again:", err=True)
    click.echo(secret)


@webhooks.command()
@click.argument("webhook_id")
def delete(webhook_id: str) -> None:
    """Remove a receiver and its log."""
    from api.commands import _store
    from api.key_commands import _by
    from models.store.audit import audit
    from models.store.engine import writing
    from models.store.webhooks import delete_webhook

    with writing(_store(Settings.from_environment(os.environ))) as conn:
        delete_webhook(conn, webhook_id)
        audit(conn, _by(), "webhook.deleted", webhook_id)
    click.echo(f"webhook {webhook_id} is gone")


@webhooks.command()
@click.option("--once", is_flag=True, help="Deliver what is due now, then end.")
@click.option("--console", is_flag=True, help="For development: show the messages instead of sending them.")
@click.option("--threads", type=click.IntRange(1, 64), default=8, show_default=True, help="Messages sent at once.")
def deliver(once: bool, console: bool, threads: int) -> None:
    """Deliver events until stopped. Any number of these may run at once."""
    from api.commands import _store
    from api.delivering import Courier, over_http, to_console

    settings = Settings.from_environment(os.environ)
    transport = to_console(click.echo) if console else over_http(settings.webhook_allow)
    courier = Courier(_store(settings), transport, now, threads=threads)
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        courier.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    try:
        if once:
            courier.watch()
            courier.all_due()
        else:
            _work(courier, stop)
    finally:
        courier.close()


def _work(courier: "Courier", stop: threading.Event) -> None:
    """Look for something to deliver again and again; a database that is away for a while ends nothing."""
    from models.store.errors import StoreError

    looks = 0
    while not stop.is_set():
        try:
            courier.round()
            if looks % _TIDY_EVERY == 0:
                courier.tidy()
            if looks % _WATCH_EVERY == 0:
                courier.watch()
            looks += 1
        except StoreError as error:
            click.echo(f"ebbtide: {error}", err=True)
            stop.wait(TROUBLE)
        stop.wait(POLL)
