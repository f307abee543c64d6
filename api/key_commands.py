"""Commands about keys: API keys, and the key that signs artefacts."""

import getpass
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import isoformat, now
from models.settings import Settings
from models.terminal import Moment, Span

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from models.store.audit import By
    from models.store.keys import ApiKey


def _store() -> "Engine":
    """The store, brought up to this version's tables."""
    from models.store.engine import connect
    from models.store.migrate import migrate

    engine = connect(Settings.from_environment(os.environ).database_url)
    migrate(engine)
    return engine


def _by() -> "By":
    from models.store.audit import By

    return By(f"cli:{getpass.getuser()}", now())


@click.group()
def keys() -> None:
    """API keys: create, list, rotate, revoke; and the key that signs artefacts."""


@keys.command()
@click.option("--name", required=True, help="Who uses it.")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(["read", "write", "score", "admin"]), required=True)
@click.option("--owner", "owners", multiple=True, help="Only this owner's accounts exist for the key; may be repeated.")
@click.option("--segment", "segments", multiple=True, help="Only this segment's accounts; may be repeated.")
@click.option("--expires", "expires_at", type=Moment(), help="When it stops working. Default: never.")
def create(
    name: str,
    scopes: tuple[str, ...],
    owners: tuple[str, ...],
    segments: tuple[str, ...],
    expires_at: datetime | None,
) -> None:
    """Make a key. It is shown once: only its hash is kept.

    With --owner and --segment both, it is restricted to the accounts of these owners within these segments.
    """
    from models.store.books import Book
    from models.store.keys import create_key

    book = Book(owners, segments)
    key, text = create_key(_store(), name, scopes, now(), expires_at=expires_at, book=book, by=_by())
    _show_once(key, text)


def _show_once(key: "ApiKey", text: str) -> None:
    limits = [*([f"only {_book(key)}"] if key.book.restricted else [])]
    limits += [f"until {isoformat(key.expires_at)}"] if key.expires_at else []
    said = f"key {key.key_id} for {key.name} ({'; '.join([', '.join(key.scopes), *limits])})"
    click.echo(f"{said}; keep it, it is not shown again:", err=True)
    click.echo(text)


def _book(key: "ApiKey") -> str:
    return ", ".join([*key.book.owners, *key.book.segments])


@keys.command("signing-key")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A new file, mode 600.")
def signing_key(out: Path) -> None:
    """Make a private key that signs artefacts, and show its public key."""
    from models.registry import create_key

    key = create_key(out)
    click.echo(
        f"{out}: private key {key.key_id}; where models are trained, set EBBTIDE_SIGNING_KEY to this file. "
        "Where they are served, set EBBTIDE_VERIFY_KEYS to its public key:",
        err=True,
    )
    click.echo(key.public)


@keys.command("list")
def list_() -> None:
    """Every key, without its secret."""
    from models.store.engine import reading
    from models.store.keys import list_keys

    table = Table("key", "name", "scopes", "only", "created", "last used", "expires", "revoked", box=None)
    with reading(_store()) as conn:
        for key in list_keys(conn):
            moments = (key.created_at, key.last_used_at, key.expires_at, key.revoked_at)
            times = (isoformat(at) if at else "" for at in moments)
            table.add_row(key.key_id, Text(key.name), ", ".join(key.scopes), Text(_book(key)), *times)
    Console(width=None if sys.stdout.isatty() else 200).print(table)


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap", type=Span(), default="1d", show_default=True, help="How long the present secret still works."
)
def rotate(key_id: str, overlap: timedelta) -> None:
    """Give a key a new secret, shown once; the present one goes on working for the overlap."""
    from models.store.keys import rotate_key

    key, text = rotate_key(_store(), key_id, now(), overlap, _by())
    _show_once(key, text)
    if key.previous_until:
        click.echo(f"the secret before works until {isoformat(key.previous_until)}", err=True)


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key at once."""
    from models.store.keys import revoke_key

    revoke_key(_store(), key_id, now(), _by())
    click.echo(f"key {key_id} is revoked")
