"""Whether the change ledger adds up: random pairs of moments, other models, late data, rows corrected since.

    python -m bench.changes --pairs 10000

A simulated base; for every pair of moments a fifth of its rows becomes known late, some by two months, a tenth of the
contacts is corrected between the two scores that are compared, and each score is by one of two models whose terms are
drawn (a table for every feature there is). The score of the first moment is the one that was given before anything was
corrected, with the features it came from, or in one pair of eight without them. Told are the worst differences between
the sum of the parts and the change of the scores, over all accounts of all pairs: in log-odds, in points of health, and
in the sums over accounts (the portfolio's ledger, with who came and who went).
"""

import argparse
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from models import health
from models.changes import Given, changes
from models.clock import INSTANT
from models.features import DEFAULT, FEATURES, compute
from models.features.fingerprint import fingerprints
from models.health import HealthParams, points
from models.history import History
from models.labels import LabelParams
from models.ledger import Floats
from models.model import OVERALL, ChurnModel, columns
from models.scorecard import Scorecard, Target, Term
from models.tally import Scores, Tallies

WEEKS = 78
#: What the sums may miss by.
AIM = 1e-9
TARGETS: tuple[Target, ...] = ("churn", "silent")


@dataclass
class Worst:
    """The worst differences so far, over so many accounts of so many pairs."""

    pairs: int = 0
    accounts: int = 0
    log_odds: float = 0.0
    points: float = 0.0
    portfolio: float = 0.0
    moved: float = 0.0

    def lines(self) -> str:
        """As a person reads it."""
        return "\n".join(
            (
                f"{self.pairs:,} pairs of moments, {self.accounts:,} comparisons of an account",
                f"largest change of a score         {self.moved:10.3g} log-odds",
                f"sum of parts less the change      {self.log_odds:10.3g} log-odds   aim {AIM:g}",
                f"the same in points of health      {self.points:10.3g}            aim {AIM:g}",
                f"portfolio's sum less its change   {self.portfolio:10.3g} log-odds   aim {AIM:g}",
            )
        )

    @property
    def holds(self) -> bool:
        """Whether everything adds up."""
        return max(self.log_odds, self.points, self.portfolio) < AIM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--accounts", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.perf_counter()
    found = worst(args.pairs, args.accounts, args.seed)
    print(found.lines())
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    sys.exit(0 if found.holds else 1)


def worst(pairs: int, accounts: int, seed: int) -> Worst:
    """The worst differences over so many pairs of moments, each about so many accounts."""
    from training import simulator  # noqa: PLC0415 - takes a second

    dice = np.random.default_rng(seed)
    base = History.from_frames(simulator.simulate(20 * accounts, WEEKS, "default", seed).tables)
    end = base.last_event(planned=False)
    assert end is not None
    models, found = (drawn_model(seed + 1), drawn_model(seed + 2)), Worst()
    for number in range(pairs):
        ids = base.accounts["account_id"].sample(accounts, seed=int(dice.integers(2**31))).to_list()
        days = np.sort(dice.uniform(0, WEEKS * 7 - 60, 2))
        first, last = (end - timedelta(days=float(day)) for day in days[::-1])
        one, other = (models[i] for i in dice.integers(0, 2, 2))
        _try(found, base.of(sorted(ids)), (one, first), (other, last), TARGETS[number % 2], dice)
    return found


def drawn_model(seed: int) -> ChurnModel:
    """A model with a term for every feature, all of them drawn."""
    dice = np.random.default_rng(seed)

    def term(feature: Any) -> Term:
        knots, kind = feature.basis.knots, feature.basis.kind
        if feature.categorical:
            levels = ("smb", "annual")
            return Term(feature.name, kind, (), levels, tuple(dice.normal(size=2)), *dice.normal(size=2))
        heights = tuple(dice.normal(size=len(knots) + (kind == "steps")))
        return Term(feature.name, kind, knots, (), heights, dice.normal())

    churn, silent = (Scorecard(target, dice.normal(), tuple(map(term, FEATURES))) for target in TARGETS)
    parts = (LabelParams(), DEFAULT, {OVERALL: {}}, "drawn", "P2", fingerprints())
    return ChurnModel(churn, silent, HealthParams.for_base(churn.base), *parts)


def _try(
    found: Worst,
    held: History,
    first: tuple[ChurnModel, datetime],
    last: tuple[ChurnModel, datetime],
    target: Target,
    dice: np.random.Generator,
) -> None:
    """Compare the scores of one pair of moments, and remember what the sums miss by."""
    before = _told_late(held, dice)
    after = _corrected(before, dice)
    sides = []
    for (model, at), known in ((first, before), (last, after)):
        ids = known.known_at(at).accounts["account_id"].sort().to_list()
        sides.append(_scored(model, known, ids, at, target))
    then, now = sides
    both = sorted(set(then.account_ids) & set(now.account_ids))
    kept = dice.integers(0, 8) > 0
    begun, ended = (_given(side, both, target, kept=kept) for side in (then, now))
    moved = changes(after, both, begun, ended, target)
    added = sum((moved.total(part) for part in moved.amounts), np.zeros(len(both)))
    found.pairs += 1
    found.accounts += len(both)
    if both:
        found.moved = max(found.moved, float(np.abs(moved.last - moved.first).max()))
        found.log_odds = max(found.log_odds, float(np.abs(added - (moved.last - moved.first)).max()))
        if target == "churn":
            shown = ended.model.health, begun.model.health
            to, since = (health.unclipped_health(s.log_odds, p) for s, p in zip((ended, begun), shown, strict=True))
            found.points = max(found.points, float(np.abs(points(added) + moved.reference - (to - since)).max()))
    tallies = Tallies({}, {})
    tallies.add({}, _scores(then, target), _scores(now, target), moved)
    residue, shown_residue = tallies.whole.residue()
    found.portfolio = max(found.portfolio, abs(residue), abs(shown_residue) if target == "churn" else 0.0)


@dataclass(frozen=True)
class _Side:
    """Scores of one moment: the model, the accounts known then, their log-odds and features."""

    model: ChurnModel
    at: datetime
    account_ids: list[str]
    log_odds: dict[Target, Floats]
    features: pl.DataFrame


def _scored(model: ChurnModel, known: History, ids: list[str], at: datetime, target: Target) -> _Side:
    asked = pl.DataFrame({"account_id": ids}, schema={"account_id": pl.String}).with_columns(as_of=pl.lit(at, INSTANT))
    features = compute(known, asked, model.baselines, model.columns.features)
    read = columns(features, model.columns)
    found = {name: model.card(name).log_odds(read) for name in {target, TARGETS[0]}}
    return _Side(model, at, ids, found, features)


def _given(side: _Side, ids: list[str], target: Target, *, kept: bool) -> Given:
    rows = [side.account_ids.index(account_id) for account_id in ids]
    flags = np.full(len(ids), kept)
    features = side.features[rows] if kept and ids else None
    return Given(side.model, side.at, side.log_odds[target][rows], features, flags)


def _scores(side: _Side, target: Target) -> Scores:
    shown = health.unclipped_health(side.log_odds["churn"], side.model.health)
    return Scores(side.account_ids, side.log_odds[target], shown)


def _told_late(held: History, dice: np.random.Generator) -> History:
    """A fifth of the contacts and surveys becomes known up to 60 days later than it did."""
    frames = {}
    for name in ("interactions", "surveys"):
        frame = held.frame(name)
        days = np.where(dice.random(frame.height) < 0.2, dice.uniform(0, 60, frame.height), 0.0)
        later = pl.Series((days * 86_400_000_000).astype(np.int64)).cast(pl.Duration("us"))
        frames[name] = frame.with_columns(recorded_at=pl.col("recorded_at") + later)
    return replace(held, **frames)  # type: ignore[arg-type]


def _corrected(held: History, dice: np.random.Generator) -> History:
    """A tenth of the contacts turns out otherwise: never solved, reopened more often, opened a day before."""
    frame = held.interactions
    wrong = pl.Series(dice.random(frame.height) < 0.1)
    never = pl.when(wrong).then(None)
    return replace(
        held,
        interactions=frame.with_columns(
            resolved_at=never.otherwise("resolved_at"),
            outcome=pl.when(wrong).then(pl.lit("unresolved")).otherwise("outcome"),
            reopens=pl.col("reopens").fill_null(0) + wrong.cast(pl.Int64) * 2,
            opened_at=pl.col("opened_at") - wrong.cast(pl.Int64).cast(pl.Duration("us")) * 86_400_000_000,
        ),
    )


if __name__ == "__main__":
    main()
