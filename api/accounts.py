"""Accounts in, one or a batch; and one out again."""

from dataclasses import asdict
from datetime import datetime

import polars as pl
from flask import Response, request

from api import schemas
from api.auth import needs, the_book
from api.batches import MOST_ITEMS, STATUSES, field_errors, write
from api.bodies import answer, invalid, json_body
from api.contract import Resource, operation
from api.errors import FieldError
from api.service import the_service
from api.streams import post_rows
from models.accounts import ACCOUNTS
from models.clock import isoformat
from models.store.accounts import Condition

resource = Resource("accounts", "Accounts")


@resource.route("/v1/accounts/<ident:account_id>", methods=["PUT"])
@needs("write", conditional=True)
@operation(
    gives={200: (schemas.AccountAnswer, "Known before"), 201: (schemas.AccountAnswer, "New")},
    takes=schemas.AccountBody,
    scope="write",
    conditional=True,
)
def put_account(account_id: str) -> Response:
    """Store an account as described; what the body leaves out is unknown from now on.

    With `If-Match`, the tag of the account as it was read, it is stored only if nobody has changed it since (412
    otherwise); with `If-None-Match: *` only if it is new.
    """
    body = json_body()
    if body.get("account_id", account_id) != account_id:
        error = FieldError("/account_id", "invalid", "is not the id in the address")
        raise invalid("The body names another account than the address.", error)
    service = the_service()
    tags: list[str | None] = []

    def upsert(row: pl.DataFrame) -> pl.Series:
        outcomes, tag = service.store.put_account(row, _condition(), the_book())
        tags.append(tag)
        return outcomes

    written = write(service, ACCOUNTS, [{**body, "account_id": account_id}], upsert)
    outcome = written.outcomes[0]
    if outcome is None:
        raise invalid("The account does not fit the contract; see errors.", *field_errors(written.faults[0], ""))
    status, note = STATUSES[outcome]
    service.metrics.rows.labels(ACCOUNTS.name, status).inc()
    line = {"id": account_id, "status": status, **({"note": note} if note else {})}
    told = {**line, **asdict(written.scores), "unknown_fields": written.unknown}
    return _tagged(answer(told, 201 if status == "created" else 200), tags[0])


@resource.route("/v1/accounts/<ident:account_id>")
@needs("read")
@operation(gives={200: (schemas.Account, "The account as it is stored")}, scope="read", conditional=True)
def get_account(account_id: str) -> Response:
    """An account as it was described last, with a tag for `If-Match`."""
    row, tag = the_service().store.account(account_id, the_book())
    plain = {name: isoformat(value) if isinstance(value, datetime) else value for name, value in row.items()}
    return _tagged(answer(plain), tag)


def _condition() -> Condition | None:
    """What the request's If-Match and If-None-Match ask of the stored account; None: nothing."""
    if "If-Match" not in request.headers and "If-None-Match" not in request.headers:
        return None
    wanted, unwanted = request.if_match, request.if_none_match

    def holds(tag: str | None) -> bool:
        if tag is None:
            return "If-Match" not in request.headers
        fits = "If-Match" not in request.headers or wanted.star_tag or wanted.contains(tag)
        return fits and not (unwanted.star_tag or unwanted.contains_weak(tag))

    return holds


def _tagged(response: Response, tag: str | None) -> Response:
    if tag is not None:
        response.set_etag(tag)
    return response


@resource.route("/v1/accounts", methods=["POST"])
@needs("write", restricted="narrowed")
@operation(
    gives={
        200: (schemas.BatchAnswer, "Every item was accepted"),
        207: (schemas.BatchAnswer, "Some items were rejected; the others are stored"),
    },
    takes=schemas.batch_of(schemas.Account, MOST_ITEMS, "AccountBatch"),
    streams=schemas.Account,
    scope="write",
)
def post_accounts() -> Response:
    """Store up to 10,000 accounts; sending them again changes nothing.

    As application/x-ndjson, a line each, as many as one likes; answered line by line.
    """
    return post_rows(the_service(), ACCOUNTS)
