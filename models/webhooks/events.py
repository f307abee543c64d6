"""What is told to others when something changes: `{"type": ..., "timestamp": ..., "data": {...}}`.

An event is about a change that has happened. `topic` and `state` say which later events make it superfluous:

    10:00  account.band_changed  a  watch -> at_risk    topic account.band, state at_risk     sent at once
    10:20  account.band_changed  a  at_risk -> watch    topic account.band, state watch       held until 11:00
    10:40  account.band_changed  a  watch -> at_risk    topic account.band, state at_risk     nothing is sent at 11:00:
                                                        the receiver has known since 10:00

While a receiver fails, a later state takes the place of the one it has not taken, which would otherwise arrive last.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from models.clock import isoformat
from models.errors import ContractError

#: Type -> what has happened.
EVENTS: dict[str, str] = {
    "account.band_changed": "an account's latest score lies in another band than the one before",
    "account.entered_silent_list": "an account is on the new silent list and was not on the one before",
    "account.left_silent_list": "an account was on the silent list before and is not on the new one",
    "survey.low_score": "a customer answered a survey with a low score; the answer is at most seven days old",
    "list.published": "a new silent list is the current one",
    "model.promoted": "another model is in service, by promotion or roll-back",
    "import.finished": "an import has ended, well or not",
    "source.quiet": "a source has told nothing for so long that, by its own rhythm, it must have stopped",
    "source.back": "a source that was quiet has told something again",
}
#: The topics that say how something is: what comes late is not old news there but wrong.
STATES = ("account.band", "account.silent_list")
#: Bytes of a message, at most; Standard Webhooks asks for less than 20 kB.
MOST_BYTES = 20_000
#: Characters of any text within one, so that a message cannot grow beyond that.
MOST_TEXT = 200


@dataclass(frozen=True)
class Event:
    """Something that has happened. `account_id`: whom it is about, if anybody.

    Of the events of one `topic` about an account the latest makes earlier ones superfluous; `state` is what it says,
    so that what the receiver was told already is not told again. Without a topic every event is sent.
    """

    type: str
    at: datetime
    data: Mapping[str, Any]
    account_id: str | None = None
    topic: str | None = None
    state: str | None = None


def check_types(types: object) -> tuple[str, ...]:
    """The event types of a subscription, each once, in the order of `EVENTS`. Raises `ContractError`."""
    if not isinstance(types, list | tuple) or not types or not all(isinstance(name, str) for name in types):
        raise ContractError(f"A webhook needs at least one event type out of {', '.join(EVENTS)}.")
    unknown = sorted(set(types) - set(EVENTS))
    if unknown:
        raise ContractError(f"{unknown[0][:80]!r} is not an event type; there are {', '.join(EVENTS)}.")
    return tuple(name for name in EVENTS if name in types)


def body(event_type: str, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The message as it is sent and signed, at most `MOST_BYTES` of JSON. Raises `ContractError` beyond that."""
    text = json.dumps(
        {"type": event_type, "timestamp": isoformat(at), "data": data},
        ensure_ascii=False,
        separators=(",", ":"),
        allow_nan=False,
    ).encode()
    if len(text) > MOST_BYTES:
        raise ContractError(f"A message of type {event_type} has {len(text):,} bytes; {MOST_BYTES:,} is the most.")
    return text


def cut(text: str | None) -> str | None:
    """The text, or its beginning and three dots."""
    return text if text is None or len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def band_changed(
    account_id: str, at: datetime, was: str, band: str, health: float, was_health: float, model_id: str, as_of: datetime
) -> Event:
    """Another band."""
    data = {
        "account_id": account_id,
        "band": band,
        "previous_band": was,
        "health": health,
        "previous_health": was_health,
        "as_of": isoformat(as_of),
        "model_id": model_id,
    }
    return Event("account.band_changed", at, data, account_id, "account.band", band)


def list_moved(
    account_id: str,
    at: datetime,
    list_id: int,
    previous: int,
    as_of: datetime,
    row: Mapping[str, Any],
    *,
    entered: bool,
) -> Event:
    """An account entered the silent list or left it. `row`: its entry in the list it is (or was) on."""
    names = ("owner", "segment", "band", "health", "p_silent", "expected_revenue_loss", "currency")
    data = {
        "account_id": account_id,
        "name": cut(row["name"]),
        **{name: cut(row[name]) if isinstance(row[name], str) else row[name] for name in names},
        "list_id": list_id,
        "previous_list_id": previous,
        "as_of": isoformat(as_of),
    }
    kind, state = ("account.entered_silent_list", "on") if entered else ("account.left_silent_list", "off")
    return Event(kind, at, data, account_id, "account.silent_list", state)


def low_score(row: Mapping[str, Any], at: datetime) -> Event:
    """A low answer; `row` of the table surveys. Never its comment."""
    data = {
        "account_id": row["account_id"],
        "survey_id": row["survey_id"],
        "interaction_id": row.get("interaction_id"),
        "instrument": cut(row["instrument"]),
        "score": row["score"],
        "scale_min": row.get("scale_min"),
        "scale_max": row.get("scale_max"),
        "responded_at": isoformat(row["responded_at"]),
    }
    return Event("survey.low_score", at, data, row["account_id"], "survey.low_score", row["survey_id"])


def list_published(
    list_id: int, previous: int | None, kind: str, at: datetime, as_of: datetime, model_id: str, entries: int
) -> Event:
    """A new list."""
    data = {
        "list_id": list_id,
        "previous_list_id": previous,
        "kind": kind,
        "as_of": isoformat(as_of),
        "model_id": model_id,
        "entries": entries,
    }
    return Event("list.published", at, data)


def model_promoted(model_id: str, action: str, who: str, at: datetime, why: str | None) -> Event:
    """Another model in service; `action` is `promote` or `rollback`."""
    return Event("model.promoted", at, {"model_id": model_id, "action": action, "who": cut(who), "why": cut(why)})


#: Counts of an import's tables that are told.
COUNTS = ("read", "accepted", "rejected", "inserted", "updated", "unchanged", "stale")


def import_finished(import_id: int, source: str, at: datetime, status: str, summary: Mapping[str, Any]) -> Event:
    """An import has ended: its counts per table, or (`failed`) why."""
    tables = summary.get("tables") or {}
    rows = tables.items() if isinstance(tables, Mapping) else ((table.get("table"), table) for table in tables)
    counts = {name: {count: table[count] for count in COUNTS if count in table} for name, table in rows}
    error = summary.get("error")
    data = {"import_id": import_id, "source": cut(source), "status": status, "tables": counts}
    return Event("import.finished", at, data | ({"error": cut(str(error))} if error else {}))


def source_quiet(source: str, table: str, at: datetime, since: datetime, due: float) -> Event:
    """A source has fallen silent: since when, and how many rows were due by its own rhythm."""
    data = {"source": cut(source), "table": table, "quiet_since": isoformat(since), "due": round(due, 1)}
    return Event("source.quiet", at, data)


def source_back(source: str, table: str, at: datetime, since: datetime) -> Event:
    """A source that was quiet has told something again."""
    return Event("source.back", at, {"source": cut(source), "table": table, "quiet_since": isoformat(since)})
