"""The silent list: who is about to leave without a word, in the order to call them.

A list is frozen when it is published. A cursor names the list it began in, so pages fit together however many
lists are published meanwhile; it also carries a digest of the filters, because a page of another question would
fit nothing.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from flask import Response, request

from api import cursors
from api import score_schemas as schemas
from api.auth import needs, the_book
from api.bodies import JSON, chosen_fields, encode, linked, query, whole_number, with_member
from api.contract import Resource, operation
from api.csv_lines import CSV, HEADER, csv_line
from api.errors import FieldError, Problem
from api.opinions import override_line
from api.payloads import loss, trend
from api.published import Lists, Page
from api.service import Service, the_service
from models.clock import isoformat
from models.errors import UnknownList
from models.health import BANDS
from models.lists import KIND
from models.store.access import Store
from models.store.books import EVERYBODY, Book
from models.store.issued import KIND as ISSUED
from models.store.lists import Filters, RiskList, unknown

resource = Resource("risk-lists", "Risk lists")

PATH = "/v1/risk-lists/silent"

LIMIT, MOST = 50, 500
#: Entries read at a time where the whole list is sent.
_CSV_PAGE = 2_000
#: What a caller ranks by -> the store's column.
RANKS = {"expected_loss": "rank_by_loss", "probability": "rank_by_probability"}
TEXTS = ("owner", "segment", "region", "band")
KNOWN = (*TEXTS, "min_mrr", "rank_by", "limit", "cursor", "fields")
MEMBERS = tuple(schemas.Entry().fields)
_LONGEST = 512
LARGEST = 2**62


@dataclass(frozen=True)
class Question:
    """What part of which list is wanted, and the accounts the caller may know of; `limit` None: all of it."""

    filters: Filters
    rank_by: str
    limit: int | None
    cursor: str | None
    fields: frozenset[str] | None = None
    book: Book = EVERYBODY

    @property
    def digest(self) -> str:
        """The same for the same filters, ranking and book."""
        book = [vars(self.book)] if self.book.restricted else []
        asked = json.dumps([vars(self.filters), self.rank_by, *book], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Position:
    """A list, and the rank after which to go on."""

    found: RiskList
    after: int


@resource.route(PATH)
@needs("read", restricted="narrowed")
@operation(
    gives={
        200: (
            {"anyOf": [schemas.ListPage, schemas.ListPagePart]},
            "A page of the list, or as text/csv all that is left of it",
        )
    },
    refuses=("no_list_yet", "not_acceptable", "list_expired", "invalid_cursor"),
    query=schemas.ListQuery,
    scope="read",
    also={CSV: {"type": "string"}},
)
def get_silent_list() -> Response:
    """The current silent list, page by page or as CSV.

    `next` is the address of the following page, null on the last one. Send `Accept: text/csv` for a spreadsheet:
    without `limit` it holds the whole list, filtered and ranked as asked.
    """
    service = the_service()
    as_csv = wants_csv(request.headers.get("Accept", ""))
    question = read_question(query(), whole=as_csv)
    position = position_of(service.lists, question)
    return csv_of(service, question, position) if as_csv else page_of(service, question, position, PATH)


def wants_csv(accept: str) -> bool:
    """What the caller takes. Raises `Problem` 406 where it is neither."""
    if accept in ("", "*/*", JSON):
        return False
    best = request.accept_mimetypes.best_match([JSON, CSV, *(f"{kind}; charset=utf-8" for kind in (JSON, CSV))])
    if best is None:
        raise Problem(406, "not_acceptable", f"This address answers in {JSON} or {CSV}.")
    return best.startswith(CSV)


def read_question(args: Mapping[str, str], *, whole: bool = False) -> Question:
    """The query parameters understood. Raises `Problem` 422 naming each that is not."""
    errors: list[FieldError] = []

    def refuse(name: str, message: str) -> None:
        errors.append(FieldError(name, "invalid", message))

    for name in args:
        if name not in KNOWN:
            errors.append(FieldError(name, "unknown_parameter", f"is not known here; known are {', '.join(KNOWN)}"))
    texts = {name: args.get(name) for name in TEXTS}
    for name, text in texts.items():
        if text is not None and ("\0" in text or len(text) > _LONGEST):
            refuse(name, f"must be text of at most {_LONGEST} characters")
    if texts["band"] is not None and texts["band"] not in BANDS:
        refuse("band", f"is one of {', '.join(BANDS)}")
    least = _number(args, "min_mrr", refuse)
    rank_by = args.get("rank_by", "expected_loss")
    if rank_by not in RANKS:
        refuse("rank_by", f"is one of {', '.join(RANKS)}")
    limit = _limit(args, refuse, whole=whole)
    if whole and "fields" in args:
        refuse("fields", "is for JSON; a CSV file has all columns")
    if errors:
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", errors)
    fields = chosen_fields(args.get("fields"), MEMBERS)
    return Question(Filters(**texts, min_mrr=least), rank_by, limit, args.get("cursor"), fields, the_book())


def _number(args: Mapping[str, str], name: str, refuse: Any) -> float | None:
    text = args.get(name)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        refuse(name, "must be a number from 0")
        return None
    return value


def _limit(args: Mapping[str, str], refuse: Any, *, whole: bool) -> int | None:
    text = args.get("limit")
    if text is None:
        return None if whole else LIMIT
    limit = whole_number(text, 10**9 if whole else MOST)
    if limit is None:
        refuse("limit", f"must be a whole number from 1{'' if whole else f' to {MOST}'}")
    return limit


def page_of(service: Service, question: Question, position: Position, path: str) -> Response:
    """A page of a list as JSON; `path`: the address of its first one."""
    if question.book.restricted:
        # Who is in a book changes while the list does not, so its pages are not kept.
        fresh = _write(service, question, position, path)
        return linked(Response(fresh.content, content_type=JSON), fresh.following)
    asked = (
        *(position.found.list_id, question.rank_by, question.filters, position.after, question.limit),
        *(question.fields, path, service.overrides.version(), service.lists.last_erasure),
    )
    page = service.lists.pages.get(asked)
    if page is None:
        page = _write(service, question, position, path)
        service.lists.pages.put(asked, page)
    return linked(Response(page.content, content_type=JSON), page.following)


def _write(service: Service, question: Question, position: Position, path: str) -> Page:
    assert question.limit is not None
    store, rank = service.store, RANKS[question.rank_by]
    rows = store.page(position.found.list_id, rank, question.filters, position.after, question.limit + 1, question.book)
    more = len(rows) > question.limit
    rows = overridden(service, rows[: question.limit])
    cursor = cursors.write(position.found.list_id, rows[-1][rank], question.digest) if more else None
    following = _next(question, cursor, path)
    head = {
        "list": _told(store, position.found, question.book),
        "rank_by": question.rank_by,
        "filters": vars(question.filters),
        "next_cursor": cursor,
        "next": following,
    }
    entries = f"[{','.join(entry(row, rank, question.fields) for row in rows)}]"
    return Page(with_member(encode(head), "entries", entries).encode(), following)


def overridden(service: Service, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a list, each with the `override` that holds for its account now (None: none)."""
    held = service.store.overrides_of([row["account_id"] for row in rows], service.clock())
    return [row | {"override": held.get(row["account_id"])} for row in rows]


def _told(store: Store, found: RiskList, book: Book) -> dict[str, Any]:
    """Which list it is; to a restricted caller as if it held his accounts alone, out of nobody knows how many. What was
    asked for when a list of his was issued says nothing of others."""
    if not book.restricted:
        return list_line(found)
    asked = found.parameters if found.kind == ISSUED else {}
    return list_line(replace(found, entries=store.listed(found.list_id, book), population={}, parameters=asked))


def list_line(found: RiskList) -> dict[str, Any]:
    """Which list it is."""
    return {
        "list_id": found.list_id,
        "kind": found.kind,
        "as_of": isoformat(found.as_of),
        "published_at": isoformat(found.created_at),
        "model_id": found.model_id,
        "entries": found.entries,
        "population": found.population,
        "contacts_quiet_since": found.parameters.get("contacts_quiet_since"),
        **({"parameters": found.parameters} if found.kind == ISSUED else {}),
    }


_NAMES = ("account_id", "name", "owner", "segment", "region", "mrr", "currency", "p_silent", "p_churn")


def entry(row: Mapping[str, Any], rank: str, fields: frozenset[str] | None = None) -> str:
    """An entry of a list as JSON; one of an issued list says its place, too."""
    line: dict[str, Any] = {
        "rank": row[rank],
        **{name: row[name] for name in _NAMES},
        "expected_revenue_loss": loss(row["expected_revenue_loss"], row["currency"]),
        "health": row["health"],
        "band": row["band"],
        "trend": trend(row),
        "confidence": row["confidence"],
        "override": override_line(row["override"]),
    }
    if row["place"] is not None:
        line["place"] = row["place"]
    # The reasons are JSON already, so they are put in their place as they are.
    reasons = row["reasons"] or "[]"
    if fields is None:
        return with_member(encode(line), "reasons", reasons)
    line = {name: value for name, value in line.items() if name in fields}
    if "reasons" not in fields:
        return encode(line)
    return with_member(encode(line), "reasons", reasons) if line else f'{{"reasons":{reasons}}}'


def csv_of(service: Service, question: Question, position: Position) -> Response:
    """A list as CSV, all that is left of it or as much as was asked for."""
    found = position.found
    headers = {
        "Ebbtide-List-Id": str(found.list_id),
        "Ebbtide-As-Of": isoformat(found.as_of),
        "Ebbtide-Published-At": isoformat(found.created_at),
        "Ebbtide-Model-Id": found.model_id,
        "Content-Disposition": f'attachment; filename="{found.kind}-list-{found.list_id}.csv"',
    }
    lines = _csv_lines(service, question, position)
    return Response(lines, content_type=f"{CSV}; charset=utf-8", headers=headers)


def _csv_lines(service: Service, question: Question, position: Position) -> Iterator[str]:
    """Header and entries. Read page by page, so that a slow reader holds neither memory nor the database."""
    yield HEADER
    rank, after, left = RANKS[question.rank_by], position.after, question.limit
    while left is None or left > 0:
        wanted = _CSV_PAGE if left is None else min(left, _CSV_PAGE)
        # Raises once the list is no longer kept: a broken transfer is seen, a short file is not.
        rows = service.store.page_of_kept(position.found.list_id, rank, question.filters, after, wanted, question.book)
        yield "".join(csv_line(row, rank) for row in overridden(service, rows))
        if len(rows) < wanted:
            return
        after, left = rows[-1][rank], None if left is None else left - len(rows)


def position_of(lists: Lists, question: Question) -> Position:
    """Where to read. Raises `Problem`: 404 before the first list, 410 for one no longer kept, 422 for a bad cursor."""
    if question.cursor is None:
        try:
            return Position(lists.current(KIND), 0)
        except UnknownList as error:
            raise Problem(404, "no_list_yet", str(error)) from None
    list_id, after, digest = read_cursor(question.cursor)
    if digest != question.digest:
        raise cursors.bad("belongs to other filters; repeat those of its first page, or follow `next`")
    try:
        found = lists.kept(list_id)
        if found.kind != KIND:
            # Anybody can write a cursor. Issued lists have an address of their own, which asks whose they are.
            raise unknown(list_id)
    except UnknownList as error:
        raise Problem(410, "list_expired", str(error)) from None
    return Position(found, after)


def read_cursor(cursor: str) -> tuple[int, int, str]:
    """The list, the rank and the digest a cursor names. Raises `Problem` 422."""
    list_id, after, digest = cursors.read(cursor, int, int, str)
    if not (0 <= list_id < LARGEST and 0 <= after < LARGEST):
        raise cursors.bad("is not one of ours")
    return list_id, after, digest


def _next(question: Question, cursor: str | None, path: str) -> str | None:
    if cursor is None:
        return None
    asked = {name: value for name, value in vars(question.filters).items() if value is not None}
    query = asked | {"rank_by": question.rank_by, "limit": question.limit, "cursor": cursor}
    if question.fields is not None:
        query["fields"] = ",".join(name for name in MEMBERS if name in question.fields)
    return f"{path}?{urlencode(query)}"
