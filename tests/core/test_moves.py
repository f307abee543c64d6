"""Why accounts left, came and stayed, case by case."""

import pytest

from models.moves import Facts, came, left, stayed


def score(p: float, loss: float | None = None, quiet: bool = True) -> dict:
    return {"p_silent": p, "expected_revenue_loss": loss, "quiet": quiet}


def facts(then=None, now=None, standing="eligible", **more) -> Facts:
    plain = {"fits": True, "handled": False, "handled_then": False, "place": 9}
    return Facts(then, now, standing, **(plain | more))


@pytest.mark.parametrize(
    ("found", "least", "why"),
    [
        (facts(score(0.2, 2000.0), None), 900.0, "gone"),
        (facts(score(0.2, 2000.0), score(0.2, 2000.0), "leaving"), 900.0, "gone"),
        (facts(score(0.2), score(0.1, quiet=False)), 900.0, "spoke_up"),
        (facts(score(0.2), score(0.1), fits=False), 900.0, "filtered_out"),
        (facts(score(0.2), score(0.1), handled=True), 900.0, "handled"),
        # 800 at 0.08 would be 2,000 at 0.20: the fall of the risk alone took it off.
        (facts(score(0.20, 2000.0), score(0.08, 800.0)), 900.0, "risk_fell"),
        # 400 at 0.08 (its revenue halved too) would be 800 at 0.16: too small at either risk.
        (facts(score(0.16, 1600.0), score(0.08, 400.0)), 900.0, "too_small"),
        (facts(score(0.08, 800.0), score(0.08, 800.0)), 900.0, "too_small"),
        (facts(score(0.08, 800.0), score(0.09, 900.0)), 1000.0, "too_small"),
        (facts(score(0.2), score(0.1)), None, "risk_fell"),
    ],
)
def test_why_it_left(found, least, why):
    assert left(found, by_loss=True, least=least) == why


@pytest.mark.parametrize(
    ("found", "least", "why"),
    [
        (facts(None, score(0.2, 2000.0)), 900.0, "new_customer"),
        (facts(score(0.2, quiet=False), score(0.2, 2000.0)), 900.0, "fell_silent"),
        (facts(score(0.2, 2000.0), score(0.2, 2000.0), handled_then=True), 900.0, "due_again"),
        # 1,000 at 0.10 was 500 at 0.05.
        (facts(score(0.05, 500.0), score(0.10, 1000.0)), 900.0, "risk_rose"),
        (facts(score(0.095, 950.0), score(0.10, 1000.0)), 900.0, "had_room"),
        (facts(score(0.10, 500.0), score(0.10, 1000.0)), 900.0, "had_room"),
    ],
)
def test_why_it_came(found, least, why):
    assert came(found, by_loss=True, least=least) == why


def test_by_probability_the_risk_itself_decides():
    assert left(facts(score(0.2), score(0.1)), by_loss=False, least=0.15) == "risk_fell"
    assert left(facts(score(0.12), score(0.1)), by_loss=False, least=0.15) == "too_small"
    assert came(facts(score(0.1), score(0.2)), by_loss=False, least=0.15) == "risk_rose"
    assert came(facts(score(0.16), score(0.2)), by_loss=False, least=0.15) == "had_room"


def test_why_it_stayed():
    assert [stayed(place, 8) for place in (1, 8, 9)] == ["still_in", "still_in", "held"]
