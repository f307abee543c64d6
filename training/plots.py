"""The drawings of the report, one function each; the same functions serve in a notebook.

Every function draws on the `ax` it is given, or on a new figure of its own, and returns the axes. Nothing global is
touched: no pyplot, no style that outlives the call. `ax.figure` is the figure, to be shown or saved.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter

from models.clock import parse_instant
from training.canvas import COLOURS, INK, LINE, NAMES, PALE, SMALL, SOFT, axes, cut, titled
from training.shapes import grid, shape, widest

__all__ = ["NAMES", "calibration", "captured", "folds", "grid", "look_back", "months", "shape", "weights", "widest"]

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]


def calibration(bins: Sequence[Row], ax: Axes | None = None, *, target: str = "churn") -> Axes:
    """Predicted against observed share. bins: {predicted, observed, rows}, with {low, high} where there is an interval.

    Both axes are square roots, so that the many small risks are not all one dot. Below, how many rows each bin holds
    per width: where the predictions lie.
    """
    ax = axes(ax)
    predicted, observed, rows = (np.array([float(b[key]) for b in bins]) for key in ("predicted", "observed", "rows"))
    highs = [float(b["high"]) for b in bins if b.get("high") is not None]
    top = 1.08 * max([*predicted, *observed, *highs, 0.01])
    for which in ("x", "y"):
        getattr(ax, f"set_{which}scale")("function", functions=(_root, np.square))
    ax.plot([0, top], [0, top], color=SOFT, lw=1, ls=(0, (4, 3)))
    for b in bins:
        if b.get("low") is not None and b.get("high") is not None:
            ax.plot([b["predicted"]] * 2, [b["low"], b["high"]], color=COLOURS[target], lw=1.4, alpha=0.55)
    ax.plot(predicted, observed, "o", ms=5, color=COLOURS[target], mec="white", mew=0.7)
    _where(ax, predicted, rows, COLOURS[target], top)
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ticks = [0.0]
    for tick in (0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0):
        if tick <= top and np.sqrt(tick) - np.sqrt(ticks[-1]) >= 0.1 * np.sqrt(top):
            ticks.append(tick)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks, [f"{100 * t:g} %" for t in ticks])
        axis.minorticks_off()
    titled(ax, "share that left", "predicted share")
    return ax


def _root(values: Any) -> Any:
    return np.sqrt(np.maximum(values, 0))


def _where(ax: Axes, predicted: Floats, rows: Floats, colour: str, top: float) -> None:
    """A histogram along the bottom: bins of equal mass are the narrower the more rows lie there."""
    order = np.argsort(predicted)
    at, mass = _root(predicted[order]), rows[order]
    if len(at) < 2:
        return
    middle = (at[1:] + at[:-1]) / 2
    edges = np.concatenate(([max(2 * at[0] - middle[0], 0)], middle, [min(2 * at[-1] - middle[-1], np.sqrt(top))]))
    density = mass / np.maximum(np.diff(edges), 1e-9)
    tall = 0.16 * density / density.max()
    ax.bar(
        edges[:-1] ** 2, tall, np.diff(edges**2), align="edge", transform=ax.get_xaxis_transform(), color=colour,
        alpha=0.14, lw=0,
    )  # fmt: skip


def captured(table: Sequence[Row], ax: Axes | None = None, *, target: str = "churn", of: str = "exits") -> Axes:
    """What share of those who left (or of the revenue lost) lies in the tenths ranked highest, with its interval.

    table: entries with `share_so_far` {value, low, high}, highest risk first (`training.lift`). The dashed line is a
    list drawn at random.
    """
    ax = axes(ax)
    known = [row["share_so_far"] for row in table if row["share_so_far"]["value"] is not None]
    x = np.arange(len(known) + 1) / max(len(table), 1)
    value, low, high = (
        np.array([0.0, *(s["value"] if s[name] is None else s[name] for s in known)])
        for name in ("value", "low", "high")
    )
    ax.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=(0, (4, 3)))
    ax.fill_between(x, low, high, color=COLOURS[target], alpha=0.16, lw=0)
    ax.plot(x, value, "-o", color=COLOURS[target], lw=1.8, ms=4, mec="white", mew=0.6)
    for place in (1, 2, 3):
        if place < len(value):
            shift: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "color": INK}
            ax.annotate(f"{value[place]:.0%}", (x[place], value[place]), (6, -9), **shift)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.03)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    titled(ax, f"share of the {of}", "share of the customers, highest risk first")
    return ax


def months(rows: Sequence[Row], ax: Axes | None = None) -> Axes:
    """The lists that would have been issued: the share of each that left silently, with its interval, and the share of
    everybody.

    rows: {as_of, listed, left, precision {value, low, high}, base_rate} (`training.months`).
    """
    ax = axes(ax, width=max(5.2, 1.2 + 0.42 * len(rows)), left=0.09)
    x = np.arange(len(rows))
    value, low, high = (
        np.array([float(row["precision"][name] or 0) for row in rows]) for name in ("value", "low", "high")
    )
    ax.bar(x, value, 0.62, color=COLOURS["silent"], alpha=0.75)
    ax.vlines(x, low, high, color=INK, lw=1.1, alpha=0.6)
    ax.plot(x, [row["base_rate"] for row in rows], "_", color=COLOURS["churn"], ms=17, mew=2.4)
    told: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "fontsize": SMALL, "color": INK}
    for place, row in enumerate(rows):
        ax.annotate(f"{row['left']}", (place, high[place]), (0, 3), **told)
    days = [_instant(row["as_of"]) for row in rows]
    many = max(1, -(-len(rows) // 12))
    ax.set_xticks(x[::many], [f"{day:%d %b}" for day in days][::many], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_xlim(-0.6, len(rows) - 0.4)
    ax.set_ylim(0, max(0.05, 1.12 * float(high.max(initial=0))))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    titled(ax, "share of the list that left silently")
    return ax


def look_back(curve: Sequence[Row], ax: Axes | None = None, *, used: int | None = None) -> Axes:
    """Share of voluntary exits that count as silent, by how many days back one listens for a voice."""
    ax = axes(ax)
    known = [row for row in curve if row["silent_share"] is not None]
    days = [row["look_back_days"] for row in known]
    shares = [row["silent_share"] for row in known]
    ax.plot(days, shares, "-o", color=COLOURS["silent"], lw=1.8, ms=5, mec="white")
    for day, share in zip(days, shares, strict=True):
        weight = "bold" if day == used else "normal"
        ax.annotate(f"{share:.0%}", (day, share), (5, 5), textcoords="offset points", fontsize=SMALL, weight=weight)
    if used is not None:
        ax.axvline(used, color=LINE, lw=1, zorder=0)
    ax.set_ylim(0, 1.06)
    ax.set_xlim(0, max([*days, 1]) * 1.1)
    ax.set_xticks(days)
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    titled(ax, "share of exits that were silent", "days one listens back")
    return ax


def folds(blocks: Sequence[Row], ax: Axes | None = None) -> Axes:
    """Learnt, purged and tested stretches of time, one line per block.

    blocks: {learnt_from, learnt_to, tested_from, tested_to}, as instants or their texts.
    """
    ax = axes(ax, height=0.95 + 0.36 * len(blocks), left=0.02)
    half = timedelta(days=4)
    for line, block in enumerate(blocks):
        start, stop, first, last = (
            _instant(block[name]) for name in ("learnt_from", "learnt_to", "tested_from", "tested_to")
        )
        for left, right, face, hatch in (
            (start - half, stop + half, "#9db4c8", ""),
            (stop + half, first - half, PALE, "////"),
            (first - half, last + half, COLOURS["silent"], ""),
        ):
            corner, width = (_day(left), line - 0.3), _day(right) - _day(left)
            ax.add_patch(Rectangle(corner, width, 0.6, lw=0, facecolor=face, edgecolor=LINE, hatch=hatch or None))
    ends = [(_instant(block["learnt_from"]), _instant(block["tested_to"])) for block in blocks]
    ax.set_xlim(_day(min(start for start, _ in ends) - 3 * half), _day(max(end for _, end in ends) + 3 * half))
    ax.set_ylim(len(blocks) - 0.5, -0.5)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    # Three at least: with four, spans of three to four years are neither 4 years nor 7 half years long, and it warns.
    months = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(months)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(months, show_offset=False))  # type: ignore[no-untyped-call]
    titled(ax, "one line per block of tested moments")
    return ax


def _day(moment: datetime) -> float:
    return float(date2num(moment))  # type: ignore[no-untyped-call]


def _instant(value: datetime | str) -> datetime:
    return parse_instant(value) if isinstance(value, str) else value


def weights(rows: Sequence[tuple[str, float]], ax: Axes | None = None, *, target: str = "churn") -> Axes:
    """What moves the score most: label and mean absolute log-odds, the largest first."""
    ax = axes(ax, height=0.85 + 0.24 * max(len(rows), 1), left=0.5)
    labels, values = [label for label, _ in rows], [value for _, value in rows]
    ax.barh(range(len(rows)), values, color=COLOURS[target], height=0.62, alpha=0.85)
    ax.set_yticks(range(len(rows)), [cut(label) for label in labels], color=INK)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    titled(ax, "", "mean size of the contribution, log-odds")
    return ax
