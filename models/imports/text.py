"""Bytes of any encoding to UTF-8 bytes, and what the first line says about the rest.

Files stay bytes: a table of a million rows is some hundred megabytes, and each copy as text would be more.
"""

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from models.errors import ContractError

#: Delimiters that are recognised without being declared; on a tie the earlier one wins.
DELIMITERS = (",", ";", "\t", "|")

#: Bytes that surely hold the column names.
BEGINNING = 256 * 1024

#: What files begin with that are no text, whatever their names say, and what to do with them.
_NO_TEXT = (
    (b"PK\x03\x04", "is a spreadsheet or an archive, no text; export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "is an old spreadsheet, no text; export the sheet as CSV"),
    (b"\x1f\x8b", "is compressed; its name must end in .gz"),
    (b"PAR1", "is a Parquet file; its name must end in .parquet"),
)

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

#: Stands for a byte that is not UTF-8 in a file that otherwise is.
DAMAGED = "\ufffd"


@dataclass(frozen=True)
class Text:
    """A file as UTF-8 without byte order mark, and the encoding it had.

    `damaged` says that single bytes did not fit and stand as U+FFFD: rows that hold one are refused.
    """

    content: bytes
    encoding: str
    damaged: bool = False


@dataclass(frozen=True)
class Header:
    """The first record: column names, the delimiter, and where the data begins (byte offset, and line from 1)."""

    names: tuple[str, ...]
    delimiter: str
    offset: int
    line: int


def read_bytes(path: Path) -> bytes:
    """The file's bytes, decompressed when the name ends in `.gz`.

    Raises `ContractError` for a file that cannot be read or whose compression is damaged.
    """
    return _read(path, -1)


def read_beginning(path: Path) -> bytes:
    """The first bytes, enough for a line of column names. Raises as `read_bytes` does."""
    return _read(path, BEGINNING)


def _read(path: Path, size: int) -> bytes:
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            return file.read(size)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ContractError(f"{path.name} is not a complete gzip file; export it again.") from error
    except OSError as error:
        raise ContractError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def to_utf8(data: bytes, name: str, declared: str | None = None) -> Text:
    """Read a file by its declared encoding, its byte order mark, or by what its bytes can be.

    Bytes that are UTF-8 are UTF-8. Otherwise a file with more proper UTF-8 characters than stray bytes is
    damaged UTF-8, and one with fewer is cp1252 (latin-1 where cp1252 has no character). Raises `ContractError` for
    bytes that are no text.
    """
    _refuse_no_text(data, name)
    if declared is not None:
        return _declared(data, name, declared)
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _declared(data, name, encoding)
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return _unknown(data)
    return Text(data, "utf-8")


def beginning_to_utf8(data: bytes, name: str, declared: str | None = None) -> Text:
    """The same for a file's first bytes, which may end within a character."""
    _refuse_no_text(data, name)
    for trim in range(4 if len(data) == BEGINNING else 0):
        whole = data[: len(data) - trim]
        marked = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
        try:
            return _declared(whole, name, declared or marked)
        except ContractError:
            continue
    return to_utf8(data, name, declared)


def _refuse_no_text(data: bytes, name: str) -> None:
    for mark, what in _NO_TEXT:
        if data.startswith(mark):
            raise ContractError(f"{name} {what}.")


def _declared(data: bytes, name: str, encoding: str) -> Text:
    try:
        content = data.decode(encoding).removeprefix("\ufeff").encode("utf-8")
    except UnicodeError as error:
        raise ContractError(f"{name} is not written in {encoding}; declare the encoding it has.") from error
    except (LookupError, ValueError) as error:  # no such name, or one that cannot be any
        raise ContractError(f"{encoding!r} is not an encoding; try utf-8, utf-16 or cp1252.") from error
    return Text(content, encoding)


def _unknown(data: bytes) -> Text:
    tolerant = data.decode("utf-8", errors="surrogateescape")
    stray = sum("\udc80" <= char <= "\udcff" for char in tolerant)
    proper = sum(char > "\x7f" for char in tolerant) - stray
    if proper > stray:
        return Text(data.decode("utf-8", errors="replace").encode("utf-8"), "utf-8", damaged=True)
    try:
        return Text(data.decode("cp1252").encode("utf-8"), "cp1252")
    except UnicodeDecodeError:
        return Text(data.decode("latin-1").encode("utf-8"), "latin-1")


def with_newlines(content: bytes) -> bytes:
    """The same with newlines where lines end with returns alone, as old spreadsheets write them."""
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def read_header(content: bytes, name: str, declared: str | None = None) -> Header:
    """Column names and delimiter from the first record that is not empty.

    A spreadsheet's `sep=;` line above the header is obeyed. Raises `ContractError` for an empty file, a
    repeated column name, or a delimiter that is not one character.
    """
    content = with_newlines(content[:BEGINNING])
    text = content.decode("utf-8", errors="ignore")
    if "\x00" in text[:1000]:
        raise ContractError(f"{name} looks like UTF-16 without a byte order mark; declare the encoding.")
    offset, line = 0, 1
    while (end := text.find("\n", offset)) >= 0 and not text[offset:end].strip():
        offset, line = end + 1, line + 1
    if text[offset : offset + 4].lower() == "sep=":
        declared = declared or text[offset + 4]
        offset, line = text.find("\n", offset) + 1, line + 1
    if not text[offset:].strip():
        raise ContractError(f"{name} is empty; expected a line of column names.")
    if len(content) == BEGINNING and "\n" not in text[offset:]:
        raise ContractError(f"The column names of {name} take more than {BEGINNING // 1024} kB; leave columns out.")
    delimiter = declared or _detect_delimiter(text, offset)
    if len(delimiter) != 1:
        raise ContractError(f"The delimiter {delimiter!r} declared for {name} must be one character.")
    try:
        names, length, lines = _first_record(text, offset, delimiter)
    except csv.Error as error:
        raise ContractError(f"The column names of {name} cannot be read; check its quotes.") from error
    _refuse_repeated(names, name)
    return Header(names, delimiter, len(text[: offset + length].encode("utf-8")), line + lines)


def _detect_delimiter(content: str, offset: int) -> str:
    first = content[offset : content.find("\n", offset) + 1 or len(content)]

    def fields(mark: str) -> int:
        try:
            return len(next(csv.reader([first], delimiter=mark)))
        except csv.Error:  # taken apart wrongly, one field may be longer than any can be
            return 0

    return max(DELIMITERS, key=fields)


def _first_record(content: str, offset: int, delimiter: str) -> tuple[tuple[str, ...], int, int]:
    """Names, length in characters and number of lines of the record that starts at `offset`."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        start = offset
        while start < len(content):
            end = content.find("\n", start) + 1 or len(content)
            taken.append(content[start:end])
            yield taken[-1]
            start = end

    names = tuple(cell.strip() for cell in next(csv.reader(lines(), delimiter=delimiter)))
    return names, sum(map(len, taken)), len(taken)


def _refuse_repeated(names: tuple[str, ...], file: str) -> None:
    named = [name for name in names if name]
    repeated = sorted({name for name in named if named.count(name) > 1})
    if repeated:
        raise ContractError(f"{file} has the column {repeated[0]!r} more than once; rename one of them.")
