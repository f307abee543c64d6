"""How a part of a change is told: its amount, and the features that make it up."""

from collections.abc import Mapping
from typing import Any

from models.health import points
from models.reasons import Subject

#: What the parts mean, said to people.
MEANING = {
    "corrected": "what is stored of these days has been corrected since",
    "late": "told only later, though it had happened before",
    "time": "time alone: old events fade, the renewal comes nearer",
    "behaviour": "what happened in between",
    "model": "another model",
}
#: Amounts that belong to no feature.
OTHERS = {
    "base": "what the models say of everybody",
    "reference": "the risk that fifty points stand for",
    "": "all features together",
}


def part_line(
    part: str, amounts: Mapping[str, float], about: Mapping[str, Subject], most: int | None = None
) -> dict[str, Any]:
    """A part and its features, the strongest first (the `most` strongest); those that are zero are left out."""
    lines = [reason_line(name, amount, about) for name, amount in amounts.items() if amount]
    lines.sort(key=lambda line: -abs(line["log_odds"]))
    total = sum(amounts.values())
    return {
        "part": part,
        "meaning": MEANING[part],
        "log_odds": total,
        "points": points(total),
        "features": lines[:most],
    }


def reason_line(name: str, amount: float, about: Mapping[str, Subject]) -> dict[str, Any]:
    """An amount of log-odds that belongs to a term, or to none."""
    subject = about.get(name)
    return {
        "feature": name,
        "label": OTHERS[name] if subject is None else subject.label,
        "component": None if subject is None else subject.component,
        "log_odds": amount,
        "points": points(amount),
    }


def add_reference(part: dict[str, Any], moved: float) -> None:
    """Fifty points stand for another risk in another model: points that no log-odds account for."""
    line = {"feature": "reference", "label": OTHERS["reference"], "component": None}
    part["features"].append({**line, "log_odds": 0.0, "points": moved})
    part["points"] += moved
