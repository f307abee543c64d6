"""A mapping at work: raw rows of a source become raw rows with contract names.

Cells stay as the source wrote them until `check` converts them, so a rejected row shows what its file holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from string import Formatter

import polars as pl

from models.columns import Table
from models.imports.check import REJECTED, broken_records
from models.imports.convert import Reading, as_text, known, text_of
from models.imports.events import collapse, holds
from models.imports.read import FILE, LINE, Raw
from models.imports.running import spread
from models.imports.schedules import Calendars, Counted, counted
from models.imports.selection import ORDER, Selected, in_time, placed, read_instants, where
from models.imports.source import Cell, Hours, Lookup, Rows, Source, TableMapping
from models.imports.times import ISO_8601

_PLUS = "\x00plus "
_ALSO = "\x00also "
_UNTIL = "\x00until"
_ROW = "\x00row"
#: What rows of two files are matched by.
MATCH = "\x00match"


@dataclass(frozen=True)
class Applied:
    """Rows with contract names, how their cells are written, and what became of the other rows.

    `problems` (`REJECTED`) are of the rows refused on the way (`refused` of them); `set_aside` rows were not
    wanted (`where`); `folded` event rows became part of another row (negative where `running` made more).
    """

    raw: Raw
    readings: dict[str, Reading]
    problems: pl.DataFrame
    refused: int
    set_aside: int
    folded: int
    counted: Counted = field(default_factory=Counted)


def apply(
    raw: Raw,
    mapping: TableMapping,
    lookups: Mapping[str, pl.DataFrame] | None = None,
    calendars: Calendars | None = None,
) -> Applied:
    """Turn the rows of the mapping's files into rows of its table. `lookups`: name -> what `look_up` found;
    `calendars`: the source's business hours, None where it has none."""
    before, after = _split(mapping)
    wanted = where(raw.frame, before, mapping.source)
    selected = _selected(wanted, mapping.rows, mapping.source, mapping.table.name)
    frame = selected.frame
    for lookup in mapping.lookups:
        frame = _joined(frame, lookup, (lookups or {}).get(lookup.name), mapping.source)
    told = Counted()
    if mapping.hours is not None:
        frame = counted(frame, mapping.hours, mapping.source, calendars, told)
    chosen = where(_with_absent(frame, after), after, mapping.source)
    unwanted, frame = frame.height - chosen.height, chosen
    if mapping.columns is None:
        frame = frame.select(*(name for name in mapping.table.names if name in frame.columns), FILE, LINE)
        readings = {name: _reading(Cell(), mapping.source, dtype) for name, dtype in frame.schema.items()}
    else:
        readings = _readings(frame, mapping.columns, mapping.source)
        frame = _filled(frame, mapping.columns, mapping.rows, mapping.source)
    return Applied(
        Raw(frame, raw.names, raw.broken),
        readings,
        selected.problems,
        refused=selected.refused,
        set_aside=raw.frame.height - wanted.height + unwanted,
        folded=wanted.height - selected.refused - unwanted - frame.height,
        counted=told,
    )


def _split(mapping: TableMapping) -> tuple[Rows, Rows]:
    """The conditions on a table's own columns, and those on columns that are looked up."""
    rows, prefixes = mapping.rows, tuple(f"{lookup.name}." for lookup in mapping.lookups)

    def part(looked_up: bool) -> Rows:
        def kept(name: str) -> bool:
            return name.startswith(prefixes) == looked_up

        return replace(
            rows,
            where={name: values for name, values in rows.where.items() if kept(name)},
            where_not={name: values for name, values in rows.where_not.items() if kept(name)},
            where_known=tuple(filter(kept, rows.where_known)),
        )

    return part(False), part(True)


def _with_absent(frame: pl.DataFrame, rows: Rows) -> pl.DataFrame:
    """With a column of nothing for each that an optional lookup would have brought."""
    asked = (*rows.where, *rows.where_not, *rows.where_known)
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in asked if name not in frame.columns)


def _selected(frame: pl.DataFrame, rows: Rows, source: Source, table: str) -> Selected:
    if rows.running is not None:
        return spread(frame, rows.running, source, table)
    if rows.last_row_per is None:
        return Selected(frame, pl.DataFrame(schema=REJECTED))
    selected = placed(frame, table, rows.last_row_per, rows.ordered_by, source)
    ordered = in_time(selected.frame, rows.last_row_per, rows.ordered_by)
    return Selected(ordered, selected.problems, selected.refused)


def look_up(lookup: Lookup, raw: Raw, table: Table, inner: Mapping[str, pl.DataFrame] | None = None) -> Selected:
    """One row per key of the looked-up files; rows that cannot be used are named, and match nothing. `inner`: name ->
    what the lookup's own lookups found."""
    rows, source = lookup.rows, lookup.source
    frame = raw.frame
    for other in lookup.lookups:
        frame = _joined(frame, other, (inner or {}).get(other.name), source)
    wanted = where(_with_absent(frame, rows), rows, source)
    if rows.running is not None:
        selected = spread(wanted, rows.running, source, table.name)
    else:
        selected = _placed(wanted, table.name, lookup)
    ordered = in_time(selected.frame.with_columns(_key(selected.frame, lookup.theirs)), MATCH, rows.ordered_by)
    if lookup.until is not None:
        one = ordered
    elif lookup.columns is not None:
        one = _filled(ordered, lookup.columns, replace(rows, last_row_per=MATCH), source)
    else:
        one = ordered.unique(MATCH, keep="first" if lookup.take == "first" else "last", maintain_order=True)
    named = selected.problems.with_columns(pl.format("{}.{}", pl.lit(lookup.name), "column").alias("column"))
    problems = pl.concat([named, broken_records(raw, table)])
    return Selected(one, problems, selected.refused + len(raw.broken))


def _placed(frame: pl.DataFrame, table: str, lookup: Lookup) -> Selected:
    """Rows that have every part of their key, in an order that can be read."""
    first, *rest = lookup.theirs
    selected = placed(frame, table, first, lookup.rows.ordered_by, lookup.source)
    for name in rest:
        more = placed(selected.frame, table, name, (), lookup.source)
        selected = Selected(more.frame, pl.concat([selected.problems, more.problems]), selected.refused + more.refused)
    return selected


def _key(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    """What rows are matched by: their cells in these columns, null where one is."""
    cells = frame.select(as_text(frame[name]).alias(str(i)) for i, name in enumerate(names))
    return cells.select(pl.concat_str(pl.all(), separator="\x1f").alias(MATCH)).to_series()


def _joined(frame: pl.DataFrame, lookup: Lookup, one: pl.DataFrame | None, source: Source) -> pl.DataFrame:
    """Add the looked-up columns as `name.column`; unknown where nothing matches, absent without the files."""
    if one is None:
        return frame
    missing = (name for name in lookup.asks if name not in frame.columns)
    frame = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    if lookup.until is not None:
        return _joined_until(frame, lookup, one, source)
    theirs = one.select(
        MATCH, *(pl.col(name).alias(f"{lookup.name}.{name}") for name in one.columns if not name.startswith("\x00"))
    )
    ours = frame.with_columns(_key(frame, lookup.ours))
    return ours.join(theirs, on=MATCH, how="left", maintain_order="left").drop(MATCH)


def _joined_until(frame: pl.DataFrame, lookup: Lookup, every: pl.DataFrame, source: Source) -> pl.DataFrame:
    """The same with the last of the key's rows (`every`, in order) that is no later than our time `until`."""
    [order] = lookup.rows.ordered_by
    until, _ = read_instants(frame[lookup.until or ""], source)
    ours = frame.with_columns(_key(frame, lookup.ours), until.alias(_UNTIL)).with_row_index(_ROW)
    named = {name: f"{lookup.name}.{name}" for name in every.columns if not name.startswith("\x00")}
    theirs = every.select(MATCH, ORDER + order, *named).rename(named)
    found = (
        ours.select(_ROW, MATCH, _UNTIL)
        .join(theirs, on=MATCH, how="inner", maintain_order="left_right")
        .filter(pl.col(ORDER + order) <= pl.col(_UNTIL))
        .unique(_ROW, keep="last", maintain_order=True)
        .drop(MATCH, _UNTIL, ORDER + order)
    )
    return ours.join(found, on=_ROW, how="left", maintain_order="left").drop(MATCH, _UNTIL, _ROW)


def _filled(frame: pl.DataFrame, columns: dict[str, tuple[Cell, ...]], which: Rows, source: Source) -> pl.DataFrame:
    """The frame with one column per mapped column, and one of durations per column with `plus`; of event rows one row
    per thing, with what told it apart where a lookup asks (`MATCH`)."""
    frame = _with_minutes(_with_tested(frame, columns), columns, source)
    base = {
        (name, index): (cell, _base(cell, frame.schema, source))
        for name, cells in columns.items()
        for index, cell in enumerate(cells)
    }
    extra = {
        _PLUS + name: (cells[0], _column(cells[0].plus, frame.schema))
        for name, cells in columns.items()
        if cells[0].plus is not None
    }
    named = {f"\x00{name} {index}": value for (name, index), value in base.items()} | extra
    kept = (FILE, LINE)
    if which.last_row_per is None:
        rows = frame.select(*(_if(cell, value).alias(name) for name, (cell, value) in named.items()), *kept)
    else:
        kept = (*kept, *((MATCH,) if which.last_row_per == MATCH else ()))
        rows = collapse(frame, which.last_row_per, named, kept)
    finished = {key: _finished(pl.col(f"\x00{key[0]} {key[1]}"), cell, source) for key, (cell, _) in base.items()}
    chosen = [_chosen(name, cells, finished) for name, cells in columns.items()]
    return rows.select(*(one for several in chosen for one in several), *extra, *kept)


def _chosen(name: str, cells: tuple[Cell, ...], finished: Mapping[tuple[str, int], pl.Expr]) -> list[pl.Expr]:
    """A column's cells: the first known of its alternatives, or each of them where the earliest is to count."""
    values = [finished[name, index] for index in range(len(cells))]
    if cells[0].earliest:
        return [
            values[0].alias(name),
            *(value.alias(also) for value, also in zip(values[1:], _also(name, cells), strict=True)),
        ]
    return [pl.coalesce(*values).alias(name)]


def _also(name: str, cells: tuple[Cell, ...]) -> tuple[str, ...]:
    return tuple(f"{_ALSO}{name} {index}" for index in range(1, len(cells))) if cells[0].earliest else ()


def _with_tested(frame: pl.DataFrame, columns: dict[str, tuple[Cell, ...]]) -> pl.DataFrame:
    """With a column of nothing for each that a condition asks about and the file lacks."""
    asked = (name for cells in columns.values() for cell in cells for when in cell.when for name in when.columns)
    absent = (name for name in dict.fromkeys(asked) if name not in frame.columns)
    return frame.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)


def _with_minutes(frame: pl.DataFrame, columns: dict[str, tuple[Cell, ...]], source: Source) -> pl.DataFrame:
    """With the minutes between two times for each cell that asks for them; unknown where one of the times is."""
    asked = {_minutes(cell): cell for cells in columns.values() for cell in cells if cell.since is not None}
    made = []
    for name, cell in asked.items():
        ends, starts = (_times(frame, time, source) for time in (cell.source or "", cell.since or ""))
        minutes = (ends - starts).dt.total_microseconds() / 60_000_000
        made.append(minutes.cast(pl.String).alias(name))
    return frame.with_columns(made)


def _times(frame: pl.DataFrame, name: str, source: Source) -> pl.Series:
    cells = frame[name] if name in frame.columns else pl.Series([None] * frame.height, dtype=pl.String)
    return read_instants(cells, source)[0]


def _minutes(cell: Cell) -> str:
    return f"\x00minutes {cell.since} {cell.source}"


def _base(cell: Cell, schema: Mapping[str, pl.DataType], source: Source) -> pl.Expr:
    """The cell before values and defaults, on a raw row."""
    if cell.template is not None:
        parts = [
            piece
            for text, name, _, _ in Formatter().parse(cell.template)
            for piece in ([pl.lit(text)] if text else [])
            + ([known(_column(name, schema), source.null)] if name else [])
        ]
        return pl.concat_str(parts)
    if cell.source is None:
        return pl.lit(cell.constant, dtype=pl.String)
    return _column(cell.source if cell.since is None else _minutes(cell), schema)


def _if(cell: Cell, value: pl.Expr) -> pl.Expr:
    return pl.when(holds(cell.when)).then(value) if cell.when else value


def _column(name: str | None, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """A source column as text, unknown everywhere where the file lacks it."""
    if name is None or name not in schema:
        return pl.lit(None, dtype=pl.String)
    return text_of(pl.col(name), schema[name])


def _finished(value: pl.Expr, cell: Cell, source: Source) -> pl.Expr:
    """Values replaced, unknown made null, defaults filled. Replacing comes first, so a source may mean something
    by `NA`."""
    if cell.take == "count":
        return value
    nulls = source.null | cell.null
    trimmed = value.str.strip_chars()
    if cell.other is not None:
        value = pl.when(known(trimmed, nulls).is_not_null()).then(pl.lit(cell.other))
    if cell.values:
        value = trimmed.replace_strict(
            list(cell.values), list(cell.values.values()), default=value, return_dtype=pl.String
        )
    value = known(value, nulls)
    return value if cell.default is None else value.fill_null(cell.default)


def _readings(frame: pl.DataFrame, columns: dict[str, tuple[Cell, ...]], source: Source) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    for name, cells in columns.items():
        each = [_reading(cell, source, frame.schema.get(cell.source or "")) for cell in cells]
        # alternatives may be written differently: any of their formats will do, ISO 8601 only if none declares one
        formats = tuple(dict.fromkeys(form for reading in each for form in (reading.formats or ISO_8601)))
        formats = formats if any(reading.formats for reading in each) else ()
        plus = _PLUS + name if cells[0].plus is not None else None
        readings[name] = replace(
            each[0], formats=formats, plus=plus, plus_seconds=cells[0].plus_seconds, also=_also(name, cells)
        )
    return readings


def zones(frame: pl.DataFrame, hours: Hours) -> pl.Series:
    """The time zone each row of a file of schedules names."""
    named = frame.with_columns(pl.lit(None, pl.Int64).alias(name) for name in (FILE, LINE) if name not in frame.columns)
    return _filled(named, {"zone": hours.zone}, Rows(()), hours.lookup.source)["zone"].str.strip_chars()


def _reading(cell: Cell, source: Source, dtype: pl.DataType | None) -> Reading:
    formats = cell.date_format or source.date_format
    if isinstance(dtype, pl.Datetime | pl.Date):
        formats = ()
    return Reading(
        timezone=source.timezone,
        formats=formats,
        nulls=source.null | cell.null,
        decimal=cell.decimal or source.decimal,
        scale=cell.scale,
    )
