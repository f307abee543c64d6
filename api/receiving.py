"""The worker that reads what came in by the live doors, through the mappings that files go through."""

import json
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.engine import Engine

from models.errors import ContractError, EbbtideError
from models.imports.convert import ID_LENGTH
from models.imports.live.doors import DOORS, Door, import_messages
from models.imports.summary import Summary
from models.store import inbound, sources
from models.store.engine import reading, writing
from models.store.erased import erased_among
from models.store.errors import StoreError
from models.store.inbound import Claim
from models.store.upsert import Sink


class Reader:
    """Reads the messages of one store."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime]) -> None:
        self._engine, self._clock = engine, clock
        self._sink = Sink(engine, clock=clock)

    def all_due(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Read what is waiting; gives how many messages there were."""
        read = 0
        while not stopped():
            held = inbound.claim(self._engine, self._clock())
            if held is None:
                break
            self._read(held)
            read += 1
        return read

    def _read(self, held: Claim) -> None:
        try:
            message = _parsed(held.body)
            door, gone = DOORS[held.door], self._gone(message)
            summary = self._import(door, held, message)
            kept = _as_text(unnamed(door.redacted(message), gone))
            about_one = not _is_row(subject := door.subject(message)) and subject.partition(":")[2] in gone
        except StoreError:
            raise  # the database is away: somebody takes it over
        except EbbtideError as error:
            self._fail(held, str(error))
        except Exception as error:
            # A message nobody foresaw must neither end the worker nor come back for ever.
            self._fail(held, f"It could not be read: {type(error).__name__}.")
        else:
            self._finish(held, None if about_one else kept, summary)

    def _gone(self, message: dict[str, Any]) -> frozenset[str]:
        """The erased persons it names."""
        with writing(self._engine) as conn:
            return erased_among(conn, "contact", set(_texts(message)))

    def _finish(self, held: Claim, kept: str | None, summary: Summary) -> None:
        if kept is None or any(table.erased for table in summary.tables.values()):
            # Whoever was erased does not come back, as a raw message neither.
            inbound.forget(self._engine, held)
            return
        inbound.finish(self._engine, held, kept, self._clock())
        told = {name: table for name, table in summary.tables.items() if table.accepted}
        sources.note_import(self._engine, f"{held.door} live", told, self._clock())

    def _import(self, door: Door, held: Claim, message: dict[str, Any]) -> Summary:
        """What became of its rows.

        Another worker may have read a later message about the same subject meanwhile, and written before: then ours was
        the poorer knowledge, and all of it is read once more.
        """
        subject = door.subject(message)
        inbound.name_subject(self._engine, held, subject)
        if not _is_row(subject):
            return Summary(door.source)  # kept for those that refer to it
        while True:
            told, latest = self._told(door, subject)
            summary = import_messages(door, told, self._sink)
            with reading(self._engine) as conn:
                if inbound.last_about(conn, door.source, {subject}) == latest:
                    return summary

    def _told(self, door: Door, subject: str) -> tuple[list[dict[str, Any]], int | None]:
        """All messages about a subject and what it refers to, and the latest of its own."""
        with reading(self._engine) as conn:
            latest = inbound.last_about(conn, door.source, {subject})
            told = [json.loads(body) for body in inbound.about(conn, door.source, {subject})]
            further = door.wanted(told) - {subject} if _has_references(subject) else set()
            told += [json.loads(body) for body in inbound.about(conn, door.source, further)] if further else []
        return told, latest

    def _fail(self, held: Claim, error: str) -> None:
        structlog.get_logger().warning("inbound_not_read", door=held.door, message=held.message_no, reason=error)
        inbound.fail(self._engine, held, error, self._clock())


def _has_references(subject: str) -> bool:
    return subject.startswith(("ticket:", "conversation:"))


def _is_row(subject: str) -> bool:
    """Users and contacts are no rows of their own; they say whose a ticket is."""
    return not subject.startswith(("user:", "contact:"))


def unnamed(value: Any, gone: Collection[str]) -> Any:
    """A message in which ids are unknown, whether they are texts or numbers."""
    if isinstance(value, dict):
        return {name: unnamed(part, gone) for name, part in value.items()}
    if isinstance(value, list):
        return [unnamed(part, gone) for part in value]
    return None if _is_id(value) and str(value) in gone else value


def _texts(value: Any) -> Iterator[str]:
    """Whatever may be an id in a message."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        yield from _texts(part)
    if _is_id(value) and len(str(value)) <= ID_LENGTH:
        yield str(value)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _as_text(message: Any) -> str:
    """JSON that any database takes: half a character (a text cut within an emoji) stays the escape it came as."""
    told = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return told.encode("utf-8", "backslashreplace").decode("utf-8")


def _parsed(body: str) -> dict[str, Any]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise ContractError("The message is no JSON object.")
    return message
