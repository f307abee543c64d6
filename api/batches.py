"""Batches of contract rows: checked column by column, upserted together, answered item by item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import polars as pl
from flask import Response

from api.auth import the_book, the_key
from api.bodies import NDJSON, answer, escape, items_of, json_body
from api.checking import Fault, Rows, check_rows
from api.errors import MOST_ERRORS, FieldError
from api.rescoring import Outcome
from api.service import Service
from models.accounts import ACCOUNTS
from models.columns import Table
from models.imports.check import CLOCK_SKEW
from models.interactions import INTERACTIONS
from models.store.books import Book
from models.store.tables import BOOK

MOST_ITEMS = 10_000
#: What the store says of a row of an account that was erased, and what the caller is told.
ERASED = "erased"
_GONE = ("erased_account", "was erased and is kept out; DELETE /v1/accounts/{account_id}/erasure lets it in again")
#: What the store says became of a row -> status and, where the caller may wonder, a note.
STATUSES: dict[str, tuple[str, str]] = {
    "inserted": ("created", ""),
    "updated": ("updated", ""),
    "unchanged": ("unchanged", ""),
    "stale": ("unchanged", "a newer version is stored"),
    "repeated": ("unchanged", "another item of this batch with the same id came after it"),
}


@dataclass(frozen=True)
class Written:
    """What became of rows: per row its id, its outcome in the store (None: refused), and the faults of refused ones."""

    ids: list[str | None]
    outcomes: list[str | None]
    faults: dict[int, list[Fault]]
    unknown: list[str]
    scores: Outcome

    def line(self, i: int, prefix: str) -> dict[str, Any]:
        """What became of a row, as it is answered; `prefix` points to the row."""
        return result_line(self.ids[i], self.outcomes[i], self.faults.get(i, []), prefix)


def write(
    service: Service, table: Table, rows: Sequence[Any], upsert: Callable[[pl.DataFrame], pl.Series] | None = None
) -> Written:
    """Check and upsert rows of a table, and have the accounts they touched scored. `upsert`: another way to do it."""
    if not rows:
        return Written([], [], {}, [], Outcome())
    # Clocks differ a little; a day ahead is a mistake.
    checked = _within_book(service, table, check_rows(table, rows, service.clock() + CLOCK_SKEW))
    outcomes: list[str | None] = [None] * len(rows)
    touched: set[str] = set()
    if checked.frame.height:
        found = service.store.upsert(table.name, checked.frame) if upsert is None else upsert(checked.frame)
        for number, outcome in zip(checked.numbers, found, strict=True):
            outcomes[number] = None if outcome == ERASED else outcome
        gone = checked.numbers.filter(found == ERASED).to_list()
        checked = replace(checked, faults=[*checked.faults, *(Fault(n, "account_id", *_GONE) for n in gone)])
        changed = found.is_in(["inserted", "updated"])
        service.arrivals.told(f"api: {the_key().name}", table, checked.frame, int(changed.sum()))
        if table is INTERACTIONS:
            service.freshness.contacts_arrived()
        touched = set(checked.frame.filter(changed)["account_id"])
    faults: dict[int, list[Fault]] = {}
    for fault in checked.faults:
        faults.setdefault(fault.row, []).append(fault)
    scores = service.rescoring.facts_arrived(touched)
    return Written([_id(table, row) for row in rows], outcomes, faults, checked.unknown, scores)


def _within_book(service: Service, table: Table, checked: Rows) -> Rows:
    """The rows a restricted caller may write: of accounts of his book, which they must not leave. A parent that he
    cannot see stays as it is."""
    book, frame = the_book(), checked.frame
    if not book.restricted or frame.is_empty():
        return checked
    told = frame.select("account_id", *((*BOOK, "parent_id") if table is ACCOUNTS else ())).to_dicts()
    there = service.store.held(
        book, {row[name] for row in told for name in ("account_id", "parent_id") if row.get(name)}
    )
    found = [_outside(book, there, number, row) for number, row in zip(checked.numbers, told, strict=True)]
    inside = pl.Series([fault is None for fault in found], dtype=pl.Boolean)
    faults = [*checked.faults, *(fault for fault in found if fault is not None)]
    mine = frame.filter(inside)
    if table is ACCOUNTS:
        hidden = service.store.hidden_parents(book, mine["account_id"].unique().to_list())
        kept = pl.col("account_id").replace_strict(hidden, default=None, return_dtype=pl.String)
        mine = mine.with_columns(pl.coalesce("parent_id", kept).alias("parent_id"))
    return replace(checked, frame=mine, numbers=checked.numbers.filter(inside), faults=faults)


def _outside(book: Book, there: set[str], number: int, row: Mapping[str, Any]) -> Fault | None:
    """What keeps a restricted caller from writing a row; one of an account says its owner, segment and parent."""
    unknown = "There is no account {!r}."
    if row["account_id"] not in there:
        return Fault(number, "account_id", "unknown_account", unknown.format(row["account_id"]))
    if "parent_id" not in row:
        return None
    if not book.takes(row["owner"], row["segment"]):
        return Fault(number, "", "outside_book", "would take the account out of those this key is restricted to")
    if row["parent_id"] is not None and row["parent_id"] not in there:
        return Fault(number, "parent_id", "unknown_account", unknown.format(row["parent_id"]))
    return None


def post_batch(service: Service, table: Table) -> Response:
    """The whole of a batch route."""
    items = items_of(json_body(NDJSON), MOST_ITEMS)
    written = write(service, table, items)
    counts = dict.fromkeys(("created", "updated", "unchanged", "rejected"), 0)
    lines = []
    for i in range(len(items)):
        line = written.line(i, f"/items/{i}")
        counts[line["status"]] += 1
        lines.append(line)
    for status, number in counts.items():
        service.metrics.rows.labels(table.name, status).inc(number)
    errors = [error for line in lines for error in line.get("errors", ())][:MOST_ERRORS]
    body = {**counts, **asdict(written.scores), "unknown_fields": written.unknown, "errors": errors, "results": lines}
    return answer(body, 207 if counts["rejected"] else 200)


def field_errors(faults: Sequence[Fault], prefix: str) -> list[FieldError]:
    """Faults of one row as errors; `prefix` points to the row."""
    return [
        FieldError(f"{prefix}/{escape(fault.column)}" if fault.column else prefix, fault.code, fault.message)
        for fault in faults
    ]


def result_line(row_id: str | None, outcome: str | None, faults: Sequence[Fault], prefix: str) -> dict[str, Any]:
    """What became of a row; `outcome` None: it was refused for these faults."""
    if outcome is None:
        errors = [error.to_plain() for error in field_errors(faults, prefix)]
        return {"id": row_id, "status": "rejected", "errors": errors}
    status, note = STATUSES[outcome]
    return {"id": row_id, "status": status, "note": note} if note else {"id": row_id, "status": status}


def _id(table: Table, row: Any) -> str | None:
    found = row.get(table.key[0]) if type(row) is dict else None
    return found if type(found) is str else None
