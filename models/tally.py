"""Why a portfolio's health changed: the ledgers of its accounts added up, and who came and who went.

    100 accounts in March             health 5,400 in all      a mean of 54.0
      6 went                                 -150     they had 25 each
      9 came                                 +540     they have 60 each
      corrected, late                          +0
      time                                    -90     of the 94 that were there both times
      behaviour                              -210
      model                                    +0
    103 accounts in April             health 5,490 in all      a mean of 53.3

Each line is a sum over accounts, so the whole is exact, for every group as for all. Health is unclipped here: only that
adds up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.changes import PARTS, Changes
from models.health import points
from models.ledger import Floats

Groups = np.typing.NDArray[np.intp]


@dataclass
class Sum:
    """So many accounts, and what their scores add up to: `log_odds` of the target, `points` of unclipped health."""

    accounts: int = 0
    log_odds: float = 0.0
    points: float = 0.0

    def add(self, log_odds: Floats, health: Floats) -> None:
        """Some accounts more."""
        self.accounts += len(log_odds)
        self.log_odds += float(log_odds.sum())
        self.points += float(health.sum())


@dataclass
class Tally:
    """One group: `first + came - went + all parts = last`, in log-odds and in points.

    `amounts`: part -> term -> log-odds of the accounts that were there both times; `reference`: the points that belong
    to the part `model` beside them.
    """

    first: Sum = field(default_factory=Sum)
    last: Sum = field(default_factory=Sum)
    came: Sum = field(default_factory=Sum)
    went: Sum = field(default_factory=Sum)
    amounts: dict[str, dict[str, float]] = field(default_factory=lambda: {part: {} for part in PARTS})
    reference: float = 0.0

    def part(self, name: str) -> float:
        """The log-odds of one part."""
        return sum(self.amounts[name].values())

    def residue(self) -> tuple[float, float]:
        """What the parts leave unexplained, in log-odds and in points: nothing but rounding."""
        parts = sum(self.part(name) for name in PARTS)
        moved = self.last.log_odds - self.first.log_odds - self.came.log_odds + self.went.log_odds
        shown = self.last.points - self.first.points - self.came.points + self.went.points
        return moved - parts, shown - points(parts) - self.reference


@dataclass(frozen=True)
class Scores:
    """The scores of one run of some accounts: (n,) log-odds of the target and unclipped health, by account id."""

    account_ids: Sequence[str]
    log_odds: Floats
    health: Floats


@dataclass(frozen=True)
class Tallies:
    """The tally of everybody (under None), and of every group by its name."""

    everybody: dict[str | None, Tally]
    groups: dict[str | None, Tally]

    @property
    def whole(self) -> Tally:
        """Everybody's."""
        return self.everybody.get(None, Tally())

    def add(self, group_of: dict[str, str | None], first: Scores, last: Scores, moved: Changes) -> None:
        """Some accounts more, with the group of each."""
        tally(self.everybody, {}, first, last, moved)
        if group_of:
            tally(self.groups, group_of, first, last, moved)


def tally(
    into: dict[str | None, Tally], group_of: dict[str, str | None], first: Scores, last: Scores, moved: Changes
) -> None:
    """Add accounts to the tallies of their groups. `moved` is of the accounts that are in both, in any order."""
    before, after = set(first.account_ids), set(last.account_ids)
    for scores, others, whole, only in ((first, after, "first", "went"), (last, before, "last", "came")):
        alone = np.array([account_id not in others for account_id in scores.account_ids], dtype=np.bool_)
        for group, mine in _groups(scores.account_ids, group_of).items():
            found = into.setdefault(group, Tally())
            getattr(found, whole).add(scores.log_odds[mine], scores.health[mine])
            getattr(found, only).add(scores.log_odds[mine & alone], scores.health[mine & alone])
    for group, mine in _groups(moved.account_ids, group_of).items():
        found = into.setdefault(group, Tally())
        found.reference += moved.reference * int(mine.sum())
        for part, amounts in moved.amounts.items():
            kept = found.amounts[part]
            for name, amount in amounts.items():
                kept[name] = kept.get(name, 0.0) + float(amount[mine].sum())


def _groups(
    account_ids: Sequence[str], group_of: dict[str, str | None]
) -> dict[str | None, np.typing.NDArray[np.bool_]]:
    """Group -> which of the accounts are in it."""
    groups = [group_of.get(account_id) for account_id in account_ids]
    return {
        name: np.array([group == name for group in groups], dtype=np.bool_)
        for name in sorted(set(groups), key=lambda name: (name is None, name or ""))
    }
