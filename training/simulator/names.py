"""What people read on a screen: invented company names, owners, regions, plans.

None of it depends on the hidden state, so nothing here can tell who will leave.
"""

import numpy as np
import polars as pl

from training.simulator.columns import Floats, Ints
from training.simulator.hours import DAY
from training.simulator.population import Traits
from training.simulator.worlds import World

HEADS = (
    "Ald", "Bor", "Cal", "Dun", "El", "Fen", "Gal", "Hol", "Ister", "Jor", "Kel", "Lum", "Mar",
    "Nor", "Or", "Pel", "Quil", "Ros", "Sel", "Tam", "Ul", "Ver", "Wil", "Yar", "Zan",
)  # fmt: skip
TAILS = (
    "aby", "bridge", "crest", "dale", "evra", "field", "gard", "hollow", "ingo", "keld", "land",
    "mere", "nova", "orin", "port", "quay", "ridge", "stead", "thorpe", "umber", "vale", "wick",
)  # fmt: skip
TRADES = (
    "Analytics", "Bakeries", "Cartons", "Dental", "Energy", "Freight", "Gardens", "Health",
    "Insurance", "Joinery", "Kitchens", "Labs", "Media", "Networks", "Optics", "Packaging",
    "Robotics", "Schools", "Textiles", "Utilities", "Ventures", "Works",
)  # fmt: skip
OWNERS = ("alice", "bruno", "chidi", "daria", "emeka", "farah", "goran", "hanne")
REGIONS = ("North", "South", "East", "West")
REGION_SHARES = (0.35, 0.25, 0.22, 0.18)
PLANS = {"smb": "Starter", "mid": "Business", "enterprise": "Enterprise"}
PRICE_PER_SEAT = {"smb": 25.0, "mid": 32.0, "enterprise": 38.0}
NEVER_ONBOARDED = 0.06


def profiles(world: World, traits: Traits, rng: np.random.Generator) -> pl.DataFrame:
    """One row per account, in their order: what does not change over time."""
    rows = len(traits.segment)
    segments = np.array([segment.name for segment in world.segments])[traits.segment]
    return pl.DataFrame(
        {
            "name": _names(rows, rng),
            "owner": [f"{OWNERS[i]}@example.com" for i in rng.integers(0, len(OWNERS), rows)],
            "segment": segments,
            "region": np.array(REGIONS)[rng.choice(len(REGIONS), rows, p=REGION_SHARES)],
            "plan": [PLANS.get(name, name) for name in segments],
            "seats": _seats(segments.tolist(), traits.mrr, rng),
            "people": _people(world, traits.segment, rng),
            "onboarded": _onboarded(traits.started, rng),
        }
    )


def _names(rows: int, rng: np.random.Generator) -> list[str]:
    head, tail, trade = (rng.integers(0, len(words), rows) for words in (HEADS, TAILS, TRADES))
    return [f"{HEADS[h]}{TAILS[t]} {TRADES[k]}" for h, t, k in zip(head, tail, trade, strict=True)]


def _seats(segments: list[str], mrr: Floats, rng: np.random.Generator) -> Ints:
    price = np.array([PRICE_PER_SEAT.get(name, 30.0) for name in segments])
    seats: Floats = mrr / price * np.exp(0.2 * rng.normal(size=len(mrr)))
    return np.maximum(1, np.rint(seats)).astype(np.int64)


def _people(world: World, segment: Ints, rng: np.random.Generator) -> Ints:
    people = np.array([s.people for s in world.segments])[segment]
    return rng.integers(people[:, 0], people[:, 1], endpoint=True)


def _onboarded(started: Floats, rng: np.random.Generator) -> Floats:
    """A month or so after the start; NaN for those who never finished."""
    rows = len(started)
    moment = started + 30 * DAY * np.exp(0.6 * rng.normal(size=rows))
    return np.where(rng.random(rows) < NEVER_ONBOARDED, np.nan, moment)
