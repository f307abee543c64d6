"""Frames of a notebook, read by the rules that imports read files by.

Worked example, a frame of three surveys:
    row 1  score 4    responded_at 2026-03-02T08:00    accepted; without a zone it is UTC
    row 2  score 99   responded_at 2026-03-02T09:00Z   refused: 99 is outside its scale 1 to 5
    row 3  score 5    responded_at yesterday           refused: yesterday is not an ISO 8601 time
A file's bad rows are set aside and listed; frames are in somebody's hands, who is told and mends them.
"""

from collections.abc import Mapping

import pandas as pd
import polars as pl
from pyarrow import ArrowException  # type: ignore[import-untyped]

from models.clock import INSTANT
from models.errors import ContractError
from models.history import TABLES, History
from models.imports.check import REJECTED, check
from models.imports.convert import Reading
from models.imports.read import FILE, LINE, Raw

#: A data frame of either library.
Frame = pd.DataFrame | pl.DataFrame

#: A time without a zone is taken to be UTC.
_UTC = Reading(timezone="UTC")
#: Kinds of mistakes that are spelled out.
SHOWN = 8


def polars(frame: Frame) -> pl.DataFrame:
    """A pandas frame in Polars: NaN and NaT are unknown, times without a zone are UTC, categories are texts."""
    if isinstance(frame, pl.DataFrame):
        return frame
    found = pl.from_pandas(frame)
    naive = [name for name, kind in found.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone is None]
    coded = [name for name, kind in found.schema.items() if isinstance(kind, pl.Categorical | pl.Enum)]
    aware = [name for name, kind in found.schema.items() if isinstance(kind, pl.Datetime) and name not in naive]
    return found.with_columns(
        pl.col(naive).dt.replace_time_zone("UTC").cast(INSTANT),
        pl.col(aware).cast(INSTANT),
        pl.col(coded).cast(pl.String),
    )


def raw(frame: Frame, name: str) -> Raw:
    """A frame as a file of this name would be read: a line is a row's number, from 1.

    Raises `ContractError` for what is no frame, and for one that mixes kinds of cells in a column.
    """
    if not isinstance(frame, pd.DataFrame | pl.DataFrame):
        raise ContractError(f"{name} is a {type(frame).__name__}; give a pandas or Polars frame.")
    try:
        given = polars(frame)
    except (ArrowException, pl.exceptions.PolarsError, TypeError, ValueError) as error:
        raise ContractError(f"The frame {name} cannot be read: {str(error).splitlines()[0]}") from None
    lines = pl.int_range(1, given.height + 1, dtype=pl.Int64, eager=True).alias(LINE)
    # A column of nothing has no type.
    typed = given.with_columns(pl.col(pl.Null).cast(pl.String))
    return Raw(typed.with_columns(lines, pl.lit(name, pl.Categorical).alias(FILE)), tuple(given.columns))


def history_of(frames: Mapping[str, Frame]) -> History:
    """A history from frames of the contract's tables by name.

    Raises `ContractError` for a table or a required column that is not there and, naming table, column, value, reason
    and number of rows, for cells that break the contract.
    """
    read = {str(name): raw(frame, str(name)) for name, frame in frames.items()}
    History.from_frames({name: one.frame.clear() for name, one in read.items()})
    done = {name: check(one, TABLES[name], dict.fromkeys(TABLES[name].names, _UTC)) for name, one in read.items()}
    problems = pl.concat([pl.DataFrame(schema=REJECTED), *(one.problems for one in done.values())])
    if problems.height:
        raise ContractError(f"The frames break the data contract; nothing was done. {said(problems)}")
    return History.from_frames({name: one.frame.select(TABLES[name].names) for name, one in done.items()})


def said(problems: pl.DataFrame, where: str = "row") -> str:
    """Problems (`REJECTED`) in sentences: each kind once, with its first value and how many rows have it. `where`:
    what a place is called."""
    kinds = problems.group_by("table", "column", "reason", maintain_order=True).agg(
        pl.col("value").first(), pl.col("line").first(), pl.len().alias("rows")
    )
    told = []
    for table, column, reason, value, line, rows in kinds.head(SHOWN).iter_rows():
        what = f"{table}.{column}" if column else table
        shown = f"{value!r} " if value else ""
        count = f"{rows:,} rows, first {where}" if rows > 1 else where
        told.append(f"{what}: {shown}{reason} ({count} {line}).")
    more = kinds.height - SHOWN
    return " ".join([*told, f"And {more:,} more kinds of mistakes."] if more > 0 else told)
