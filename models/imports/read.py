"""Files to frames of raw text cells, each row with the line it starts on.

Worked example: in
    account_id,name        line 1
    a1,"Two                line 2
    lines"                 line 3
    a2,Three               line 4
the rows start on lines 2 and 4. Line numbers are true lines of the (decompressed) file, quoted newlines and
blank lines included. For Parquet, which has no lines, they are record numbers from 1.

Two readers give the same answer: a columnar one for regular files, and a careful one, record by record, for
files with rows of a wrong length, blank lines or a quote that never closes.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
from pyarrow import csv as arrow_csv

from models.errors import ContractError
from models.imports.text import (
    DAMAGED,
    Header,
    Text,
    beginning_to_utf8,
    read_beginning,
    read_bytes,
    read_header,
    to_utf8,
    with_newlines,
)

#: Names of the columns that say where a row stands, in every frame of this package.
LINE = "\x00line"
FILE = "\x00file"

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz", ".parquet")

_BLOCK = 16 * 1024 * 1024


@dataclass(frozen=True)
class Broken:
    """A record that is no row: its line, its beginning, and what is wrong with it."""

    line: int
    value: str
    reason: str
    file: str = ""


@dataclass(frozen=True)
class Raw:
    """A file as it stands: text cells (Parquet keeps its types), `FILE`, `LINE`, and the records that are no rows.

    `names` are the file's own column names in order; cells are exactly what the file holds. `nameless` are the columns
    without a name, by number from 1; their cells are kept out, as nothing can ask for them.
    """

    frame: pl.DataFrame
    names: tuple[str, ...]
    broken: tuple[Broken, ...] = ()
    nameless: tuple[int, ...] = ()

    @property
    def records(self) -> int:
        """Records in the file, broken ones included."""
        return self.frame.height + len(self.broken)


def is_readable(path: Path) -> bool:
    """Whether the name says that it is one of the formats read here."""
    return path.name.lower().endswith(SUFFIXES)


def read_names(path: Path, encoding: str | None = None, delimiter: str | None = None) -> tuple[str, ...]:
    """Only the column names of a file, from its first bytes. Raises `ContractError` as `read` does."""
    if is_parquet(path):
        return tuple(_parquet(path, 0).columns)
    text = beginning_to_utf8(read_beginning(path), path.name, encoding)
    return tuple(name for name in read_header(text.content, path.name, delimiter).names if name)


def read(path: Path, encoding: str | None = None, delimiter: str | None = None) -> Raw:
    """Read a CSV or Parquet file. Raises `ContractError` for one that cannot be understood at all."""
    if is_parquet(path):
        frame = _parquet(path)
        lines = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True)
        return _raw(path.name, frame.with_columns(lines.alias(LINE)), tuple(frame.columns))
    return read_text(to_utf8(read_bytes(path), path.name, encoding), path.name, delimiter)


def is_parquet(path: Path) -> bool:
    """Whether the name says Parquet."""
    return path.suffix.lower() == ".parquet"


def read_text(text: Text, file: str, delimiter: str | None = None) -> Raw:
    """Read a CSV file."""
    content = with_newlines(text.content)
    header = read_header(content, file, delimiter)
    end = len(content)
    while end > header.offset and content[end - 1] in b"\r\n":
        end -= 1
    body = memoryview(content)[header.offset : end]
    frame = _columnar(content, body, header) if len(header.names) > 1 and body else None
    broken: tuple[Broken, ...] = ()
    if frame is None:
        frame, broken = _careful(str(body, "utf-8"), header)
    if text.damaged:
        frame, hurt = _set_damaged_aside(frame)
        broken = tuple(sorted((*broken, *hurt), key=lambda record: record.line))
    nameless = tuple(number for number, name in enumerate(header.names, 1) if not name)
    return replace(_raw(file, frame, tuple(name for name in header.names if name), broken), nameless=nameless)


def _raw(file: str, frame: pl.DataFrame, names: tuple[str, ...], broken: tuple[Broken, ...] = ()) -> Raw:
    # A file of a header alone has cells of no type.
    typed = frame.with_columns(pl.col(pl.Null).cast(pl.String))
    named = typed.with_columns(pl.lit(file, dtype=pl.Categorical).alias(FILE))
    return Raw(named, names, tuple(replace(record, file=file) for record in broken))


def _parquet(path: Path, rows: int | None = None) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, n_rows=rows)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ContractError(f"{path.name} is not a readable Parquet file; export it again.") from error


def _places(header: Header) -> list[str]:
    """A unique name per field: nameless columns are kept only to count fields."""
    return [name or f"\x00{index}" for index, name in enumerate(header.names)]


def _columnar(content: bytes, body: memoryview, header: Header) -> pl.DataFrame | None:
    """The regular file (`body` is `content` after the header), or None when it is not regular."""
    begin, end = header.offset, header.offset + len(body)
    if content.count(b'"', begin, end) % 2:
        return None
    names = _places(header)
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(pa.py_buffer(body)),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=_BLOCK),
            parse_options=arrow_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    # one column at a time, so that no more than one exists twice
    columns: list[pl.Series] = []
    while table.num_columns:
        columns.append(pl.Series(names[len(columns)], table.column(0)).rechunk())
        table = table.remove_column(0)
    frame = pl.DataFrame(columns)
    lines = _lines(frame, content.count(b"\n", begin, end), header.line)
    return None if lines is None else _named(frame.with_columns(lines), header)


def _lines(frame: pl.DataFrame, newlines: int, first: int) -> pl.Series | None:
    """The line each row starts on, or None where newlines do not add up (blank lines, lone returns)."""
    rows = pl.int_range(first, first + frame.height, dtype=pl.Int64, eager=True).alias(LINE)
    if newlines == frame.height - 1:
        return rows
    inside = frame.select(pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True)).cast(pl.Int64)).to_series()
    if inside.sum() + frame.height - 1 != newlines:
        return None
    return (rows + inside.cum_sum().shift(1, fill_value=0)).alias(LINE)


def _named(frame: pl.DataFrame, header: Header) -> pl.DataFrame:
    return frame.select(*(name for name in header.names if name), LINE)


def _careful(body: str, header: Header) -> tuple[pl.DataFrame, tuple[Broken, ...]]:
    """Record by record: rows of the right length, and the broken records."""
    width = len(header.names)
    rows: list[list[str]] = []
    lines: list[int] = []
    broken: list[Broken] = []
    with _fields_up_to(len(body)):
        records = list(_records(body, header))
    for record in records:
        if isinstance(record, Broken):
            broken.append(record)
            continue
        line, cells = record
        if len(cells) == width:
            rows.append(cells)
            lines.append(line)
        else:
            reason = f"has {len(cells)} fields where the header has {width}"
            broken.append(Broken(line, header.delimiter.join(cells), reason))
    frame = pl.DataFrame(rows, schema=dict.fromkeys(_places(header), pl.String), orient="row")
    return _named(frame.with_columns(pl.Series(LINE, lines, dtype=pl.Int64)), header), tuple(broken)


def _records(body: str, header: Header) -> Iterator[tuple[int, list[str]] | Broken]:
    """Records with their first lines. A quote that never closes costs its own line, not the rest."""
    physical = io.StringIO(body, newline="\n").readlines()
    feed = _Feed(physical)
    reader = csv.reader(feed, delimiter=header.delimiter)
    while feed.position < len(physical):
        start = feed.position
        cells = _next(reader)
        if cells is None or feed.exhausted:
            yield Broken(header.line + start, physical[start].rstrip("\r\n"), "its quotes or line ends do not match")
            feed = _Feed(physical, start + 1)
            reader = csv.reader(feed, delimiter=header.delimiter)
        elif cells:
            yield header.line + start, cells


@contextmanager
def _fields_up_to(length: int) -> Iterator[None]:
    """Let the csv module read fields of this length; its limit is the process's, so it is put back."""
    before = csv.field_size_limit(max(length, csv.field_size_limit()))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _next(reader: Iterator[list[str]]) -> list[str] | None:
    try:
        return next(reader)
    except (csv.Error, StopIteration):
        return None


class _Feed:
    """Hands out lines, and remembers whether somebody asked for one after the last: an open quote does."""

    def __init__(self, lines: list[str], position: int = 0) -> None:
        self.lines, self.position, self.exhausted = lines, position, False

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        if self.position >= len(self.lines):
            self.exhausted = True
            raise StopIteration
        self.position += 1
        return self.lines[self.position - 1]


def _set_damaged_aside(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Broken]]:
    """Split off the rows that hold a byte that is not UTF-8."""
    cells = pl.exclude(LINE).str.contains(DAMAGED, literal=True)
    hurt = frame.filter(pl.any_horizontal(cells))
    broken = [
        Broken(row[LINE], next(str(cell) for cell in row.values() if DAMAGED in str(cell)), "is not valid UTF-8")
        for row in hurt.iter_rows(named=True)
    ]
    return frame.filter(~pl.any_horizontal(cells)), broken
