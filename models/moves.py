"""Why an account left a list, came onto it, or stayed: one reason each, the first that holds.

left     gone          it gave notice, ended, pays nothing, is a test account or cannot be scored any more
         spoke_up      it voiced dissatisfaction: it belongs to the closed-loop queue now
         handled       somebody turned to it lately
         filtered_out  it does not fit the question any more (another owner, another band)
         risk_fell     with the risk it had before it would be on the list
         too_small     others have more at stake
new      new_customer  had no score before
         fell_silent   was heard until then, and now is not
         due_again     had been approached then, and that is long enough ago now
         risk_rose     with the risk it had before it would not be on the list
         had_room      others left, or its revenue rose: it was ranked before, and now there is room
stayed   still_in      its place is within the capacity
         held          its place is behind it, within the buffer
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.standing import SCORED

#: Reason -> what it means, said to people.
MEANING = {
    "gone": "is not a customer at risk any more",
    "spoke_up": "voiced dissatisfaction, so it belongs to the closed-loop queue",
    "handled": "somebody turned to it lately",
    "filtered_out": "does not fit the list's filters any more",
    "risk_fell": "its risk fell",
    "too_small": "others have more at stake",
    "new_customer": "had no score before",
    "fell_silent": "was heard before, and has gone quiet",
    "due_again": "had been approached lately then, which is long enough ago now",
    "risk_rose": "its risk rose",
    "had_room": "was ranked before; now there is room for it",
    "still_in": "is within the capacity",
    "held": "is near enough to the capacity to stay",
}


@dataclass(frozen=True)
class Facts:
    """What is known of an account on either list.

    `then`, `now`: its scores (`p_silent`, `expected_revenue_loss`, `quiet`) behind the list before and behind this one;
    None: had none. `standing` is that of now (`models.standing`), `fits` whether the filters leave it, `place` its
    place among those that could be picked (None: could not).
    """

    then: Mapping[str, Any] | None
    now: Mapping[str, Any] | None
    standing: str
    fits: bool
    handled: bool
    handled_then: bool
    place: int | None


def left(facts: Facts, by_loss: bool, least: float | None) -> str:
    """Why an account is not on the list any more; `least`: the smallest value (loss or probability) on it."""
    if facts.now is None or facts.standing not in SCORED:
        return "gone"
    if not facts.now["quiet"]:
        return "spoke_up"
    if not facts.fits:
        return "filtered_out"
    if facts.handled:
        return "handled"
    fell = facts.then is not None and facts.now["p_silent"] < facts.then["p_silent"]
    return "risk_fell" if fell and _fits_at_old_risk(facts, by_loss, least) else "too_small"


def came(facts: Facts, by_loss: bool, least: float | None) -> str:
    """Why an account is on the list now."""
    if facts.then is None or facts.now is None:
        return "new_customer"
    if not facts.then["quiet"]:
        return "fell_silent"
    if facts.handled_then:
        return "due_again"
    rose = facts.now["p_silent"] > facts.then["p_silent"]
    return "risk_rose" if rose and not _fits_at_old_risk(facts, by_loss, least) else "had_room"


def stayed(place: int, capacity: int) -> str:
    """Why an account is on both lists."""
    return "still_in" if place <= capacity else "held"


def _fits_at_old_risk(facts: Facts, by_loss: bool, least: float | None) -> bool:
    """Whether it would be on the list with the risk it had before, and today's revenue."""
    assert facts.then is not None
    assert facts.now is not None
    risk, loss = facts.then["p_silent"], facts.now["expected_revenue_loss"]
    if not by_loss:
        return least is None or bool(risk >= least)
    # Unknown revenue ranks behind all others: there is no value to compare.
    return least is None or loss is None or bool(loss * risk >= least * facts.now["p_silent"])
