"""Mapping files: which column of which file becomes which column of the contract, declared in TOML.

Every key is explained in docs/importing.md; a key not named here is an error with a hint, never ignored.
"""

import re
import tomllib
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path, PurePath
from string import Formatter
from typing import Any

from models.clock import INSTANT
from models.columns import Table
from models.errors import ContractError
from models.history import TABLES
from models.imports.choices import extended, settle
from models.imports.plain import (
    check_keys,
    decimal_mark,
    formats,
    nulls,
    number,
    optional,
    scalar,
    section,
    text_of,
    texts,
)
from models.imports.source import Cell, Hours, Lookup, Mapping, Rows, Running, Source, Span, TableMapping, When
from models.imports.times import check_zone

SOURCE_KEYS = ("timezone", "date_format", "null", "decimal", "encoding", "delimiter", "delay")
ROWS_KEYS = ("file", "where", "where_not", "where_known", "last_row_per", "ordered_by", "running")
TABLE_KEYS = (*ROWS_KEYS, "lookup", "business_hours", "columns", "otherwise")
LOOKUP_KEYS = ("file", "where", "where_not", "where_known", "ordered_by", "running", "match", "take", "columns",
               "lookup", "optional", "until", "encoding", "delimiter")  # fmt: skip
RUNNING_KEYS = ("by", "start", "end", "total")
COLUMN_KEYS = ("from", "constant", "template", "values", "other", "default", "format", "null", "decimal", "scale",
               "plus", "since", "take", "when", "earliest")  # fmt: skip
WHEN_KEYS = ("grew", "fell", "changed", "at_least", "is", "is_not", "known", "becomes", "moves_to", "leaves")
BETWEEN_ROWS = ("grew", "fell", "changed", "becomes", "moves_to", "leaves")
#: What a mapping says of itself, besides how the source writes and its tables.
HEAD_KEYS = ("about", "tested_on", "extends", "choices", "meanings")
TESTED_ON = ("a real export", "the documented layout")
_SOURCES = "models.imports.sources"
TAKES = ("first", "last", "min", "max", "count")
#: Nobody is told of a contact ten years late.
LONGEST_DELAY = timedelta(days=3650)
_DECIMAL = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
HOURS_KEYS = ("file", "where", "where_not", "match", "optional", "opens", "closes", "timezone", "otherwise",
              "holidays", "columns")  # fmt: skip
HOLIDAY_KEYS = ("file", "where", "where_not", "match", "first", "last")
SPAN_KEYS = ("from", "to", "minutes", "business")
UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


def shipped() -> tuple[str, ...]:
    """Names of the sources that come with the product, each a folder."""
    return tuple(sorted(item.name for item in resources.files(_SOURCES).iterdir() if (item / "mapping.toml").is_file()))


def load(name_or_path: str | Path) -> Mapping:
    """A shipped mapping by name, or a mapping file by path. Raises `ContractError` for anything it cannot use."""
    name = str(name_or_path)
    if not name.endswith(".toml"):
        return parse(_shipped(name), name)
    path = Path(name)
    try:
        return parse(path.read_text("utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"The mapping file {path.name} cannot be read; check the path.") from error


def _shipped(name: str) -> str:
    if name not in shipped():
        raise ContractError(f"There is no source {name!r}; use one of {', '.join(shipped())}, or a .toml file.")
    return (resources.files(_SOURCES) / name / "mapping.toml").read_text("utf-8")


def parse(text: str, name: str) -> Mapping:
    """Read the TOML text of a mapping called `name`."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"The mapping {name} is not valid TOML: {error}.") from error
    check_keys(plain, (*HEAD_KEYS, "source", *TABLES), f"the mapping {name}")
    if "extends" in plain:
        base = tomllib.loads(_shipped(text_of(plain["extends"], "extends")))
        plain = extended(plain, base, name)
    plain, meanings = settle(plain, name)
    source = _source(section(plain, "source", name), Source(), "[source]")
    tables = {table: _table(TABLES[table], section(plain, table, name), source) for table in TABLES if table in plain}
    if not tables:
        raise ContractError(f"The mapping {name} fills no table; add a section such as [interactions].")
    tested_on = text_of(plain.get("tested_on", ""), "tested_on")
    if tested_on and tested_on not in TESTED_ON:
        raise ContractError(f"tested_on in the mapping {name} must be one of: {', '.join(TESTED_ON)}.")
    return Mapping(name, text_of(plain.get("about", ""), "about"), tables, tested_on, meanings)


def _table(table: Table, plain: dict[str, Any], source: Source) -> TableMapping:
    if "otherwise" in plain:
        other = _table(table, section(plain, "otherwise", f"[{table.name}]"), source)
        rest = {key: value for key, value in plain.items() if key != "otherwise"}
        return replace(_table(table, rest, source), otherwise=other)
    place = f"[{table.name}]"
    check_keys(plain, (*TABLE_KEYS, *SOURCE_KEYS), place)
    source = _source(plain, source, place)
    rows = _rows(plain, place)
    if rows.ordered_by and not rows.last_row_per:
        raise ContractError(f"{place} has ordered_by but not last_row_per: name what its events are about.")
    lookups = _lookups(plain, source, place)
    hours = _hours(section(plain, "business_hours", place), source, place) if "business_hours" in plain else None
    if "columns" not in plain:
        return TableMapping(table, rows, source, lookups, hours=hours)
    columns = section(plain, "columns", place)
    check_keys(columns, table.names, f"[{table.name}.columns]")
    cells = {name: _cells(columns[name], f"{table.name}.{name}", rows) for name in table.names if name in columns}
    missing = [column.name for column in table.columns if column.required and column.name not in cells]
    if missing:
        raise ContractError(f"[{table.name}.columns] must say where {missing[0]} comes from; it is required.")
    untimely = [name for name, one in cells.items() if one[0].earliest and table.schema[name] != INSTANT]
    if untimely:
        raise ContractError(f"{table.name}.{untimely[0]} is no time; earliest is for times.")
    return TableMapping(table, rows, source, lookups, cells, hours)


def _source(plain: dict[str, Any], base: Source, place: str) -> Source:
    if place == "[source]":
        check_keys(plain, SOURCE_KEYS, place)
    changes: dict[str, Any] = {}
    if "timezone" in plain:
        changes["timezone"] = check_zone(text_of(plain["timezone"], f"{place} timezone"))
    if "date_format" in plain:
        changes["date_format"] = formats(plain["date_format"], f"{place} date_format")
    if "null" in plain:
        changes["null"] = nulls(plain["null"], f"{place} null")
    if "decimal" in plain:
        changes["decimal"] = decimal_mark(plain["decimal"], place)
    if "delay" in plain:
        changes["delay"] = parse_delay(text_of(plain["delay"], f"{place} delay"))
    changes |= {key: text_of(plain[key], f"{place} {key}") for key in ("encoding", "delimiter") if key in plain}
    return replace(base, **changes)


def parse_delay(text: str) -> timedelta:
    """A duration such as `90m`, `24h` or `2d`. Raises `ContractError` for anything else."""
    units = {unit[0]: seconds for unit, seconds in UNITS.items()}
    number, unit = text.strip()[:-1], text.strip()[-1:]
    if unit not in units or not _DECIMAL.fullmatch(number):
        raise ContractError(f"{text!r} is no delay; write one such as 24h, 90m or 2d.")
    seconds = float(number) * units[unit]
    if seconds > LONGEST_DELAY.total_seconds():
        raise ContractError(f"{text!r} is too long a delay; the most is {LONGEST_DELAY.days}d.")
    return timedelta(seconds=seconds)


def _rows(plain: dict[str, Any], place: str) -> Rows:
    if "file" not in plain:
        raise ContractError(f'{place} must name its file, such as file = "tickets*.csv".')
    rows = Rows(
        files=tuple(_pattern(text, place) for text in texts(plain["file"], f"{place} file")),
        where={k: texts(v, f"{place} where") for k, v in section(plain, "where", place).items()},
        where_not={k: texts(v, f"{place} where_not") for k, v in section(plain, "where_not", place).items()},
        where_known=texts(plain.get("where_known", []), f"{place} where_known"),
        last_row_per=optional(plain, "last_row_per", place),
        ordered_by=texts(plain.get("ordered_by", []), f"{place} ordered_by"),
        running=_running(plain, place),
    )
    if not rows.files:
        raise ContractError(f'{place} must name its file, such as file = "tickets*.csv".')
    if rows.last_row_per and not rows.ordered_by:
        raise ContractError(f"{place} has last_row_per but not ordered_by: name the column that orders its events.")
    if rows.running and (rows.last_row_per or rows.ordered_by):
        raise ContractError(f"{place} has running, which orders its rows itself: remove last_row_per and ordered_by.")
    return rows


def _pattern(text: str, place: str) -> str:
    path = PurePath(text)
    if not path.name or path.is_absolute() or any("**" in part and part != "**" for part in path.parts):
        raise ContractError(
            f'{place} file {text!r} must be a name or pattern within the folder, such as "tickets*.csv".'
        )
    return text


def _running(plain: dict[str, Any], place: str) -> Running | None:
    if "running" not in plain:
        return None
    spans = section(plain, "running", place)
    check_keys(spans, RUNNING_KEYS, f"{place} running")
    absent = [key for key in RUNNING_KEYS if key not in spans]
    if absent:
        raise ContractError(f"{place} running must name {absent[0]}.")
    by, start, end = (text_of(spans[key], f"{place} running {key}") for key in ("by", "start", "end"))
    return Running(by, start, end, texts(spans["total"], f"{place} running total"))


def _lookups(plain: dict[str, Any], source: Source, place: str) -> tuple[Lookup, ...]:
    named = section(plain, "lookup", place)
    return tuple(_lookup(name, section(named, name, place), source, place) for name in named)


def _lookup(name: str, plain: dict[str, Any], base: Source, place: str) -> Lookup:
    place = f"{place[:-1]}.lookup.{name}]"
    check_keys(plain, LOOKUP_KEYS, place)
    match = plain.get("match")
    if isinstance(match, str):
        match = {match: match}
    if not isinstance(match, dict) or not match:
        raise ContractError(f'{place} must say match = "column" or match = {{ ours = "theirs" }}.')
    take = text_of(plain.get("take", "last"), f"{place} take")
    if take not in ("first", "last"):
        raise ContractError(f"{place} take must be first or last.")
    rows, source, spared = _rows(plain, place), _source(plain, base, place), plain.get("optional", False)
    if not isinstance(spared, bool):
        raise ContractError(f"{place} optional must be true or false.")
    until = optional(plain, "until", place)
    if until and ("columns" in plain or len(rows.ordered_by) != 1 or take != "last"):
        raise ContractError(f"{place} has until: it needs ordered_by one time column, take last, and no columns.")
    return Lookup(
        name=name,
        rows=rows,
        source=source,
        ours=tuple(match),
        theirs=tuple(text_of(theirs, place) for theirs in match.values()),
        take=take,
        columns=_summed_up(plain, rows, place) if "columns" in plain else None,
        lookups=_lookups(plain, source, place),
        optional=spared,
        until=until,
    )


def _summed_up(plain: dict[str, Any], rows: Rows, place: str) -> dict[str, tuple[Cell, ...]]:
    """What a lookup says about all rows of a key."""
    if not rows.ordered_by:
        raise ContractError(f"{place} has columns but not ordered_by: name the column that orders its events.")
    columns = section(plain, "columns", place)
    if any(isinstance(cell, dict) and "earliest" in cell for cell in columns.values()):
        raise ContractError(f"{place}.columns: earliest is for the columns of a table; look the times up one by one.")
    events = replace(rows, last_row_per="match")
    return {name: _cells(cell, f"{place[1:-1]}.{name}", events) for name, cell in columns.items()}


def _cells(plain: Any, place: str, rows: Rows) -> tuple[Cell, ...]:
    if isinstance(plain, dict) and "earliest" in plain:
        return _earliest(plain, place, rows)
    cells = tuple(_cell(one, place, rows) for one in (plain if isinstance(plain, list) else [plain]))
    if not cells:
        raise ContractError(f"{place} lists no source column; name one or remove it.")
    if len({(cell.decimal, cell.scale, cell.plus, cell.plus_seconds) for cell in cells}) > 1:
        raise ContractError(f"{place}: its alternatives must agree on decimal, scale and plus.")
    return cells


def _earliest(plain: dict[str, Any], place: str, rows: Rows) -> tuple[Cell, ...]:
    """Several times, of which the first to happen counts."""
    if len(plain) > 1 or not isinstance(plain["earliest"], list) or len(plain["earliest"]) < 2:
        raise ContractError(f'{place} must be such as {{ earliest = ["one", "other"] }} and nothing else.')
    cells = tuple(replace(_cell(one, place, rows), earliest=True) for one in plain["earliest"])
    if any(cell.plus for cell in cells):
        raise ContractError(f"{place}: earliest takes times as they are, without plus.")
    return cells


def _hours(plain: dict[str, Any], base: Source, place: str) -> Hours:
    place = f"{place[:-1]}.business_hours]"
    check_keys(plain, HOURS_KEYS, place)
    free = section(plain, "holidays", place)
    check_keys(free, HOLIDAY_KEYS, f"{place[:-1]}.holidays]")
    if len(section(plain, "match", place)) != 1:
        raise ContractError(f'{place} must say match = {{ ours = "theirs" }}: which row has which schedule.')
    opens, closes = (text_of(plain.get(key), f"{place} {key}") for key in ("opens", "closes"))
    columns = section(plain, "columns", place)
    spans = {name: _span(span, f"{place[:-1]}.columns] {name}") for name, span in columns.items()}
    zone = _cells(plain.get("timezone"), f"{place[1:-1]}.timezone", Rows(()))
    asked: dict[str, Any] = {
        key: plain[key] for key in ("file", "where", "where_not", "match", "optional") if key in plain
    }
    cells: dict[str, tuple[Cell, ...]] = dict.fromkeys(spans, ())
    lookup = replace(_lookup("business_hours", asked, base, place), columns={**cells, "\x00zone": zone})
    holidays = None
    if free:
        first, last = (text_of(free.get(key), f"{place} holidays {key}") for key in ("first", "last"))
        own: dict[str, Any] = {key: free[key] for key in ("file", "where", "where_not") if key in free}
        match = {lookup.theirs[0]: text_of(free.get("match"), f"{place} holidays match")}
        holidays = replace(_lookup("holidays", {**own, "match": match, "optional": True}, base, place), columns={})
        holidays = replace(holidays, rows=replace(holidays.rows, where_known=(first, last)))
        lookup = replace(lookup, lookups=(holidays,))
    otherwise = optional(plain, "otherwise", place)
    reads = (opens, closes, *((otherwise,) if otherwise else ()))
    lookup = replace(lookup, rows=replace(lookup.rows, where_known=reads))
    return Hours(lookup, opens, closes, zone, otherwise, holidays, spans)


def _span(plain: Any, place: str) -> Span:
    if not isinstance(plain, dict):
        raise ContractError(f'{place} must be such as {{ from = "created_at", to = "answered_at" }}.')
    check_keys(plain, SPAN_KEYS, place)
    start, end = text_of(plain.get("from"), f"{place} from"), optional(plain, "to", place)
    minutes = texts(plain.get("minutes", []), f"{place} minutes")
    business = {key: texts(value, f"{place} business") for key, value in section(plain, "business", place).items()}
    if bool(end) == bool(minutes) or (end and business):
        raise ContractError(f"{place} needs either to (how long it took) or minutes (when so many are over).")
    return Span(start, end, minutes, business)


def _cell(plain: Any, place: str, rows: Rows) -> Cell:
    if isinstance(plain, str):
        return Cell(source=plain)
    if not isinstance(plain, dict):
        raise ContractError(f'{place} must be a source column or a table such as {{ from = "column" }}.')
    check_keys(plain, COLUMN_KEYS, place)
    given = [key for key in ("from", "constant", "template") if key in plain]
    take = optional(plain, "take", place)
    if len(given) != 1 and not (take == "count" and not given):
        raise ContractError(f'{place} needs exactly one of from, constant, template (or none with take = "count").')
    if take == "count" and given not in ([], ["from"]):
        raise ContractError(f"{place} counts events, or the different cells of a column: it takes no {given[0]}.")
    if take is not None and take not in TAKES:
        raise ContractError(f"{place} take must be one of {', '.join(TAKES)}.")
    when = plain.get("when", [])
    conditions = tuple(_when(one, place) for one in (when if isinstance(when, list) else [when]))
    between = [part.kind for one in conditions for part in (one, *one.also) if part.kind in BETWEEN_ROWS]
    if (take or between) and not rows.last_row_per:
        raise ContractError(f"{place} uses {between[0] if between else 'take'}, which needs last_row_per in its table.")
    plus, seconds = _plus(plain, place)
    if "since" in plain and (plus or "from" not in plain):
        raise ContractError(f"{place} has since: it needs from, the time to count to, and takes no plus.")
    return Cell(
        source=optional(plain, "from", place),
        constant=scalar(plain["constant"], place) if "constant" in plain else None,
        template=_template(plain["template"], place) if "template" in plain else None,
        values={key: scalar(value, place) for key, value in section(plain, "values", place).items()},
        other=scalar(plain["other"], place) if "other" in plain else None,
        default=scalar(plain["default"], place) if "default" in plain else None,
        date_format=formats(plain["format"], place) if "format" in plain else (),
        null=nulls(plain.get("null", []), place),
        decimal=decimal_mark(plain["decimal"], place) if "decimal" in plain else None,
        scale=number(plain.get("scale", 1.0), f"{place} scale"),
        plus=plus,
        plus_seconds=seconds,
        since=optional(plain, "since", place),
        take=take,
        when=conditions,
    )


def _template(value: Any, place: str) -> str:
    """Text around columns in braces. What Python's own templates can do besides is refused rather than ignored."""
    text = text_of(value, f"{place} template")
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        parts = []
    if not parts or any(name is not None and (not name or form or how) for _, name, form, how in parts):
        raise ContractError(f'{place} template {text!r} must be text with columns in braces, such as "{{id}}-rating".')
    return text


def _plus(plain: dict[str, Any], place: str) -> tuple[str | None, float]:
    if "plus" not in plain:
        return None, 1.0
    plus = section(plain, "plus", place)
    if len(plus) != 1 or next(iter(plus)) not in UNITS:
        raise ContractError(f'{place} plus must be such as {{ minutes = "column" }}; units: {", ".join(UNITS)}.')
    [(unit, column)] = plus.items()
    return text_of(column, f"{place} plus"), UNITS[unit]


def _when(plain: Any, place: str) -> When:
    """One condition, or several that must all hold."""
    if not isinstance(plain, dict) or not plain:
        raise ContractError(f'{place} when must hold one condition, or several, such as {{ grew = "reopen_count" }}.')
    check_keys(plain, WHEN_KEYS, f"{place} when")
    first, *others = [part for kind, test in plain.items() for part in _parts(kind, test, place)]
    return replace(first, also=tuple(others))


def _parts(kind: str, test: Any, place: str) -> list[When]:
    """What one kind of condition asks, column by column."""
    if kind in ("grew", "fell", "changed", "known"):
        return [When(kind, column) for column in texts(test, f"{place} when {kind}")]
    if not isinstance(test, dict) or not test:
        raise ContractError(f'{place} when {kind} must be such as {{ column = "value" }}.')
    if kind == "at_least":
        return [When(kind, name, bound=number(wanted, f"{place} when at_least")) for name, wanted in test.items()]
    return [When(kind, column, texts(wanted, f"{place} when {kind}")) for column, wanted in test.items()]
