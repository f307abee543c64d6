"""Commands of the artefact store: what is there, what is in service, who vouches for it."""

import getpass
import os
import subprocess
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from models.clock import now
from models.errors import ArtefactError, SettingsError, UnsafeArtefact
from models.settings import Settings
from models.terminal import telling

FOLDER = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def models() -> None:
    """The artefact store: list, show, verify, sign, reproduce, promote, roll back."""


@models.command("list")
def list_models() -> None:
    """Every artefact, oldest first; the one in service is marked."""
    from models import registry

    root = Settings.from_environment(os.environ).artifacts
    served = registry.current(root)
    table = Table("", "model", "phase", "status", "trained on data to", box=None)
    for listed in registry.list_artefacts(root):
        mark = "*" if served and served.model_id == listed.model_id else ""
        manifest = listed.manifest
        if manifest is None:
            table.add_row(mark, listed.model_id, "", f"unreadable: {listed.problem}", "")
        else:
            last = manifest.data_range[1] if manifest.data_range else ""
            table.add_row(mark, listed.model_id, manifest.phase, manifest.status, last)
    Console(width=None if sys.stdout.isatty() else 160).print(table)


@models.command()
@click.argument("model_id", required=False)
def show(model_id: str | None) -> None:
    """The manifest of an artefact (default: the one in service) as JSON."""
    from models import registry
    from models.loading import current_model_id

    root = Settings.from_environment(os.environ).artifacts
    click.echo(registry.show(root, model_id or current_model_id(root)).to_json().decode(), nl=False)


@models.command()
@click.argument("model_id")
def verify(model_id: str) -> None:
    """Check an artefact's signature, its files against its manifest, and that it opens and fits this version."""
    from models.loading import load_model

    settings = Settings.from_environment(os.environ)
    _, manifest = load_model(settings.artifacts, model_id, settings.trust)
    standing = settings.trust.standing(manifest)
    if standing.state == "bad":
        raise UnsafeArtefact(f"{model_id}: {standing}.")
    click.echo(f"{model_id}: files unchanged, safe to open, features fit; {standing}")


@models.command()
@click.argument("model_id")
def sign(model_id: str) -> None:
    """Vouch for an artefact with the key of EBBTIDE_SIGNING_KEY; an earlier signature is replaced."""
    from models import registry

    settings = Settings.from_environment(os.environ)
    if not settings.signing_key:
        raise SettingsError("Set EBBTIDE_SIGNING_KEY to sign; `ebbtide keys signing-key --out FILE` makes a key.")
    signer = registry.SigningKey.read(settings.signing_key)
    registry.sign(settings.artifacts, model_id, signer)
    click.echo(f"{model_id} is signed by the key {signer.key_id}")


@models.command()
@click.argument("model_id")
@click.option("--data", type=FOLDER, help="The folder of contract files it was trained on.")
@click.option("--db", is_flag=True, help="It was trained on the store.")
@click.option("--table", type=FILE, help="The wide table (CSV or Parquet) it was trained on.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
def reproduce(model_id: str, data: Path | None, db: bool, table: Path | None, source: str) -> None:
    """Train an artefact again and compare every file and number with the stored one."""
    if sum((data is not None, db, table is not None)) != 1:
        raise click.UsageError("Say where its data are: --data FOLDER, --db, or --table FILE.")
    settings = Settings.from_environment(os.environ)
    with telling() as tell:
        if table is not None:
            from training.tables.reproduce import reproduce as repeat

            found = repeat(settings.artifacts, model_id, table, settings.trust, tell, revision())
        else:
            from training.reading import read_history
            from training.reproduce import reproduce as run

            tell("reading the history")
            history = read_history(data, source, settings)
            found = run(settings.artifacts, model_id, history, settings.trust, tell, revision())
    if found:
        raise ArtefactError(f"{model_id} was not reproduced: {' '.join(found)}")
    click.echo(f"{model_id}: reproduced, all files and numbers are identical")


@models.command()
@click.argument("model_id")
@click.option("--why", required=True, help="Reason, kept in the history.")
@click.option("--who", default=None, help="Who decides; default: the user running this.")
@click.option("--data", type=FOLDER, help="Compare with the model in service on this folder first.")
@click.option("--db", is_flag=True, help="Compare with the model in service on the store first.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--force", is_flag=True, help="Whatever speaks against it; the history keeps what did.")
def promote(model_id: str, why: str, who: str | None, data: Path | None, db: bool, source: str, force: bool) -> None:
    """Put an artefact in service; running services swap to it by themselves.

    Refused where it is worse than the model in service, was never compared with it, is not calibrated, or its leakage
    findings were overruled.
    """
    from models.loading import load_model

    if data is not None and db:
        raise click.UsageError("Compare on --data FOLDER or on --db, not on both.")
    settings = Settings.from_environment(os.environ)
    load_model(settings.artifacts, model_id, settings.trust)
    who = who or this_user()
    if data is not None or db:
        from training.reading import read_history
        from training.versus import against_served

        with telling() as tell:
            tell("reading the history")
            told = against_served(settings, model_id, read_history(data, source, settings), who, now(), tell)
        click.echo(told, err=True)
    put_in_service(settings, model_id, who, why, force=force)
    click.echo(f"{model_id} is in service")


@models.command()
@click.option("--why", required=True, help="Reason, kept in the history.")
@click.option("--who", default=None, help="Who decides; default: the user running this.")
def rollback(why: str, who: str | None) -> None:
    """Put the model before the current one back in service."""
    from models import registry
    from models.loading import load_model

    settings = Settings.from_environment(os.environ)
    root, trust = settings.artifacts, settings.trust
    # A service would refuse what does not open here or reads other features than this version computes.
    change = registry.rollback(
        root, who or this_user(), now(), why, trust, lambda model_id: load_model(root, model_id, trust)
    )
    record(settings)
    click.echo(f"{change.model_id} is in service again")


@models.command("history")
def model_history() -> None:
    """Every promotion and roll-back: when, who, why; what was refused, and what was forced."""
    from models import registry

    for change in registry.events(Settings.from_environment(os.environ).artifacts):
        click.echo(f"{change.when}  {change.action:<8}  {change.model_id}  {change.who}: {change.why}")
        for objection in change.objections:
            click.echo(f"    {'refused' if change.action == 'refuse' else 'forced'}: {objection}")


def put_in_service(settings: Settings, model_id: str, who: str, why: str, *, force: bool) -> None:
    """Promote, and keep the change or the refusal in the store, too."""
    from models import registry

    try:
        registry.promote(settings.artifacts, model_id, who, now(), why, settings.trust, force=force)
    finally:
        record(settings)


def record(settings: Settings) -> None:
    """Keep the pointer's history in the store too, where there is one."""
    from models import registry
    from models.store.engine import connect
    from models.store.migrate import migrate
    from models.store.pointers import catch_up, told

    engine = connect(settings.database_url)
    migrate(engine)
    catch_up(engine, told(registry.events(settings.artifacts)))


def this_user() -> str:
    """Who runs this command."""
    return getpass.getuser()


def revision() -> str | None:
    """The git revision of the code, where it runs from a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None
