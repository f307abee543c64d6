"""The doors there are, and a subject's messages through the mapping of its export."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from models.errors import ContractError
from models.imports.live import intercom, verify, zendesk
from models.imports.live.rows import Files, redacted, write_files
from models.imports.run import Counts, Sink, run
from models.imports.summary import Summary

Messages = Sequence[Mapping[str, Any]]

#: Subjects that become accounts.
ACCOUNTS = ("organization:", "company:")


@dataclass(frozen=True)
class Door:
    """One helpdesk: who sent it (`verify`), what it is about, which other subjects are needed to understand it, and its
    messages as files of the export. `never` and `since_created`: columns of contacts that no message tells, or only all
    of them together; `private`: names of free text that is dropped once read."""

    source: str
    verify: Callable[[verify.Headers, bytes, Sequence[str], datetime], None]
    subject: Callable[[Mapping[str, Any]], str]
    wanted: Callable[[Messages], set[str]]
    is_whole: Callable[[Messages], bool]
    files: Callable[[Messages], Files]
    columns: Mapping[str, tuple[str, ...]]
    never: frozenset[str]
    since_created: frozenset[str]
    private: frozenset[str]

    def redacted(self, message: Any) -> Any:
        """A message without its free text, which nothing reads. What an account is called is no free text: it is read,
        and read again with every later message about it."""
        is_account = self.subject(message).startswith(ACCOUNTS)
        return redacted(message, self.private - {"name"} if is_account else self.private)


DOORS = {
    "zendesk": Door(
        *("zendesk", verify.zendesk, zendesk.subject, zendesk.wanted, zendesk.is_whole, zendesk.files),
        *(zendesk.FILES, zendesk.NEVER, zendesk.SINCE_CREATED, zendesk.PRIVATE),
    ),
    "intercom": Door(
        *("intercom", verify.intercom, intercom.subject, intercom.wanted, intercom.is_whole, intercom.files),
        *(intercom.FILES, intercom.NEVER, intercom.SINCE_CREATED, intercom.PRIVATE),
    ),
}


class _Without:
    """A sink that leaves columns of contacts as the store has them."""

    def __init__(self, sink: Sink, names: frozenset[str]) -> None:
        self._sink, self._names = sink, names

    def write(self, table_name: str, frame: pl.DataFrame) -> Counts:
        """Write what is told."""
        told = frame.drop(self._names & set(frame.columns)) if table_name == "interactions" else frame
        return self._sink.write(table_name, told)


def import_messages(door: Door, messages: Messages, sink: Sink) -> Summary:
    """Read the messages about one subject, and those of what it refers to, as an export of them would be read.

    Raises `ContractError` where they cannot be, or where a row they make is refused."""
    names = door.never if door.is_whole(messages) else door.never | door.since_created
    with tempfile.TemporaryDirectory(prefix="ebbtide-inbound-") as folder:
        files = door.files(messages)
        write_files(Path(folder), files, door.columns)
        summary = run(Path(folder), door.source, sink=_Without(sink, names))
    if summary.rejected:
        problem = summary.problems.row(0, named=True)
        raise ContractError(f"{problem['table']}: {problem['column']} {problem['value']!r} {problem['reason']}.")
    return summary
