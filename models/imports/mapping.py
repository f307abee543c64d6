"""Mapping files: which column of which file becomes which column of the contract, declared in TOML.

Every key is explained in docs/importing.md; a key not named here is an error with a hint, never ignored.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from importlib import resources
from pathlib import Path, PurePath
from string import Formatter
from typing import Any

from models.columns import Table
from models.errors import ContractError
from models.history import TABLES
from models.imports.source import Cell, Lookup, Mapping, Rows, Running, Source, TableMapping, When
from models.imports.times import check_format, check_zone

SOURCE_KEYS = ("timezone", "date_format", "null", "decimal", "encoding", "delimiter", "delay")
ROWS_KEYS = ("file", "where", "where_not", "where_known", "last_row_per", "ordered_by", "running")
TABLE_KEYS = (*ROWS_KEYS, "lookup", "columns")
LOOKUP_KEYS = ("file", "where", "where_not", "where_known", "ordered_by", "running", "match", "take", "columns",
               "lookup", "optional", "encoding", "delimiter")  # fmt: skip
RUNNING_KEYS = ("by", "start", "end", "total")
COLUMN_KEYS = ("from", "constant", "template", "values", "other", "default", "format", "null", "decimal", "scale",
               "plus", "take", "when")  # fmt: skip
WHEN_KEYS = ("grew", "fell", "changed", "at_least", "is", "is_not", "becomes", "leaves")
BETWEEN_ROWS = ("grew", "fell", "changed", "becomes", "leaves")
TAKES = ("first", "last", "min", "max", "count")
#: Nobody is told of a contact ten years late.
LONGEST_DELAY = timedelta(days=3650)
_DECIMAL = re.compile(r"[0-9]+\.?[0-9]*|\.[0-9]+")
UNITS = {"seconds": 1.0, "minutes": 60.0, "hours": 3600.0, "days": 86400.0}


def shipped() -> tuple[str, ...]:
    """Names of the mappings that come with the product."""
    folder = resources.files("models.imports.mappings")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def load(name_or_path: str | Path) -> Mapping:
    """A shipped mapping by name, or a mapping file by path. Raises `ContractError` for anything it cannot use."""
    name = str(name_or_path)
    if not name.endswith(".toml"):
        if name not in shipped():
            raise ContractError(f"There is no source {name!r}; use one of {', '.join(shipped())}, or a .toml file.")
        return parse((resources.files("models.imports.mappings") / f"{name}.toml").read_text("utf-8"), name)
    path = Path(name)
    try:
        return parse(path.read_text("utf-8"), path.stem)
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"The mapping file {path.name} cannot be read; check the path.") from error


def parse(text: str, name: str) -> Mapping:
    """Read the TOML text of a mapping called `name`."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContractError(f"The mapping {name} is not valid TOML: {error}.") from error
    _check_keys(plain, ("about", "source", *TABLES), f"the mapping {name}")
    source = _source(_section(plain, "source", name), Source(), "[source]")
    tables = {table: _table(TABLES[table], _section(plain, table, name), source) for table in TABLES if table in plain}
    if not tables:
        raise ContractError(f"The mapping {name} fills no table; add a section such as [interactions].")
    return Mapping(name, _text(plain.get("about", ""), "about"), tables)


def _table(table: Table, plain: dict[str, Any], source: Source) -> TableMapping:
    place = f"[{table.name}]"
    _check_keys(plain, (*TABLE_KEYS, *SOURCE_KEYS), place)
    source = _source(plain, source, place)
    rows = _rows(plain, place)
    if rows.ordered_by and not rows.last_row_per:
        raise ContractError(f"{place} has ordered_by but not last_row_per: name what its events are about.")
    lookups = _lookups(plain, source, place)
    if "columns" not in plain:
        return TableMapping(table, rows, source, lookups)
    columns = _section(plain, "columns", place)
    _check_keys(columns, table.names, f"[{table.name}.columns]")
    cells = {name: _cells(columns[name], f"{table.name}.{name}", rows) for name in table.names if name in columns}
    missing = [column.name for column in table.columns if column.required and column.name not in cells]
    if missing:
        raise ContractError(f"[{table.name}.columns] must say where {missing[0]} comes from; it is required.")
    return TableMapping(table, rows, source, lookups, cells)


def _source(plain: dict[str, Any], base: Source, place: str) -> Source:
    if place == "[source]":
        _check_keys(plain, SOURCE_KEYS, place)
    changes: dict[str, Any] = {}
    if "timezone" in plain:
        changes["timezone"] = check_zone(_text(plain["timezone"], f"{place} timezone"))
    if "date_format" in plain:
        changes["date_format"] = _formats(plain["date_format"], f"{place} date_format")
    if "null" in plain:
        changes["null"] = _nulls(plain["null"], f"{place} null")
    if "decimal" in plain:
        changes["decimal"] = _decimal(plain["decimal"], place)
    if "delay" in plain:
        changes["delay"] = parse_delay(_text(plain["delay"], f"{place} delay"))
    changes |= {key: _text(plain[key], f"{place} {key}") for key in ("encoding", "delimiter") if key in plain}
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
        files=tuple(_pattern(text, place) for text in _texts(plain["file"], f"{place} file")),
        where={k: _texts(v, f"{place} where") for k, v in _section(plain, "where", place).items()},
        where_not={k: _texts(v, f"{place} where_not") for k, v in _section(plain, "where_not", place).items()},
        where_known=_texts(plain.get("where_known", []), f"{place} where_known"),
        last_row_per=_optional(plain, "last_row_per", place),
        ordered_by=_texts(plain.get("ordered_by", []), f"{place} ordered_by"),
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
    spans = _section(plain, "running", place)
    _check_keys(spans, RUNNING_KEYS, f"{place} running")
    absent = [key for key in RUNNING_KEYS if key not in spans]
    if absent:
        raise ContractError(f"{place} running must name {absent[0]}.")
    by, start, end = (_text(spans[key], f"{place} running {key}") for key in ("by", "start", "end"))
    return Running(by, start, end, _texts(spans["total"], f"{place} running total"))


def _lookups(plain: dict[str, Any], source: Source, place: str) -> tuple[Lookup, ...]:
    named = _section(plain, "lookup", place)
    return tuple(_lookup(name, _section(named, name, place), source, place) for name in named)


def _lookup(name: str, plain: dict[str, Any], base: Source, place: str) -> Lookup:
    place = f"{place[:-1]}.lookup.{name}]"
    _check_keys(plain, LOOKUP_KEYS, place)
    match = plain.get("match")
    if isinstance(match, str):
        match = {match: match}
    if not isinstance(match, dict) or not match:
        raise ContractError(f'{place} must say match = "column" or match = {{ ours = "theirs" }}.')
    take = _text(plain.get("take", "last"), f"{place} take")
    if take not in ("first", "last"):
        raise ContractError(f"{place} take must be first or last.")
    rows, source, optional = _rows(plain, place), _source(plain, base, place), plain.get("optional", False)
    if not isinstance(optional, bool):
        raise ContractError(f"{place} optional must be true or false.")
    return Lookup(
        name=name,
        rows=rows,
        source=source,
        ours=tuple(match),
        theirs=tuple(_text(theirs, place) for theirs in match.values()),
        take=take,
        columns=_summed_up(plain, rows, place) if "columns" in plain else None,
        lookups=_lookups(plain, source, place),
        optional=optional,
    )


def _summed_up(plain: dict[str, Any], rows: Rows, place: str) -> dict[str, tuple[Cell, ...]]:
    """What a lookup says about all rows of a key."""
    if not rows.ordered_by:
        raise ContractError(f"{place} has columns but not ordered_by: name the column that orders its events.")
    columns = _section(plain, "columns", place)
    events = replace(rows, last_row_per="match")
    return {name: _cells(cell, f"{place[1:-1]}.{name}", events) for name, cell in columns.items()}


def _cells(plain: Any, place: str, rows: Rows) -> tuple[Cell, ...]:
    cells = tuple(_cell(one, place, rows) for one in (plain if isinstance(plain, list) else [plain]))
    if not cells:
        raise ContractError(f"{place} lists no source column; name one or remove it.")
    if len({(cell.decimal, cell.scale, cell.plus, cell.plus_seconds) for cell in cells}) > 1:
        raise ContractError(f"{place}: its alternatives must agree on decimal, scale and plus.")
    return cells


def _cell(plain: Any, place: str, rows: Rows) -> Cell:
    if isinstance(plain, str):
        return Cell(source=plain)
    if not isinstance(plain, dict):
        raise ContractError(f'{place} must be a source column or a table such as {{ from = "column" }}.')
    _check_keys(plain, COLUMN_KEYS, place)
    given = [key for key in ("from", "constant", "template") if key in plain]
    take = _optional(plain, "take", place)
    if len(given) != (0 if take == "count" else 1):
        raise ContractError(f'{place} needs exactly one of from, constant, template (none with take = "count").')
    if take is not None and take not in TAKES:
        raise ContractError(f"{place} take must be one of {', '.join(TAKES)}.")
    when = plain.get("when", [])
    conditions = tuple(_when(one, place) for one in (when if isinstance(when, list) else [when]))
    between = [one.kind for one in conditions if one.kind in BETWEEN_ROWS]
    if (take or between) and not rows.last_row_per:
        raise ContractError(f"{place} uses {between[0] if between else 'take'}, which needs last_row_per in its table.")
    plus, seconds = _plus(plain, place)
    return Cell(
        source=_optional(plain, "from", place),
        constant=_scalar(plain["constant"], place) if "constant" in plain else None,
        template=_template(plain["template"], place) if "template" in plain else None,
        values={key: _scalar(value, place) for key, value in _section(plain, "values", place).items()},
        other=_scalar(plain["other"], place) if "other" in plain else None,
        default=_scalar(plain["default"], place) if "default" in plain else None,
        date_format=_formats(plain["format"], place) if "format" in plain else (),
        null=_nulls(plain.get("null", []), place),
        decimal=_decimal(plain["decimal"], place) if "decimal" in plain else None,
        scale=_number(plain.get("scale", 1.0), f"{place} scale"),
        plus=plus,
        plus_seconds=seconds,
        take=take,
        when=conditions,
    )


def _template(value: Any, place: str) -> str:
    """Text around columns in braces. What Python's own templates can do besides is refused rather than ignored."""
    text = _text(value, f"{place} template")
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
    plus = _section(plain, "plus", place)
    if len(plus) != 1 or next(iter(plus)) not in UNITS:
        raise ContractError(f'{place} plus must be such as {{ minutes = "column" }}; units: {", ".join(UNITS)}.')
    [(unit, column)] = plus.items()
    return _text(column, f"{place} plus"), UNITS[unit]


def _when(plain: Any, place: str) -> When:
    if not isinstance(plain, dict) or len(plain) != 1:
        raise ContractError(f'{place} when must hold one condition, such as {{ grew = "reopen_count" }}.')
    _check_keys(plain, WHEN_KEYS, f"{place} when")
    [(kind, test)] = plain.items()
    if kind in ("grew", "fell", "changed"):
        return When(kind, _text(test, f"{place} when {kind}"))
    if not isinstance(test, dict) or len(test) != 1:
        raise ContractError(f'{place} when {kind} must be such as {{ column = "value" }}.')
    [(column, wanted)] = test.items()
    if kind == "at_least":
        return When(kind, column, bound=_number(wanted, f"{place} when at_least"))
    return When(kind, column, _texts(wanted, f"{place} when {kind}"))


def _check_keys(plain: dict[str, Any], allowed: Iterable[str], place: str) -> None:
    names = tuple(allowed)
    for key in plain:
        if key not in names:
            near = difflib.get_close_matches(key, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(names)}."
            raise ContractError(f"{place[0].upper()}{place[1:]} has an unknown key {key!r}; {hint}")


def _section(plain: dict[str, Any], key: str, place: str) -> dict[str, Any]:
    section = plain.get(key, {})
    if not isinstance(section, dict):
        raise ContractError(f"{key} in {place} must be a table of keys.")
    return section


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise ContractError(f"{place} must be text in quotes.")
    return value


def _texts(value: Any, place: str) -> tuple[str, ...]:
    return tuple(_text(item, place) for item in (value if isinstance(value, list) else [value]))


def _optional(plain: dict[str, Any], key: str, place: str) -> str | None:
    return _text(plain[key], f"{place} {key}") if key in plain else None


def _scalar(value: Any, place: str) -> str:
    """A constant as the cell a file would hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ContractError(f"{place}: a constant must be text, a number, true or false.")


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ContractError(f"{place} must be a number.")
    return float(value)


def _formats(value: Any, place: str) -> tuple[str, ...]:
    return tuple(check_format(form) for form in _texts(value, place))


def _nulls(value: Any, place: str) -> frozenset[str]:
    return frozenset(token.strip().lower() for token in _texts(value, place))


def _decimal(value: Any, place: str) -> str:
    if value not in (".", ","):
        raise ContractError(f'{place} decimal must be "." or ",".')
    return str(value)
