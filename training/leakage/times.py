"""What a table says of times: known later than the row, happened later than the row, follows the time of the exit.

    row of 2025-03-01, known_at 2025-03-09               written down a week later
    row of 2025-03-01, closed_at 2025-03-04              it is not closed yet, so nobody knows when it will be ...
                       closed_code "solved remotely"     ... nor how: named after the same event
    row of 2025-03-01, renewal_date 2025-09-30           planned: innocent

Whether a duration (`tenure`, `months_active`) stops at the exit cannot be seen in one cross-section: a customer of
three months who stays and one who left after three months look the same. Without a moment per row such a column, where
it ranks noticeably, is a doubt that only whoever made the table can answer.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from training.leakage.alone import Alone
from training.leakage.findings import Finding
from training.leakage.names import certain, words
from training.leakage.roles import Roles

#: Words of planned moments, which may lie ahead.
PLANNED = frozenset(
    (
        *("renewal", "renews", "due", "expiry", "expires", "expiration", "planned", "scheduled", "next", "until"),
        *("contract", "term", "deadline", "target", "expected", "estimated", "promised", "upcoming", "valid"),
    )
)
#: Words that say a moment is meant.
MOMENTS = frozenset(("at", "on", "date", "time", "timestamp", "ts"))
#: What happened, where its word does not end in -ed.
HAPPENED = frozenset(("known", "written", "seen", "sent", "paid", "left", "gone", "lost", "won"))
#: Words of how long a customer has been one, alone or beside another.
DURATIONS = frozenset(("tenure", "seniority"))
SPANS = frozenset(("age", "length", "duration", "lifetime", "active", "months", "days", "weeks", "years"))
HOLDERS = frozenset(("account", "subscription", "customer", "membership", "client", "active"))
#: A duration that ranks less well does not matter.
MATTERS = 0.6
#: Fewer values ahead of their row are clocks that differ.
GLITCHES = 0.01
#: Rank correlation with the time of the exit that no ordinary column has.
FOLLOWS = 0.95
#: Accounts that left, for a correlation to mean anything.
LEAST = 30


def known_findings(rows: pl.DataFrame, roles: Roles) -> Iterator[Finding]:
    """Rows written down after the moment they are about."""
    as_of, known_at = roles.as_of, roles.known_at
    if as_of is None or known_at is None:
        return
    late = rows.filter(pl.col(known_at) > pl.col(as_of)).height
    if late:
        yield Finding(
            "known_at",
            "error",
            known_at,
            f"{late:,} rows were known ({known_at}) only after the moment they are about ({as_of}).",
            "Take for each row what was known at its moment.",
            {"rows": float(late), "share": late / rows.height},
        )


def later_findings(rows: pl.DataFrame, columns: Sequence[str], roles: Roles) -> Iterator[Finding]:
    """Dates that lie after the row's own moment without being plans, and columns named after the same event."""
    as_of = roles.as_of
    for name in columns:
        if as_of is None or not rows[name].dtype.is_temporal() or set(words(name)) & PLANNED:
            continue
        share = _later(rows, name, as_of)
        if share < GLITCHES:
            continue
        event = _event(name)
        sure = event is not None or certain(name)
        numbers = {"share": share}
        yield Finding(
            "later",
            "error" if sure else "warning",
            name,
            f"{share:.1%} of the known values of {name!r} lie after the row's own moment ({as_of}).",
            "Empty it until it has happened; a planned date may stay.",
            numbers,
        )
        for sibling in columns if event else ():
            if sibling != name and words(sibling)[:1] == (event,):
                yield Finding(
                    "later",
                    "error",
                    sibling,
                    f"{sibling!r} is known once {name!r} has happened, and {share:.1%} of those values lie after the "
                    f"row's own moment ({as_of}).",
                    "Empty it until it has happened.",
                    numbers,
                )


def past(rows: pl.DataFrame, names: Sequence[str], as_of: str) -> frozenset[str]:
    """Dates of which no value lies after its row's own moment: whatever they are called, they were known by then.
    None where all rows have one moment, which may well be the day the table was written."""
    if rows[as_of].n_unique() < 2:
        return frozenset()
    return frozenset(name for name in names if not _later(rows, name, as_of))


def _later(rows: pl.DataFrame, name: str, as_of: str) -> float:
    known = rows.filter(pl.col(name).is_not_null() & pl.col(as_of).is_not_null())
    return known.filter(pl.col(name) > pl.col(as_of)).height / known.height if known.height else 0.0


def _event(name: str) -> str | None:
    """The event a moment is named after: `closed_at` -> closed; None where the name says no such thing."""
    said = words(name)
    happened = len(said) == 2 and said[1] in MOMENTS and (said[0].endswith("ed") or said[0] in HAPPENED)
    return said[0] if happened else None


def label_time_findings(rows: pl.DataFrame, columns: Sequence[str], roles: Roles) -> Iterator[Finding]:
    """Columns that, among those who left, follow the time of the decision or the time until it."""
    as_of, decided_at = roles.as_of, roles.decided_at
    if decided_at is None:
        return
    left = rows.filter((pl.col(roles.label) == 1) & pl.col(decided_at).is_not_null())
    if (left.height if roles.group is None else left[roles.group].n_unique()) < LEAST:
        return
    times = {"the moment of the decision": pl.col(decided_at).to_physical().cast(pl.Float64)}
    if as_of is not None:
        span = (pl.col(decided_at).cast(pl.Datetime("us")) - pl.col(as_of).cast(pl.Datetime("us"))).dt.total_seconds()
        times["the time until the decision"] = span.cast(pl.Float64)
    for name in columns:
        if not (rows[name].dtype.is_numeric() or rows[name].dtype.is_temporal()):
            continue
        for meant, time in times.items():
            rho = _rank_correlation(left.select(x=pl.col(name).to_physical().cast(pl.Float64), t=time).drop_nulls())
            if abs(rho) > FOLLOWS:
                yield Finding(
                    "label_time",
                    "error",
                    name,
                    f"Among those who left, {name!r} follows {meant} (rank correlation {rho:.2f}).",
                    "It is measured at the exit: take its value at the row's own moment.",
                    {"rank_correlation": rho},
                )


def _rank_correlation(pairs: pl.DataFrame) -> float:
    if pairs.height < LEAST or min(pairs["x"].n_unique(), pairs["t"].n_unique()) < 3:
        return 0.0
    x, t = pairs["x"].rank().to_numpy(), pairs["t"].rank().to_numpy()
    return float(np.corrcoef(x, t)[0, 1])


def duration_findings(names: Collection[str], alone: Mapping[str, Alone], roles: Roles) -> Iterator[Finding]:
    """Durations that may stop at the exit, in a table that does not say when its rows were taken."""
    if roles.as_of is not None or roles.decided_at is not None:
        return
    for name in names:
        if name not in alone or alone[name].low <= MATTERS or not is_duration(name):
            continue
        yield Finding(
            "duration",
            "warning",
            name,
            f"The column {name!r} sounds as if it ran until the exit for those who left and until today for the others "
            f"(AUC alone {alone[name].auc:.3f}); one cross-section cannot tell.",
            "Take it at one moment before the label's period for everybody, and name that moment's column.",
            {"auc": alone[name].auc, "low": alone[name].low},
        )


def is_duration(name: str) -> bool:
    """Whether a name says how long somebody has been a customer."""
    said = set(words(name))
    return bool(said & DURATIONS) or bool(said & HOLDERS and said & (SPANS - {"active"}))
