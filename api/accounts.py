"""Accounts in: one, or a batch."""

from dataclasses import asdict

from flask import Response

from api import schemas
from api.auth import needs
from api.batches import MOST_ITEMS, STATUSES, field_errors, write
from api.bodies import answer, invalid, json_body
from api.contract import Resource, operation
from api.errors import FieldError
from api.service import the_service
from api.streams import post_rows
from models.accounts import ACCOUNTS

resource = Resource("accounts", "Accounts")


@resource.route("/v1/accounts/<ident:account_id>", methods=["PUT"])
@needs("write")
@operation(
    gives={200: (schemas.AccountAnswer, "Known before"), 201: (schemas.AccountAnswer, "New")},
    refuses=(404,),
    takes=schemas.AccountBody,
    scope="write",
)
def put_account(account_id: str) -> Response:
    """Store an account as described; what the body leaves out is unknown from now on."""
    body = json_body()
    if body.get("account_id", account_id) != account_id:
        error = FieldError("/account_id", "invalid", "is not the id in the address")
        raise invalid("The body names another account than the address.", error)
    service = the_service()
    written = write(service, ACCOUNTS, [{**body, "account_id": account_id}])
    outcome = written.outcomes[0]
    if outcome is None:
        raise invalid("The account does not fit the contract; see errors.", *field_errors(written.faults[0], ""))
    status, note = STATUSES[outcome]
    service.metrics.rows.labels(ACCOUNTS.name, status).inc()
    line = {"id": account_id, "status": status, **({"note": note} if note else {})}
    return answer(
        {**line, **asdict(written.scores), "unknown_fields": written.unknown}, 201 if status == "created" else 200
    )


@resource.route("/v1/accounts", methods=["POST"])
@needs("write", restricted="narrowed")
@operation(
    gives={
        200: (schemas.BatchAnswer, "Every item was accepted"),
        207: (schemas.BatchAnswer, "Some items were rejected; the others are stored"),
    },
    takes=schemas.batch_of(schemas.Account, MOST_ITEMS, "AccountBatch"),
    streams=True,
    scope="write",
)
def post_accounts() -> Response:
    """Store up to 10,000 accounts; sending them again changes nothing.

    As application/x-ndjson, a line each, as many as one likes; answered line by line.
    """
    return post_rows(the_service(), ACCOUNTS)
