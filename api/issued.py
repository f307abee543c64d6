"""Issued lists: the accounts that fit a team's week, frozen with what they were picked from and what changed since.

Issuing is a POST, since it keeps something: a GET that did would leave receipts for every prefetch and retry.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl
from flask import Response, request

from api import list_schemas as schemas
from api import score_schemas
from api.auth import needs, the_book, the_key
from api.bodies import answer, answer_text, encode, invalid, json_body, query, refuse_unknown, with_member
from api.contract import Resource, operation
from api.csv_lines import CSV
from api.errors import FieldError, Problem
from api.list_changes import changes_since
from api.risk_lists import (
    LARGEST,
    RANKS,
    TEXTS,
    Position,
    csv_of,
    entry,
    list_line,
    overridden,
    page_of,
    read_cursor,
    read_question,
    wants_csv,
)
from api.service import Service, the_service
from models.errors import UnknownList
from models.health import BANDS
from models.picking import usual_buffer
from models.store.issued import MOST, NotComparable, Order, Pick, plain, readable
from models.store.lists import Filters, unknown

resource = Resource("issued-lists", "Issued lists")

MEMBERS = ("capacity", "since", "buffer", "handled_within_days", "rank_by", *TEXTS, "min_mrr")
#: Days within which somebody turned to an account, unless the request says otherwise; and the most.
HANDLED, LONGEST = 28, 365
_TEXT = 512


@resource.route("/v1/risk-lists", methods=["POST"])
@needs("read", restricted="narrowed")
@operation(
    gives={201: (schemas.IssuedList, "The list, frozen")},
    refuses=("no_list_yet", "model_unavailable"),
    makes=True,
    takes=schemas.IssueRequest,
    scope="read",
)
def post_risk_list() -> Response:
    """Issue a list: the accounts of the current silent list that fit the team's week.

    `capacity` accounts by expected loss, without those somebody turned to lately. With `since` (the list issued before)
    accounts near the edge do not flicker in and out, and `changes` says who is new, who left and who stayed, and why.
    """
    service = the_service()
    order = _order(json_body())
    now = service.clock()
    try:
        chosen = service.store.choose(order, now)
    except NotComparable as error:
        wrong = FieldError("/since", "unknown_list", str(error))
        raise invalid("The list of `since` cannot be compared.", wrong) from None
    except UnknownList as error:
        raise Problem(404, "no_list_yet", str(error)) from None
    told = changes_since(service, chosen) if chosen.before is not None else None
    list_id = service.store.freeze(
        chosen, population=_population(chosen), parameters=_parameters(chosen, service), changes=told, created_at=now
    )
    return _issued(service, list_id, chosen, told)


def _order(body: Mapping[str, Any]) -> Order:
    """What is asked for. Raises `Problem` 422 naming each member that does not fit."""
    refuse_unknown(dict(body), MEMBERS)
    errors: list[FieldError] = []
    whole = _Whole(body, errors)
    capacity = whole("capacity", 1, MOST, None)
    most = MOST - 1 if capacity is None else capacity - 1
    buffer = whole("buffer", 0, most, None if capacity is None else usual_buffer(capacity))
    days = whole("handled_within_days", 0, LONGEST, HANDLED)
    since = whole("since", 1, LARGEST, None, absent=True)
    if capacity is None and "capacity" not in body:
        errors.append(FieldError("/capacity", "required", "is required: how many accounts fit the week"))
    rank_by = body.get("rank_by", "expected_loss")
    if not isinstance(rank_by, str) or rank_by not in RANKS:
        errors.append(FieldError("/rank_by", "invalid", f"is one of {', '.join(RANKS)}"))
    filters = _filters(body, errors)
    if errors or capacity is None or buffer is None or days is None:
        raise invalid("The body does not fit; see errors.", *errors)
    return Order(capacity, buffer, RANKS[rank_by], filters, days, since, the_book())


class _Whole:
    """Reads whole numbers of a body."""

    def __init__(self, body: Mapping[str, Any], errors: list[FieldError]) -> None:
        self._body, self._errors = body, errors

    def __call__(self, name: str, least: int, most: int, usual: int | None, *, absent: bool = False) -> int | None:
        """The number, `usual` where it is not given; None where it is wrong. `absent`: it may be null, too."""
        value = self._body.get(name, usual)
        if value is None and (absent or name not in self._body):
            return None
        if type(value) is int and least <= value <= most:
            return value
        self._errors.append(FieldError(f"/{name}", "invalid", f"must be a whole number from {least} to {most}"))
        return None


def _filters(body: Mapping[str, Any], errors: list[FieldError]) -> Filters:
    texts: dict[str, Any] = {name: body.get(name) for name in TEXTS}
    for name, text in texts.items():
        if text is not None and not (type(text) is str and "\0" not in text and len(text) <= _TEXT):
            errors.append(FieldError(f"/{name}", "invalid", f"must be text of at most {_TEXT} characters"))
    if type(texts["band"]) is str and texts["band"] not in BANDS:
        errors.append(FieldError("/band", "invalid", f"is one of {', '.join(BANDS)}"))
    least = body.get("min_mrr")
    if least is not None and not (type(least) in (int, float) and 0 <= least < 1e300):
        errors.append(FieldError("/min_mrr", "invalid", "must be a number from 0"))
        least = None
    return Filters(**texts, min_mrr=least)


def _population(chosen: Pick) -> dict[str, Any]:
    """What the list was picked from, and what is at stake on it."""
    known = chosen.entries.drop_nulls("expected_revenue_loss")
    losses = known.group_by("currency").agg(amount=pl.col("expected_revenue_loss").sum()).sort("currency")
    return {
        "pool": len(chosen.pool),
        "handled": len(chosen.handled),
        "expected_revenue_loss": losses.to_dicts(),
        "revenue_unknown": int(chosen.entries["expected_revenue_loss"].null_count()),
        "expected_silent_exits": float(chosen.entries["p_silent"].sum()),
    }


def _parameters(chosen: Pick, service: Service) -> dict[str, Any]:
    order = chosen.order
    served = service.serving.by_id(chosen.source.model_id)
    label = service.serving.label() if served is None else served.model.label
    return {
        "capacity": order.capacity,
        "buffer": order.buffer,
        "handled_within_days": order.handled_days,
        "rank_by": next(name for name, column in RANKS.items() if column == order.rank_by),
        "filters": asdict(order.filters),
        "since": order.since,
        "source_list_id": chosen.source.list_id,
        "key_id": the_key().key_id,
        "book": plain(order.book),
        "label": asdict(label),
        **_quiet(chosen),
    }


def _quiet(chosen: Pick) -> dict[str, Any]:
    """What the published list says of a quiet feed, to those who may know of everybody's."""
    name = "contacts_quiet_since"
    said = chosen.source.parameters
    return {name: said[name]} if name in said and not chosen.order.book.restricted else {}


def _issued(service: Service, list_id: int, chosen: Pick, told: dict[str, Any] | None) -> Response:
    found = service.store.kept_list(list_id)
    rank = chosen.order.rank_by
    rows = overridden(service, service.store.page(list_id, rank, Filters(), 0, MOST))
    text = encode({"list": list_line(found), "changes": told})
    entries = f"[{','.join(entry(row, rank) for row in rows)}]"
    response = answer_text(with_member(text, "entries", entries), 201)
    response.headers["Location"] = f"/v1/risk-lists/{list_id}"
    return response


@resource.route("/v1/risk-lists/<int:list_id>")
@needs("read", restricted="narrowed")
@operation(
    gives={
        200: (
            {"anyOf": [schemas.KeptListPage, schemas.KeptListPagePart]},
            "A page of the list as it was issued, or as text/csv all that is left of it",
        )
    },
    refuses=("unknown_list", "not_acceptable", "invalid_cursor"),
    query=score_schemas.ListQuery,
    scope="read",
    also={CSV: {"type": "string"}},
)
def get_risk_list(list_id: int) -> Response:
    """A list as it was issued or published, page by page or as CSV; parameters as for the silent list.

    Issued lists are kept for good; of published ones, the last few.
    """
    service = the_service()
    as_csv = wants_csv(request.headers.get("Accept", ""))
    question = read_question(query(), whole=as_csv)
    found = readable(service.lists.kept(checked(list_id)), the_book())
    after = 0
    if question.cursor is not None:
        of, after, digest = read_cursor(question.cursor)
        if (of, digest) != (list_id, question.digest):
            raise Problem(
                422,
                "invalid_cursor",
                "The cursor belongs to another list or other filters.",
                [FieldError("cursor", "invalid_cursor", "belongs to another list or other filters")],
            )
    position = Position(found, after)
    path = f"/v1/risk-lists/{list_id}"
    return csv_of(service, question, position) if as_csv else page_of(service, question, position, path)


@resource.route("/v1/risk-lists/<int:list_id>/changes")
@needs("read", restricted="narrowed")
@operation(
    gives={200: (schemas.ListChangesAnswer, "Who was new, who had left, who stayed, and why")},
    refuses=("unknown_list",),
    scope="read",
)
def get_list_changes(list_id: int) -> Response:
    """What had changed since the list of `since` when this one was issued; null where it was issued without one."""
    service = the_service()
    return answer({"list_id": list_id, "changes": service.store.changes_of_list(checked(list_id), the_book())})


def checked(list_id: int) -> int:
    """A number that can be a list's. Raises `UnknownList`."""
    if list_id >= LARGEST:
        raise unknown(list_id)
    return list_id
