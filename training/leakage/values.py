"""Single values that know the answer: an unknown, a zero, a text or a mark that only those who left (or stayed) have.

    remaining_contract unknown   21,572 rows, 91 % left    others 40 %     odds 16 times as high: emptied
    download_avg = 0             10,900 rows, 99.8 % left  others 48 %     500 times: measured after the exit

An emptied field is what an exit leaves behind, so its odds count from ten times on: gaps of ordinary data (not asked,
not measured) move odds two- or threefold. A text or a mark (one of a few numbers) of those who left counts from fifty
times on: contracts and tariffs move odds tenfold, or twentyfold downwards. Any value that moves the odds a hundredfold
does not predict, it reports.
"""

from collections.abc import Iterator
from itertools import combinations
from typing import Literal

import numpy as np
import numpy.typing as npt

from training.leakage.alone import LEAST
from training.leakage.codes import Column, Table
from training.leakage.counts import Odds, odds
from training.leakage.findings import Finding, Severity

#: An emptied value that moves the odds so much is a warning ...
EMPTIED = 10.0
#: ... a text, or a mark, that raises them so much is one ...
WRITTEN = 50.0
#: ... and any value that moves them so much stops the fit.
CERTAIN = 100.0
#: Values rarer than this cannot move an AUC by a hundredth.
SHARE = 0.01
#: So few different numbers are marks, and each of them is asked about.
MARKS = 12
#: Standard errors taken off where all pairs of columns are tried.
PAIR_ERRORS = 4.0

Masks = npt.NDArray[np.float32]
Kind = Literal["missing", "zero", "value"]


def findings(table: Table) -> Iterator[Finding]:
    """Unknowns, zeros and texts that know the answer; then columns that are emptied together."""
    fired: set[str] = set()
    for column in table.columns:
        for found in _telling(column, table):
            fired.add(column.name)
            yield found
    yield from _together(table, fired)


def _telling(column: Column, table: Table) -> Iterator[Finding]:
    """Of each kind (unknown, zero, text or mark) the value that moves the odds most, if it does so suspiciously."""
    rows = np.bincount(column.codes, minlength=column.size)
    left = np.bincount(column.codes, weights=table.y, minlength=column.size)
    total, gone = float(len(table.y)), float(table.y.sum())
    worst: dict[str, tuple[float, Finding]] = {}
    for code in _candidates(column, rows, table):
        found = odds(float(rows[code]), float(left[code]), total, gone, table.rows_per_group)
        size, kind = max(found.least, 1 / found.least), _kind(column, code, rows)
        if size > _bound(kind, found) and (kind not in worst or size > worst[kind][0]):
            others = (gone - found.left) / (total - found.rows)
            worst[kind] = size, _finding(column, table.unit, code, kind, found, others)
    yield from (finding for _, finding in worst.values())


def _candidates(column: Column, rows: npt.NDArray[np.intp], table: Table) -> list[int]:
    """Codes frequent enough, and not nearly all rows either: unknown, zero of a number that counts, every text, every
    mark."""
    total = len(table.y)
    each = not column.numeric or _differ(rows) <= MARKS
    codes = range(1, column.size) if each else [column.zero] if _counts(column, rows) else []
    least = max(SHARE * total, LEAST * table.rows_per_group)
    return [code for code in (0, *codes) if code is not None and least <= rows[code] <= total - least]


def _counts(column: Column, rows: npt.NDArray[np.intp]) -> bool:
    """Whether a zero means nothing was there: not for a flag, whose zero says no."""
    return column.zero is not None and _differ(rows) > 2


def _differ(rows: npt.NDArray[np.intp]) -> int:
    """How many known values (or bins of them) there are."""
    return int((rows[1:] > 0).sum())


def _kind(column: Column, code: int, rows: npt.NDArray[np.intp]) -> Kind:
    if code == 0:
        return "missing"
    return "zero" if code == column.zero and _counts(column, rows) else "value"


def _bound(kind: Kind, found: Odds) -> float:
    if kind == "missing":
        return EMPTIED
    return CERTAIN if found.ratio < 1 else EMPTIED if kind == "zero" else WRITTEN


def _finding(column: Column, unit: str, code: int, kind: Kind, found: Odds, others: float) -> Finding:
    size = max(found.least, 1 / found.least)
    severity: Severity = "error" if size > CERTAIN else "warning"
    return Finding(
        kind,
        severity,
        column.name,
        f"Of the {found.rows:,.0f} {unit} where {column.name!r} is {_said(column, code)}, {found.share:.1%} left, of "
        f"all others {others:.1%}: odds at least {size:,.0f} times as {'high' if found.ratio > 1 else 'low'}.",
        "Such a value is usually written by the exit: take the one the row had at its snapshot, or leave it out.",
        {"rows": found.rows, "share_left": found.share, "share_left_others": others, "odds_least": found.least},
    )


def _said(column: Column, code: int) -> str:
    """The value as a sentence names it."""
    if code == 0:
        return "unknown"
    return repr(column.texts[code]) if column.x is None else f"{column.x[column.codes == code][0]:g}"


def _together(table: Table, fired: set[str]) -> Iterator[Finding]:
    """Pairs of columns, innocent alone, whose being empty together knows the answer."""
    columns, masks = _empties(table, fired)
    if len(columns) < 2:
        return
    both, left = masks.T @ masks, (masks * table.y[:, None].astype(np.float32)).T @ masks
    total, gone, weight = float(len(table.y)), float(table.y.sum()), table.rows_per_group
    least = max(SHARE * total, LEAST * weight)
    for i, j in combinations(range(len(columns)), 2):
        if both[i, j] < least or both[i, j] > total - least:
            continue
        found = odds(float(both[i, j]), float(left[i, j]), total, gone, weight, PAIR_ERRORS)
        single = max(odds(float(both[k, k]), float(left[k, k]), total, gone, weight).ratio for k in (i, j))
        if found.least > EMPTIED and found.ratio > 2 * single:
            yield _pair(columns[i], columns[j], table.unit, found, (gone - found.left) / (total - found.rows))


def _empties(table: Table, fired: set[str]) -> tuple[list[str], Masks]:
    """Names and masks (rows x columns) of what may be empty: unknown, or zero where a number is counted."""
    names: list[str] = []
    masks: list[npt.NDArray[np.bool_]] = []
    for column in table.columns:
        rows = np.bincount(column.codes, minlength=column.size)
        codes = [0] if not _counts(column, rows) else [0, column.zero or 0]
        if column.name not in fired and SHARE * len(table.y) <= rows[codes].sum() < len(table.y):
            names.append(column.name)
            masks.append(np.isin(column.codes, codes))
    return names, np.array(masks, dtype=np.float32).reshape(len(names), len(table.y)).T


def _pair(one: str, other: str, unit: str, found: Odds, others: float) -> Finding:
    return Finding(
        "together",
        "error" if found.least > CERTAIN else "warning",
        one,
        f"Of the {found.rows:,.0f} {unit} where {one!r} and {other!r} are both empty, {found.share:.1%} left, of all "
        f"others {others:.1%}: odds at least {found.least:,.0f} times as high.",
        "Columns that fall to nothing together are usually measured after the exit: take them as of the snapshot.",
        {"rows": found.rows, "share_left": found.share, "share_left_others": others, "odds_least": found.least},
    )
