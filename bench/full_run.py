"""The nightly run: every account from its rows to its place on the list.

    python -m bench.full_run --folder DIR --from parquet
    python -m bench.full_run --folder DIR --from store --database sqlite:////tmp/store.db

Started by `python -m bench` as a process of its own, so that the peak of its memory is its own. Prints one line of
JSON. From Parquet the accounts are read in ranges of ids, scored, and their quiet ones kept for the list; from the
store `models.store.scoring.score_store` does the same and stores every score.
"""

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from bench.figures import Watch
from bench.model import fitted
from models import lists
from models.clock import now, parse_instant
from models.history import TABLES, History
from models.model import ChurnModel
from models.scoring import score_history
from models.store.engine import connect
from models.store.scoring import score_store

#: Accounts read and scored at a time; bounds memory.
CHUNK_ACCOUNTS = 50_000


def from_parquet(model: ChurnModel, folder: Path, as_of: datetime, watch: Watch) -> dict[str, int]:
    """Parquet -> features -> both scorecards -> ranked list."""
    entries, scored_accounts = [], 0
    with watch.running():
        for low, high in _ranges(folder):
            with watch.part("reading"):
                history = History.from_frames({name: _read(folder, name, low, high) for name in TABLES})
            with watch.part("features and scores"):
                scored = score_history(model, history, as_of, fresh=True, currency="EUR")
            with watch.part("reasons"):
                entries.append(lists.quiet_entries(model, scored))
            scored_accounts += scored.scores.height
        with watch.part("ranking"):
            ranked = lists.ranked(pl.concat(entries))
    return {"scored": scored_accounts, "listed": ranked.height}


def _ranges(folder: Path) -> Iterator[tuple[str, str]]:
    """Ranges of account ids, both ends included."""
    ids = pl.read_parquet(folder / "accounts.parquet", columns=["account_id"])["account_id"].sort()
    for start in range(0, len(ids), CHUNK_ACCOUNTS):
        yield ids[start], ids[min(start + CHUNK_ACCOUNTS, len(ids)) - 1]


def _read(folder: Path, table: str, low: str, high: str) -> pl.DataFrame:
    path = folder / f"{table}.parquet"
    if not path.exists():
        return TABLES[table].empty()
    return pl.scan_parquet(path).filter(pl.col("account_id").is_between(pl.lit(low), pl.lit(high))).collect()


def from_store(model: ChurnModel, database: str, as_of: datetime, watch: Watch) -> dict[str, int]:
    """Store -> features -> both scorecards -> scores and ranked list in the store."""
    engine = connect(database)
    with watch.running():
        done = score_store(engine, model, as_of, who="bench", clock=now, currency="EUR")
    engine.dispose()
    return {"scored": done.scored, "listed": done.listed}


def apart(folder: Path, as_of: datetime, database: str | None = None) -> dict[str, Any]:
    """Run in a process of its own; gives what it printed."""
    command = [sys.executable, "-m", "bench.full_run", "--folder", str(folder), "--as-of", as_of.isoformat()]
    command += ["--database", database] if database else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="with Parquet files, and artefacts beside it")
    parser.add_argument("--as-of", type=parse_instant, required=True)
    parser.add_argument("--database", help="score this store; default: the Parquet files")
    args = parser.parse_args()
    model = fitted(args.folder.parent)
    watch = Watch()
    if args.database:
        found = from_store(model, args.database, args.as_of, watch)
    else:
        found = from_parquet(model, args.folder, args.as_of, watch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps(found | {"wall": watch.wall, "cpu": watch.cpu, "peak_gib": peak, "parts": watch.told()}))


if __name__ == "__main__":
    main()
