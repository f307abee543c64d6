"""Commands of the offline side: simulate, train, predict."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from models.clock import isoformat, now
from models.errors import EbbtideError, PromotionRefused
from models.progress import Tell
from models.settings import Settings
from models.terminal import Moment, telling
from training.reading import end_of, read_history
from training.registry_commands import put_in_service, revision, this_user

if TYPE_CHECKING:
    from training.simulator import Fault
    from training.train import Config, Trained


FOLDER = click.Path(exists=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_WHY = "trained and promoted in one go"


@click.command()
@click.option(
    "--accounts",
    type=click.IntRange(1, 2_000_000),
    default=2000,
    show_default=True,
    help="Customers at the start; about as many join as leave, so more are written.",
)
@click.option("--weeks", type=click.IntRange(1, 1000), default=143, show_default=True)
@click.option("--world", type=click.Choice(["null", "default", "strong"]), default="default", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--start", type=Moment(), help="When the log opens; default: such that it ends last Monday.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:WEEK]",
    help="What goes wrong, from that week on (default: in the last half year); repeatable; an unknown name lists all.",
)
@click.option("--truth", is_flag=True, help="Also write the oracle's probabilities and the hidden state, apart.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
def simulate(
    accounts: int,
    weeks: int,
    world: str,
    seed: int,
    start: datetime | None,
    form: Literal["csv", "parquet"],
    faults: tuple[str, ...],
    truth: bool,
    out: Path,
) -> None:
    """Write a simulated customer base in the contract's format.

    The truth, and when which fault began, goes to OUT-truth, a folder of its own that no other command reads.
    """
    from training import simulator

    switched = [_fault(text, weeks) for text in faults]
    with telling() as tell:
        tell(f"living through {weeks} weeks with {accounts:,} accounts")
        opens = start or _monday() - timedelta(weeks=weeks)
        simulated = simulator.simulate(accounts, weeks, world, seed, opens, faults=switched)
        simulator.write(simulated, out, form)
        apart = out.with_name(f"{out.name}-truth")
        if truth:
            tell("asking the oracle: 200 futures of every account")
            simulator.write_truth(simulated, apart, form)
        else:
            simulator.write_faults(simulated, apart, form)
    counts = ", ".join(f"{frame.height:,} {name}" for name, frame in simulated.tables.items())
    click.echo(f"{out}: {counts}; ends {isoformat(simulated.end)}")


def _fault(text: str, weeks: int) -> "Fault":
    """NAME or NAME:WEEK."""
    from training.simulator import FAULTS, Fault

    name, _, week = text.partition(":")
    if name not in FAULTS:
        known = "; ".join(f"{fault}: {what}" for fault, what in FAULTS.items())
        raise click.BadParameter(f"{name!r} is no fault. {known}.", param_hint="--fault")
    if week and not (week.isdecimal() and int(week) < weeks):
        raise click.BadParameter(f"{week!r} is no week of the log; write 0 to {weeks - 1}.", param_hint="--fault")
    return Fault(name, int(week) if week else max(weeks - 26, weeks // 2))


@click.command()
@click.option("--data", type=FOLDER, help="A folder of contract files (CSV or Parquet).")
@click.option("--db", is_flag=True, help="Take the history from the store.")
@click.option("--table", type=FILE, help="A wide table (CSV or Parquet) instead of a history; see docs/wide-tables.md.")
@click.option("--label", metavar="COLUMN", help="With --table: who left.")
@click.option("--id", "identity", metavar="COLUMN", help="With --table: whose row it is.")
@click.option("--as-of-column", metavar="COLUMN", help="With --table: as of when the row is.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--as-of", type=Moment(), help="What was known then; default: the last thing that happened.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="See docs/training.md.")
@click.option("--allow-leak", metavar="COLUMN", multiple=True, help="Vouch for a column the leakage guard stops.")
@click.option("--promote", is_flag=True, help="Put the model in service.")
@click.option("--why", default=_WHY, show_default=True, help="Reason kept with --promote.")
@click.option("--force", is_flag=True, help="With --promote and --why: whatever speaks against it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def train(
    data: Path | None,
    db: bool,
    table: Path | None,
    label: str | None,
    identity: str | None,
    as_of_column: str | None,
    source: str,
    as_of: datetime | None,
    config: Path | None,
    allow_leak: tuple[str, ...],
    promote: bool,
    why: str,
    force: bool,
    as_json: bool,
) -> None:
    """From a history, or a wide table, to an artefact: prints its id, and how good it is in words.

    With --promote it goes into service unless something speaks against it; see `ebbtide models promote`.
    """
    from models import registry
    from training import artefact, previous
    from training import config as configs
    from training import train as training
    from training.versus import against_served

    if sum((data is not None, db, table is not None)) != 1:
        raise click.UsageError("Say where the history is: --data FOLDER or --db; or name a wide table: --table FILE.")
    _check_table_options(table, label, identity, as_of_column, as_of)
    if force and (not promote or why == _WHY):
        raise click.UsageError("--force goes with --promote and a reason: --why.")
    settings = Settings.from_environment(os.environ)
    chosen = configs.load(config, settings.margin)
    chosen = replace(chosen, allow_leak=tuple(dict.fromkeys((*chosen.allow_leak, *allow_leak))))
    signer = registry.SigningKey.read(settings.signing_key) if settings.signing_key else None
    registry.check_writable(settings.artifacts)
    announce = _say if not as_json else lambda _: None
    # On top of the run's own steps: reading the history.
    steps = None if table else training.STEPS + 1
    with telling(quiet=as_json, steps=steps, counted=table is not None) as tell:
        if table is not None and label is not None:
            trained = _of_table(table, (label, identity, as_of_column), chosen, settings, tell, announce)
        else:
            tell("reading the history")
            history = read_history(data, source, settings)
            cutoff = as_of or end_of(history)
            served = previous.in_service(settings.artifacts, settings.trust)
            trained = training.train(history, cutoff, chosen, tell, announce, this_user(), now(), served)
        command = click.get_current_context().obj
        model_id = artefact.save(trained, settings.artifacts, now(), chosen, revision(), signer, command)
        if promote and table is None:
            tell("comparing with the model in service")
            try:
                announce([against_served(settings, model_id, history, this_user(), now(), tell, trained.tested)])
            except EbbtideError as error:  # the model is stored; whether it may serve without, the rules decide
                announce([f"Not compared with the model in service: {error}"])
    refused = None
    if promote:
        try:
            put_in_service(settings, model_id, this_user(), why, force=force)
        except PromotionRefused as error:
            refused = error
    promoted = promote and refused is None
    _say_trained(model_id, artefact.plain(trained.report), trained.model.status, promoted=promoted, as_json=as_json)
    if refused is not None:
        raise refused


def _check_table_options(
    table: Path | None, label: str | None, identity: str | None, as_of_column: str | None, as_of: datetime | None
) -> None:
    if table is None and (label or identity or as_of_column):
        raise click.UsageError("--label, --id and --as-of-column go with --table FILE.")
    if table is not None and label is None:
        raise click.UsageError("Say which column of the table says who left: --label COLUMN.")
    if table is not None and as_of is not None:
        raise click.UsageError("--as-of goes with a history; for a table name --as-of-column, or as_of in [table].")


def _of_table(
    path: Path,
    columns: tuple[str, str | None, str | None],
    config: "Config",
    settings: Settings,
    tell: Tell,
    announce: Callable[[Sequence[str]], None],
) -> "Trained":
    from training.tables.previous import in_service
    from training.tables.read import Names
    from training.tables.train import Overruling
    from training.tables.train import train as run

    label, identity, moment = columns
    served = in_service(settings.artifacts, settings.trust, label)
    names = Names(label, identity or "", moment or "")
    return run(path, names, config, tell, announce, Overruling(this_user(), now()), served)


def _say(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        click.echo(f"- {sentence}", err=True)


def _say_trained(model_id: str, report: dict[str, Any], status: str, *, promoted: bool, as_json: bool) -> None:
    if as_json:
        said = {"model_id": model_id, "status": status, "promoted": promoted, **report}
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
        return
    click.echo(model_id)
    click.echo(f"{status}{'; in service' if promoted else ''}", err=True)
    _say(report["verdicts"])


@click.command()
@click.option("--data", type=FOLDER, help="A folder of contract files (CSV or Parquet).")
@click.option("--table", type=FILE, help="Rows of a wide table (CSV or Parquet), for a model that was trained on one.")
@click.option("--id", "identity", metavar="COLUMN", help="With --table: whose row it is; default: as in training.")
@click.option("--source", default="contract", show_default=True, help="Mapping: a name or a .toml file.")
@click.option(
    "--as-of", type=Moment(), help="Score as of then; default: the last thing that happened; of a table: now."
)
@click.option("--model", "model_id", help="Model id; default: the model in service.")
@click.option("--top", type=click.IntRange(0), default=3, show_default=True, help="Reasons per account.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .csv or .parquet file.")
def predict(
    data: Path | None,
    table: Path | None,
    identity: str | None,
    source: str,
    as_of: datetime | None,
    model_id: str | None,
    top: int,
    out: Path,
) -> None:
    """Score a folder of history, or a wide table, offline and without a store."""
    from models.loading import current_model_id, load_model
    from training.predict import predict as run
    from training.predict import write
    from training.tables.predict import predict as run_table

    if (data is None) == (table is None):
        raise click.UsageError("Say what to score: --data FOLDER or --table FILE.")
    if table is None and identity is not None:
        raise click.UsageError("--id goes with --table FILE.")
    settings = Settings.from_environment(os.environ)
    model, _ = load_model(settings.artifacts, model_id or current_model_id(settings.artifacts), settings.trust)
    with telling() as tell:
        if table is not None:
            tell("reading and scoring the table")
            predicted = run_table(model, table, identity or "", as_of or now(), top)
            rows = predicted.rows
            _say(predicted.notes)
        else:
            tell("reading the history")
            history = read_history(data, source, settings)
            tell("scoring")
            rows = run(model, history, as_of or end_of(history), settings.margin, settings.currency, top)
        write(rows, out)
    click.echo(f"{out}: {rows.height:,} accounts scored by {model.model_id} ({model.status})")


def _monday() -> datetime:
    """The last Monday's midnight, UTC."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday())
