"""Fitting one scorecard: what data allows decides how far it may move from the expert's tables.

    P0  fewer than 10 accounts left silently   the expert's tables, uncalibrated
    P1  10 to 29                               intercept and weight of the expert's score only
    P2  30 to 299                              every feature may add its own part, held back by tau
    P3  300 and more                           pairs of features are tried on top of that

Every table moves only the way its feature declares; the fit itself keeps to that (`logistic`).

Where a contract stands (bins of days to renewal, billing, segment: few, strong, and indicators whose scale is small) is
always free to move (`CONTRACT_TAU`), in the model as in the rival that has nothing else; how free all other columns are
(tau) is chosen by forward folds.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import brentq

from models.features import FEATURES, Feature
from models.features.feature import Direction
from models.features.measures import MEASURE, measure_feature
from models.health import expit
from models.model import columns
from models.schema import Column, Schema
from models.scorecard import Columns, Scorecard, Target, Term
from training import logistic, monotone
from training.design import Design, Layout
from training.expert import Expert
from training.pairs import Binned, Extension, extend, refit

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
_Made = TypeVar("_Made")

P1_EVENTS, P2_EVENTS, P3_EVENTS = 10, 30, 300
TAUS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
CONTRACT_TAU = 0.4
#: Instead of a tau: no column moves, only intercept and weight of the expert's score.
RECALIBRATED = None
#: Refits on resampled accounts, from which standard errors are read.
REPLICATES = 20
#: The terms a finance department knows without any service data.
CONTRACT_TERMS: tuple[Feature, ...] = tuple(feature for feature in FEATURES if feature.component == "commercial")


def phase(silent_events: int) -> str:
    """What this many accounts that left silently allow."""
    if silent_events < P1_EVENTS:
        return "P0"
    if silent_events < P2_EVENTS:
        return "P1"
    return "P2" if silent_events < P3_EVENTS else "P3"


@dataclass(frozen=True)
class Material:
    """All labelled snapshots of one target, ready for many fits: `rows` are their positions in the training frame,
    `score` (n,) the expert's log-odds, `raw` (n, d) the raw columns, `binned` the same features by their bins, `y` (n,)
    the labels, `accounts` (n,) whose."""

    target: Target
    layout: Layout
    expert: Scorecard
    rows: Rows
    score: Floats
    raw: Floats
    binned: Binned
    y: Floats
    accounts: Rows

    @classmethod
    def of(
        cls, frame: pl.DataFrame, target: Target, expert: Expert, features: Sequence[Feature] | None = None
    ) -> "Material":
        """From a frame of features with `y_churn`, `y_silent`; rows without a label are left out. With `features`, the
        expert's tables and the columns are cut to them."""
        chosen = tuple(FEATURES) if features is None else tuple(features)
        names = {feature.name for feature in chosen}
        card = expert.scorecard(target)
        card = replace(card, terms=tuple(term for term in card.terms if term.feature in names))
        rows = np.flatnonzero(frame[f"y_{target}"].is_not_null().to_numpy())
        labelled = frame[rows]
        layout = Layout.learn(labelled, chosen)
        y = labelled[f"y_{target}"].cast(pl.Float64).to_numpy()
        accounts = labelled["account_id"].rank("dense").to_numpy().astype(np.intp) - 1
        score, binned = card.log_odds(columns(labelled)), Binned.of(labelled, layout)
        return cls(target, layout, card, rows, score, layout.raw(labelled), binned, y, accounts)

    def prepare(self, train: Rows | None = None) -> "Prepared":
        """Ready to fit on these positions (all, where not given)."""
        part = slice(None) if train is None else train
        design = Design.learn(self.layout, self.raw[part])
        x = design.matrix(self.raw[part])
        directed = design.directed(self.expert.terms, self.target)
        rows = self.score[part], x, self.binned.rows(part), self.y[part], self.accounts[part]
        return Prepared(self, design, *rows, directed)


@dataclass(frozen=True)
class Prepared:
    """What one fit learns from: expert scores (n,), design columns (n, d), bins, labels (n,), accounts (n,), and the
    inequalities its features' directions ask for (m, 1 + d)."""

    material: Material
    design: Design
    score: Floats
    x: Floats
    binned: Binned
    y: Floats
    accounts: Rows
    directed: Floats

    def freedom(self, tau: float | None) -> Floats:
        """(d,) each column's tau for the given one of service signals."""
        if tau is RECALIBRATED:
            return np.zeros(self.design.width)
        timing = self.design.layout.where({f.name for f in CONTRACT_TERMS if f.basis.kind != "line"})
        return np.where(timing, max(CONTRACT_TAU, tau), tau)

    def fit(self, free: Floats, start: logistic.Fit | None = None) -> logistic.Fit:
        """The fit with so much freedom (d,) per column, keeping the declared directions."""
        return logistic.fit(self.score, self.x, self.y, free, start=start, directed=self.directed)

    def shape(self, free: Floats, fit: logistic.Fit) -> logistic.Shape:
        """The curvature around a fit, for refits."""
        return logistic.shape_at(fit, logistic.task(self.score, self.x, self.y, free, directed=self.directed), free)

    def refit(self, free: Floats, weights: Floats, start: logistic.Fit, shape: logistic.Shape) -> logistic.Fit:
        """The fit to rows that count `weights` (n,) times, of which many are 0."""
        drawn = np.flatnonzero(weights)
        rows = self.score[drawn], self.x[drawn], self.y[drawn], free, weights[drawn]
        return logistic.fit(*rows, start, directed=self.directed, tolerance=logistic.ROUGHLY, shape=shape)

    def predict(self, fit: logistic.Fit, test: Rows) -> Floats:
        """(n,) log-odds of other positions of the material."""
        return fit.log_odds(self.material.score[test], self.design.matrix(self.material.raw[test]))


def path(prepared: Prepared, taus: Sequence[float | None]) -> list[logistic.Fit]:
    """Fits for ascending taus, each started from the one before."""
    fits: list[logistic.Fit] = []
    for tau in taus:
        start = fits[-1] if fits else None
        fits.append(prepared.fit(prepared.freedom(tau), start=start))
    return fits


def extended(prepared: Prepared, fit: logistic.Fit) -> Extension:
    """Pairs of features on top of a fit."""
    below = fit.log_odds(prepared.score, prepared.x)
    return extend(prepared.binned, below, prepared.y, prepared.material.target)


def scorecard(prepared: Prepared, fit: logistic.Fit, refits: Sequence[logistic.Fit] = ()) -> Scorecard:
    """The fit as tables, uncentred. `refits` become the replicates that standard errors are read from."""
    return with_replicates(_tables(prepared, fit), [_tables(prepared, refit) for refit in refits])


def extended_scorecard(
    prepared: Prepared, fit: logistic.Fit, extension: Extension, tau: float | None, seed: int, times: int = REPLICATES
) -> Scorecard:
    """A fit with its pairs as tables, uncentred, with replicates: both are refitted to the same resampled accounts."""

    free = prepared.freedom(tau)
    shape = prepared.shape(free, fit)
    over_shape = extension.shape(prepared.binned, fit.log_odds(prepared.score, prepared.x), prepared.y)

    def again(weights: Floats) -> Scorecard:
        below = prepared.refit(free, weights, fit, shape)
        drawn = np.flatnonzero(weights)
        score = below.log_odds(prepared.score[drawn], prepared.x[drawn])
        rows = prepared.binned.rows(drawn), score, prepared.y[drawn], weights[drawn]
        return refit(extension, *rows, over_shape).on(_tables(prepared, below))

    card = extension.on(_tables(prepared, fit))
    return with_replicates(card, _together(again, draws(prepared, seed, times)))


def with_replicates(card: Scorecard, others: Sequence[Scorecard]) -> Scorecard:
    """The scorecard, its spread that of others with the same terms."""
    if not others:
        return card
    tables = list(zip(*([term.table for term in other.all_terms] for other in others), strict=True))
    terms = tuple(
        term.with_table(term.table, refits) for term, refits in zip(card.terms, tables[: len(card.terms)], strict=True)
    )
    grids = tuple(
        grid.with_table(grid.table, refits) for grid, refits in zip(card.grids, tables[len(card.terms) :], strict=True)
    )
    return replace(card, terms=terms, grids=grids, base_replicates=tuple(other.base for other in others))


def _tables(prepared: Prepared, fit: logistic.Fit) -> Scorecard:
    expert = prepared.material.expert
    terms = prepared.design.terms(fit.beta, expert.terms, fit.b)
    measured = {block.feature.name: block.feature for block in prepared.design.layout.blocks}
    directions = [(measured.get(t.feature) or FEATURES[t.feature]).direction(expert.target) for t in terms]
    level = tuple(map(_level, terms, directions))
    return Scorecard(expert.target, fit.a + fit.b * expert.base, level)


def _level(term: Term, direction: Direction) -> Term:
    """Without the last bits by which a table that keeps its direction may still miss it."""
    if term.kind == "category":
        direction = 0
    return monotone.project(term, direction, np.ones(len(term.values)))


def draws(prepared: Prepared, seed: int, times: int = REPLICATES) -> list[Floats]:
    """How often each row counts when accounts are drawn with replacement: all rows of an account together."""
    rng = np.random.default_rng(seed)
    n = int(prepared.accounts.max()) + 1
    counts = [np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(times)]
    return [drawn[prepared.accounts].astype(np.float64) for drawn in counts]


def resampled(
    prepared: Prepared, fit: logistic.Fit, tau: float | None, seed: int, times: int = REPLICATES
) -> list[logistic.Fit]:
    """Refits on accounts drawn with replacement."""
    free = prepared.freedom(tau)
    shape = prepared.shape(free, fit)
    return _together(lambda weights: prepared.refit(free, weights, fit, shape), draws(prepared, seed, times))


def _together(work: Callable[[Floats], _Made], parts: Sequence[Floats]) -> list[_Made]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, parts))


def centred(card: Scorecard, population: pl.DataFrame) -> Scorecard:
    """The scorecard with every term's mean over a population moved into its base."""
    return card.centred(card.means(_read(card, population)))


def log_odds_of(card: Scorecard, population: pl.DataFrame) -> Floats:
    """(n,) log-odds of a frame of features."""
    return card.log_odds(_read(card, population))


def _read(card: Scorecard, population: pl.DataFrame) -> Columns:
    own = [measure_feature(name.removeprefix(MEASURE)) for name in card.features if name.startswith(MEASURE)]
    return columns(population, Schema("history", tuple(map(Column.of, own))))


def with_base_rate(card: Scorecard, population: pl.DataFrame, rate: float) -> Scorecard:
    """The scorecard with its base moved so that the population's mean probability is `rate`."""
    log_odds = log_odds_of(card, population)
    shift = brentq(lambda s: float(expit(log_odds + s).mean()) - rate, -30.0, 30.0)
    return replace(card, base=card.base + float(shift))
