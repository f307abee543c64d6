"""Which rows of a file are used, and in which order: filters, times to order by, rows refused on the way."""

from dataclasses import dataclass

import polars as pl

from models.columns import Column, Type
from models.imports.check import REJECTED, in_order, rejections
from models.imports.convert import Reading, as_text, blank_nulls, convert
from models.imports.source import Rows, Source

#: Prefix of the columns that hold the parsed times a frame was ordered by.
ORDER = "\x00order "


@dataclass(frozen=True)
class Selected:
    """The rows kept, and the problems (`REJECTED`) of those that could not be placed."""

    frame: pl.DataFrame
    problems: pl.DataFrame
    refused: int = 0


def where(frame: pl.DataFrame, rows: Rows, source: Source) -> pl.DataFrame:
    """The rows the mapping wants. Cells are compared trimmed; an unknown cell is never `where`, always `where_not`."""
    for column, wanted in rows.where.items():
        frame = frame.filter(_cell(frame, column).is_in(list(wanted)).fill_null(False))
    for column, unwanted in rows.where_not.items():
        frame = frame.filter(~_cell(frame, column).is_in(list(unwanted)).fill_null(False))
    for column in rows.where_known:
        frame = frame.filter(blank_nulls(as_text(frame[column]), source.null).is_not_null())
    return frame


def _cell(frame: pl.DataFrame, column: str) -> pl.Series:
    return as_text(frame[column]).str.strip_chars()


def placed(frame: pl.DataFrame, table: str, per: str, times: tuple[str, ...], source: Source) -> Selected:
    """Rows that name what they are about (`per`) and have all their `times`, which are added as instants under
    `ORDER` + name. The others are refused."""
    bad = pl.Series([False]).new_from_index(0, frame.height)
    problems: list[pl.DataFrame] = []

    def refuse(mask: pl.Series, column: str, reason: str) -> pl.Series:
        places = frame.filter(mask)
        problems.append(rejections(places, table, column, as_text(places[column]), reason))
        return mask

    unnamed = blank_nulls(as_text(frame[per]), source.null).is_null()
    if unnamed.any():
        bad = bad | refuse(unnamed, per, "is required to tell which rows belong together")
    for name in times:
        instants, found = read_instants(frame[name], source)
        frame = frame.with_columns(instants.alias(ORDER + name))
        unknown = instants.is_null() & ~bad
        for mask, _ in found:
            unknown = unknown & ~mask
        for mask, reason in [*found, (unknown, "is required to order the rows")]:
            if (mask & ~bad).any():
                bad = bad | refuse(mask & ~bad, name, reason)
    together = in_order(pl.concat([pl.DataFrame(schema=REJECTED), *problems]))
    return Selected(frame.filter(~bad), together, int(bad.sum()))


def read_instants(cells: pl.Series, source: Source) -> tuple[pl.Series, list[tuple[pl.Series, str]]]:
    """Cells as instants, and which cells are no times for which reason."""
    reading = Reading(source.timezone, source.date_format, source.null)
    done = convert(Column("", Type.TIME, ""), cells, reading)
    return done.values, done.problems


def in_time(frame: pl.DataFrame, per: str, times: tuple[str, ...]) -> pl.DataFrame:
    """Rows of one thing together and in their order, ties by file and line; things in order of first appearance."""
    order = [ORDER + name for name in times]
    return (
        frame.with_columns(pl.int_range(pl.len()).alias("\x00index"))
        .with_columns(pl.col("\x00index").min().over(per).alias("\x00first"))
        .sort("\x00first", *order, "\x00index")
        .drop("\x00first", "\x00index")
    )
