"""The full run at two sizes, from Parquet and from the store: seconds, memory, growth."""

from pathlib import Path
from typing import Any

import polars as pl

from bench import population
from bench.figures import Figure
from bench.full_run import apart
from bench.model import fitted
from models.store.engine import connect
from models.store.migrate import migrate
from models.store.upsert import Sink

#: What the aims are declared for.
ACCOUNTS = 1_000_000
AIM_SECONDS = {"Parquet": 90.0, "the store": 240.0}
AIM_GIB = 8.0
AIM_GROWTH = 1.1


def figures(folder: Path, accounts: int, source: str) -> list[Figure]:
    """Run with half of the accounts, then with all; `source` is Parquet or the store."""
    fitted(folder)
    runs = []
    for size in (accounts // 2, accounts):
        written = population.write(folder / f"population-{size}", size)
        database = None if source == "Parquet" else _filled(folder, written)
        runs.append(apart(written.folder, written.as_of, database))
    return list(_told(accounts, source, *runs))


def _told(accounts: int, source: str, half: dict[str, Any], whole: dict[str, Any]) -> list[Figure]:
    seconds, name = whole["wall"], f"full run from {source}, {accounts:,} accounts"
    work = f"{whole['cpu']:.1f} s of work, {whole['cpu'] / seconds:.1f} cores"
    per_million = seconds * ACCOUNTS / accounts
    growth = seconds / half["wall"] * (accounts // 2) / accounts
    return [
        Figure(name, seconds, "s", work),
        Figure("  per million accounts", per_million, "s", whole["parts"], AIM_SECONDS[source]),
        Figure("  peak memory", whole["peak_gib"], "GiB", "", AIM_GIB),
        Figure("  growth against half of them", growth, "x linear", f"{half['wall']:.1f} s", AIM_GROWTH),
    ]


def _filled(folder: Path, written: population.Written) -> str:
    """A store with the population's rows; gives its address."""
    address = f"sqlite:///{folder}/nightly-{written.accounts}.db"
    engine = connect(address)
    migrate(engine)
    sink = Sink(engine)
    for table in written.rows:
        for part in pl.scan_parquet(written.path(table)).collect_batches(chunk_size=sink.batch_rows):
            sink.write(table, part)
    engine.dispose()
    return address
