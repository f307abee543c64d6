"""Drawings of a scorecard's tables: one feature's shape, two features' grid."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from models.scorecard import GridTerm, Term
from training.canvas import COLOURS, DIVERGING, INK, LINE, SMALL, SOFT, axes, cut, titled, value

Floats = npt.NDArray[np.float64]


def shape(
    terms: Mapping[str, Term] | Term, counts: Sequence[int] | None = None, ax: Axes | None = None, *, unit: str = ""
) -> Axes:
    """A feature's table: log-odds by value, the middle 80 % of its refits where it carries any, and below how many
    training rows lie where.

    terms   one term, or the terms of one feature by target, laid over each other
    counts  rows per place of the (first) term, as `Scorecard.counts` gives them
    What is unknown has a place of its own at the right; for texts, so has any other text.
    """
    by_target = {"churn": terms} if isinstance(terms, Term) else dict(terms)
    first = next(iter(by_target.values()))
    text = first.kind == "category"
    ax = axes(ax, 4.6, 2.4, below=0.5 if unit or text else 0.3)
    drawn = _texts(ax, by_target) if text else _numbers(ax, by_target)
    if counts is not None and any(counts):
        _bars(ax, first, drawn, np.array(counts, dtype=np.float64))
    ax.axhline(0, color=LINE, lw=1, zorder=0)
    _room(ax, np.concatenate([np.concatenate((term.table, *_band(term))) for term in by_target.values()]))
    titled(ax, "log-odds", unit)
    return ax


def grid(term: GridTerm, third: int = 0, ax: Axes | None = None, *, labels: Sequence[str] | None = None) -> Axes:
    """A grid as a heat map: safer than the average is green, riskier is red, nothing is white.

    third  where there are three features: the place of the third one that is shown
    """
    ax = axes(ax, 4.6, 3.4, left=0.24)
    values = np.array(term.table).reshape(term.shape)
    values = values if values.ndim == 2 else values[:, :, third]
    most = max(float(np.abs(values).max()), 1e-9)
    image = ax.imshow(values, cmap=DIVERGING, vmin=-most, vmax=most, aspect="auto", origin="lower")
    names = [_places(axis) for axis in term.axes]
    for axis, texts in zip((ax.yaxis, ax.xaxis), names[:2], strict=True):
        chosen = spread(len(texts), 7)
        axis.set_ticks(chosen, [cut(texts[i], 14) for i in chosen])
    ax.tick_params(axis="x", rotation=30)
    for text in ax.get_xticklabels():
        text.set(ha="right", rotation_mode="anchor")
    if values.size <= 60:
        _written(ax, values, most)
    else:
        bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=SMALL, colors=SOFT, length=0)
    rows, columns, *_ = labels or term.features
    titled(ax, f"up: {cut(rows, 22)}; along: {cut(columns, 22)}")
    return ax


def widest(term: GridTerm) -> tuple[int, str]:
    """Of three features: the place of the third at which the other two differ most, and what it is called."""
    if len(term.features) == 2:
        return 0, ""
    slices = np.array(term.table).reshape(term.shape)
    third = int(np.ptp(slices, axis=(0, 1)).argmax())
    return third, _places(term.axes[2])[third]


def _written(ax: Axes, values: Floats, most: float) -> None:
    for (row, column), number in np.ndenumerate(values):
        pale = abs(number) > 0.7 * most
        ax.text(column, row, f"{number:+.2f}", ha="center", va="center", fontsize=7, color="white" if pale else INK)


def _places(axis: Sequence[float] | Sequence[str]) -> list[str]:
    """Where a value can fall on one axis of a grid, in few signs."""
    if axis and isinstance(axis[0], str):
        return [*map(str, axis), "unknown", "any other"]
    edges = [value(float(edge)) for edge in axis]
    inner = [f"{low}–{high}" for low, high in pairwise(edges)]  # noqa: RUF001 (an en dash, as between numbers)
    return [f"< {edges[0]}", *inner, f"≥ {edges[-1]}", "unknown"] if edges else ["any", "unknown"]


def spread(n: int, most: int) -> list[int]:
    """At most so many of n positions, spread evenly, both ends among them."""
    found: list[int] = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int)).tolist()
    return found


def _band(term: Term) -> tuple[Floats, Floats]:
    """The middle 80 % of the refits of every entry; the entry itself where there are none."""
    if not term.replicates:
        return np.array(term.table), np.array(term.table)
    low, high = np.quantile(np.array(term.replicates), [0.1, 0.9], axis=0)
    return low, high


def _dots(ax: Axes, x: Floats, y: Floats, band: tuple[Floats, Floats], colour: str) -> None:
    ax.vlines(x, *band, color=colour, alpha=0.4, lw=2.5)
    ax.plot(x, y, "o", color=colour, ms=5, mec="white", mew=0.7)


def _texts(ax: Axes, terms: Mapping[str, Term]) -> tuple[Floats, Floats]:
    """Draw categories side by side; returns left edges and widths of the first term's places."""
    names = list(dict.fromkeys(name for term in terms.values() for name in term.bins[:-2]))
    names += ["unknown", "any other"]
    at = {name: place for place, name in enumerate(names)} | {"missing": len(names) - 2}
    for shift, (target, term) in zip(_shifts(len(terms)), terms.items(), strict=True):
        x = np.array([at[name] for name in term.bins]) + shift
        _dots(ax, x, np.array(term.table), _band(term), COLOURS[target])
    many = len(names) > 5
    chosen = spread(len(names), 14)
    ax.set_xticks(
        chosen, [cut(names[i], 11) for i in chosen], rotation=28 if many else 0, ha="right" if many else "center"
    )
    ax.set_xlim(-0.6, len(names) - 0.4)
    first = next(iter(terms.values()))
    return np.array([at[name] for name in first.bins]) - 0.4, np.full(len(first.bins), 0.8)


def _shifts(n: int) -> Floats:
    return np.zeros(1) if n == 1 else np.linspace(-0.11, 0.11, n)


def _numbers(ax: Axes, terms: Mapping[str, Term]) -> tuple[Floats, Floats]:
    """Draw lines and steps; returns left edges and widths of the first term's places."""
    knots = np.unique(np.concatenate([term.knots for term in terms.values()]))
    to_scale = _to_scale(knots, stepped=any(term.kind == "steps" for term in terms.values()))
    at = knots if to_scale else np.arange(len(knots), dtype=np.float64)
    span = float(at[-1] - at[0]) if len(knots) else 0.0
    one = (0.08 * span or 1.0) if to_scale else 1.0
    start, stop = (float(at[0]) - one, float(at[-1]) + one) if len(knots) else (-one, one)
    aside = max(one, 0.08 * (stop - start))
    unknown = stop + 1.1 * aside
    for shift, (target, term) in zip(_shifts(len(terms)), terms.items(), strict=True):
        edges = np.array([start, *(at[np.searchsorted(knots, term.knots)]), stop])
        x, take = _line(term, edges)
        table, (low, high) = np.array(term.table), _band(term)
        ax.fill_between(x, low[take], high[take], color=COLOURS[target], alpha=0.16, lw=0)
        ax.plot(x, table[take], color=COLOURS[target], lw=1.8)
        place = np.array([unknown + 2 * aside * shift])
        _dots(ax, place, table[-1:], (low[-1:], high[-1:]), COLOURS[target])
    _ticks(ax, knots, at, unknown, to_scale=to_scale)
    ax.set_xlim(start, unknown + 0.8 * aside)
    first = next(iter(terms.values()))
    edges = np.array([start, *(at[np.searchsorted(knots, first.knots)]), stop])
    return np.append(edges[:-1], unknown - 0.35 * aside), np.append(np.diff(edges), 0.7 * aside)


def _to_scale(knots: Floats, *, stepped: bool) -> bool:
    """Whether an axis true to scale can be read.

    It cannot where a few large values would squeeze all others into a corner; then every knot gets the same room.
    """
    if len(knots) < 3:
        return len(knots) == 2
    gaps = np.diff(knots)
    uneven = (knots[-1] - knots[0]) > 4 * len(gaps) * float(np.median(gaps))
    return not uneven and not (stepped and len(knots) <= 12)


def _line(term: Term, edges: Floats) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Points to draw through, and which entry of the table each takes. edges: both ends of the axis among them."""
    n = len(term.knots)
    if term.kind == "line":
        return edges, np.r_[0, 0:n, n - 1]
    return np.repeat(edges, 2)[1:-1], np.repeat(np.arange(n + 1), 2)


def _ticks(ax: Axes, knots: Floats, at: Floats, unknown: float, *, to_scale: bool) -> None:
    """Values along the axis, as many as can be read, and the place of what is unknown."""
    if to_scale:
        places = [t for t in MaxNLocator(5).tick_values(float(at[0]), float(at[-1])) if at[0] <= t <= at[-1]]
        names = [value(t) for t in places]
    else:
        chosen = spread(len(knots), 7) if len(knots) else []
        if len(knots) > 12:  # the last one would run into the word beside it
            chosen = chosen[:-1]
        places, names = [float(at[i]) for i in chosen], [value(float(knots[i])) for i in chosen]
    ax.set_xticks([*places, unknown], [*names, "unknown"])


def _bars(ax: Axes, term: Term, drawn: tuple[Floats, Floats], counts: Floats) -> None:
    """Rows per place along the bottom, as tall as there are many."""
    left, width = drawn
    # A line's table has an entry per knot, but a value falls between two: one place more.
    assert len(counts) == len(left), f"{term.name} has {len(left)} places, counted were {len(counts)}"
    tall = 0.17 * counts / counts.max()
    ax.bar(left, tall, width, align="edge", color=SOFT, alpha=0.3, lw=0, transform=ax.get_xaxis_transform())


def _room(ax: Axes, values: Floats) -> None:
    """Room for everything drawn, and a fifth below it for the counts."""
    low, high = min(float(values.min()), -0.05), max(float(values.max()), 0.05)
    ax.set_ylim(low - 0.3 * (high - low), high + 0.08 * (high - low))
    ax.yaxis.set_major_locator(MaxNLocator(5, prune="lower"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:+.2g}" if abs(number) > 1e-9 else "0"))
