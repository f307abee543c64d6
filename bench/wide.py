"""The public wide tables that the additive fitter is compared on, read and cleaned.

Nothing of them is kept in the project: they are read from the folder EBBTIDE_SHARED_DATA, or from `shared/data` beside
the project. Columns are dropped for the reasons named here and for no other; nothing else is touched.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

Columns = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Table:
    """A table without its leaks: columns (float64 with NaN, or texts with None, for missing), labels (n,) and groups
    (n,): rows alike in every column share one, so that no fold is tested on a row it has learned."""

    name: str
    columns: Columns
    y: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64]
    dropped: Mapping[str, str]

    def rows(self, at: npt.NDArray[np.intp]) -> Columns:
        """The columns of some rows."""
        return {name: values[at] for name, values in self.columns.items()}


def folder() -> Path:
    """Where the tables lie."""
    named = os.environ.get("EBBTIDE_SHARED_DATA")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "data"


def read(name: str) -> Table:
    """One of `TABLES`. Raises `FileNotFoundError` where it is not at hand."""
    return TABLES[name](folder())


def _csv(path: Path, nulls: list[str] | None = None) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None, null_values=nulls)


def _table(name: str, frame: pl.DataFrame, label: pl.Expr, dropped: Mapping[str, str]) -> Table:
    y = frame.select(label.cast(pl.Float64)).to_series().to_numpy()
    kept = frame.drop(*dropped)
    columns: dict[str, npt.NDArray[Any]] = {}
    for column in kept:
        if column.dtype == pl.String:
            columns[column.name] = np.array(column.to_list(), dtype=object)
        else:
            columns[column.name] = column.cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
    groups = kept.select(pl.struct(pl.all()).rank("dense")).to_series().cast(pl.Int64).to_numpy()
    return Table(name, columns, y, groups, dropped)


def _telco_classic(data: Path) -> Table:
    frame = _csv(data / "telco_ibm_classic" / "wa_churn.csv.gz")
    return _table("telco classic", frame, pl.col("churn") == "Yes", {"churn": "the label"})


def _telco_extended(data: Path) -> Table:
    parts = [_csv(data / "telco_ibm_extended" / f"{part}.csv.gz") for part in ("demographics", "services", "status")]
    frame = parts[0]
    for part in parts[1:]:
        frame = frame.join(part.drop("Count", "Quarter", strict=False), on="Customer ID", maintain_order="left")
    known_after = "known only once the customer has left"
    dropped = {
        "Customer ID": "names a row",
        "Count": "constant",
        "Churn Value": "the label",
        "Churn Label": "the label in words",
        "Customer Status": "holds the label",
        "Churn Category": known_after,
        "Churn Reason": known_after,
        "Churn Score": "a model's output made with the label",
        "Satisfaction Score": "asked after the decision: .950 alone",
        "CLTV": "a model's output",
    }
    return _table("telco extended", frame, pl.col("Churn Value"), dropped)


def _mlc(data: Path) -> Table:
    frame = _csv(data / "mlc_churn" / "mlc_churn_1_3333.csv.gz")
    return _table("mlc", frame, pl.col("churn") == "yes", {"churn": "the label"})


def _pysurvival(data: Path) -> Table:
    frame = _csv(data / "pysurvival_saas" / "churn.csv.gz")
    dropped = {"churned": "the label", "months_active": "the time until the label was observed"}
    return _table("pysurvival", frame, pl.col("churned"), dropped)


def _internet(data: Path) -> Table:
    frame = _csv(data / "internet_service_churn" / "internet_service_churn.csv.gz")
    # A line that carried nothing, or was not measured, is a line already closed (or the reverse): 99.7 % or 0 % left.
    used = frame.filter((pl.col("download_avg") > 0) | (pl.col("upload_avg") > 0))
    dropped = {
        "churn": "the label",
        "id": "names a row",
        "remaining_contract": "emptied or set to zero by the exit itself",
    }
    return _table("internet service", used, pl.col("churn"), dropped)


TABLES: dict[str, Callable[[Path], Table]] = {
    "telco-classic": _telco_classic,
    "telco-extended": _telco_extended,
    "mlc": _mlc,
    "pysurvival": _pysurvival,
    "internet": _internet,
}
