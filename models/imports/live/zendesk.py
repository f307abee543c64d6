"""Zendesk's event messages as rows of its export.

    zen:event-type:ticket.created            a ticket, and where its fields began
    zen:event-type:ticket.status_changed     a row of the field history; priority and group alike
    zen:event-type:ticket.comment_added      a comment, and whether its author works there
    zen:event-type:ticket.soft_deleted       a ticket that is deleted
    zen:event-type:organization.*, user.*    an organization, a user

Every message carries the ticket as it was then (`detail`). Satisfaction ratings and SLA targets are not told by events.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import ContractError
from models.imports.live.rows import Files, member, text

_KINDS = ("ticket", "organization", "user")
#: Field of an event -> how its changes are called, and where the value lies in `detail`.
_FIELDS = {"status_changed": "status", "priority_changed": "priority", "group_assignment_changed": "group_id"}

FILES: dict[str, tuple[str, ...]] = {
    "organization": ("id", "name", "created_at", "updated_at"),
    "user": ("id", "organization_id", "role", "name"),
    "ticket": (
        *("id", "created_at", "organization_id", "priority", "requester_id", "status", "ticket_form_id", "type"),
        *("updated_at", "via_channel", "via_followup_source_id", "submitter_id"),
    ),
    "ticket_field_history": ("field_name", "ticket_id", "updated", "user_id", "value"),
    "ticket_comment": ("id", "created", "public", "ticket_id", "user_id"),
    "ticket_tag": ("tag", "ticket_id"),
}
#: What no event tells: left as the store has it.
NEVER = frozenset({"sla_first_response_minutes", "sla_resolution_minutes"})
#: What rests on everything since the beginning.
SINCE_CREATED = frozenset(
    {"first_response_at", "reopened_at", "reopens", "transfers", "escalated_at", "escalation", "customer_replies"}
)
#: Free text that no mapping reads.
PRIVATE = frozenset(
    {"body", "html_body", "plain_body", "description", "subject", "raw_subject", "name", "email", "notes"}
)


def subject(message: Mapping[str, Any]) -> str:
    """What the message is about, such as `ticket:70`. Raises `ContractError`."""
    kind, _ = _type(message)
    found = text(member(message, "detail", "id"))
    if not found:
        raise ContractError("The message has no detail.id.")
    return f"{kind}:{found}"


def wanted(messages: Sequence[Mapping[str, Any]]) -> set[str]:
    """The subjects besides their own that these messages refer to."""
    ids = [text(member(one, "detail", name)) for one in messages for name in ("requester_id", "submitter_id")]
    ids += [text(member(one, "event", "comment", "author", "id")) for one in messages]
    return {f"user:{one}" for one in ids if one}


def is_whole(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether everything since the beginning is told."""
    return any(_type(one) == ("ticket", "created") for one in messages)


def files(messages: Sequence[Mapping[str, Any]]) -> Files:
    """The rows of the export, by file; messages in any order."""
    found: Files = {}
    ordered = sorted(messages, key=lambda one: text(one.get("time")) or "")
    for message in ordered:
        kind, _ = _type(message)
        if kind == "organization":
            _put(found, "organization", _pick(message, FILES["organization"]))
        elif kind == "user":
            _put(found, "user", {**_pick(message, ("id", "organization_id", "name")), "role": _lower(message, "role")})
    tickets = [one for one in ordered if _type(one)[0] == "ticket"]
    for number in dict.fromkeys(text(member(one, "detail", "id")) for one in tickets):
        _ticket(found, number, [one for one in tickets if text(member(one, "detail", "id")) == number])
    return found


def _ticket(found: Files, number: str | None, told: Sequence[Mapping[str, Any]]) -> None:
    last = told[-1]
    row = _pick(last, ("id", "created_at", "organization_id", "requester_id", "submitter_id", "updated_at"))
    deleted = any(_type(one)[1] in ("soft_deleted", "permanently_deleted") for one in told[-1:])
    row |= {name: _lower(last, name) for name in ("status", "priority", "type")}
    row |= {"ticket_form_id": text(member(last, "detail", "form_id")), "via_channel": _lower(last, "via", "channel")}
    row["via_followup_source_id"] = text(member(last, "detail", "via", "source", "from", "ticket_id"))
    _put(found, "ticket", row | ({"status": "deleted"} if deleted else {}))
    requester = {"id": row["requester_id"], "organization_id": row["organization_id"], "role": "end-user"}
    known = {user["id"]: user for user in found.get("user", [])}
    if row["requester_id"] and row["requester_id"] not in known:
        _put(found, "user", requester)
    for tag in member(last, "detail", "tags") or ():
        _put(found, "ticket_tag", {"tag": text(tag), "ticket_id": number})
    _history(found, number, row["created_at"], told)
    _comments(found, number, row, told)


def _history(found: Files, number: str | None, created: str | None, told: Sequence[Mapping[str, Any]]) -> None:
    begun: set[str] = set()
    for message in told:
        kind = _type(message)[1]
        if kind == "created":
            for name in _FIELDS.values():
                _change(found, number, name, created, _value(member(message, "detail", name)))
                begun.add(name)
        name = _FIELDS.get(kind, "")
        if name:
            if name not in begun:
                _change(found, number, name, created, _value(member(message, "event", "previous")))
                begun.add(name)
            _change(found, number, name, text(message.get("time")), _value(member(message, "event", "current")))


def _change(found: Files, number: str | None, name: str, at: str | None, value: str | None) -> None:
    if value is not None and at is not None:
        row = {"field_name": name, "ticket_id": number, "updated": at, "user_id": None, "value": value}
        _put(found, "ticket_field_history", row)


def _comments(
    found: Files, number: str | None, row: Mapping[str, str | None], told: Sequence[Mapping[str, Any]]
) -> None:
    # The first words of a ticket are its description, which the export has as a comment of who submitted it.
    first = {"id": f"{number}-description", "created": row["created_at"], "public": "true", "ticket_id": number}
    wrote = _pick(told[-1], ("submitter_id",))["submitter_id"] or row["requester_id"]
    comments = [first | {"user_id": wrote}]
    for message in told:
        said = member(message, "event", "comment")
        if _type(message)[1] != "comment_added" or not isinstance(said, Mapping):
            continue
        author = text(member(said, "author", "id"))
        at = text(message.get("time"))
        if at == row["created_at"] and author == wrote:
            continue
        staff = member(said, "author", "is_staff") is True
        if author and not any(user["id"] == author for user in found.get("user", [])):
            _put(found, "user", {"id": author, "role": "agent" if staff else "end-user"})
        public = "true" if said.get("is_public") is True else "false"
        comment = {"id": text(said.get("id")), "created": at, "public": public, "ticket_id": number, "user_id": author}
        comments.append(comment)
    for comment in comments:
        _put(found, "ticket_comment", comment)


def _type(message: Mapping[str, Any]) -> tuple[str, str]:
    """Kind and happening of `zen:event-type:ticket.status_changed`. Raises `ContractError`."""
    name = str(message.get("type", "")).rpartition(":")[2]
    kind, _, happening = name.partition(".")
    if kind not in _KINDS or not happening:
        raise ContractError(f"{str(message.get('type'))[:80]!r} is no event of a ticket, an organization or a user.")
    return kind, happening


def _pick(message: Mapping[str, Any], names: Sequence[str]) -> dict[str, str | None]:
    """Cells out of `detail`; the id of nothing, which events write as 0, is unknown."""
    found = {name: text(member(message, "detail", name)) for name in names}
    return {name: None if name.endswith("_id") and cell == "0" else cell for name, cell in found.items()}


def _lower(message: Mapping[str, Any], *path: str) -> str | None:
    found = text(member(message, "detail", *path))
    return found.lower() if found else None


def _value(given: Any) -> str | None:
    """A field's value; of a group its id."""
    found = text(given.get("id") if isinstance(given, Mapping) else given)
    return found.lower() if found and found != "0" else None


def _put(found: Files, name: str, row: Mapping[str, str | None]) -> None:
    rows = found.setdefault(name, [])
    if name in ("organization", "user"):
        rows[:] = [kept for kept in rows if kept["id"] != row["id"]]
    rows.append(dict.fromkeys(FILES[name]) | dict(row))
