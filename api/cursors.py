"""Where a reader had got to, as an opaque text: what a page ends with and the next one begins after."""

import base64
import json
from typing import Any

from api.errors import FieldError, Problem


def write(*parts: str | int) -> str:
    """A cursor for these parts."""
    text = json.dumps(parts, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(cursor: str, *kinds: type) -> list[Any]:
    """The parts of a cursor, each of its kind. Raises `Problem` 422 for anything `write` did not make."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = json.loads(text)
        json.dumps(parts, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, TypeError, RecursionError):
        raise bad("is not one of ours") from None
    if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
        raise bad("is not one of ours")
    return parts


def bad(message: str) -> Problem:
    """The refusal of a cursor."""
    return Problem(422, "invalid_cursor", f"The cursor {message}.", [FieldError("cursor", "invalid_cursor", message)])
