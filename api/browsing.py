"""The description as a page one can read, and try requests on: Swagger UI, kept in `static/` with its licence."""

from importlib.resources import files

from flask import Response

from api.contract import Resource, operation
from api.errors import Problem

resource = Resource("browsing", "The description as a page")

#: File -> where it is kept, and what it is.
FILES = {
    "docs.js": ("static/docs.js", "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": ("static/swagger-ui/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": ("static/swagger-ui/swagger-ui.css", "text/css; charset=utf-8"),
}
_HTML = "text/html; charset=utf-8"
#: Nothing from elsewhere. The library sets styles on elements and draws its icons from data.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ANY = {"type": "string"}


@resource.route("/docs")
@operation(gives={200: (None, "A page that shows this description")}, also={_HTML: _ANY})
def docs() -> Response:
    """Every route with its examples, to read and to try with a key of your own."""
    return _file("static/docs.html", _HTML)


@resource.route("/docs/<name>")
@operation(
    gives={200: (None, "A file of that page")}, refuses=("not_found",), also={kind: _ANY for _, kind in FILES.values()}
)
def docs_file(name: str) -> Response:
    """Scripts and styles of the page."""
    if name not in FILES:
        raise Problem(404, "not_found", f"The page has no file {name!r}.")
    return _file(*FILES[name])


def _file(path: str, kind: str) -> Response:
    response = Response(files("api").joinpath(path).read_bytes(), content_type=kind)
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
