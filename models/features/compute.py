"""The one way to compute features: training, the nightly run and the API all come through here.

questions (account, as_of) -> visible rows (`expand`) -> facts (`contacts`, `answers`, `outreach`, `accounts`)
-> features (the lists by theme), with what is usual in the segment (`baselines`) as an argument.
"""

import os
from collections.abc import Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl

from models.clock import INSTANT
from models.errors import UnknownAccount
from models.features.accounts import Accounts, Terms, account_facts, observed_since
from models.features.answers import SURVEYS, survey_facts, with_shares
from models.features.baselines import DEFAULT, Baselines
from models.features.catalogue import FEATURES
from models.features.contacts import CONTACTS, OPENINGS, Facts, contact_facts, older_contact
from models.features.expand import EVER, REACH_US, Events, Source, Span, chunks, lag_of, microseconds
from models.features.expected import expectations, ratios
from models.features.facts import FACTS
from models.features.feature import FeatureSet
from models.features.groups import Ints
from models.features.measures import MEASURE, Measures
from models.features.outreach import OUTREACH, outreach_facts
from models.history import History

#: Parts answered at the same time at most: each needs some hundred megabytes.
PARTS_AT_ONCE = 4
#: What cannot be known where resolutions are not recorded.
_OF_RESOLUTIONS = (
    *("quiet_failures_90d", "quiet_failures_365d", "days_since_lying", "issues_not_fixed_180d"),
    *("closing_ln_p90_180d", "closing_ratio", "open_contacts", "open_days", "complaints_unresolved_365d"),
)


def compute(
    history: History,
    as_of: datetime | pl.DataFrame,
    baselines: Baselines = DEFAULT,
    features: FeatureSet = FEATURES,
) -> pl.DataFrame:
    """One row per (account_id, as_of): only what had happened and was known before as_of counts.

    `as_of` is one moment, for every account known by then in order of their ids, or a frame of pairs (`account_id`,
    `as_of`), whose order is kept; of an account nobody had described by its as_of every feature is null. `features` may
    hold measures beside the catalogue (`models.features.measures`). Returns `account_id`, `as_of`, one column per
    feature (Float64 or String, null: unknown), then the facts of `facts.FACTS`.
    Raises `UnknownAccount` for a pair whose account the history does not describe.
    """
    prepared = Prepared(history, as_of, sorted(name for name in features.reads if name.startswith(MEASURE)))
    parts = prepared.parts()
    if len(parts) == 1:
        return _evaluated(prepared, parts[0], baselines, features)
    # NumPy and Polars let go of the interpreter while they calculate, so threads are enough to use several cores.
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1, PARTS_AT_ONCE)) as pool:
        return pl.concat(pool.map(lambda part: _evaluated(prepared, part, baselines, features), parts))


class Prepared:
    """A history and questions about it, coded as numbers: made once, then answered part by part.

    Question i is about the account numbered `numbers[i]` at the moment `at[i]` (microseconds).
    """

    def __init__(self, history: History, as_of: datetime | pl.DataFrame, measures: Sequence[str] = ()) -> None:
        self.history = history
        self.lag = lag_of(history.delay)
        self.accounts = Accounts.of(history)
        self.numbers, self.at = _questions(self.accounts, as_of)
        self.span = Span.of(self.at)
        self.contacts = self._events(CONTACTS)
        self.surveys = with_shares(self._events(SURVEYS))
        self.outreach = self._events(OUTREACH)
        self.terms = Terms.of(history, self.accounts.codes, self.span)
        self.billing = pl.concat([self.accounts.frame["billing"], self.terms.billing])
        self.watched = history.watched("interactions")
        self.measures = Measures(history, self.accounts.codes, measures) if measures else None

    def _events(self, source: Source) -> Events:
        return source.events(source.cut(self.history, self.span), self.accounts.codes)

    @cached_property
    def openings(self) -> Events:
        """The opening of every contact that lies out of all other reach."""
        rows = OPENINGS.cut(self.history, Span(-EVER, self.span.until - REACH_US))
        return OPENINGS.events(rows, self.accounts.codes)

    def parts(self) -> list[slice]:
        """The questions in parts whose events fit comfortably into memory; one, empty, where there are none."""
        events = self.contacts.rows(self.numbers) + self.surveys.rows(self.numbers) + 1
        return list(chunks(events)) or [slice(0, 0)]

    def facts(self, part: slice, usual: Baselines) -> Facts:
        """All facts of the part's questions: arrays in their order, NaN where unknown."""
        numbers, at = self.numbers[part], self.at[part]
        facts = contact_facts(self.contacts.ask(numbers, at), self.lag, usual)
        facts |= survey_facts(self.surveys.ask(numbers, at), self.lag)
        facts |= outreach_facts(self.outreach.ask(numbers, at), self.lag)
        observed = observed_since(self.watched, at)
        facts |= account_facts(self.accounts, numbers, at, self.terms.ask(numbers, at), observed, self.lag)
        quiet = np.flatnonzero(np.isnan(facts["days_since_contact"]))
        if len(quiet):
            older = self.openings.ask(numbers[quiet], at[quiet], reach=EVER)
            facts["days_since_contact"][quiet] = older_contact(older)
        return facts

    def frame(self, part: slice, baselines: Baselines, names: Container[str]) -> pl.DataFrame:
        """The part's questions with the named facts, among them, as `base_*`, what is usual in their segments."""
        numbers = self.numbers[part]
        facts = self.facts(part, baselines)
        segments = self.accounts.frame["segment"].gather(numbers)
        usual = baselines.of_segments(segments)
        facts |= expectations(facts, usual["base_contacts_per_day"], usual["base_gap_days"])
        facts |= ratios(facts)
        facts |= dict.fromkeys(_unrecorded(baselines), np.full(len(numbers), np.nan))
        if self.measures is not None:
            facts |= self.measures.ask(numbers, self.at[part])
        return pl.DataFrame(
            [
                self.accounts.frame["account_id"].gather(numbers),
                pl.Series("as_of", self.at[part]).cast(INSTANT),
                segments,
                self.billing.gather(facts["billing_row"]),
                *_numbers({name: values for name, values in {**facts, **usual}.items() if name in names}),
            ]
        )


def _questions(accounts: Accounts, as_of: datetime | pl.DataFrame) -> tuple[Ints, Ints]:
    """Account numbers and moments in microseconds, in the order they were asked."""
    if isinstance(as_of, datetime):
        every = np.arange(accounts.frame.height)
        at = np.full(len(every), microseconds(as_of))
        known = accounts.known_at(every, at)
        return every[known], at[known]
    pairs = as_of.join(accounts.codes, on="account_id", how="left", maintain_order="left")
    unknown = pairs.filter(pl.col("account").is_null())
    if unknown.height:
        raise UnknownAccount(f"No account {unknown['account_id'][0]!r} is described in this history.")
    return pairs["account"].to_numpy(), pairs["as_of"].cast(INSTANT).to_physical().to_numpy()


def _unrecorded(baselines: Baselines) -> tuple[str, ...]:
    """The facts that cannot be known where the source does not record what they are made of."""
    return (
        *(() if baselines.tracks_resolutions else _OF_RESOLUTIONS),
        *(() if baselines.tracks_onboarding else ("onboarded",)),
    )


def _numbers(columns: Facts) -> list[pl.Series]:
    """Arrays of one length as columns; NaN becomes null. One conversion for all: each costs as much for one row as for
    a thousand."""
    n = len(next(iter(columns.values())))
    values = pl.Series(np.concatenate(list(columns.values()), dtype=np.float64), nan_to_null=True)
    return [values.slice(i * n, n).alias(name) for i, name in enumerate(columns)]


def _evaluated(prepared: Prepared, part: slice, baselines: Baselines, features: FeatureSet) -> pl.DataFrame:
    """All features of a part in one pass, then the facts that leave with them."""
    facts = [name for name in FACTS if name not in features.names]
    frame = prepared.frame(part, baselines, features.reads.union(facts))
    found = frame.select("account_id", "as_of", *features.expressions, *facts)
    known = prepared.accounts.known_at(prepared.numbers[part], prepared.at[part])
    if known.all():
        return found
    return found.with_columns(pl.when(pl.Series(known)).then(pl.exclude("account_id", "as_of")))
