"""The users' own numbers, point in time: the latest value known before as_of.

    payment_delay of one account    at            known at      value
                                    1 March       1 March       3
                                    10 March      20 March      12       told ten days late
                                    15 March      15 March      5

    asked as of   12 March -> 3 (the second was not known yet)    17 March -> 5    25 March -> 5: 10 March is older

A value holds until there is a newer one, however long that takes. Without any the measure is unknown, which is not
zero.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from models.features.contacts import Facts
from models.features.feature import Basis, Component, Direction, Feature
from models.features.groups import Floats, Ints
from models.history import History

#: What the columns of measures begin with; after it comes the measure's name.
MEASURE = "measure:"
#: A shape for measures that are read but not fitted.
_PLAIN = Basis("line", (0.0, 1.0))


def measure_feature(
    name: str,
    *,
    label: str = "",
    unit: str = "",
    component: Component = "commercial",
    direction: Direction = 0,
    basis: Basis = _PLAIN,
) -> Feature:
    """A measure as a feature: `name` is the user's, the feature is called `measure:<name>`."""
    said = label or name.replace("_", " ")
    return Feature(
        name=f"{MEASURE}{name}",
        label=said,
        component=component,
        unit=unit,
        window_days=None,
        missing="never measured: unknown",
        churn=direction,
        silent=direction,
        value=pl.col(f"{MEASURE}{name}"),
        basis=basis,
        sentence=sentence_of(said, unit),
        usual=USUAL,
    )


#: How the usual value of a user's own number is said.
USUAL = "usual here {:plain}"


def sentence_of(label: str, unit: str = "") -> str:
    """What a reason says of a user's own number: its label, its value and its unit."""
    before, after = (text.replace("{", "{{").replace("}", "}}") for text in (label, unit))
    return f"{before} {{value:plain}} {after}".rstrip()


@dataclass(frozen=True)
class Timeline:
    """One measure of all accounts: from which instant on which value is the latest known.

    `keys` order (account, instant) as pairs of numbers: account * width + rank of the instant among `instants`.
    """

    instants: Ints
    keys: Ints
    values: Floats

    @classmethod
    def of(cls, rows: pl.DataFrame) -> "Timeline":
        """From rows of one measure: account (its number), at, visible_from (microseconds), value."""
        account, at, seen = (rows[name].to_numpy() for name in ("account", "at", "visible_from"))
        order = np.lexsort((at, seen, account))
        account, at, seen, values = account[order], at[order], seen[order], rows["value"].to_numpy()[order]
        instants, rank = np.unique(seen, return_inverse=True)
        # Of an account's rows seen so far the one that happened last: a running maximum that starts anew per account.
        by_moment = np.argsort(at, kind="stable")
        place = np.empty(len(at), dtype=np.int64)
        place[by_moment] = np.arange(len(at))
        latest = np.maximum.accumulate(account * len(at) + place) - account * len(at)
        return cls(instants, account * (len(instants) + 1) + rank + 1, values[by_moment[latest]])

    def ask(self, accounts: Ints, at: Ints) -> Floats:
        """The latest value known to each question (account, at); NaN where there is none."""
        first = accounts * (len(self.instants) + 1)
        asked = first + np.searchsorted(self.instants, at, side="right")
        found = np.searchsorted(self.keys, asked, side="right") - 1
        there = (found >= 0) & (self.keys[np.maximum(found, 0)] > first)
        return np.where(there, self.values[np.maximum(found, 0)], np.nan)


class Measures:
    """The measures of a history that are asked for, one timeline each."""

    def __init__(self, history: History, codes: pl.DataFrame, names: Iterable[str]) -> None:
        wanted = [name.removeprefix(MEASURE) for name in names]
        rows = history.measures.filter(pl.col("name").is_in(wanted), pl.col("value").is_finite())
        at = pl.col("at").to_physical()
        told = rows.join(codes, on="account_id").select(
            "name", "account", "value", at.alias("at"),
            pl.max_horizontal(at + 1, pl.col("recorded_at").to_physical()).alias("visible_from"),
        )  # fmt: skip
        parts = {str(key[0]): part for key, part in told.partition_by("name", as_dict=True).items()}
        self._timelines = {name: Timeline.of(parts[name]) if name in parts else None for name in wanted}

    def ask(self, accounts: Ints, at: Ints) -> Facts:
        """`measure:<name>` -> the latest value known to each question (account, at); NaN where there is none."""
        return {
            f"{MEASURE}{name}": np.full(len(at), np.nan) if line is None else line.ask(accounts, at)
            for name, line in self._timelines.items()
        }
