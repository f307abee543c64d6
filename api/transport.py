"""What every answer does on its way: a tag to ask again by, the next page in a header, gzip both ways.

    GET /v1/accounts/A-7/health                              200, ETag: W/"5f0c..."
    GET /v1/accounts/A-7/health, If-None-Match: W/"5f0c..."  304 without a body while nothing has changed

A tag stands for the content, whatever its encoding, so it is a weak one.
"""

import gzip
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b

from flask import Flask, Response, g, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException

from api import limits
from api.errors import Problem

#: A smaller answer fits into one packet and gains nothing.
LEAST_BYTES = 1_400
#: Fast rather than small: answers are made for one caller each.
_LEVEL = 1
#: Addresses whose answers nobody keeps.
PASSING = frozenset({"/healthz", "/readyz", "/metrics"})


#: Of a body that was refused unread, so much is read and dropped, and no longer than this many seconds.
_DROPPED_BYTES, _DROPPED_SECONDS = 128 * 1024**2, 10.0
_BLOCK = 64 * 1024


def install(app: Flask) -> None:
    """Tag, answer conditionally and compress."""

    @app.after_request
    def finish(response: Response) -> Response:
        limits.told(response)
        _drop_the_rest()
        rule = request.url_rule.rule if request.url_rule else ""
        asked = request.method in ("GET", "HEAD") and rule not in PASSING
        if asked:
            response.headers["Cache-Control"] = "private, no-cache"
            response.headers["Vary"] = "Accept, Accept-Encoding, Authorization, X-API-Key"
        if response.is_streamed or response.direct_passthrough:
            return response
        if asked and response.status_code == 200:
            _tag(response)
        return _compressed(response)


def _tag(response: Response) -> None:
    if "ETag" not in response.headers:
        response.set_etag(blake2b(response.get_data(), digest_size=12).hexdigest(), weak=True)
    response.make_conditional(request.environ)


def _compressed(response: Response) -> Response:
    # A strong tag stands for the very bytes, so what has one is sent as it is.
    tag, weak = response.get_etag()
    long_enough = (response.content_length or 0) >= LEAST_BYTES and (tag is None or bool(weak))
    if long_enough and response.status_code != 304 and request.accept_encodings.quality("gzip") > 0:
        response.set_data(gzip.compress(response.get_data(), _LEVEL, mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    return response


def _drop_the_rest() -> None:
    """Read what of the body was not read. Most clients read nothing before they have sent all: to a connection closed
    while they send, they would see no answer but a broken pipe."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return
    left, ends = _DROPPED_BYTES, time.monotonic() + _DROPPED_SECONDS
    with suppress(HTTPException, Problem):
        for block in blocks():
            left -= len(block)
            if left < 0 or time.monotonic() > ends:
                return


def blocks() -> Iterator[bytes]:
    """The body as it comes in, with no end to it: whoever reads sees to that. Raises `Problem` 400."""
    request.max_content_length = sys.maxsize
    while block := _block():
        yield block


def _block() -> bytes:
    try:
        found: bytes = request.stream.read(_BLOCK)
    except (ParseException, OSError):
        raise Problem(400, "bad_request", "The body ended too early, or its chunks are not well formed.") from None
    return found


def body(most: int) -> bytes:
    """The request's body as it was before it was packed. Raises `Problem`: 415 for an encoding other than gzip, 400 for
    damaged gzip, 413 for more than `most` bytes once unpacked."""
    if "body" not in g:
        g.body = _read(most)
    content: bytes = g.body
    return content


def _read(most: int) -> bytes:
    raw = _raw(most)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return raw
    if encoding not in ("gzip", "x-gzip"):
        raise Problem(415, "unsupported_encoding", f"Send the body plain or as gzip, not as {encoding[:40]!r}.")
    return _unpacked(raw, most)


def _raw(most: int) -> bytes:
    """The body as it came, whether its length was told beforehand or not (chunked)."""
    too_large = Problem(413, "too_large", f"The body is larger than {most // 1024**2} MB; send it in parts.")
    if (request.content_length or 0) > most:
        raise too_large
    # Counted here: the framework's own limit cuts a body of unknown length off without a word.
    parts, left = [], most
    for block in blocks():
        parts.append(block)
        left -= len(block)
        if left < 0:
            raise too_large
    return b"".join(parts)


def _unpacked(raw: bytes, most: int) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        # Never more than was allowed is unpacked, however small the packet.
        content = reader.decompress(raw, most + 1)
    except zlib.error:
        raise Problem(400, "malformed_gzip", "The body is said to be gzip and is not.") from None
    if len(content) > most:
        raise Problem(413, "too_large", f"The body has more than {most:,} bytes once unpacked.")
    if not reader.eof or reader.unused_data:
        raise Problem(400, "malformed_gzip", "The body's gzip ends too early, or something follows it.")
    return content
