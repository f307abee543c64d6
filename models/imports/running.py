"""Things that run for a while, several at once, as the history of what runs together.

Worked example, subscriptions of one account:
    start  end    mrr
    Jan    May    100
    Mar    -       50
become three rows: from January 100, from March 150, from May 50. The other columns are those of the
subscription that started last among the running ones (after the last end: among all so far, with totals 0).
"""

import polars as pl

from models.columns import Column, Type
from models.imports.check import REJECTED, in_order, rejections
from models.imports.convert import Reading, as_text, convert
from models.imports.selection import ORDER, Selected, placed, read_instants
from models.imports.source import Running, Source

_MOMENT = "\x00moment"
_END = "\x00end"


def spread(frame: pl.DataFrame, running: Running, source: Source, table: str) -> Selected:
    """One row per `by` and moment of change. The start column holds that moment, the totals what runs from then.

    Refused: rows without `by` or start, with an end that is no time or precedes the start, or with a total
    that is no number (unknown totals count as 0).
    """
    selected = placed(frame, table, running.by, (running.start,), source)
    frame, problems = selected.frame, [selected.problems]
    bad = pl.Series([False]).new_from_index(0, frame.height)
    ends, unread = read_instants(frame[running.end], source)
    starts = frame[ORDER + running.start]
    checks = [(mask, running.end, reason) for mask, reason in unread]
    checks.append(((ends < starts).fill_null(False), running.end, f"precedes {running.start}"))
    for name in running.total:
        done = convert(Column(name, Type.NUMBER, ""), frame[name], Reading(nulls=source.null, decimal=source.decimal))
        checks += [(mask, name, reason) for mask, reason in done.problems]
        frame = frame.with_columns(done.values.fill_null(0.0).alias(ORDER + name))
    for mask, name, reason in checks:
        places = frame.filter(mask & ~bad)
        problems.append(rejections(places, table, name, as_text(places[name]), reason))
        bad = bad | mask
    good = frame.with_columns(ends.alias(_END)).filter(~bad)
    together = in_order(pl.concat([pl.DataFrame(schema=REJECTED), *problems]))
    return Selected(_changes(good, running), together, selected.refused + int(bad.sum()))


def _changes(frame: pl.DataFrame, running: Running) -> pl.DataFrame:
    start = ORDER + running.start
    lasting = frame.filter((pl.col(_END) > pl.col(start)).fill_null(True))
    moments = pl.concat([lasting.select(running.by, pl.col(c).alias(_MOMENT)) for c in (start, _END)])
    moments = moments.drop_nulls().unique().sort(running.by, _MOMENT)
    begun = moments.join(lasting, on=running.by).filter(pl.col(start) <= pl.col(_MOMENT))
    runs = (pl.col(_END) > pl.col(_MOMENT)).fill_null(True)
    totals = [(pl.col(ORDER + name) * runs).sum().round(6).alias(name) for name in running.total]
    others = [c for c in frame.columns if c not in (running.by, running.start, running.end, *running.total)]
    return (
        begun.with_columns(runs.alias(_END + "?"))
        .sort(_END + "?", start, maintain_order=True)
        .group_by(running.by, _MOMENT, maintain_order=True)
        .agg(*totals, *(pl.col(name).last() for name in others))
        .sort(running.by, _MOMENT)
        .rename({_MOMENT: running.start})
        .with_columns(pl.col(running.start).shift(-1).over(running.by).alias(running.end))
        .drop(c for c in others if c.startswith(ORDER) or c == _END)
    )
