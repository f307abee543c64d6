"""Customer bases for the benches: one simulated, repeated under other ids until it is as large as asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from models.columns import Type
from models.history import TABLES
from training import simulator

Tables = dict[str, pl.DataFrame]

#: Of so many weeks every account has about twenty contacts.
WEEKS = 58
#: One invitation of three is kept, about five an account.
INVITATIONS_KEPT = 3
#: Accounts simulated; more of them are copies.
SIMULATED = 4_000
SEED = 1


@dataclass(frozen=True)
class Written:
    """A population in Parquet, a file per table, rows in order of account id."""

    folder: Path
    as_of: datetime
    accounts: int
    rows: Mapping[str, int]

    def path(self, table: str) -> Path:
        """The file of a contract table."""
        return self.folder / f"{table}.parquet"


def customers(accounts: int, weeks: int = WEEKS) -> tuple[Tables, datetime]:
    """Tables of accounts that are all customers at the end, in order of account id, and that end."""
    simulated = simulator.simulate(2 * accounts, weeks, "default", SEED)
    tables = dict(simulated.tables)
    active = tables["accounts"].filter(pl.col("ended_at").is_null() & pl.col("notice_at").is_null())
    active = active.filter(pl.col("started_at") < simulated.start).sort("account_id").head(accounts)
    tables = {name: frame.join(active, on="account_id", how="semi") for name, frame in tables.items()}
    tables["surveys"] = tables["surveys"].gather_every(INVITATIONS_KEPT)
    return {name: frame.sort("account_id", maintain_order=True) for name, frame in tables.items()}, simulated.end


def copies(tables: Tables, accounts: int) -> Iterator[Tables]:
    """The tables under other ids, again and again, until there are so many accounts; ids rise. Copies differ in their
    times by some seconds."""
    done, copy = 0, 0
    while done < accounts:
        kept = tables["accounts"].head(accounts - done).select("account_id")
        yield {name: _copy(name, frame.join(kept, on="account_id", how="semi"), copy) for name, frame in tables.items()}
        done, copy = done + kept.height, copy + 1


def _copy(table: str, frame: pl.DataFrame, copy: int) -> pl.DataFrame:
    ids = [c.name for c in TABLES[table].columns if c.type is Type.ID and c.name in frame.columns]
    times = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    renamed = (pl.format("{}-{}", pl.lit(f"{copy:05d}"), name).alias(name) for name in ids)
    return frame.with_columns(*renamed, pl.col(times) - timedelta(seconds=copy))


def write(folder: Path, accounts: int) -> Written:
    """Write a population of so many customers."""
    folder.mkdir(parents=True, exist_ok=True)
    tables, end = customers(min(accounts, SIMULATED))
    writers: dict[str, pq.ParquetWriter] = {}
    rows = dict.fromkeys(tables, 0)
    for part in copies(tables, accounts):
        for name, frame in part.items():
            table = frame.to_arrow()
            if name not in writers:
                writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema, compression="zstd")
            writers[name].write_table(table)
            rows[name] += table.num_rows
    for writer in writers.values():
        writer.close()
    return Written(folder, end, accounts, rows)
