"""Ids within addresses: a slash that belongs to an id is written %2F, one that does not separates.

    /v1/accounts/A%2Fhealth           the account "A/health"
    /v1/accounts/A/health             the health of "A"
    /v1/accounts/A%2Fhealth/health    the health of "A/health"

WSGI hands an address over decoded, in which the first two are the same; servers keep the raw one beside it.
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask
from werkzeug.exceptions import NotFound
from werkzeug.routing import BaseConverter

from models.imports.convert import ID_LENGTH

#: Stands for a slash within an id while the address is taken apart: no text of an address holds it.
_SLASH = "\0"
_NO_TEXT = "%EF%BF%BD"


class Ident(BaseConverter):
    """An account id within an address: any text of 1-128 characters."""

    regex = "(?s:[^/]+)"

    def to_python(self, value: str) -> str:
        """The id itself."""
        # U+FFFD stands for bytes that were no UTF-8: two different ids would become one.
        if len(value) > ID_LENGTH or "\ufffd" in value:
            # Not ValidationError: that would make it a matter of other methods, and 405.
            raise NotFound
        return value.replace(_SLASH, "/")


def install(app: Flask) -> None:
    """Give the application its converter `ident`, and addresses in which slashes are told apart."""
    app.url_map.converters["ident"] = Ident
    app.url_map.merge_slashes = False
    decoded = app.wsgi_app

    def told_apart(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ["PATH_INFO"] = _path(environ)
        return decoded(environ, start_response)

    app.wsgi_app = told_apart  # type: ignore[method-assign]


def _path(environ: dict[str, Any]) -> str:
    """The address as WSGI writes it (each byte a character), with `_SLASH` for slashes that do not separate."""
    given: str = environ["PATH_INFO"]
    raw = str(environ.get("RAW_URI", ""))
    path = (raw if raw.startswith("/") else urlsplit(raw).path).partition("?")[0]
    if unquote_to_bytes(path).decode("latin-1") != environ.get("SCRIPT_NAME", "") + given:
        # A server that keeps no raw address, or something in between that changed it.
        return given.replace(_SLASH, "\xef\xbf\xbd")
    marked = re.sub("%2f", "%00", path.replace("%00", _NO_TEXT), flags=re.IGNORECASE)
    return unquote_to_bytes(marked).decode("latin-1")[len(environ.get("SCRIPT_NAME", "")) :]
