"""Rows as a stream: a line of JSON each (application/x-ndjson), as many as one likes, in the memory of one chunk.

    {"interaction_id": "T-1", "account_id": "A-7", ...}   {"line": 1, "id": "T-1", "status": "created"}
    {"interaction_id": "T-2", "acc                        {"line": 2, "id": null, "status": "rejected", "errors": [...]}
                                                          {"summary": {"lines": 2, "created": 1, ..., "rejected": 1}}

Each chunk is checked and stored in a transaction of its own. The answers are laid aside, on disk where they are many,
and sent when the last line was read: most clients read nothing before they have sent all, so that answering in between
would make both sides wait for each other for ever; and only then is it known whether all went well (200) or not (207).
"""

import gzip
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from flask import Response, request

from api import transport
from api.batches import post_batch, result_line, write
from api.bodies import NDJSON, encode, parse
from api.checking import Fault
from api.errors import Problem, from_core
from api.service import Service
from models.columns import Table
from models.errors import EbbtideError

#: A chunk ends with either.
CHUNK_LINES, CHUNK_BYTES = 5_000, 8 * 1024**2
LINE_BYTES = 1024**2
#: Names of unknown members told at the end; more would be a caller's mistake anyway.
MOST_UNKNOWN = 1_000
_BLOCK = 64 * 1024
_IN_MEMORY = 1024**2
_STATUSES = ("created", "updated", "unchanged", "rejected")
_SCORES = ("rescored", "queued", "left_to_next_run")


@dataclass
class _Sum:
    """What became of the lines so far; `dealt` with up to which line."""

    counts: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    dealt: int = 0

    def to_plain(self) -> dict[str, Any]:
        """As the last line says it."""
        told = {name: self.counts[name] for name in ("lines", *_STATUSES, *_SCORES)}
        return told | {"unknown_fields": sorted(self.unknown)[:MOST_UNKNOWN]}


def post_rows(service: Service, table: Table) -> Response:
    """The whole of a batch route, whichever way the rows come."""
    return _post_stream(service, table) if request.mimetype == NDJSON else post_batch(service, table)


def _post_stream(service: Service, table: Table) -> Response:
    """Store a stream of rows. Raises `Problem`, which says what was stored before."""
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed with the response
    packed, done = request.accept_encodings.quality("gzip") > 0, _Sum()
    try:
        with ExitStack() as unsent:
            unsent.callback(spool.close)
            _store_all(service, table, done, spool, packed=packed)
            unsent.pop_all()
    except EbbtideError as error:
        raise _stopped(from_core(error), done) from error
    except Problem as problem:
        raise _stopped(problem, done) from problem
    return _sent(spool, 207 if done.counts["rejected"] else 200, packed=packed)


def _store_all(service: Service, table: Table, done: _Sum, spool: IO[bytes], *, packed: bool) -> None:
    """Store chunk after chunk; the answers go into the spool."""
    out: Any = gzip.GzipFile(fileobj=spool, mode="wb", compresslevel=1, mtime=0) if packed else spool
    for chunk in _chunks(_lines(_blocks())):
        _store(service, table, chunk, done, out)
    if not done.counts["lines"]:
        raise Problem(422, "invalid_body", "The body needs at least one line of JSON.")
    out.write(encode({"summary": done.to_plain()}).encode() + b"\n")
    if packed:
        out.close()


def _stopped(problem: Problem, done: _Sum) -> Problem:
    if not done.dealt:
        return problem
    said = f"{problem.detail} Lines 1 to {done.dealt:,} were dealt with before; send the others again."
    return Problem(problem.status, problem.code, said, problem.errors, problem.headers)


def _sent(spool: IO[bytes], status: int, *, packed: bool) -> Response:
    length = spool.tell()
    spool.seek(0)
    response = Response(_parts(spool), status=status, content_type=NDJSON)
    response.call_on_close(spool.close)
    response.headers["Content-Length"] = str(length)
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    return response


def _parts(spool: IO[bytes]) -> Iterator[bytes]:
    with spool:
        while block := spool.read(_BLOCK):
            yield block


def _store(service: Service, table: Table, chunk: list[tuple[int, bytes | None]], done: _Sum, out: IO[bytes]) -> None:
    """Check and store a chunk in one transaction, and lay its answers aside."""
    rows: list[Any] = []
    faults: dict[int, Fault] = {}
    for place, (_, text) in enumerate(chunk):
        row, wrong = _read(text)
        rows.append(row)
        if wrong is not None:
            faults[place] = Fault(place, "", wrong.code, wrong.detail)
    good = [place for place in range(len(chunk)) if place not in faults]
    written = write(service, table, [rows[place] for place in good])
    answers = {place: written.line(i, "") for i, place in enumerate(good)}
    for place, (number, _) in enumerate(chunk):
        answer = answers.get(place) or result_line(None, None, [faults[place]], "")
        done.counts[answer["status"]] += 1
        out.write(encode({"line": number, **answer}).encode() + b"\n")
    done.counts["lines"] += len(chunk)
    done.counts.update(asdict(written.scores))
    done.unknown.update(written.unknown if len(done.unknown) < MOST_UNKNOWN else ())
    done.dealt = chunk[-1][0]
    tally = Counter(answer["status"] for answer in answers.values())
    tally["rejected"] += len(faults)
    for status in _STATUSES:
        service.metrics.rows.labels(table.name, status).inc(tally[status])


def _read(text: bytes | None) -> tuple[Any, Problem | None]:
    """The row of a line, or what is wrong with it."""
    if text is None:
        return None, Problem(400, "line_too_long", f"The line has more than {LINE_BYTES:,} bytes.")
    try:
        return parse(text), None
    except Problem as problem:
        return None, Problem(problem.status, problem.code, problem.detail.replace("The body", "The line", 1))


def _chunks(lines: Iterator[tuple[int, bytes | None]]) -> Iterator[list[tuple[int, bytes | None]]]:
    chunk: list[tuple[int, bytes | None]] = []
    size = 0
    for number, text in lines:
        chunk.append((number, text))
        size += len(text or b"")
        if len(chunk) >= CHUNK_LINES or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _lines(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Number and text of each line that is not blank; None for the text of one that is too long."""
    number, rest, skipping = 0, b"", False
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for text in whole:
            number += 1
            if skipping or len(text) > LINE_BYTES:
                yield number, None
            elif text.strip():
                yield number, text
            skipping = False
        if len(rest) > LINE_BYTES:
            rest, skipping = b"", True
    if skipping or rest.strip():
        yield number + 1, None if skipping or len(rest) > LINE_BYTES else rest


def _blocks() -> Iterator[bytes]:
    """The body as it comes in, unpacked. Raises `Problem` 415 or 400."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    raw = transport.blocks()
    if encoding in ("identity", ""):
        yield from raw
    elif encoding in ("gzip", "x-gzip"):
        yield from _unpacked(raw)
    else:
        raise Problem(415, "unsupported_encoding", f"Send the body plain or as gzip, not as {encoding[:40]!r}.")


def _unpacked(raw: Iterator[bytes]) -> Iterator[bytes]:
    reader = zlib.decompressobj(wbits=31)
    try:
        for block in raw:
            yield reader.decompress(block, _BLOCK)
            while reader.unconsumed_tail:
                yield reader.decompress(reader.unconsumed_tail, _BLOCK)
            if reader.unused_data:
                break  # or it would be kept, however much follows
    except zlib.error:
        raise Problem(400, "malformed_gzip", "The body is said to be gzip and is not.") from None
    if not reader.eof or reader.unused_data:
        raise Problem(400, "malformed_gzip", "The body's gzip ends too early, or something follows it.")
