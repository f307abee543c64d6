"""What every answer does on its way: a tag to ask again by, the next page in a header, gzip both ways.

    GET /v1/accounts/A-7/health                              200, ETag: W/"5f0c..."
    GET /v1/accounts/A-7/health, If-None-Match: W/"5f0c..."  304 without a body while nothing has changed

A tag stands for the content, whatever its encoding, so it is a weak one.
"""

import gzip
import zlib
from hashlib import blake2b

from flask import Flask, Response, g, request

from api import limits
from api.errors import Problem

#: A smaller answer fits into one packet and gains nothing.
LEAST_BYTES = 1_400
#: Fast rather than small: answers are made for one caller each.
_LEVEL = 1
#: Addresses whose answers nobody keeps.
_PASSING = frozenset({"/healthz", "/readyz", "/metrics"})


def install(app: Flask) -> None:
    """Tag, answer conditionally and compress."""

    @app.after_request
    def finish(response: Response) -> Response:
        limits.told(response)
        rule = request.url_rule.rule if request.url_rule else ""
        asked = request.method in ("GET", "HEAD") and rule not in _PASSING
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


def body(most: int) -> bytes:
    """The request's body as it was before it was packed. Raises `Problem`: 415 for an encoding other than gzip, 400 for
    damaged gzip, 413 for more than `most` bytes once unpacked."""
    if "body" not in g:
        g.body = _read(most)
    content: bytes = g.body
    return content


def _read(most: int) -> bytes:
    raw = request.get_data(cache=False)
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return raw
    if encoding not in ("gzip", "x-gzip"):
        raise Problem(415, "unsupported_encoding", f"Send the body plain or as gzip, not as {encoding[:40]!r}.")
    return _unpacked(raw, most)


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
