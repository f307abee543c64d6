"""Commands of the service side: import, score, monitor, risk-list, serve."""

import json
import os
import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.clock import isoformat, now
from models.errors import EbbtideError
from models.settings import Settings
from models.terminal import Moment, Span, bar, telling

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

RANKS = {"expected_loss": "rank_by_loss", "probability": "rank_by_probability"}
#: The list as a table: heading and whether it holds numbers.
_HEADINGS = (
    *(("#", True), ("account", False), ("owner", False), ("p silent", True), ("loss a year", True)),
    *(("health", True), ("trend", True), ("sure", False), ("why", False)),
)


def _store(settings: Settings) -> "Engine":
    """The store, brought up to this version's tables."""
    from models.store.engine import connect
    from models.store.migrate import migrate

    engine = connect(settings.database_url)
    migrate(engine)
    return engine


@click.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--source", default="contract", show_default=True, help="A mapping that comes with the product.")
@click.option("--mapping", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your own, a .toml file.")
@click.option("--timezone", help="Zone of times without an offset, such as Europe/Berlin.")
@click.option("--delay", type=Span(), help="How much later than they happened the source tells things: 24h.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def import_(
    path: Path,
    source: str,
    mapping: Path | None,
    timezone: str | None,
    delay: timedelta | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read service history into the store, row by row checked.

    A bad row never stops a good one: it is listed with its line, column, value and reason. Running the same import
    again changes nothing.
    """
    from models.imports.run import run
    from models.store.import_runs import finish_import, start_import
    from models.store.portfolio import described
    from models.store.sources import note_import
    from models.store.upsert import Sink

    settings = Settings.from_environment(os.environ)
    chosen = mapping or source
    if dry_run:
        checked = run(path, chosen, timezone=timezone, delay=delay, known=_described(settings), present=now())
        _told(checked, as_json=as_json)
        return
    engine = _store(settings)
    started = start_import(engine, f"{chosen}: {path.name}", now())
    sink = Sink(engine, delay or timedelta(0), clock=now)
    try:
        with bar() as shown:
            tasks: dict[str, Any] = {}

            def tell(table: str, rows: int) -> None:
                if table not in tasks:
                    tasks[table] = shown.add_task(table, total=None)
                shown.update(tasks[table], completed=rows)

            held = described(engine)
            summary = run(
                path, chosen, sink=sink, timezone=timezone, delay=delay, known=held, progress=tell, present=now()
            )
    except BaseException as error:
        finish_import(engine, started, now(), "failed", {"error": str(error)})
        raise
    note_import(engine, str(summary.source), summary.tables, now())
    finish_import(engine, started, now(), "done", summary.to_plain(shown=1000))
    _told(summary, as_json=as_json)


def _told(summary: Any, *, as_json: bool) -> None:
    click.echo(json.dumps(summary.to_plain(), indent=2) if as_json else "\n".join(summary.lines()))


def _described(settings: Settings) -> Any:
    """The accounts the store knows; None where there is no store yet, which looking must not create."""
    from models.store.engine import connect
    from models.store.errors import SchemaMismatch, StoreError
    from models.store.migrate import check_schema
    from models.store.portfolio import described

    address = settings.database_url
    if address.startswith("sqlite") and not Path(address.removeprefix("sqlite:///")).exists():
        return None
    try:
        engine = connect(address)
        check_schema(engine)
    except (SchemaMismatch, StoreError):
        return None
    return described(engine)


@click.command()
@click.option("--as-of", type=Moment(), help="Default: now, or the last thing in the store if that is long ago.")
def score(as_of: datetime | None) -> None:
    """Score every account in the store and publish a new silent-churn list.

    Readers see the old list until the new one is whole.
    """
    from models.loading import current_model_id, load_model
    from models.store.scoring import score_store

    _not_ahead(as_of)
    settings = Settings.from_environment(os.environ)
    engine = _store(settings)
    model, _ = load_model(settings.artifacts, current_model_id(settings.artifacts), settings.trust)
    moment, told_until = (as_of, {}) if as_of is not None else _as_everybody(engine)
    with bar() as shown:
        task = shown.add_task("scoring", total=None)
        done = score_store(
            engine,
            model,
            moment,
            who=f"{os.environ.get('USER', 'cli')}",
            clock=now,
            margin=settings.margin,
            currency=settings.currency,
            **told_until,
            progress=lambda n, total: shown.update(task, completed=n, total=total),
        )
    left_out = ", ".join(f"{count:,} {name}" for name, count in done.standings.items() if count)
    click.echo(
        f"scored {done.scored:,} accounts as of {isoformat(done.as_of)} with {done.model_id} ({model.status}); "
        f"list {done.list_id} has {done.listed:,} quiet accounts. Accounts: {left_out}"
    )


def _not_ahead(as_of: datetime | None) -> None:
    """Refuse a moment that has not come: what is kept of it would pass for the latest until it has."""
    if as_of is not None and as_of > now():
        raise click.UsageError(f"--as-of {isoformat(as_of)} lies in the future.")


def _moment(engine: "Engine") -> datetime:
    """Now; for a history that ended long ago (an export, a simulation), just after its last event, and say so."""
    from models.store.portfolio import last_event

    present, last = now(), last_event(engine)
    if last is None:
        raise EbbtideError("The store is empty; import a history first: ebbtide import FOLDER.")
    if present - last < timedelta(days=30):
        return present
    moment = last + timedelta(microseconds=1)
    click.echo(f"The last thing known happened {isoformat(last)}: as of then; --as-of chooses.", err=True)
    return moment


def _as_everybody(engine: "Engine") -> "tuple[datetime, dict[str, Any]]":
    """As of when to score, and where contacts end, as the service sees it. Says what is done."""
    from models.store.portfolio import contacts_end
    from models.store.sources import look

    look(engine, now())
    end = contacts_end(engine, now())
    if end is None:
        return _moment(engine), {}
    if end.quiet is None:
        return _export_end(engine, now()), end.options()
    click.echo(
        f"No contact has become known since {isoformat(end.since)} although {end.quiet.due:,.0f} were due: the feed "
        "seems to have stopped, so this scores as of then, lest silence of the feed be taken for silence of customers; "
        "--as-of chooses.",
        err=True,
    )
    return end.since + timedelta(microseconds=1), end.options()


def _export_end(engine: "Engine", moment: datetime) -> datetime:
    """The end of an export that was read once, where silence after it would be taken for customers'; else the
    moment."""
    from models.store.portfolio import contacts_end

    end = contacts_end(engine, moment)
    if end is None or end.quiet is not None:
        return moment
    click.echo(f"What was imported ends {isoformat(end.since)}: as of then; --as-of chooses.", err=True)
    return end.since + timedelta(microseconds=1)


@click.command()
@click.option("--as-of", type=Moment(), help="Default: now, or the last thing known if that is long ago.")
@click.option("--model", "model_id", help="Model id; default: the model in service.")
@click.option("--db", is_flag=True, help="Look at the store and keep the result there: the default.")
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="Look at a folder of contract files.")
@click.option("--source", default="contract", show_default=True, help="Mapping for --data: a name or a .toml file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--fail-on", type=click.Choice(["info", "warning", "alarm"]), help="Exit code 3 if a finding is as grave as this."
)
def monitor(
    as_of: datetime | None,
    model_id: str | None,
    db: bool,
    data: Path | None,
    source: str,
    as_json: bool,
    fail_on: str | None,
) -> None:
    """Watch a model in service: drift of inputs, scores and sources, and observed against expected exits.

    Run it after `ebbtide score`. What it finds in the store is kept there and served by GET /v1/model/monitor.
    """
    from api.watching import fails, look, shown
    from models.loading import current_model_id, load_model

    if db and data is not None:
        raise click.UsageError("Say --db or --data FOLDER, not both.")
    _not_ahead(as_of if data is None else None)
    settings = Settings.from_environment(os.environ)
    model, _ = load_model(settings.artifacts, model_id or current_model_id(settings.artifacts), settings.trust)
    engine = None if data is not None else _store(settings)
    moment = as_of or (None if engine is None else _export_end(engine, _moment(engine)))
    with telling(quiet=as_json) as tell:
        found = look(engine, model, moment, data, source, tell)
    if as_json:
        click.echo(json.dumps(found.to_plain(), indent=2, ensure_ascii=False))
    else:
        shown(found)
    if fail_on is not None and fails(found, fail_on):
        click.get_current_context().exit(3)


@click.command("risk-list")
@click.option("--owner", help="Only this owner's accounts.")
@click.option("--segment", help="Only this segment.")
@click.option("--region", help="Only this region.")
@click.option("--band", type=click.Choice(["healthy", "watch", "at_risk", "critical"]), help="Only this band.")
@click.option("--min-mrr", type=click.FloatRange(0), help="Only accounts with at least this monthly revenue.")
@click.option("--rank-by", type=click.Choice(list(RANKS)), default="expected_loss", show_default=True)
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True)
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def risk_list(
    owner: str | None,
    segment: str | None,
    region: str | None,
    band: str | None,
    min_mrr: float | None,
    rank_by: str,
    limit: int,
    form: str,
) -> None:
    """Show the silent-churn list: who, why, what is at stake."""
    from api.opinions import override_line
    from models.store.engine import reading
    from models.store.lists import Filters, current, page
    from models.store.overrides import overrides

    engine = _store(Settings.from_environment(os.environ))
    filters = Filters(owner, segment, region, band, min_mrr)
    rank = RANKS[rank_by]
    with reading(engine) as conn:
        found = current(conn)
        rows = page(conn, found.list_id, rank, filters, limit=limit)
        held = overrides(conn, [row["account_id"] for row in rows], now())
    rows = [{**row, "override": held.get(row["account_id"])} for row in rows]
    if form == "json":
        entries = [
            {**row, "reasons": json.loads(row["reasons"] or "[]"), "override": override_line(row["override"])}
            for row in rows
        ]
        head = {**asdict(found), "as_of": isoformat(found.as_of), "created_at": isoformat(found.created_at)}
        click.echo(json.dumps({"list": head, "entries": entries}, indent=2, ensure_ascii=False))
    elif form == "csv":
        from api.csv_lines import HEADER, csv_line

        click.echo(HEADER + "".join(csv_line(row, rank) for row in rows), nl=False)
    else:
        _table(found, rows, rank)


def _table(found: Any, rows: list[dict[str, Any]], rank: str) -> None:
    table = Table(box=None, pad_edge=False, expand=False)
    for heading, numeric in _HEADINGS:
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=heading != "why", overflow="fold")
    for row in rows:
        loss = row["expected_revenue_loss"]
        change = row["health_change_28d"]
        why = [reason["sentence"] for reason in json.loads(row["reasons"] or "[]")]
        table.add_row(
            str(row[rank]),
            Text(row["name"] or row["account_id"]),
            Text(row["owner"] or "unassigned"),
            f"{row['p_silent']:.1%}",
            "unknown" if loss is None else f"{loss:,.0f} {row['currency'] or ''}".strip(),
            f"{row['health']:.0f} {row['band']}",
            "new" if change is None else f"{round(change):+d}",
            row["confidence"],
            Text("\n".join(why) or "nothing stands out"),
        )
    console = Console(width=None if sys.stdout.isatty() else 180)
    console.print(
        f"Silent-churn list {found.list_id}: {found.entries:,} quiet accounts as of {isoformat(found.as_of)}, "
        f"model {found.model_id}",
        highlight=False,
    )
    console.print(table, highlight=False)
    if not rows:
        console.print("No account on the list fits these filters.")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Processes.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Threads per process.")
def serve(host: str, port: int, workers: int, threads: int) -> None:
    """Serve the API under gunicorn."""
    _store(Settings.from_environment(os.environ)).dispose()
    options = ["--bind", f"{host}:{port}", "--workers", str(workers), "--threads", str(threads)]
    click.echo(f"serving on http://{host}:{port}", err=True)
    command = [sys.executable, "-m", "gunicorn", "--config", "python:api.gunicorn_conf", *options, "api.wsgi:build()"]
    # The server takes this process's place, so that signals reach it directly.
    os.execv(sys.executable, command)  # noqa: S606
