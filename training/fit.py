"""Fitting one scorecard: what data allows decides how far it may move from the expert's tables.

    P0  fewer than 10 accounts left silently   the expert's tables, uncalibrated
    P1  10 to 29                               intercept and weight of the expert's score only
    P2  30 and more                            every feature may add its own part, held back by tau

tau, the freedom of the features, is chosen by forward folds; 0 is among the choices, so a fit that does not
beat the recalibrated expert is not made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.optimize import brentq

from models.features import FEATURES, Feature
from models.health import expit
from models.model import columns
from models.scorecard import Scorecard, Target, Term
from training import logistic
from training.design import Design
from training.expert import Expert

Floats = npt.NDArray[np.float64]

P1_EVENTS, P2_EVENTS = 10, 30
TAUS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
#: Refits on resampled accounts, from which standard errors are read.
REPLICATES = 20
#: The terms a finance department knows without any service data.
CONTRACT_TERMS: tuple[Feature, ...] = tuple(feature for feature in FEATURES if feature.component == "commercial")


def phase(silent_events: int) -> str:
    """What this many accounts that left silently allow."""
    if silent_events < P1_EVENTS:
        return "P0"
    return "P1" if silent_events < P2_EVENTS else "P2"


@dataclass(frozen=True)
class Prepared:
    """Rows of one target ready for fitting: expert scores (n,), columns (n, d), labels (n,), and how to go back."""

    target: Target
    design: Design
    expert: Scorecard
    score: Floats
    x: Floats
    y: Floats


def prepare(rows: pl.DataFrame, target: Target, expert: Expert, features: Sequence[Feature] = tuple(FEATURES)) -> Prepared:
    """Learn the design on training rows (features and `y_churn`, `y_silent`; unlabelled rows are left out)."""
    labelled = rows.filter(pl.col(f"y_{target}").is_not_null())
    names = {feature.name for feature in features}
    card = expert.scorecard(target)
    card = replace(card, terms=tuple(term for term in card.terms if term.feature in names))
    design = Design.learn(labelled, features)
    y = labelled[f"y_{target}"].cast(pl.Float64).to_numpy()
    return Prepared(target, design, card, card.log_odds(columns(labelled)), design.matrix(labelled), y)


def path(prepared: Prepared, taus: Sequence[float], weights: Floats | None = None) -> list[logistic.Fit]:
    """Fits for ascending taus, each started from the one before."""
    fits: list[logistic.Fit] = []
    for tau in taus:
        start = fits[-1] if fits else None
        fits.append(logistic.fit(prepared.score, prepared.x, prepared.y, tau, weights, start))
    return fits


def predict(prepared: Prepared, fit: logistic.Fit, rows: pl.DataFrame) -> Floats:
    """(n,) log-odds of other rows."""
    return fit.log_odds(prepared.expert.log_odds(columns(rows)), prepared.design.matrix(rows))


def scorecard(prepared: Prepared, fit: logistic.Fit, refits: Sequence[logistic.Fit] = ()) -> Scorecard:
    """The fit as tables, uncentred. `refits` become the replicates that standard errors are read from."""
    card = _tables(prepared, fit)
    if not refits:
        return card
    others = [_tables(prepared, refit) for refit in refits]
    terms = tuple(
        replace(term, replicates=tuple(other.terms[i].table for other in others)) for i, term in enumerate(card.terms)
    )
    return replace(card, terms=terms, base_replicates=tuple(other.base for other in others))


def _tables(prepared: Prepared, fit: logistic.Fit) -> Scorecard:
    terms: tuple[Term, ...] = prepared.design.terms(fit.beta, prepared.expert.terms, fit.b)
    return Scorecard(prepared.target, fit.a + fit.b * prepared.expert.base, terms)


def resampled(
    prepared: Prepared, fit: logistic.Fit, tau: float, accounts: pl.Series, seed: int, times: int = REPLICATES
) -> list[logistic.Fit]:
    """Refits on accounts drawn with replacement (all rows of an account together); `accounts` (n,) names each row's."""
    _, codes = np.unique(accounts.to_numpy(), return_inverse=True)
    rng = np.random.default_rng(seed)
    refits = []
    for _ in range(times):
        drawn = rng.multinomial(codes.max() + 1, np.full(codes.max() + 1, 1 / (codes.max() + 1)))
        weights = drawn[codes].astype(np.float64)
        refits.append(logistic.fit(prepared.score, prepared.x, prepared.y, tau, weights, fit))
    return refits


def centred(card: Scorecard, population: pl.DataFrame) -> Scorecard:
    """The scorecard with every term's mean over a population moved into its base."""
    return card.centred(card.means(columns(population)))


def with_base_rate(card: Scorecard, population: pl.DataFrame, rate: float) -> Scorecard:
    """The scorecard with its base moved so that the population's mean probability is `rate`."""
    log_odds = card.log_odds(columns(population))
    shift = brentq(lambda s: float(expit(log_odds + s).mean()) - rate, -30.0, 30.0)
    return replace(card, base=card.base + float(shift))
