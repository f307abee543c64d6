"""The guard over any labelled table: one call, all findings.

    findings = examine(frame, columns, "churned", "customer_id", as_of="month", seed=0)
    kept = require(findings, allowed=("status",), who="mia", when=now())

The same checks run over the training matrix of a history and over a wide table; docs/leakage.md lists each with its
number, the reason for the number and what it cannot see.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

import polars as pl

from training.leakage import alone, codes, names, quick
from training.leakage.codes import Table
from training.leakage.findings import Finding, Findings, ordered

Progress = Callable[[str], None]


def examine(
    frame: pl.DataFrame,
    columns: Sequence[str],
    label: str,
    group: str | None = None,
    *,
    as_of: str | None = None,
    known_at: str | None = None,
    decided_at: str | None = None,
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
    seed        of the groups' folds
    read        columns whose names somebody has read: the product's own features
    Raises `ContractError` for a label that is not 0, 1 or null.
    """
    del as_of, known_at, decided_at
    rows = frame.filter(pl.col(label).is_not_null())
    table = codes.of(rows, columns, label, group)
    single = alone.measured(table, seed)
    found = list(_columns(table, single, label, read))
    stopped = {one.column for one in found if one.severity == "error"}
    suspects = tuple(dict.fromkeys(one.column for one in found if one.column is not None))
    twice = quick.twice(table, suspects, seed)
    rest = quick.auc(table, [name for name in columns if name not in stopped], seed) if stopped else twice.get("with")
    found += quick.findings(table, rest)
    return Findings(
        ordered(found),
        tuple(columns),
        {name: value.auc for name, value in single.items()},
        twice,
        alone.unmeasured(table, label),
    )


def _columns(table: Table, single: dict[str, alone.Alone], label: str, read: Collection[str]) -> Iterator[Finding]:
    yield from alone.findings(single)
    yield from names.findings([column.name for column in table.columns], label, single, read)
