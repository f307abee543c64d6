"""The guard over any labelled table: one call, all findings.

    findings = examine(frame, columns, "churned", "customer_id", as_of="month", seed=0)
    kept = require(findings, allowed=("status",), who="mia", when=now())

The same checks run over the training matrix of a history and over a wide table; docs/leakage.md lists each with its
number, the reason for the number and what it cannot see.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import polars as pl

from training.leakage import accounts, alone, codes, encoded, names, panel, quick, times, values
from training.leakage import rows as twins
from training.leakage.codes import Table
from training.leakage.findings import Finding, Findings, ordered
from training.leakage.roles import Roles


def examine(
    frame: pl.DataFrame,
    columns: Sequence[str],
    label: str,
    group: str | None = None,
    *,
    as_of: str | None = None,
    known_at: str | None = None,
    decided_at: str | None = None,
    ago: Sequence[str] = (),
    seed: int = 0,
    read: Collection[str] = (),
) -> Findings:
    """Every doubt about these columns, found before anything is fitted.

    frame       one row per observation; columns typed (numbers, texts, dates, truth values), unknown is null
    columns     what a model would see
    label       a column of 0 and 1; rows where it is unknown are ignored
    group       rows that belong together (an account, a family); None: every row is on its own
    as_of       the moment each row is about, a date or an instant
    known_at    the moment each row was written down
    decided_at  the moment the customer decided to leave; null for those who stayed
    ago         columns that are dates, written as days before `as_of`
    seed        of the groups' folds
    read        columns that are proved otherwise (the product's own features: recomputed from each row's own past);
                of these only `auc` is asked, and what they say of all rows of an account
    Raises `ContractError` for a label that is not 0, 1 or null.
    """
    roles = Roles(label, group, as_of, known_at, decided_at)
    table, findings = _looked(frame, columns, roles, seed, read)
    if as_of is not None and ago:
        rows = dated(frame, ago, as_of)
        past = times.past(rows, ago, as_of)
        kept = (f for f in findings.found if not (f.kind == "name" and f.severity == "warning" and f.column in past))
        findings = replace(findings, found=ordered((*kept, *times.later_findings(rows, columns, roles))))
    stopped = {one.column for one in findings.errors if one.column is not None}
    twice = quick.twice(table, findings.suspects, seed)
    overall = quick.findings(table, quick.innocent(table, twice, stopped, seed))
    return replace(findings, found=ordered((*findings.found, *overall)), twice=twice)


def dated(frame: pl.DataFrame, ago: Sequence[str], as_of: str) -> pl.DataFrame:
    """The frame with the dates themselves where days before `as_of` stood."""
    days = {name: (pl.col(name) * 86_400_000_000).round().cast(pl.Int64) for name in ago}
    return frame.with_columns(**{name: pl.col(as_of) - pl.duration(microseconds=n) for name, n in days.items()})


def doubts(
    frame: pl.DataFrame, columns: Sequence[str], roles: Roles, seed: int = 0, read: Collection[str] = ()
) -> Findings:
    """What `examine` finds without fitting anything: no `overall`, no `twice`."""
    return _looked(frame, columns, roles, seed, read)[1]


def _looked(
    frame: pl.DataFrame, columns: Sequence[str], roles: Roles, seed: int, read: Collection[str]
) -> tuple[Table, Findings]:
    rows = frame.filter(pl.col(roles.label).is_not_null())
    table = codes.of(rows, columns, roles.label, roles.group)
    single = alone.measured(table, seed)
    unread = [name for name in columns if name not in read]
    # What is computed here from the history cannot have been made from labels; rare exits in few accounts look like it.
    asked = replace(table, columns=tuple(column for column in table.columns if column.name not in read))
    found = [
        *alone.findings(single),
        *_columns(asked, single, roles.label),
        *_times(rows, unread, single, roles),
        *twins.findings(rows, columns, table),
    ]
    known = {(one.column, one.kind) for one in found}
    found += [one for one in accounts.findings(rows, columns, roles, seed) if (one.column, one.kind) not in known]
    aucs = {name: value.auc for name, value in single.items()}
    return table, Findings(ordered(found), tuple(columns), aucs, not_checked=alone.unmeasured(table, roles.label))


def _columns(table: Table, single: dict[str, alone.Alone], label: str) -> Iterator[Finding]:
    yield from names.findings([column.name for column in table.columns], label, single)
    yield from values.findings(table)
    yield from encoded.findings(table)


def _times(
    rows: pl.DataFrame, columns: Sequence[str], single: dict[str, alone.Alone], roles: Roles
) -> Iterator[Finding]:
    """What can be said of times, as far as the table has them."""
    yield from times.known_findings(rows, roles)
    yield from times.later_findings(rows, columns, roles)
    yield from panel.findings(rows, columns, roles)
    yield from times.label_time_findings(rows, columns, roles)
    yield from times.duration_findings(columns, single, roles)
