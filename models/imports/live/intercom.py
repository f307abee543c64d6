"""Intercom's notifications as rows of its export.

conversation.*     the conversation as it was then, with the parts that are new; told together they are all parts
contact.*          whose companies a contact belongs to
company.*          a company
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from models.clock import isoformat
from models.errors import ContractError
from models.imports.live.rows import SAID, Files, member, text

_KINDS = ("conversation", "contact", "company")

FILES: dict[str, tuple[str, ...]] = {
    "company_history": (
        *("id", "updated_at", "created_at", "remote_created_at", "monthly_spend", "plan_name", "name"),
    ),
    "contact_company_history": ("company_id", "contact_id", "contact_updated_at"),
    "conversation_contact_history": ("contact_id", "conversation_id", "conversation_updated_at"),
    "conversation_history": (
        *("id", "updated_at", "conversation_rating_created_at", "conversation_rating_value", "created_at", "priority"),
        *("source_delivered_as", "source_type", "source_author_id", "source_author_type", "state"),
    ),
    "conversation_part_history": (
        *("id", "assigned_to_id", "author_id", "author_type", "conversation_id", "created_at", "part_type", "body"),
    ),
}
NEVER: frozenset[str] = frozenset()
SINCE_CREATED = frozenset(
    {"first_response_at", "reopened_at", "reopens", "transfers", "escalated_at", "escalation", "customer_replies"}
)
PRIVATE = frozenset({"body", "subject", "remark", "name", "email", "phone", "title"})
#: Topics that begin a conversation.
_BEGINNINGS = ("conversation.user.created", "conversation.admin.single.created", "conversation.contact.created")


def subject(message: Mapping[str, Any]) -> str:
    """What the notification is about, such as `conversation:10`. Raises `ContractError`."""
    kind, item = _item(message)
    found = text(item.get("id"))
    if not found:
        raise ContractError("The notification has no data.item.id.")
    return f"{kind}:{found}"


def wanted(messages: Sequence[Mapping[str, Any]]) -> set[str]:
    """The subjects besides their own that these notifications refer to."""
    return {f"contact:{contact}" for one in messages for contact in _contacts(_item(one)[1])}


def is_whole(messages: Sequence[Mapping[str, Any]]) -> bool:
    """Whether everything since the beginning is told."""
    return any(one.get("topic") in _BEGINNINGS for one in messages)


def files(messages: Sequence[Mapping[str, Any]]) -> Files:
    """The rows of the export, by file; notifications in any order."""
    found: Files = {}
    for message in sorted(messages, key=lambda one: _number(one.get("created_at"))):
        kind, item = _item(message)
        {"conversation": _conversation, "contact": _contact, "company": _company}[kind](found, item)
    return found


def _conversation(found: Files, item: Mapping[str, Any]) -> None:
    number, updated = text(item.get("id")), _time(item.get("updated_at"))
    row = {name: text(item.get(name)) for name in ("id", "state", "priority")}
    row |= {f"source_{name}": text(member(item, "source", name)) for name in ("delivered_as", "type")}
    row |= {f"source_author_{name}": text(member(item, "source", "author", name)) for name in ("id", "type")}
    row |= {"updated_at": updated, "created_at": _time(item.get("created_at"))}
    row["conversation_rating_value"] = text(member(item, "conversation_rating", "rating"))
    row["conversation_rating_created_at"] = _time(member(item, "conversation_rating", "created_at"))
    _put(found, "conversation_history", row)
    for contact in _contacts(item):
        told = {"contact_id": contact, "conversation_id": number, "conversation_updated_at": updated}
        _put(found, "conversation_contact_history", told)
    for part in member(item, "conversation_parts", "conversation_parts") or ():
        if not isinstance(part, Mapping):
            continue
        said = {name: text(part.get(name)) for name in ("id", "part_type")}
        said |= {f"author_{name}": text(member(part, "author", name)) for name in ("id", "type")}
        said |= {"conversation_id": number, "created_at": _time(part.get("created_at"))}
        said |= {"body": SAID if text(part.get("body")) else None}
        _put(found, "conversation_part_history", said | {"assigned_to_id": text(member(part, "assigned_to", "id"))})


def _contact(found: Files, item: Mapping[str, Any]) -> None:
    for company in member(item, "companies", "data") or member(item, "companies", "companies") or ():
        told = {"company_id": text(member(company, "id")), "contact_id": text(item.get("id"))}
        _put(found, "contact_company_history", told | {"contact_updated_at": _time(item.get("updated_at"))})


def _company(found: Files, item: Mapping[str, Any]) -> None:
    row = {name: text(item.get(name)) for name in ("id", "name")}
    spend = item.get("monthly_spend")
    row["monthly_spend"] = repr(spend) if isinstance(spend, int | float) and not isinstance(spend, bool) else None
    row["plan_name"] = text(member(item, "plan", "name"))
    row |= {name: _time(item.get(name)) for name in ("updated_at", "created_at", "remote_created_at")}
    _put(found, "company_history", row)


def _contacts(item: Mapping[str, Any]) -> list[str]:
    told = [text(member(one, "id")) for one in member(item, "contacts", "contacts") or ()]
    return [one for one in told if one]


def _item(message: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Kind and item of a notification. Raises `ContractError`."""
    kind = str(message.get("topic", "")).partition(".")[0]
    item = member(message, "data", "item")
    if kind not in _KINDS or not isinstance(item, Mapping):
        raise ContractError(f"{str(message.get('topic'))[:80]!r} tells of no conversation, contact or company.")
    return kind, item


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _time(value: Any) -> str | None:
    """An instant given in seconds since 1970."""
    seconds = _number(value)
    if not 0 < seconds < 253_402_300_800:
        return None
    return isoformat(datetime.fromtimestamp(seconds, UTC))


def _put(found: Files, name: str, row: Mapping[str, str | None]) -> None:
    line = dict.fromkeys(FILES[name]) | dict(row)
    rows = found.setdefault(name, [])
    if line not in rows:
        rows.append(line)
