"""A drawing as a piece of a page: inline SVG that needs nothing else, reads aloud, and is the same bytes every time."""

import io
import re
from typing import Final
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_NUMBER: Final = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE: Final = re.compile(r"#([\w-]+)")
#: Left to the page: the drawing's texts take its font.
_FONT: Final = re.compile(r"font(?:-family)?:\s*(?:(?P<size>[\d.]+px)\s*)?'[^;]*")


def svg(ax: Axes, name: str, title: str, description: str) -> str:
    """The figure of these axes as `<svg>` for a page.

    name         unique on the page; what the drawing refers to inside is named after it
    title        what it is, in a few words; description: what it shows, in sentences, for whoever cannot see it
    """
    figure = ax.figure
    assert isinstance(figure, Figure)
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "ebbtide"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    # The text was written two lines above by the drawing library: nothing foreign is parsed.
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314
    _plain(root, name)
    for tag, text in (("desc", description), ("title", title)):
        told = ElementTree.Element(tag, {"id": f"{name}-{tag}"})
        told.text = text
        root.insert(0, told)
    # Without a size of its own, it takes the room the page gives it.
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _plain(root: ElementTree.Element, name: str) -> None:
    """Without namespaces, metadata and names nobody refers to; numbers to a hundredth of a point."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith("}metadata") or (child.tag.endswith("}defs") and not _kept(child)):
                parent.remove(child)
    used = set(_REFERENCE.findall(" ".join(value for node in root.iter() for value in node.attrib.values())))
    for node in root.iter():
        node.tag = node.tag.split("}")[-1]
        node.text = node.text.strip() if node.text and node.text.strip() else None
        node.tail = None
        node.attrib = {
            key.split("}")[-1]: _short(value, name)
            for key, value in node.attrib.items()
            if key != "id" or value in used
        }
        if "id" in node.attrib:
            node.attrib["id"] = f"{name}-{node.attrib['id']}"


def _kept(defs: ElementTree.Element) -> bool:
    """Whether definitions hold anything but the drawing library's own style sheet."""
    return any(not child.tag.endswith("}style") for child in defs)


def _short(value: str, name: str) -> str:
    value = _NUMBER.sub(lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), value)
    value = _FONT.sub(lambda found: f"font-size: {found['size']}" if found["size"] else "", value)
    if (value.startswith("#") and len(value) > 7) or "url(#" in value:
        value = _REFERENCE.sub(lambda found: f"#{name}-{found[1]}", value)
    return " ".join(value.split())
