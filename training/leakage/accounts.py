"""Fields of today beside snapshots of the past: one thing said of all rows of an account, and it says who left in the
end.

    account  month  csm_notes          left within 90 days
    a1       2025-01  told us they leave     0        true then, written a year later
    a1       2026-01  told us they leave     1
    a2       2025-01  ok                     0

Row by row such a column looks weak, because most rows of those who left are from long before. Account by account (did
it ever leave?) it knows the answer. Columns that do change within an account are left to the other checks, for the last
row of one who left is nearer to an exit by construction; but two things about them are asked all the same: whether they
were ever known so far, and of a flag whether it was ever set. So contacts that were erased when the customer left are
found, and an onboarding date that was emptied, without any column of today's own.

Those who left are looked at in their last row, those who stayed in a row of about the same time and after about as many
rows: whoever left before surveys began, or young, has no answers either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from training.leakage import alone, codes, values
from training.leakage.findings import Finding
from training.leakage.roles import Roles

#: Fewer rows per account on average, and the rows say it themselves.
SEVERAL = 1.5
#: A column is one value per account where this share of accounts never changes it.
STATIC = 0.95
#: Stretches of time, of equal numbers of rows, within which rows are of about the same time.
STRETCHES = 12
WAY_OUT = "It says what the account is today, or what is left of it: give what held before the exit, or leave it out."


def findings(rows: pl.DataFrame, columns: Sequence[str], roles: Roles, seed: int) -> Iterator[Finding]:
    """Columns that know which accounts left in the end, by what they say of all rows of an account."""
    group = roles.group
    if group is None or not rows.height or rows.height < SEVERAL * rows[group].n_unique():
        return
    others = [name for name in columns if name != group]
    static = _static(rows, others, group)
    left = pl.col(roles.label).max()
    if roles.decided_at is not None:
        left = pl.max_horizontal(left, pl.col(roles.decided_at).is_not_null().any().cast(pl.Int8))
    marked = rows.with_columns(left.cast(pl.Int8).over(group).alias(_EVER))
    if roles.as_of is None:
        others = [name for name in others if name in static]
        one = marked.group_by(group, maintain_order=True).last()
    else:
        one = _matched(_so_far(marked.sort(group, roles.as_of), static, others, group), group, roles.as_of, seed)
    table = replace(codes.of(one, others, _EVER, group), unit="accounts")
    single = alone.measured(replace(table, columns=tuple(c for c in table.columns if c.name in static)), seed)
    for found in (*alone.findings(single, "accounts that left in the end"), *values.findings(table)):
        # "Ever known" says of the known what it says of the unknown.
        if found.kind != "value" or one.schema[str(found.column)] != _KNOWN:
            yield replace(found, way_out=WAY_OUT)


_EVER = "ever left, of all rows"
#: The type of a column that only says whether something was ever known.
_KNOWN = pl.Enum(["known"])


def _static(rows: pl.DataFrame, columns: Sequence[str], group: str) -> frozenset[str]:
    """Columns that hardly any account changes."""
    if not columns:
        return frozenset()
    counted = rows.group_by(group).agg(pl.col(columns).n_unique())
    shares = counted.select((pl.col(columns) == 1).mean()).row(0)
    return frozenset(name for name, share in zip(columns, shares, strict=True) if share >= STATIC)


def _so_far(rows: pl.DataFrame, static: frozenset[str], columns: Sequence[str], group: str) -> pl.DataFrame:
    """The rows (in order of time within an account) with what each changing column has said of the account so far: a
    flag its highest value, anything else `known`; null as long as it was never known."""
    said = [_flag_or_known(rows[name]).over(group).alias(name) for name in columns if name not in static]
    return rows.with_columns(said)


def _flag_or_known(column: pl.Series) -> pl.Expr:
    plain = column.cast(pl.Float64) if column.dtype.is_numeric() or column.dtype == pl.Boolean else None
    if plain is not None and plain.drop_nulls().is_in([0.0, 1.0]).all():
        return pl.col(column.name).cast(pl.Float64).cum_max().forward_fill()
    known = pl.col(column.name).is_not_null().cast(pl.Int64).cum_sum() > 0
    return pl.when(known).then(pl.lit("known", _KNOWN))


def _matched(rows: pl.DataFrame, group: str, as_of: str, seed: int) -> pl.DataFrame:
    """One row per account: the last of each that left; of one that stayed a row drawn such that the times and the
    numbers of rows so far are spread about as among those who left. Who stayed and has no such row is left out."""
    number = pl.int_range(pl.len()).over(group)
    placed = rows.with_columns(
        _last=number == pl.len().over(group) - 1,
        _when=pl.col(as_of).rank("average") * STRETCHES // (pl.len() + 1),
        # 1, 2 to 3, 4 to 7, ... rows so far.
        _rows=(number + 1).log(2).floor(),
    )
    gone = placed.filter((pl.col(_EVER) == 1) & pl.col("_last"))
    stayed = placed.filter(pl.col(_EVER) == 0)
    cells = gone.group_by("_when", "_rows").agg(_gone=pl.len())
    alike = stayed.join(cells, on=["_when", "_rows"], how="inner", maintain_order="left")
    chance = (pl.col("_gone") / pl.len().over("_when", "_rows")).log()
    luck = pl.Series(np.random.default_rng(seed).gumbel(size=alike.height))
    drawn = alike.with_columns(_draw=chance + luck).filter(pl.col("_draw") == pl.col("_draw").max().over(group))
    return pl.concat([gone, drawn.select(gone.columns)])
