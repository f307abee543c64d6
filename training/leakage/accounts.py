"""Fields of today beside snapshots of the past: one value on all rows of an account, and it says who left in the end.

    account  month  csm_notes          left within 90 days
    a1       2025-01  told us they leave     0        true then, written a year later
    a1       2026-01  told us they leave     1
    a2       2025-01  ok                     0

Row by row such a column looks weak, because most rows of those who left are from long before. Account by account (its
last row; did it ever leave?) it knows the answer. Columns that do change within an account are left to the other
checks: the last row of one who left is nearer to an exit by construction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import polars as pl

from training.leakage import alone, codes, values
from training.leakage.findings import Finding
from training.leakage.roles import Roles

#: Fewer rows per account on average, and the rows say it themselves.
SEVERAL = 1.5
#: A column is one value per account where this share of accounts never changes it.
STATIC = 0.95


def findings(rows: pl.DataFrame, columns: Sequence[str], roles: Roles, seed: int) -> Iterator[Finding]:
    """Static columns that know which accounts left in the end."""
    group = roles.group
    if group is None or not rows.height or rows.height < SEVERAL * rows[group].n_unique():
        return
    static = _static(rows, columns, group)
    if not static:
        return
    ordered = rows if roles.as_of is None else rows.sort(roles.as_of, maintain_order=True)
    left = pl.col(roles.label).max()
    if roles.decided_at is not None:
        left = pl.max_horizontal(left, pl.col(roles.decided_at).is_not_null().any().cast(pl.Int8))
    last = ordered.group_by(group, maintain_order=True).agg(
        left.cast(pl.Int8).alias(_EVER), *(pl.col(name).last() for name in static if name != group)
    )
    table = replace(codes.of(last, static, _EVER, group), unit="accounts")
    yield from alone.findings(alone.measured(table, seed), "accounts that left in the end")
    yield from values.findings(table)


_EVER = "ever left, of all rows"


def _static(rows: pl.DataFrame, columns: Sequence[str], group: str) -> list[str]:
    """Columns that hardly any account changes."""
    others = [name for name in columns if name != group]
    if not others:
        return []
    counted = rows.group_by(group).agg(pl.col(others).n_unique())
    shares = counted.select((pl.col(others) == 1).mean()).row(0)
    return [name for name, share in zip(others, shares, strict=True) if share >= STATIC]
