"""The one form of model: a base plus one table per term, in log-odds of leaving.

    log-odds(account) = base + sum over terms of table[bin of the account's value]

A worked example with two terms and base -3.0:

    days_to_renewal  steps  knots (30, 90)  values (+1.5, +0.5, 0.0)  missing +0.2
    csat             line   knots (2, 4)    values (+0.8, 0.0)        missing 0.0

    renewal in 45 days, satisfaction 3.0:  -3.0 + 0.5 + 0.4 = -2.1, a risk of 10.9 %
    renewal unknown,    satisfaction 5.0:  -3.0 + 0.2 + 0.0 = -2.8, a risk of  5.7 %

Whatever fitted the tables, scoring is a look-up and the reasons are the looked-up numbers themselves.
Contributions are summed one term after another in declared order, never by a reduction whose order depends
on how many rows there are: one account alone scores bit for bit as it does among a million.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from models.errors import ArtefactError, FeatureMismatch
from models.lookup import Columns, Floats, Lookup
from models.terms import AnyTerm, GridTerm, Term, assign, floats, require

__all__ = ["Columns", "Contribution", "GridTerm", "Row", "Scorecard", "Target", "Term"]

Target = Literal["churn", "silent"]
TARGETS = ("churn", "silent")

#: Rows looked up at a time, so that the working arrays of some fifty terms stay in a core's cache.
_CHUNK = 2048
_Either = TypeVar("_Either", Term, GridTerm)


@dataclass(frozen=True)
class Contribution:
    """What one term adds to an account's log-odds, and the bin it was read from."""

    name: str
    features: tuple[str, ...]
    bin: str
    log_odds: float


@dataclass(frozen=True)
class Row:
    """One printed line of a scorecard; the base has the term `base` and an empty bin."""

    term: str
    bin: str
    log_odds: float


@dataclass(frozen=True)
class Scorecard:
    """A base and its terms. `target` says of which exit: `churn` (any voluntary one) or `silent`.

    A feature has at most one term of its own. `base_replicates` and the terms' replicates are K refits of the
    whole scorecard, all present or none. Raises `ArtefactError` when they do not fit together.
    """

    target: Target
    base: float
    terms: tuple[Term, ...] = ()
    grids: tuple[GridTerm, ...] = ()
    base_replicates: tuple[float, ...] = ()
    _lookup: Lookup = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        assign(self, base=float(self.base), terms=tuple(self.terms), grids=tuple(self.grids))
        assign(self, base_replicates=floats(self.base_replicates))
        _check(self)
        assign(self, _lookup=Lookup.of(self.all_terms, len(self.base_replicates)))

    @property
    def all_terms(self) -> tuple[AnyTerm, ...]:
        """Terms, then grids: the order of the columns of `contributions`."""
        return (*self.terms, *self.grids)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each column of `contributions`."""
        return tuple(term.name for term in self.all_terms)

    @property
    def features(self) -> tuple[str, ...]:
        """Every feature the scorecard reads, once, in order of first use."""
        return tuple(dict.fromkeys(name for term in self.all_terms for name in term.features))

    def log_odds(self, columns: Columns) -> Floats:
        """(n,) log-odds of the target. Raises `FeatureMismatch` for an absent or ill-typed column."""
        ready, rows = self._lookup.columns(columns)
        result = np.empty(rows)
        for part in _chunks(rows):
            result[part] = self._sum(self._lookup.contributions(self._lookup.find(ready, part)))
        return result

    def contributions(self, columns: Columns) -> Floats:
        """(n, terms + grids) log-odds per term; see `total`. Errors as for `log_odds`."""
        ready, rows = self._lookup.columns(columns)
        result = np.empty((len(self.all_terms), rows))
        for part in _chunks(rows):
            result[:, part] = self._lookup.contributions(self._lookup.find(ready, part))
        return result.T

    def look_up(self, columns: Columns) -> tuple[Floats, Floats | None]:
        """`contributions` and `spread` of the same rows, looked up once."""
        ready, rows = self._lookup.columns(columns)
        contributions = np.empty((len(self.all_terms), rows))
        spread = np.empty((rows, len(self.base_replicates))) if self.base_replicates else None
        for part in _chunks(rows):
            found = self._lookup.find(ready, part)
            contributions[:, part] = self._lookup.contributions(found)
            if spread is not None:
                spread[part] = self._lookup.spread(found, np.array(self.base_replicates))
        return contributions.T, spread

    def total(self, contributions: Floats) -> Floats:
        """(n,) base plus the contributions, bit for bit what `log_odds` returns for the same rows."""
        result = np.empty(len(contributions))
        for part in _chunks(len(contributions)):
            result[part] = self._sum(contributions[part].T)
        return result

    def _sum(self, contributions: Floats) -> Floats:
        terms, rows = contributions.shape
        stacked = np.empty((terms + 1, rows))
        stacked[0] = self.base
        stacked[1:] = contributions
        # A running sum keeps the order of the terms; `sum` regroups them when there is a single row.
        np.add.accumulate(stacked, axis=0, out=stacked)
        total: Floats = stacked[-1]
        return total

    def spread(self, columns: Columns) -> Floats | None:
        """(n, K) log-odds under each of the K refits, or None when the scorecard carries none."""
        if not self.base_replicates:
            return None
        ready, rows = self._lookup.columns(columns)
        result = np.empty((rows, len(self.base_replicates)))
        for part in _chunks(rows):
            result[part] = self._refits(ready, part)
        return result

    def standard_errors(self, columns: Columns, minus: Columns | None = None) -> Floats | None:
        """(n,) standard error of the log-odds, or of their difference to the same accounts' rows in `minus`.

        The difference is taken refit by refit, so what both moments share cancels. None without replicates.
        """
        now = self.spread(columns)
        then = None if minus is None else self.spread(minus)
        return None if now is None else deviations(now, then)

    def _refits(self, columns: Columns, part: slice) -> Floats:
        return self._lookup.spread(self._lookup.find(columns, part), np.array(self.base_replicates))

    def explain(self, values: Mapping[str, float | str | None]) -> tuple[Contribution, ...]:
        """One account's contributions, largest first (ties in term order). A feature left out is missing."""
        cells = {name: _cell(values.get(name), text) for name, text in self._lookup.is_text.items()}
        ready, _ = self._lookup.columns(cells)
        places = self._lookup.places(ready, slice(0, 1))[:, 0].tolist()
        amounts = self._lookup.contributions(self._lookup.find(ready, slice(0, 1)))[:, 0].tolist()
        found = [
            Contribution(term.name, term.features, term.places[place], amount)
            for term, place, amount in zip(self.all_terms, places, amounts, strict=True)
        ]
        return tuple(sorted(found, key=lambda item: -abs(item.log_odds)))

    def means(self, columns: Columns, weights: Floats | None = None) -> dict[str, float]:
        """Term name -> mean contribution over the rows (weighted when `weights` (n,) are given)."""
        contributions = self.contributions(columns)
        if not len(contributions):
            raise ArtefactError("A scorecard cannot be centred on no accounts.")
        if not self.names:
            return {}
        averages = np.average(contributions, axis=0, weights=weights)
        return dict(zip(self.names, averages.tolist(), strict=True))

    def counts(self, columns: Columns) -> dict[str, tuple[int, ...]]:
        """Term name -> how many of the rows fall into each of its `places`; single terms only."""
        ready, rows = self._lookup.columns(columns)
        counted = [np.zeros(len(term.places), dtype=np.int64) for term in self.terms]
        for part in _chunks(rows):
            places = self._lookup.places(ready, part)
            for i, total in enumerate(counted):
                total += np.bincount(places[i], minlength=len(total))  # noqa: PLW2901 (in place)
        return {term.name: tuple(total.tolist()) for term, total in zip(self.terms, counted, strict=True)}

    def centred(self, means: Mapping[str, float]) -> "Scorecard":
        """The same scores with `means[term]` moved out of each table into the base.

        Centred on a reference population's means, a contribution says how far the account is from that
        population's average, and the base is the reference's mean log-odds. Terms not named stay.
        """
        unknown = sorted(set(means) - set(self.names))
        if unknown:
            raise ArtefactError(f"The scorecard has no term {unknown[0]!r} to centre.")
        shift = math.fsum(means.values())
        return replace(
            self,
            base=self.base + shift,
            base_replicates=tuple(value + shift for value in self.base_replicates),
            terms=tuple(_shifted(term, means.get(term.name, 0.0)) for term in self.terms),
            grids=tuple(_shifted(grid, means.get(grid.name, 0.0)) for grid in self.grids),
        )

    def describe(self) -> tuple[Row, ...]:
        """The whole model, line by line."""
        rows = [Row("base", "", self.base)]
        for term in self.all_terms:
            rows.extend(Row(term.name, text, value) for text, value in zip(term.bins, term.table, strict=True))
        return tuple(rows)

    def __str__(self) -> str:
        rows = self.describe()
        names, bins = (max(map(len, texts)) for texts in zip(*((row.term, row.bin) for row in rows), strict=True))
        lines = (f"{row.term:<{names}}  {row.bin:<{bins}}  {row.log_odds:+.4f}" for row in rows)
        return "\n".join((f"log-odds of {self.target}", *lines))

    def to_plain(self) -> dict[str, Any]:
        """Dicts, lists, texts, numbers and float64 arrays only; `from_plain` gives an equal one back."""
        return {
            "target": self.target,
            "base": self.base,
            "base_replicates": np.array(self.base_replicates, dtype=np.float64),
            "terms": [_plain_term(term) for term in self.terms],
            # Stored under the name from when a grid had two features and no more.
            "pairs": [_plain_grid(grid) for grid in self.grids],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Scorecard":
        """Read `to_plain`'s form. Raises `ArtefactError` for anything else."""
        try:
            terms = tuple(Term(**entry) for entry in plain["terms"])
            grids = tuple(GridTerm(**entry) for entry in plain["pairs"])
            rest = {name: value for name, value in plain.items() if name not in ("terms", "pairs")}
            return cls(**rest, terms=terms, grids=grids)
        except (TypeError, ValueError, KeyError) as error:
            raise ArtefactError(f"The stored scorecard cannot be read: {error}.") from error


def deviations(spread: Floats, minus: Floats | None = None) -> Floats:
    """(n,) standard deviation of the log-odds under K refits (n, K), or of their difference to those of the same
    accounts in `minus`. The difference is taken refit by refit, so what both moments share cancels."""
    if minus is not None and len(minus) != len(spread):
        raise FeatureMismatch(f"{len(spread)} accounts cannot be compared with {len(minus)}; pass the same ones.")
    result = np.empty(len(spread))
    for part in _chunks(len(spread)):
        refits = spread[part] if minus is None else spread[part] - minus[part]
        result[part] = refits.std(axis=1, ddof=1)
    return result


def _check(scorecard: Scorecard) -> None:
    require(scorecard.target in TARGETS, f"A scorecard's target is churn or silent, not {scorecard.target!r}.")
    finite = map(math.isfinite, (scorecard.base, *scorecard.base_replicates))
    require(all(finite), "The base of the scorecard is not a finite number.")
    refits = len(scorecard.base_replicates)
    require(refits != 1, "One replicate gives no spread; a scorecard needs none or several.")
    names: set[str] = set()
    types: dict[str, bool] = {}
    for term in scorecard.all_terms:
        require(term.name not in names, f"The scorecard has two terms for {term.name!r}.")
        names.add(term.name)
        held = len(term.replicates)
        require(held == refits, f"The term {term.name!r} has {held} replicates where the base has {refits}.")
        for name, is_text in zip(term.features, term.is_text, strict=True):
            require(types.setdefault(name, is_text) == is_text, f"The feature {name!r} is both text and number.")


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _CHUNK, rows)) for start in range(0, rows, _CHUNK))


def _cell(value: float | str | None, is_text: bool) -> npt.NDArray[Any]:
    if is_text:
        return np.array([value], dtype=object)
    if isinstance(value, str):
        return np.array([value])  # refused by name when the columns are read
    return np.array([np.nan if value is None else value], dtype=np.float64)


def _shifted(term: _Either, shift: float) -> _Either:
    def moved(table: Sequence[float]) -> list[float]:
        return [value - shift for value in table]

    return term.with_table(moved(term.table), [moved(table) for table in term.replicate_tables()])


def _plain_term(term: Term) -> dict[str, Any]:
    return {
        "feature": term.feature,
        "kind": term.kind,
        "knots": np.array(term.knots, dtype=np.float64),
        "categories": list(term.categories),
        "values": np.array(term.values, dtype=np.float64),
        "missing": term.missing,
        "unseen": term.unseen,
        "replicates": np.array(term.replicates, dtype=np.float64),
    }


def _plain_grid(grid: GridTerm) -> dict[str, Any]:
    return {
        "features": list(grid.features),
        "knots": [
            list(knots) if is_text else np.array(knots, dtype=np.float64)
            for knots, is_text in zip(grid.knots, grid.is_text, strict=True)
        ],
        "grid": np.array(grid.grid, dtype=np.float64),
        "replicates": np.array(grid.replicates, dtype=np.float64),
    }
