"""Where a mapping's files are, and whether they have the columns it needs: asked before any row is read."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from models.errors import ContractError
from models.imports.read import is_readable, read_names
from models.imports.source import Lookup, Mapping, Rows, Source, TableMapping


@dataclass(frozen=True)
class Found:
    """The files of one table of a mapping, and those of its lookups, with the column names of each."""

    mapping: TableMapping
    files: tuple[Path, ...]
    lookups: dict[str, tuple[Path, ...]]
    names: dict[Path, tuple[str, ...]]
    unknown: tuple[str, ...] = ()

    @property
    def absent(self) -> tuple[str, ...]:
        """Optional source columns the mapping names and at least one file lacks."""
        wanted = _optional(self.mapping)
        have = {name for name in wanted if all(name in self.names[file] for file in self.files)}
        looked_up = {
            f"{lookup.name}.{name}"
            for lookup in self.mapping.lookups
            for f in self.lookups[lookup.name]
            for name in self.names[f]
        }
        return tuple(name for name in wanted if name not in have | looked_up)


def find(path: Path, mapping: Mapping, require: Iterable[str] = ()) -> dict[str, Found]:
    """The files of every table, tables without files left out.

    Raises `ContractError` where the path does not exist, nothing matches, a table of `require` has no file, or a
    file lacks a column that the table cannot do without (naming table, column and file).
    """
    if not path.exists():
        raise ContractError(f"{path} does not exist; give a folder of files or one file.")
    found: dict[str, Found] = {}
    for name, table in mapping.tables.items():
        files = _matching(path, table.rows)
        if not files and name in set(require):
            raise ContractError(f"{path} holds no file for {name}; expected {' or '.join(table.rows.files)}.")
        if files:
            found[name] = _found(path, table, files)
    if not found:
        expected = ", ".join(pattern for table in mapping.tables.values() for pattern in table.rows.files[:1])
        raise ContractError(f"{path} holds no file that source {mapping.name} reads; expected {expected}.")
    unfilled = [name for name in require if name not in mapping.tables]
    if unfilled:
        raise ContractError(f"Source {mapping.name} does not fill the required table {unfilled[0]}.")
    return _with_unknown(found)


def _with_unknown(found: dict[str, Found]) -> dict[str, Found]:
    """Name the columns nobody uses, at the first table that reads or looks up their file."""
    used: dict[Path, set[str]] = {}
    for table in found.values():
        for file in table.files:
            used[file] = used.get(file, set()) | _used(table.mapping)
        for lookup in table.mapping.lookups:
            for file in table.lookups[lookup.name]:
                used[file] = used.get(file, set()) | _used_by_lookup(table.mapping, lookup)
    named: set[Path] = set()
    for name, table in found.items():
        every = (*table.files, *(file for files in table.lookups.values() for file in files))
        fresh = [file for file in every if file not in named]
        named.update(fresh)
        unknown = dict.fromkeys(n for file in fresh for n in table.names[file] if n not in used[file])
        found[name] = replace(table, unknown=tuple(unknown))
    return found


def _matching(path: Path, rows: Rows) -> tuple[Path, ...]:
    if path.is_file():
        return (path,) if any(fnmatch(path.name, pattern) for pattern in rows.files) else ()
    every = {file for pattern in rows.files for file in path.glob(pattern) if file.is_file() and is_readable(file)}
    return tuple(sorted(every))


def _found(path: Path, table: TableMapping, files: tuple[Path, ...]) -> Found:
    lookups: dict[str, tuple[Path, ...]] = {}
    folder = path.parent if path.is_file() else path
    for lookup in table.lookups:
        lookups[lookup.name] = _matching(folder, lookup.rows)
        if not lookups[lookup.name]:
            pattern = " or ".join(lookup.rows.files)
            raise ContractError(f"{table.table.name} looks up {lookup.name} and {folder} holds no {pattern}.")
    names = {file: _names(file, table.source) for file in files}
    for lookup in table.lookups:
        names |= {file: _names(file, lookup.source) for file in lookups[lookup.name]}
    for file in files:
        _check_columns(table, file.name, names[file], _looked_up(table, lookups, names))
    for lookup in table.lookups:
        for file in lookups[lookup.name]:
            _check_lookup(table, lookup, file.name, names[file])
    return Found(table, files, lookups, names)


def _names(file: Path, source: Source) -> tuple[str, ...]:
    return read_names(file, source.encoding, source.delimiter)


def _looked_up(
    table: TableMapping, lookups: dict[str, tuple[Path, ...]], names: dict[Path, tuple[str, ...]]
) -> set[str]:
    return {
        f"{lookup.name}.{name}" for lookup in table.lookups for file in lookups[lookup.name] for name in names[file]
    }


def _check_columns(table: TableMapping, file: str, names: tuple[str, ...], looked_up: set[str]) -> None:
    have = {*names, *looked_up}
    needed = [*table.rows.reads, *(lookup.ours for lookup in table.lookups)]
    for column in table.table.columns:
        if not column.required:
            continue
        if table.columns is None:
            needed.append(column.name)
        elif not any(have.issuperset(cell.reads) for cell in table.columns[column.name]):
            needed += table.columns[column.name][0].reads
    _refuse_missing(table.table.name, file, needed, names, have)


def _check_lookup(table: TableMapping, lookup: Lookup, file: str, names: tuple[str, ...]) -> None:
    _refuse_missing(f"{table.table.name} ({lookup.name})", file, [*lookup.rows.reads, lookup.theirs], names, set(names))


def _refuse_missing(table: str, file: str, needed: list[str], names: tuple[str, ...], have: set[str]) -> None:
    missing = [name for name in needed if name not in have]
    if not missing:
        return
    near = difflib.get_close_matches(missing[0].lower(), [name.lower() for name in names], 1)
    close = [name for name in names if near and name.lower() == near[0]]
    hint = f"it has {close[0]!r}; rename it or map it" if close else f"its columns are {', '.join(names)}"
    raise ContractError(f"{table} needs the column {missing[0]!r}, which {file} lacks: {hint}.")


def _used(table: TableMapping) -> set[str]:
    if table.columns is None:
        return {*table.table.names, *table.rows.reads}
    cells = {name for cells in table.columns.values() for cell in cells for name in cell.reads}
    return cells | {*table.rows.reads} | {lookup.ours for lookup in table.lookups}


def _used_by_lookup(table: TableMapping, lookup: Lookup) -> set[str]:
    prefix = f"{lookup.name}."
    return {
        lookup.theirs,
        *lookup.rows.reads,
        *(name.removeprefix(prefix) for name in _used(table) if name.startswith(prefix)),
    }


def _optional(table: TableMapping) -> tuple[str, ...]:
    if table.columns is None:
        return ()
    return tuple(dict.fromkeys(name for cells in table.columns.values() for cell in cells for name in cell.reads))
