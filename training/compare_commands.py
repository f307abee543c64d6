"""The command `ebbtide compare`."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from models.clock import isoformat, now
from models.settings import Settings
from models.terminal import Moment, telling
from training.registry_commands import FOLDER, this_user

if TYPE_CHECKING:
    from training.compare import Compared

_TITLES = {
    "auc": ("AUC", "{:.3f}"),
    "pr_auc": ("PR-AUC", "{:.3f}"),
    "log_loss": ("log loss", "{:.4f}"),
    "brier": ("Brier", "{:.4f}"),
    "top_decile_lift": ("lift, top tenth", "{:.2f}"),
    "observed_expected": ("observed / expected", "{:.2f}"),
    "calibration_slope": ("calibration slope", "{:.2f}"),
}
_QUESTIONS = {"silent": "Will they leave silently?", "churn": "Will they leave?"}


@click.command()
@click.argument("champion")
@click.argument("challenger")
@click.option("--data", type=FOLDER, help="A folder of contract files (CSV or Parquet).")
@click.option("--db", is_flag=True, help="Take the history from the store.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--as-of", type=Moment(), help="What was known then; default: the last thing that happened.")
@click.option("--refit", is_flag=True, help="Fit both configurations anew on the same forward folds.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(
    champion: str,
    challenger: str,
    data: Path | None,
    db: bool,
    source: str,
    as_of: datetime | None,
    refit: bool,
    as_json: bool,
) -> None:
    """Compare two models on the same rows, with paired intervals by account.

    As they are stored, on what happened after both were trained; or, with --refit, their configurations on the same
    forward folds. The artefact store keeps what was found, and promotions rest on it.
    """
    from models import registry
    from training.reading import end_of, read_history
    from training.versus import versus

    if (data is None) == (not db):
        raise click.UsageError("Say where the history is: --data FOLDER or --db.")
    if champion == challenger:
        raise click.UsageError("A model cannot be compared with itself.")
    settings = Settings.from_environment(os.environ)
    with telling(quiet=as_json) as tell:
        tell("reading the history")
        history = read_history(data, source, settings)
        found = versus(settings, champion, challenger, history, as_of or end_of(history), tell, refit=refit)
    registry.keep(settings.artifacts, found.to_record(champion, challenger, isoformat(now()), this_user()))
    if as_json:
        click.echo(json.dumps({"champion": champion, "challenger": challenger, **found.to_plain()}, indent=2))
    else:
        _show(found)


def _show(found: "Compared") -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    for target, question in _QUESTIONS.items():
        if target in found.targets:
            console.print(_table(question, found.targets[target]), highlight=False)
    click.echo(found.sentence)


def _table(question: str, measured: dict[str, Any]) -> Table:
    table = Table(question, box=None)
    for heading in ("champion", "challenger", "gain", "95 % interval"):
        table.add_column(heading, justify="right")
    for name, (title, form) in _TITLES.items():
        values = (measured[who][name]["value"] for who in ("champion", "challenger"))
        gain = measured["gain"].get(name)
        table.add_row(title, *(_said(form, value) for value in values), *_gained(form, gain))
    quiet = (measured[who].get("quiet", {}).get("auc", {}).get("value") for who in ("champion", "challenger"))
    table.add_row("AUC, quiet set", *(_said("{:.3f}", value) for value in quiet), *_gained("{:.3f}", _quiet(measured)))
    return table


def _quiet(measured: dict[str, Any]) -> Any:
    return measured["quiet_gain"].get("auc")


def _gained(form: str, gain: dict[str, float | None] | None) -> tuple[str, str]:
    """The gain and its interval; empty for what is not better when it is more or less."""
    if gain is None:
        return "", ""
    signed = form.replace("{:", "{:+")
    low, high = (_said(signed, gain[edge]) for edge in ("low", "high"))
    return _said(signed, gain["value"]), f"{low} to {high}"


def _said(form: str, value: float | None) -> str:
    return "undefined" if value is None else form.format(value)
