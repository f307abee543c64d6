"""Batches of contract rows: checked column by column, upserted together, answered item by item."""

from collections.abc import Callable, Sequence
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
from models.columns import Table
from models.imports.check import CLOCK_SKEW
from models.interactions import INTERACTIONS
from models.store import narrowed

MOST_ITEMS = 10_000
#: What the store says of a row that it refused -> the column, the code and the words for the caller.
REFUSED: dict[str, tuple[str, str, str]] = {
    "erased": (
        "account_id",
        "erased_account",
        "was erased and is kept out; DELETE /v1/accounts/{account_id}/erasure lets it in again",
    ),
    narrowed.NOT_THERE: ("account_id", "unknown_account", "There is no account {id}."),
    narrowed.NO_PARENT: ("parent_id", "unknown_account", "There is no account {id}."),
    narrowed.LEAVES: ("", "outside_book", "would take the account out of those this key is restricted to"),
}
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
    checked = check_rows(table, rows, service.clock() + CLOCK_SKEW)
    outcomes: list[str | None] = [None] * len(rows)
    touched: set[str] = set()
    if checked.frame.height:
        found = service.store.upsert(table.name, checked.frame, the_book()) if upsert is None else upsert(checked.frame)
        taken = ~found.is_in(list(REFUSED))
        for number, outcome in zip(checked.numbers.filter(taken), found.filter(taken), strict=True):
            outcomes[number] = outcome
        checked = replace(checked, faults=[*checked.faults, *_refusals(checked, found, ~taken)])
        changed = found.is_in(["inserted", "updated"])
        if taken.any():
            service.arrivals.told(f"api: {the_key().name}", table, checked.frame.filter(taken), int(changed.sum()))
            if table is INTERACTIONS:
                service.freshness.contacts_arrived()
        touched = set(checked.frame.filter(changed)["account_id"])
    faults: dict[int, list[Fault]] = {}
    for fault in checked.faults:
        faults.setdefault(fault.row, []).append(fault)
    scores = service.rescoring.facts_arrived(touched)
    return Written([_id(table, row) for row in rows], outcomes, faults, checked.unknown, scores)


def _refusals(checked: Rows, found: pl.Series, refused: pl.Series) -> list[Fault]:
    """What to tell of the rows that the store refused."""
    faults, rows = [], checked.frame.filter(refused).iter_rows(named=True)
    for number, outcome, row in zip(checked.numbers.filter(refused), found.filter(refused), rows, strict=True):
        column, code, words = REFUSED[outcome]
        faults.append(Fault(number, column, code, words.replace("{id}", repr(row.get(column)))))
    return faults


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
