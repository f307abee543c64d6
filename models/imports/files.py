"""Where a mapping's files are, and whether they have the columns it needs: asked before any row is read."""

import difflib
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as Mapping_
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
        looked_up = _looked_up(self.mapping.every_lookup, "", self.lookups, self.names)
        return tuple(name for name in wanted if name not in have | looked_up)


def find(path: Path, mapping: Mapping, require: Iterable[str] = ()) -> dict[str, Found]:
    """The files of every table, tables without files left out.

    Raises `ContractError` where the path does not exist, nothing matches, a table of `require` has no file, or a
    file lacks a column that the table cannot do without (naming table, column and file).
    """
    if not path.exists():
        raise ContractError(f"{path} does not exist; give a folder of files or one file.")
    found: dict[str, Found] = {}
    for name, declared in mapping.tables.items():
        table, files = _there_is(path, declared)
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


def _there_is(path: Path, table: TableMapping) -> tuple[TableMapping, tuple[Path, ...]]:
    """The table as it is read here: otherwise, where the files it is usually read from are not there."""
    files = _matching(path, table.rows)
    return _there_is(path, table.otherwise) if not files and table.otherwise is not None else (table, files)


def _with_unknown(found: dict[str, Found]) -> dict[str, Found]:
    """Name the columns nobody uses, at the first table that reads or looks up their file."""
    used: dict[Path, set[str]] = {}
    for table in found.values():
        for file in table.files:
            used[file] = used.get(file, set()) | _used(table.mapping)
        for full, reads in _used_by_lookups(table.mapping.every_lookup, "", _used(table.mapping)):
            for file in table.lookups[full]:
                used[file] = used.get(file, set()) | reads
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
    names = {file: _names(file, table.source) for file in files}
    folder = path.parent if path.is_file() else path
    _find_lookups(folder, table.table.name, table.every_lookup, "", lookups, names)
    for file in files:
        _check_columns(table, file.name, names[file], _looked_up(table.every_lookup, "", lookups, names), lookups)
    return Found(table, files, lookups, names)


def _find_lookups(
    folder: Path,
    table: str,
    wanted: tuple[Lookup, ...],
    within: str,
    found: dict[str, tuple[Path, ...]],
    names: dict[Path, tuple[str, ...]],
    *,
    absent: bool = False,
) -> None:
    """Fill in the files of every lookup, by its name within the others, and their columns; `absent`: those they are
    looked up for are not there, so nothing is missed. Raises `ContractError`."""
    for lookup in wanted:
        full = within + lookup.name
        found[full] = _matching(folder, lookup.rows)
        if not found[full] and not (lookup.optional or absent):
            pattern = " or ".join(lookup.rows.files)
            raise ContractError(f"{table} looks up {full} and {folder} holds no {pattern}.")
        names |= {file: _names(file, lookup.source) for file in found[full]}
        _find_lookups(folder, table, lookup.lookups, f"{full}.", found, names, absent=not found[full])
        inner = _looked_up(lookup.lookups, f"{full}.", found, names)
        for file in found[full]:
            have = {*names[file], *inner}
            reads = _there(lookup.rows.reads, lookup.lookups, f"{full}.", found)
            needed = [*lookup.theirs, *reads, *_asked(lookup.lookups, f"{full}.", found)]
            _refuse_missing(f"{table} ({full})", file.name, needed, names[file], have)


def _names(file: Path, source: Source) -> tuple[str, ...]:
    return read_names(file, source.encoding, source.delimiter)


def _looked_up(
    lookups: tuple[Lookup, ...],
    within: str,
    found: Mapping_[str, tuple[Path, ...]],
    names: Mapping_[Path, tuple[str, ...]],
) -> set[str]:
    """The columns that lookups add; those of an optional one without files count, and are unknown."""
    added: set[str] = set()
    for lookup in lookups:
        own = {name for file in found[within + lookup.name] for name in names[file]}
        inner = _looked_up(lookup.lookups, f"{within}{lookup.name}.", found, names)
        columns = set(lookup.columns) if lookup.columns is not None else own | inner
        added |= {f"{lookup.name}.{name}" for name in columns}
    return added


def _asked(lookups: tuple[Lookup, ...], within: str, found: Mapping_[str, tuple[Path, ...]]) -> list[str]:
    """Columns of ours that the lookups which have files need, but for those an absent one would bring."""
    asked = (name for lookup in lookups if found[within + lookup.name] for name in lookup.asks)
    return _there(asked, lookups, within, found)


def _there(
    asked: Iterable[str], lookups: tuple[Lookup, ...], within: str, found: Mapping_[str, tuple[Path, ...]]
) -> list[str]:
    """The columns that no lookup without files would bring: those are unknown."""
    absent = tuple(f"{lookup.name}." for lookup in lookups if not found[within + lookup.name])
    return [name for name in asked if not name.startswith(absent)]


def _check_columns(
    table: TableMapping,
    file: str,
    names: tuple[str, ...],
    looked_up: set[str],
    found: Mapping_[str, tuple[Path, ...]],
) -> None:
    have = {*names, *looked_up}
    lookups = table.every_lookup
    needed = [*_there(table.rows.reads, lookups, "", found), *_asked(lookups, "", found)]
    for column in table.table.columns:
        if not column.required:
            continue
        if table.columns is None:
            needed.append(column.name)
        elif not any(have.issuperset(cell.reads) for cell in table.columns[column.name]):
            needed += table.columns[column.name][0].reads
    _refuse_missing(table.table.name, file, needed, names, have)


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
    return cells | {*table.rows.reads, *table.asks}


def _used_by_lookups(lookups: tuple[Lookup, ...], within: str, used: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Each lookup by its name within the others, and the columns used of its files."""
    for lookup in lookups:
        prefix = f"{lookup.name}."
        asked = {name.removeprefix(prefix) for name in used if name.startswith(prefix)}
        own = {*lookup.reads, *(asked if lookup.columns is None else ())}
        yield within + lookup.name, own
        yield from _used_by_lookups(lookup.lookups, f"{within}{prefix}", own)


def _optional(table: TableMapping) -> tuple[str, ...]:
    if table.columns is None:
        return ()
    return tuple(dict.fromkeys(name for cells in table.columns.values() for cell in cells for name in cell.reads))
