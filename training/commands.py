"""Commands of the offline side: simulate, train, predict."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from models.clock import isoformat, now
from models.errors import EbbtideError
from models.settings import Settings
from models.terminal import Moment, telling
from training.registry_commands import record, this_user

if TYPE_CHECKING:
    from models.history import History


FOLDER = click.Path(exists=True, path_type=Path)


@click.command()
@click.option("--accounts", type=click.IntRange(1, 2_000_000), default=2000, show_default=True)
@click.option("--weeks", type=click.IntRange(1, 1000), default=143, show_default=True)
@click.option("--world", type=click.Choice(["null", "default", "strong"]), default="default", show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--start", type=Moment(), help="When the log opens; default: such that it ends last Monday.")
@click.option("--format", "form", type=click.Choice(["csv", "parquet"]), default="csv", show_default=True)
@click.option("--truth", is_flag=True, help="Also write the oracle's probabilities and the hidden state, apart.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
def simulate(
    accounts: int,
    weeks: int,
    world: str,
    seed: int,
    start: datetime | None,
    form: Literal["csv", "parquet"],
    truth: bool,
    out: Path,
) -> None:
    """Write a simulated customer base in the contract's format.

    The truth goes to OUT-truth, a folder of its own that no other command reads.
    """
    from training import simulator

    with telling() as tell:
        tell(f"living through {weeks} weeks with {accounts:,} accounts")
        simulated = simulator.simulate(accounts, weeks, world, seed, start or _monday() - timedelta(weeks=weeks))
        simulator.write(simulated, out, form)
        if truth:
            tell("asking the oracle: 200 futures of every account")
            simulator.write_truth(simulated, out.with_name(f"{out.name}-truth"), form)
    counts = ", ".join(f"{frame.height:,} {name}" for name, frame in simulated.tables.items())
    click.echo(f"{out}: {counts}; ends {isoformat(simulated.end)}")


@click.command()
@click.option("--data", type=FOLDER, help="A folder of contract files (CSV or Parquet).")
@click.option("--db", is_flag=True, help="Take the history from the store.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--as-of", type=Moment(), help="What was known then; default: the last thing that happened.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="See docs/training.md.")
@click.option("--allow-leak", metavar="COLUMN", multiple=True, help="Vouch for a column the leakage guard stops.")
@click.option("--promote", is_flag=True, help="Put the model in service.")
@click.option("--why", default="trained and promoted in one go", show_default=True, help="Reason kept with --promote.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def train(
    data: Path | None,
    db: bool,
    source: str,
    as_of: datetime | None,
    config: Path | None,
    allow_leak: tuple[str, ...],
    promote: bool,
    why: str,
    as_json: bool,
) -> None:
    """From history to an artefact: prints its id, and how good it is in words."""
    from models import registry
    from training import artefact, previous
    from training import config as configs
    from training import train as training

    if (data is None) == (not db):
        raise click.UsageError("Say where the history is: --data FOLDER or --db.")
    settings = Settings.from_environment(os.environ)
    chosen = configs.load(config, settings.margin)
    chosen = replace(chosen, allow_leak=tuple(dict.fromkeys((*chosen.allow_leak, *allow_leak))))
    signer = registry.SigningKey.read(settings.signing_key) if settings.signing_key else None
    with telling(quiet=as_json) as tell:
        tell("reading the history")
        history = read_history(data, source, settings)
        cutoff = as_of or end_of(history)
        announce = (lambda _: None) if as_json else _say
        served = previous.in_service(settings.artifacts, settings.trust)
        trained = training.train(history, cutoff, chosen, tell, announce, this_user(), now(), served)
        command = click.get_current_context().obj
        model_id = artefact.save(trained, settings.artifacts, now(), chosen, _revision(), signer, command)
    if promote:
        registry.promote(settings.artifacts, model_id, this_user(), now(), why, settings.trust)
        record(settings)
    _say_trained(model_id, artefact.plain(trained.report), trained.model.status, promoted=promote, as_json=as_json)


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
@click.option("--data", type=FOLDER, required=True, help="A folder of contract files (CSV or Parquet).")
@click.option("--source", default="contract", show_default=True, help="Mapping: a name or a .toml file.")
@click.option("--as-of", type=Moment(), help="Score as of then; default: the last thing that happened.")
@click.option("--model", "model_id", help="Model id; default: the model in service.")
@click.option("--top", type=click.IntRange(0), default=3, show_default=True, help="Reasons per account.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="A .csv or .parquet file.")
def predict(data: Path, source: str, as_of: datetime | None, model_id: str | None, top: int, out: Path) -> None:
    """Score a folder of history offline, without a store."""
    from models.loading import current_model_id, load_model
    from training.predict import predict as run
    from training.predict import write

    settings = Settings.from_environment(os.environ)
    model, _ = load_model(settings.artifacts, model_id or current_model_id(settings.artifacts), settings.trust)
    with telling() as tell:
        tell("reading the history")
        history = read_history(data, source, settings)
        tell("scoring")
        rows = run(model, history, as_of or end_of(history), settings.margin, settings.currency, top)
        write(rows, out)
    click.echo(f"{out}: {rows.height:,} accounts scored by {model.model_id} ({model.status})")


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
    from models.imports.run import read_folder

    frames, summary = read_folder(data, source, delay=delay)
    for line in summary.lines():
        click.echo(line, err=True)
    return History.from_frames(frames, delay or timedelta(0))


def end_of(history: "History") -> datetime:
    """Just after the last contact, survey or change of terms; dates of accounts may be plans."""
    last = history.last_event(planned=False) or history.last_event()
    if last is None:
        raise EbbtideError("The history is empty; there is nothing to look at.")
    return last + timedelta(microseconds=1)


def _monday() -> datetime:
    """The last Monday's midnight, UTC."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday())


def _revision() -> str | None:
    """The git revision of the code, where it runs from a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or None
