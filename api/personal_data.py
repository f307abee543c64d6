"""Personal data: given out, and erased with a receipt."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from flask import Response

from api import cursors
from api import personal_schemas as schemas
from api.auth import by, needs
from api.bodies import answer, linked, page_size, query
from api.contract import Resource, operation
from api.errors import Problem
from api.service import Service, the_service
from models import registry
from models.clock import isoformat, parse_instant
from models.errors import UnknownAccount
from models.store import erasure
from models.store.erased import Kind
from models.store.given_out import Place, page

resource = Resource("personal-data", "Personal data: given out, and erased")

LIMIT, MOST = 1000, 10_000

#: What an erasure here cannot reach.
NOT_ERASED = (
    "Backups of the database, until they are rotated; and what PostgreSQL keeps of deleted rows in its files until it "
    "uses their space again.",
    "Lists, exports and reports that were downloaded, and webhooks that were delivered: their receivers have them.",
    "The systems the rows came from.",
    "The audit log, which only grows: who changed what of an account names its id.",
)
_ACCOUNT = "/v1/accounts/<ident:account_id>"
_CONTACT = "/v1/contacts/<ident:contact_id>"


@resource.route(f"{_ACCOUNT}/personal-data", methods=["GET"])
@needs("admin")
@operation(
    gives={200: (schemas.PersonalData, "A page of everything stored about the account")},
    refuses=("unknown_account", "invalid_cursor"),
    query=schemas.PersonalDataQuery,
    scope="admin",
)
def get_account_data(account_id: str) -> Response:
    """Everything stored about an account, row by row: facts as they were told, scores with the features they came from,
    entries on lists."""
    return _page("account", account_id)


@resource.route(f"{_CONTACT}/personal-data", methods=["GET"])
@needs("admin")
@operation(
    gives={200: (schemas.PersonalData, "A page of everything stored under the person's id")},
    refuses=("unknown_contact", "invalid_cursor"),
    query=schemas.PersonalDataQuery,
    scope="admin",
)
def get_contact_data(contact_id: str) -> Response:
    """Everything stored under the id of a contact person: contacts and surveys, comments included."""
    return _page("contact", contact_id)


@resource.route(f"{_ACCOUNT}/personal-data", methods=["DELETE"])
@needs("admin")
@operation(gives={200: (schemas.ErasureReceipt, "What was erased")}, refuses=("unknown_account",), scope="admin")
def delete_account_data(account_id: str) -> Response:
    """Erase an account: its rows, scores, features and history; on lists a pseudonym takes its place. It is kept out
    from now on, until `DELETE .../erasure`."""
    return _erased("account", account_id)


@resource.route(f"{_CONTACT}/personal-data", methods=["DELETE"])
@needs("admin")
@operation(gives={200: (schemas.ErasureReceipt, "What was erased")}, refuses=("unknown_contact",), scope="admin")
def delete_contact_data(contact_id: str) -> Response:
    """Erase a contact person: contacts and surveys stay with their account, without the person and without comments."""
    return _erased("contact", contact_id)


@resource.route(f"{_ACCOUNT}/erasure", methods=["DELETE"])
@needs("admin")
@operation(gives={200: (schemas.Readmission, "It may come back")}, refuses=("not_erased",), scope="admin")
def delete_account_erasure(account_id: str) -> Response:
    """Let an erased account in again from now on. Nothing of it is brought back."""
    return _readmitted("account", account_id)


@resource.route(f"{_CONTACT}/erasure", methods=["DELETE"])
@needs("admin")
@operation(gives={200: (schemas.Readmission, "It may come back")}, refuses=("not_erased",), scope="admin")
def delete_contact_erasure(contact_id: str) -> Response:
    """Let an erased person in again from now on. Nothing of him is brought back."""
    return _readmitted("contact", contact_id)


def _page(kind: Kind, ident: str) -> Response:
    asked = query("limit", "cursor")
    limit = page_size(asked, LIMIT, MOST)
    after = _after(asked)
    try:
        rows, last = page(the_service().store.engine, kind, ident, after, limit)
    except ValueError:
        raise cursors.bad("is not one of ours") from None
    if not rows and after is None:
        raise _unknown(kind, ident)
    cursor = None if last is None else cursors.write(last[0], json.dumps(last[1]))
    following = f"/v1/{kind}s/{quote(ident, safe='')}/personal-data?{urlencode({'limit': limit, 'cursor': cursor})}"
    body = {
        "kind": kind,
        "id": ident,
        "entries": [{"table": row["table"], "row": _plain(row["row"])} for row in rows],
        "next_cursor": cursor,
        "next": following if cursor else None,
    }
    return linked(answer(body), following if cursor else None)


def _after(asked: Mapping[str, str]) -> Place | None:
    """The row behind which to go on."""
    if "cursor" not in asked:
        return None
    table, text = cursors.read(asked["cursor"], str, str)
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, list):
        raise cursors.bad("is not one of ours")
    return table, key


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: isoformat(value) if isinstance(value, datetime) else value for name, value in row.items()}


def _erased(kind: Kind, ident: str) -> Response:
    service, maker = the_service(), by()
    with service.store.connection() as conn:
        held = erasure.holds(conn, kind, ident)
    if not held:
        raise _unknown(kind, ident)
    receipt = erasure.erase(service.store.engine, kind, ident, maker)
    body = {
        "erasure_id": receipt.erasure_id,
        "kind": kind,
        "pseudonym": receipt.pseudonym,
        "erased_at": isoformat(receipt.erased_at),
        "erased_by": maker.actor,
        "tables": [asdict(table) for table in receipt.tables],
        "scored_by": list(receipt.scored_by),
        "models": _models(service, receipt.first_known),
        "not_erased": list(NOT_ERASED),
    }
    return answer(body)


def _models(service: Service, first_known: datetime | None) -> list[dict[str, Any]]:
    """What can be known of the stored models having learnt from the rows."""
    return [_seen(listed, first_known) for listed in registry.list_artefacts(service.settings.artifacts)]


def _seen(listed: registry.Listed, first_known: datetime | None) -> dict[str, Any]:
    manifest = listed.manifest
    if manifest is None:
        seen, why = "unknown", "its manifest cannot be read"
    elif manifest.data_range is None:
        seen, why = "no", "it was made without a history"
    elif first_known is None:
        seen, why = "unknown", "nothing stored says since when it was known here"
    elif first_known > parse_instant(manifest.data_range[1]):
        seen, why = "no", "its data end before anything of it was known here"
    else:
        seen, why = (
            "possibly",
            "its data reach into the time; a manifest keeps their range and hash, not who was in them",
        )
    return {"model_id": listed.model_id, "seen": seen, "why": why}


def _readmitted(kind: Kind, ident: str) -> Response:
    service = the_service()
    maker = by()
    if not erasure.readmit(service.store.engine, kind, ident, maker):
        raise Problem(404, "not_erased", f"No {kind} {ident!r} is kept out.")
    return answer({"kind": kind, "id": ident, "readmitted_at": isoformat(maker.at)})


def _unknown(kind: Kind, ident: str) -> Exception:
    if kind == "account":
        return UnknownAccount(f"There is no account {ident!r}.")
    return Problem(404, "unknown_contact", f"Nothing is stored about a contact {ident!r}.")
