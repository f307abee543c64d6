"""Hypothesis strategies for valid contract frames, and writers of them in every dialect."""

import csv
import gzip
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from models.columns import Column, Table, Type
from models.imports.convert import NULLS
from models.surveys import INSTRUMENTS

MOMENTS = st.datetimes(datetime(1999, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
#: Short latin text with everything that hurts in a CSV file.
TEXTS = st.text(st.sampled_from("abz09 ,;\t|\"'\n\r\\éß€_-+=.:"), min_size=1, max_size=12)


def _meant(text: str) -> bool:
    return text.strip().lower() not in NULLS


def cells(column: Column) -> st.SearchStrategy[Any]:
    """Valid values of a column, unknown included where it may be."""
    if column.choices:
        values: st.SearchStrategy[Any] = st.sampled_from(column.choices)
    elif column.name == "currency":
        values = st.sampled_from(["EUR", "USD", "JPY"])
    elif column.type in (Type.ID, Type.TEXT):
        values = TEXTS.filter(_meant)
    elif column.type is Type.TIME:
        values = MOMENTS
    elif column.type is Type.BOOLEAN:
        values = st.booleans()
    elif column.type is Type.INTEGER:
        values = st.integers(0, 10**9)
    else:
        low = None if column.minimum is None else column.minimum
        values = st.floats(-1e12 if low is None else low, 1e12, allow_nan=False, allow_infinity=False)
    return values if column.required else st.none() | values


@st.composite
def frames(draw: st.DrawFn, table: Table, max_rows: int = 6) -> pl.DataFrame:
    """A valid frame of the table with unique keys."""
    rows = [
        _consistent(table, {column.name: draw(cells(column)) for column in table.columns}, draw)
        for _ in range(draw(st.integers(1, max_rows)))
    ]
    frame = pl.DataFrame(rows, schema=table.schema, orient="row")
    return frame.unique(subset=list(table.key), keep="first", maintain_order=True)


def _consistent(table: Table, row: dict[str, Any], draw: st.DrawFn) -> dict[str, Any]:
    """Make the row obey the rules that hold between columns."""
    after = st.timedeltas(timedelta(0), timedelta(days=400))
    if table.name == "interactions":
        for name in ("first_response_at", "resolved_at", "reopened_at", "escalated_at"):
            row[name] = None if row[name] is None else row["opened_at"] + draw(after)
    if table.name == "outreach" and row["engaged_at"] is not None:
        row["engaged_at"] = row["at"] + draw(after)
    if table.name == "surveys":
        row["sent_at"] = draw(MOMENTS)
        row["responded_at"] = None if row["responded_at"] is None else row["sent_at"] + draw(after)
        row["instrument"] = draw(st.sampled_from([*INSTRUMENTS, "effort"]))
        row["scale_min"], row["scale_max"] = draw(st.sampled_from([(None, None), (1.0, 10.0), (0.0, 1.0)]))
        row["score"] = draw(st.sampled_from([None, 1.0])) if row["responded_at"] else None
    return row


@dataclass(frozen=True)
class Dialect:
    """One way to write a CSV file."""

    delimiter: str = ","
    newline: str = "\n"
    encoding: str = "utf-8"
    quoting: int = csv.QUOTE_MINIMAL
    packed: bool = False


DIALECTS = st.builds(
    Dialect,
    delimiter=st.sampled_from([",", ";", "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    packed=st.booleans(),
)


def write(frame: pl.DataFrame, folder: Path, name: str, dialect: Dialect = Dialect()) -> Path:
    """Write the frame as CSV as other people's software would: by Python's own writer."""
    # its minimal quoting leaves a lone return bare, which no reader can tell from a line end
    quoting = csv.QUOTE_ALL if any("\r" in str(v) for row in frame.rows() for v in row) else dialect.quoting
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=dialect.delimiter, lineterminator=dialect.newline, quoting=quoting)
    writer.writerow(frame.columns)
    writer.writerows([_cell(value) for value in row] for row in frame.rows())
    data = out.getvalue().encode(dialect.encoding)
    path = folder / (f"{name}.csv.gz" if dialect.packed else f"{name}.csv")
    path.write_bytes(gzip.compress(data) if dialect.packed else data)
    return path


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "TRUE" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)
