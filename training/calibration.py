"""Calibration on later data than the fit: what forward predictions say about the level and the slope of a model.

The predictions of the forward folds were made before their outcomes, as those of the service are. Where they turn out
too low, too high or too far apart, the next model made the same way will too, and its log-odds z are corrected:

    none       z
    level      z + a
    line       a + b z
    segments   a + b z + s(segment)      partially pooled: s ~ N(0, 0.2^2)

    two exits for every three predicted: O/E .67, a = -.41 or so, and what was 2 % is served as 1.35 %

Each is a straight line in log-odds, so the tables stay tables and reasons still add up. The simplest is kept unless
another is better on later blocks, beyond the error of the difference by account. What would bend the log-odds (beta
calibration; isotonic, from 1,000 events on) is measured the same way and reported, not served.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import IsotonicRegression

from models.health import expit
from models.scorecard import Scorecard, Term
from training import logistic

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.object_]
Rows = npt.NDArray[np.intp]

#: From the simplest on; a tie goes to the earlier.
SERVED = ("none", "level", "line", "segments")
#: How far level and slope may be expected to be off; few exits move them little.
LEVEL_SD, SLOPE_SD, SEGMENT_SD = 0.5, 0.25, 0.2
#: Below so many accounts that left, the steps of an isotonic fit are noise.
ISOTONIC_EVENTS = 1_000
Curve = Callable[[Floats], Floats]
Maker = Callable[["Forward"], Curve | None]
#: Two-sided 95 %.
_ERRORS = 1.96


@dataclass(frozen=True)
class Correction:
    """a + b z + shift of the account's segment; a segment not named, or unknown, is not shifted."""

    kind: str = "none"
    a: float = 0.0
    b: float = 1.0
    shifts: tuple[tuple[str, float], ...] = ()

    def log_odds(self, z: Floats, segments: Texts) -> Floats:
        """(n,) corrected log-odds of accounts in these segments."""
        shifts = dict(self.shifts)
        found: Floats = self.a + self.b * z + np.array([shifts.get(name, 0.0) for name in segments])
        return found

    def applied(self, card: Scorecard) -> Scorecard:
        """The same correction as tables: all of them `b` times, the segment's moved by the shifts."""
        terms = tuple(
            term.with_table([self.b * v for v in term.table], [[self.b * v for v in row] for row in term.replicates])
            for term in card.terms
        )
        grids = tuple(
            grid.with_table(
                [self.b * v for v in grid.table], [[self.b * v for v in row] for row in grid.replicate_tables()]
            )
            for grid in card.grids
        )
        base, replicates = self.a + self.b * card.base, tuple(self.a + self.b * v for v in card.base_replicates)
        made = replace(card, base=base, base_replicates=replicates, terms=terms, grids=grids)
        return _shifted(made, dict(self.shifts)) if self.shifts else made

    def to_plain(self) -> dict[str, Any]:
        """For the report."""
        return {"kind": self.kind, "intercept": self.a, "slope": self.b, "segments": dict(self.shifts)}


def _shifted(card: Scorecard, shifts: dict[str, float]) -> Scorecard:
    """The segment's table with a shift for each; a segment without an entry gets one."""
    found = next((term for term in card.terms if term.feature == "segment"), None)
    old = found or Term("segment", "category", categories=tuple(shifts), values=(0.0,) * len(shifts))
    places = {name: place for place, name in enumerate(old.categories)}
    names = (*old.categories, *(name for name in shifts if name not in places))

    def table(row: Sequence[float]) -> list[float]:
        # A text without an entry has been reading the last number, that of any other text.
        values = [row[places.get(name, -1)] + shifts.get(name, 0.0) for name in names]
        return [*values, *row[-2:]]

    empty = Term("segment", "category", categories=names, values=(0.0,) * len(names))
    refits = old.replicates or tuple(old.table for _ in card.base_replicates)
    moved = empty.with_table(table(old.table), [table(row) for row in refits])
    rest = (*card.terms, old) if found is None else card.terms
    return replace(card, terms=tuple(moved if term is old else term for term in rest))


@dataclass(frozen=True)
class Forward:
    """Forward predictions of one target: log-odds `z` (n,), labels `y` (n,), whose (`accounts`), of which `segments`,
    and in which `block` each was tested. `told`: block -> the blocks whose labels were known when it began."""

    z: Floats
    y: Floats
    accounts: Rows
    segments: Texts
    block: Rows
    told: Mapping[int, tuple[int, ...]]

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Forward":
        """Some of the rows."""
        return Forward(
            self.z[chosen], self.y[chosen], self.accounts[chosen], self.segments[chosen], self.block[chosen], self.told
        )

    @property
    def events(self) -> int:
        """Accounts that left."""
        return len(np.unique(self.accounts[self.y == 1]))


@dataclass(frozen=True)
class Calibrated:
    """The correction for the model that is served, the corrected forward predictions (n,), and what was measured."""

    final: Correction
    z: Floats
    report: dict[str, Any]


def calibrate(forward: Forward) -> Calibrated:
    """Choose and fit the correction; every block is corrected with what blocks before it had told only. Where no row
    has a segment, none is asked about."""
    served = SERVED if any(name is not None for name in forward.segments) else SERVED[:-1]
    fits = {kind: _by_block(forward, kind) for kind in served}
    z = forward.z.copy()
    by_block = {}
    for block in sorted(forward.told):
        kind = _best(forward, fits, forward.told[block])
        by_block[block] = kind
        z[forward.block == block] = fits[kind][forward.block == block]
    tested = tuple(block for block, told in forward.told.items() if told)
    kind = _best(forward, fits, tested)
    final = fitted(forward, kind)
    tried: dict[str, Floats | None] = {name: fits[name] for name in served[1:]}
    tried |= {name: _bent(forward, make, tested) for name, make in _BENT.items()}
    gain = {name: None if it is None else _gain(forward, fits["none"], it, tested) for name, it in tried.items()}
    report = {**final.to_plain(), "by_block": by_block, "gain": gain, "not_served": list(_BENT)}
    return Calibrated(final, z, report)


def fitted(forward: Forward, kind: str) -> Correction:
    """The correction of one kind from these rows."""
    if kind == "none" or not len(forward.y):
        return Correction(kind)
    names = sorted({name for name in forward.segments if name is not None}) if kind == "segments" else []
    x = np.column_stack([np.zeros((len(forward.y), 0)), *(forward.segments == name for name in names)]).astype(float)
    slope = 1e-6 if kind == "level" else SLOPE_SD
    found = logistic.fit(
        forward.z, x, forward.y, np.full(len(names), SEGMENT_SD), slope_sd=slope, intercept_sd=LEVEL_SD
    )
    b = 1.0 if kind == "level" else max(found.b, 0.0)
    return Correction(kind, found.a, b, tuple(zip(names, found.beta.tolist(), strict=True)))


def _by_block(forward: Forward, kind: str) -> Floats:
    """(n,) log-odds corrected from the blocks told before each block; as they are where none was."""
    z = forward.z.copy()
    for block, told in forward.told.items():
        here = forward.block == block
        if told and kind != "none":
            correction = fitted(forward.part(np.isin(forward.block, told)), kind)
            z[here] = correction.log_odds(forward.z[here], forward.segments[here])
    return z


def _loss(z: Floats, y: Floats) -> Floats:
    return np.logaddexp(0.0, z) - y * z


def _gain(forward: Forward, plain: Floats, corrected: Floats, blocks: Sequence[int]) -> dict[str, float] | None:
    """Log loss won on some blocks, with its 95 % interval by account."""
    rows = np.isin(forward.block, blocks)
    if not rows.any():
        return None
    won = (_loss(plain, forward.y) - _loss(corrected, forward.y))[rows]
    # Rows of one account are not independent: sums by account are.
    sums = np.bincount(forward.accounts[rows], weights=won)
    error = float(np.sqrt((sums**2).sum())) / len(won)
    value = float(won.mean())
    return {"value": value, "low": value - _ERRORS * error, "high": value + _ERRORS * error}


def _best(forward: Forward, fits: dict[str, Floats], blocks: Sequence[int]) -> str:
    """The simplest kind that no other beats on these blocks."""
    tested = [block for block in blocks if forward.told[block]]
    best = "none"
    for kind in [*fits][1:]:
        gain = _gain(forward, fits[best], fits[kind], tested)
        if gain is not None and gain["low"] > 0:
            best = kind
    return best


def _bent(
    forward: Forward, make: Callable[[Forward], Callable[[Floats], Floats] | None], blocks: Sequence[int]
) -> Floats | None:
    """As `_by_block` for a curve; None where there is too little to draw one."""
    z = forward.z.copy()
    for block in blocks:
        here = forward.block == block
        curve = make(forward.part(np.isin(forward.block, forward.told[block])))
        if curve is None:
            return None
        z[here] = curve(forward.z[here])
    return z


def _beta(forward: Forward) -> Curve | None:
    """Beta calibration (Kull, Silva Filho, Flach 2017): a ln p - b ln(1 - p) + c, with a, b drawn to 1."""

    def columns(z: Floats) -> Floats:
        return np.column_stack([-np.logaddexp(0.0, -z), np.logaddexp(0.0, z)])

    found = logistic.fit(
        forward.z, columns(forward.z), forward.y, np.full(2, SLOPE_SD), slope_sd=1e-6, intercept_sd=LEVEL_SD
    )
    return lambda z: found.a + z + columns(z) @ found.beta


def _isotonic(forward: Forward) -> Curve | None:
    if forward.events < ISOTONIC_EVENTS:
        return None
    found = IsotonicRegression(y_min=1e-4, y_max=1 - 1e-4, out_of_bounds="clip").fit(expit(forward.z), forward.y)

    def curve(z: Floats) -> Floats:
        p: Floats = found.predict(expit(z))
        return np.log(p) - np.log1p(-p)

    return curve


_BENT: dict[str, Maker] = {"beta": _beta, "isotonic": _isotonic}
