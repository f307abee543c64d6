"""Files: the contract's tables in one folder, the truth in another that nothing else reads."""

from pathlib import Path
from typing import Literal

import polars as pl

from training.simulator.faults import log
from training.simulator.oracle import oracle
from training.simulator.simulate import Simulated

Format = Literal["csv", "parquet"]
ISO_UTC = "%Y-%m-%dT%H:%M:%S%:z"


def write(simulated: Simulated, folder: Path, format: Format) -> list[Path]:
    """Write one file per table; returns what was written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_table(table, folder / f"{name}.{format}") for name, table in simulated.tables.items()]


def write_truth(simulated: Simulated, folder: Path, format: Format, futures: int = 200) -> list[Path]:
    """Write hidden traits and state, and the oracle's probabilities at the end of the window."""
    folder.mkdir(parents=True, exist_ok=True)
    return [
        _write_table(simulated.truth, folder / f"truth.{format}"),
        _write_table(oracle(simulated, futures=futures), folder / f"oracle.{format}"),
        *write_faults(simulated, folder, format),
    ]


def write_faults(simulated: Simulated, folder: Path, format: Format) -> list[Path]:
    """Write when which fault began; nothing for a world without faults."""
    if not simulated.faults:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_table(log(simulated.faults, simulated.start), folder / f"faults.{format}")]


def _write_table(table: pl.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        table.write_csv(path, datetime_format=ISO_UTC)
    else:
        table.write_parquet(path)
    return path
