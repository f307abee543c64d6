"""The dress of all drawings: axes, colours, sizes.

Nothing global is touched: no pyplot, no style that outlives a call.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK, SOFT, LINE, PALE = "#1d2733", "#5c6b7a", "#d5dde4", "#eef2f5"
#: One colour per question, told apart by every kind of eye; dark enough for thin lines on white.
COLOURS = {"churn": "#1f5f99", "silent": "#b8500f"}
NAMES = {"churn": "leaving at all", "silent": "leaving silently"}
#: Log-odds below zero (safer) to above (riskier).
DIVERGING = LinearSegmentedColormap.from_list("risk", ["#1f7a6b", "#f7f8f8", "#b3372f"])
#: In points: what is readable on a telephone and not shouting on a desk.
SMALL, NORMAL = 9, 10


def axes(
    ax: Axes | None = None, width: float = 5.2, height: float = 3.1, left: float = 0.12, below: float = 0.52
) -> Axes:
    """The axes given, or those of a new figure in the report's dress.

    width, height and the room `below` for what is said there are in inches, the room at the left a share of the width.
    """
    if ax is None:
        figure = Figure(figsize=(width, height))
        bottom = below / height
        ax = figure.add_axes((left, bottom, 0.96 - left, 1 - bottom - 0.34 / height))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(LINE)
    ax.tick_params(colors=SOFT, labelsize=SMALL, length=3, color=LINE)
    ax.set_axisbelow(True)
    return ax


def titled(ax: Axes, above: str, below: str = "") -> None:
    """What goes up is said above the axis, level, where it can be read; what goes along, below.

    Placed by hand: the library would measure every tick's text to find the room.
    """
    told: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "color": SOFT}
    ax.annotate(above, (0, 1), (0, 8), xycoords="axes fraction", ha="left", **told)
    ax.annotate(below, (0.5, 0), (0, -26), xycoords="axes fraction", ha="center", va="top", **told)


def cut(label: str, longest: int = 36) -> str:
    """A label that keeps to its place."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"


def value(number: float) -> str:
    """A tick's number, short."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number + 0.0:.3g}"
