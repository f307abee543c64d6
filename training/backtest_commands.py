"""The back-test on the command line: a table of months, one summary sentence, and what could not be graded."""

import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from models.clock import isoformat
from models.settings import Settings
from models.terminal import Moment, Span, telling

if TYPE_CHECKING:
    import polars as pl

TOML = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="A folder of contract files.")
@click.option("--db", is_flag=True, help="Take the history from the store.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--as-of", type=Moment(), help="Grade with what was known then; default: the last thing that happened.")
@click.option("--config", type=TOML, help="As for `ebbtide train`; see docs/training.md.")
@click.option("--months", type=click.IntRange(1, 120), default=12, show_default=True, help="Months to run again.")
@click.option("--refit-every", type=click.IntRange(1, 120), default=3, show_default=True, help="Months per model.")
@click.option("--delay", type=Span(), help="How much later than they happened the source told things: 24h.")
@click.option("--expert", type=TOML, help="Back-test this expert's file alone; nothing is fitted.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Every line of the lists: .csv, .parquet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def backtest(
    data: Path | None,
    db: bool,
    source: str,
    as_of: datetime | None,
    config: Path | None,
    months: int,
    refit_every: int,
    delay: timedelta | None,
    expert: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Run past months again with what was known then: fit, list, and grade the lists with what is known now."""
    from training import artefact
    from training import backtest as testing
    from training import config as configs
    from training import expert as experts
    from training.describe_backtest import describe
    from training.reading import end_of, read_history

    if (data is None) == (not db):
        raise click.UsageError("Say where the history is: --data FOLDER or --db.")
    settings = Settings.from_environment(os.environ)
    chosen = configs.load(config, settings.margin)
    plan = testing.Plan(months, refit_every)
    with telling(quiet=as_json) as tell:
        tell("reading the history")
        history = read_history(data, source, settings, delay)
        now = as_of or end_of(history)
        if expert is None:
            done = testing.backtest(history, now, chosen, plan, tell)
        else:
            done = testing.backtest_expert(history, now, chosen, plan, experts.load(expert), tell)
    sentences = list(describe(done.report, chosen.label, alone=expert is not None))
    if out is not None:
        _write(done.rows, chosen.capacity, settings.margin, out)
    if as_json:
        told = artefact.plain(done.report | {"sentences": sentences})
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    Console(width=None if sys.stdout.isatty() else 160).print(table_of(done.report))
    for sentence in sentences:
        click.echo(sentence)


_COUNTED = ("quiet", "base", "listed", "left silently", "otherwise", "contract's", "expert's")


def table_of(report: Mapping[str, Any]) -> Table:
    """One line per month."""
    table = Table(box=None)
    for heading in ("list of", "model of", "phase", *_COUNTED):
        table.add_column(heading, justify="right" if heading in _COUNTED else "left", no_wrap=True)
    for month in report["months"]:
        fitted = month.get("fitted_at")
        otherwise = sum(count for name, count in month["outcomes"].items() if name not in ("silent", "stay"))
        precision = month["precision"]
        table.add_row(
            isoformat(month["as_of"])[:10],
            isoformat(fitted)[:10] if fitted else "-",
            month["phase"],
            f"{month['accounts']:,}",
            f"{month['base_rate']:.1%}",
            str(month["listed"]),
            f"{month['left']} ({precision['low']:.0%} to {precision['high']:.0%})",
            str(otherwise),
            str(month["contract"]["left"]),
            str(month["expert"]["left"]),
        )
    return table


def _write(rows: "pl.DataFrame", capacity: int, margin: float, out: Path) -> None:
    """The lines of all lists, in either order, with what became of them."""
    import polars as pl

    from models.errors import ContractError

    on = (pl.col("rank_by_probability") <= capacity) | (pl.col("rank_by_loss") <= capacity)
    loss = pl.col("p_silent") * pl.col("mrr") * 12 * margin
    lines = rows.filter(on.fill_null(value=False)).select(
        "as_of", "account_id", "rank_by_probability", "rank_by_loss", "segment", "p_silent", "p_churn",
        loss.alias("expected_revenue_loss"), "outcome", "decided_at",
    ).sort("as_of", "rank_by_probability")  # fmt: skip
    if out.suffix == ".parquet":
        lines.write_parquet(out)
    elif out.suffix == ".csv":
        times = [pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("as_of", "decided_at")]
        lines.with_columns(times).write_csv(out)
    else:
        raise ContractError(f"Cannot write {out.name}; name it .csv or .parquet.")
