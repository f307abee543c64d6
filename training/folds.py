"""Forward folds: always tested on later moments and on other accounts than were learnt from.

Neighbouring snapshots of one account share most of their past and often the very same exit, so a random split
tests on what it has learnt. Here a fold learns from some accounts *before* and is tested on others *after*:

    moments      m0 ... m14, every 28 days: m0 = 2025-06-23, m14 = 2026-07-20
    purge        B + H = 104 d: the label of a snapshot s looks at (s, s + 104 d]
    groups       accounts in 4 random groups; a parent and its children always in the same one

A fold tested from T on may learn from s if s + 104 d <= T: what its labels know had happened by T, and what a
test label asks about happens after T.

    first T      the earliest moment with at least 3 usable ones before it: s = m0, m1, m2
                 m2 = 2025-08-18, + 104 d = 2025-11-30, so T = m6 = 2025-12-08
    blocks       m6 ... m14 in 4 runs of (almost) equal length: m6-m8, m9-m10, m11-m12, m13-m14

    fold (block 0, group 2)   learns from groups 0, 1, 3 at m0, m1, m2    tested on group 2 at m6, m7, m8
    fold (block 3, group 2)   learns from groups 0, 1, 3 at m0 ... m9     tested on group 2 at m13, m14
                              (m9 = 2026-03-02, + 104 d = 2026-06-14 <= m13 = 2026-06-22)

Every row from m6 on is tested exactly once, by a model that knew neither its account nor its time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import polars as pl

from models.errors import SettingsError, TooFewLabels
from models.labels import DEFAULTS, LabelParams

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Fold:
    """One fit and its test: row positions `train` and `test`, the last moment learnt from, the first and the
    last one tested."""

    block: int
    group: int
    train_to: datetime
    test_from: datetime
    test_to: datetime
    train: Rows
    test: Rows


@dataclass(frozen=True)
class Folds:
    """The folds over one frame of rows, and what they were cut with. Iterating yields the folds."""

    folds: tuple[Fold, ...]
    rows: int
    purge: timedelta
    blocks: int
    groups: int
    seed: int

    def __iter__(self) -> Iterator[Fold]:
        return iter(self.folds)

    def __len__(self) -> int:
        return len(self.folds)

    @property
    def tested(self) -> Rows:
        """Positions of all rows that some fold tests, ascending."""
        return np.sort(np.concatenate([fold.test for fold in self.folds]))


def roots(accounts: pl.DataFrame) -> pl.DataFrame:
    """account_id -> root_id: accounts that belong together, by `parent_id` through any number of levels.

    A parent nobody has described still holds its children together; a circle of parents is one family. The
    root is the family's smallest id.
    """
    family: dict[str, str] = {}

    def head(member: str) -> str:
        while (above := family.get(member, member)) != member:
            family[member] = member = family.get(above, above)
        return member

    for child, parent in accounts.select("account_id", "parent_id").drop_nulls().iter_rows():
        low, high = sorted((head(child), head(parent)))
        family[high] = low
    members = accounts.get_column("account_id").to_list()
    return pl.DataFrame(
        {"account_id": members, "root_id": [head(member) for member in members]},
        schema={"account_id": pl.String, "root_id": pl.String},
    )


def forward_folds(
    rows: pl.DataFrame,
    accounts: pl.DataFrame,
    params: LabelParams = DEFAULTS,
    *,
    blocks: int = 4,
    groups: int = 4,
    least: int = 3,
    seed: int = 0,
    purge: timedelta | None = None,
) -> Folds:
    """Forward, purged, account-grouped folds over `rows` (account_id, as_of; any order, other columns ignored).

    accounts  account_id and parent_id, for families; an account missing there is a family of its own
    blocks    runs of tested moments (fewer if there are fewer moments)
    least     moments that may be learnt from before the first tested one
    purge     distance from a learnt to a tested moment, B + H where not given; B + H + R also forgets exits
              that were not yet reported when testing began

    Raises `TooFewLabels` for a history too short to test anything, `SettingsError` for less than two groups.
    """
    if blocks < 1 or groups < 2 or least < 1:
        raise SettingsError("Folds need at least 1 block, 2 groups and 1 moment to learn from.")
    purge = params.window if purge is None else purge
    times = rows.get_column("as_of").unique().sort().to_list()
    at = rows.select(pl.col("as_of").rank("dense") - 1).to_series().to_numpy().astype(np.intp)
    group = _groups(rows, accounts, groups, seed)
    folds: list[Fold] = []
    for block, tested in enumerate(_blocks(times, purge, blocks, least)):
        learnt = _usable(times, times[tested.start], purge)
        for g in range(groups):
            train = np.flatnonzero((at < learnt) & (group != g))
            test = np.flatnonzero((at >= tested.start) & (at < tested.stop) & (group == g))
            if len(test):
                span = times[learnt - 1], times[tested.start], times[tested.stop - 1]
                folds.append(Fold(block, g, *span, train=train, test=test))
    return Folds(tuple(folds), rows.height, purge, blocks, groups, seed)


def _groups(rows: pl.DataFrame, accounts: pl.DataFrame, groups: int, seed: int) -> Rows:
    """The group of each row: families in an order shuffled by a hash (the same on every machine), then dealt."""
    joined = rows.select("account_id").join(roots(accounts), on="account_id", how="left", maintain_order="left")
    family = joined.select(pl.coalesce("root_id", "account_id")).to_series()
    shuffled = sorted(family.unique(), key=lambda root: blake2b(f"{seed}|{root}".encode()).digest())
    dealt = {root: position % groups for position, root in enumerate(shuffled)}
    return family.replace_strict(dealt, return_dtype=pl.Int64).to_numpy().astype(np.intp)


def _usable(times: list[datetime], tested: datetime, purge: timedelta) -> int:
    """How many of the ascending moments may be learnt from when testing begins at `tested`."""
    return sum(s + purge <= tested for s in times)


def _blocks(times: list[datetime], purge: timedelta, blocks: int, least: int) -> list[range]:
    """The tested moments as runs of positions in `times`; the earlier runs are the longer ones."""
    testable = [k for k, t in enumerate(times) if _usable(times, t, purge) >= least]
    if not testable:
        span = (times[-1] - times[0]).days if times else 0
        raise TooFewLabels(
            f"The snapshots span {span} days; a test on later moments needs {least} of them and then {purge.days} days."
        )
    runs = np.array_split(np.asarray(testable), min(blocks, len(testable)))
    return [range(int(run[0]), int(run[-1]) + 1) for run in runs]
