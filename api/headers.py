"""The headers of requests and of answers, as the description has them.

GET of a key         If-None-Match             ETag, Cache-Control, Vary, RateLimit, RateLimit-Policy; Link on pages
a write              Idempotency-Key           Idempotency-Replayed where the answer is kept
one on condition     If-Match, If-None-Match   ETag
refused              -                         WWW-Authenticate (401), Retry-After (429, 5xx)
always                                         X-Request-Id
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.codes import is_retried
from api.idempotency import HEADER, REPLAYED, is_kept

_TAG = "a tag that an earlier answer had as its ETag"


def _text(description: str, *, required: bool = False) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, **({"required": True} if required else {})}


def _seconds(description: str, *, required: bool = False) -> dict[str, Any]:
    return {**_text(description, required=required), "schema": {"type": "integer", "minimum": 0}}


def _header(name: str, description: str, **more: Any) -> dict[str, Any]:
    return {"in": "header", "name": name, "description": description, "schema": {"type": "string", **more}}


IDEMPOTENCY_KEY = _header(
    HEADER, "sent again with the same key, the request is done once and answered the same", minLength=1, maxLength=255
)
IF_NONE_MATCH = _header("If-None-Match", f"{_TAG}: answered 304 without a body while nothing has changed")
CONDITIONS = (
    _header("If-Match", f"{_TAG}: stored only if it still holds, else 412; *: only if there is something"),
    _header("If-None-Match", "*: stored only if there is nothing yet, else 412"),
)

#: Described once; name -> header.
ANSWERED: dict[str, dict[str, Any]] = {
    "X-Request-Id": _text("names this request in our logs; a caller's own X-Request-Id is taken over", required=True),
    "RateLimit-Policy": _text("the key's quota: q requests in w seconds; absent where there is none"),
    "RateLimit": _text("r requests are left, all of them again in t seconds; absent where there is no quota"),
    "WWW-Authenticate": _text("how to send a key", required=True),
    "Cache-Control": _text("private, no-cache: for this caller, and to be asked for again"),
    "Vary": _text("the headers of a request that the answer depends on"),
    "ETag": _text("a tag of this very answer, for If-None-Match; of an account, for If-Match, too"),
    "Link": _text('the next page, rel="next"; absent on the last'),
    "Location": _text("the address of what was made"),
    REPLAYED: _text("`true`: this is the answer that was given the first time; absent then"),
    "Retry-After": _seconds("seconds to wait", required=True),
    "Retry-After-In-Progress": _seconds("seconds to wait; only with idempotency_in_progress"),
    "Content-Disposition": _text("a name for the file; CSV only"),
    "Ebbtide-List-Id": _text("which list it is; CSV only"),
    "Ebbtide-As-Of": _text("of when it is; CSV only"),
    "Ebbtide-Published-At": _text("when it was published or issued; CSV only"),
    "Ebbtide-Model-Id": _text("the model that made its scores; CSV only"),
}
_CSV = ("Content-Disposition", "Ebbtide-List-Id", "Ebbtide-As-Of", "Ebbtide-Published-At", "Ebbtide-Model-Id")


@dataclass(frozen=True)
class Kind:
    """What decides which headers the answers of a route have."""

    read: bool  # a GET whose answer is worth a tag
    keyed: bool  # it needs a key
    once: bool  # it takes an Idempotency-Key
    conditional: bool  # it tells or stores what may be changed on condition
    paged: bool
    csv: bool
    makes: bool  # something with an address of its own


def of_answer(kind: Kind, status: int) -> dict[str, Any]:
    """The headers of an answer."""
    names = ["X-Request-Id"]
    if kind.keyed:
        names += ["WWW-Authenticate"] if status == 401 else ["RateLimit-Policy", "RateLimit"]
    if kind.read:
        names += ["Cache-Control", "Vary"]
    if kind.once and is_kept(status):
        names.append(REPLAYED)
    if is_retried(status):
        names.append("Retry-After")
    found = {name: _reference(name) for name in (*names, *(_of_success(kind, status) if status < 400 else ()))}
    if kind.once and status == 409:
        found["Retry-After"] = _reference("Retry-After-In-Progress")
    return found


def _of_success(kind: Kind, status: int) -> Iterator[str]:
    if kind.conditional or kind.read:
        yield "ETag"
    if kind.paged and status == 200:
        yield "Link"
    if kind.makes and status == 201:
        yield "Location"
    if kind.csv and status == 200:
        yield from _CSV


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}
