"""A training set's features, against the same features written as SQL for DuckDB.

The SQL computes every feature but one (`LEFT_OUT`); nothing is scaled for it. Both sides start from tables in memory
and end with a table in memory. Before anything is timed their values are compared, and one that differs ends the bench.
DuckDB is asked as much at a time as its memory holds, which it answers faster than moment by moment.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from bench.figures import Figure, alternating
from bench.model import WEEKS
from bench.population import SEED, Tables, copies
from models.features import FEATURES, Baselines, compute, measure
from models.history import TABLES, History
from training import simulator
from training.snapshots import snapshots

#: What the aim is declared for.
ACCOUNTS = 100_000
AIM_RATIO = 3.0
#: Accounts simulated; more of them are copies.
SIMULATED = 5_000
#: Relative difference allowed between the two.
TOLERANCE = 1e-6
#: The simulated company keeps no record of its outreach, so there is nothing to compute it from.
LEFT_OUT = ("outreach_silence_180d",)
#: Every so many contacts one becomes known this much later, so that the second clock matters.
LATE_EVERY, LATE = 7, timedelta(days=3)
#: What DuckDB may hold before it uses the disk.
MEMORY = "4GB"
#: What it is asked at a time, so that it does not need to.
QUESTIONS = 400_000
_SQL = Path(__file__).parent


def figures(accounts: int, folder: Path, times: int = 3) -> list[Figure]:
    """Compare, then time both in turn; gives the medians."""
    history, cutoff = _history(accounts)
    pairs = snapshots(history, cutoff)
    baselines = measure(history, cutoff)
    with _loaded(history, pairs, baselines, folder) as database:
        _by_sql(database, baselines)
        _compare(compute(history, pairs, baselines), database)
        ours, theirs = alternating(
            [lambda: compute(history, pairs, baselines), lambda: _by_sql(database, baselines)], times
        )
    rows = f"{pairs['as_of'].n_unique()} snapshots of {accounts:,} accounts"
    less = f"{theirs.cpu / ours.cpu:.1f} x less work"
    return [
        Figure(f"features, {rows} ({pairs.height:,} rows)", ours.wall, "s", ours.cores()),
        Figure(f"  {len(FEATURES) - len(LEFT_OUT)} of {len(FEATURES)} as DuckDB SQL", theirs.wall, "s", theirs.cores()),
        Figure("  faster than SQL", theirs.wall / ours.wall, "x", less, AIM_RATIO, at_least=True),
    ]


def _history(accounts: int) -> tuple[History, datetime]:
    """A history with about so many customers at any time."""
    simulated = simulator.simulate(min(accounts, SIMULATED), WEEKS, "default", SEED)
    described = simulated.tables["accounts"].height * accounts // min(accounts, SIMULATED)
    parts = list(copies(simulated.tables, described))
    tables: Tables = {name: pl.concat([part[name] for part in parts]) for name in parts[0]}
    late = pl.int_range(pl.len()) % LATE_EVERY == 0
    recorded = pl.when(late).then(pl.col("recorded_at") + LATE).otherwise("recorded_at")
    tables["interactions"] = tables["interactions"].with_columns(recorded.alias("recorded_at"))
    return History.from_frames(tables), simulated.end


@contextmanager
def _loaded(
    history: History, pairs: pl.DataFrame, baselines: Baselines, folder: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with the history's tables, the questions and what is usual."""
    database = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "duckdb")})
    frames = {name: history.frame(name) for name in TABLES}
    frames["snapshots"] = pairs
    frames["usual"] = pl.DataFrame([{"segment": name, **asdict(of)} for name, of in baselines.segments.items()])
    for name, frame in frames.items():
        instants = [column for column, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
        database.register("incoming", frame.with_columns(pl.col(instants).to_physical()).to_arrow())
        database.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        database.unregister("incoming")
    yield database
    database.close()


def _by_sql(database: duckdb.DuckDBPyConnection, baselines: Baselines) -> None:
    """Fill the table `features`."""
    said = {name: value for name, value in asdict(baselines).items() if name in _SAID}
    columns = ", ".join(
        f"{feature.name} {'TEXT' if feature.categorical else 'DOUBLE'}"
        for feature in FEATURES
        if feature.name not in LEFT_OUT
    )
    database.execute(f"CREATE OR REPLACE TABLE features (account_id TEXT, as_of BIGINT, {columns})")
    database.execute((_SQL / "features_prepare.sql").read_text("utf-8"))
    (questions,) = database.execute("SELECT count(*) FROM snapshots").fetchall()[0]
    for first in range(1, questions + 1, QUESTIONS):
        part = {"first": first, "last": first + QUESTIONS - 1}
        database.execute((_SQL / "features.sql").read_text("utf-8"), part | said)


_SAID = ("answer_minutes", "resolution_minutes", "tracks_onboarding")


def _compare(ours: pl.DataFrame, database: duckdb.DuckDBPyConnection) -> None:
    """End the bench where a value differs."""
    theirs = pl.from_arrow(database.sql("SELECT * FROM features").to_arrow_table())
    assert isinstance(theirs, pl.DataFrame)
    ours = ours.with_columns(pl.col("as_of").to_physical())
    both = ours.join(theirs, on=["account_id", "as_of"], how="left", suffix="_sql", maintain_order="left")
    if theirs.height != ours.height:
        raise SystemExit(f"SQL gives {theirs.height} rows, compute {ours.height}.")
    different = {name: rows.height for name in theirs.columns[2:] if (rows := _different(both, name)).height}
    if different:
        name = next(iter(different))
        examples = _different(both, name).select("account_id", "as_of", name, f"{name}_sql").head(5)
        raise SystemExit(f"SQL and compute differ in {different}; for example\n{examples}")


def _different(both: pl.DataFrame, name: str) -> pl.DataFrame:
    a, b = pl.col(name), pl.col(f"{name}_sql")
    if both.schema[name] == pl.String:
        return both.filter(a.ne_missing(b))
    near = (a - b).abs() <= TOLERANCE * pl.max_horizontal(a.abs(), b.abs(), 1.0)
    return both.filter(~near.fill_null(value=False) & ~(a.is_null() & b.is_null()))
