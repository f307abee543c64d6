"""The one way to compute features: training, the nightly run and the API all come through here.

questions (account, as_of) -> visible rows (`expand`) -> facts (`contacts`, `answers`, `outreach`, `accounts`)
-> features (the lists by theme), with what is usual in the segment (`baselines`) as an argument.
"""

from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import polars as pl

from models.clock import INSTANT
from models.errors import UnknownAccount
from models.features.accounts import Accounts, Terms, account_facts, observed_since
from models.features.answers import survey_events, survey_facts
from models.features.baselines import DEFAULT, Baselines
from models.features.catalogue import FEATURES
from models.features.contacts import Facts, contact_events, contact_facts, older_contact, opening_events
from models.features.expand import EVER, REACH, Events, Span, chunks, instant, lag_of
from models.features.expected import expectations, ratios
from models.features.facts import FACTS
from models.features.feature import FeatureSet
from models.features.outreach import outreach_events, outreach_facts
from models.history import History

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
    `as_of`), whose order is kept; of an account nobody had described by its as_of every feature is null. Returns
    `account_id`, `as_of`, one column per feature (Float64 or String, null: unknown), then the facts of `facts.FACTS`.
    Raises `UnknownAccount` for a pair whose account the history does not describe.
    """
    prepared = Prepared(history, as_of)
    parts = [_evaluated(prepared, part, baselines, features) for part in prepared.parts()]
    return pl.concat(parts)


class Prepared:
    """A history and questions about it, coded as numbers: made once, then answered part by part."""

    def __init__(self, history: History, as_of: datetime | pl.DataFrame) -> None:
        self.history = history
        self.lag = lag_of(history.delay)
        self.accounts = Accounts.of(history)
        self.codes = self.accounts.codes
        self.pairs = self._pairs(as_of)
        self.numbers, self.at = self.pairs["account"].to_numpy(), self.pairs["at"].to_numpy()
        self.span = _span(self.pairs["as_of"])
        self.contacts = contact_events(history, self.codes, self.span)
        self.surveys = survey_events(history, self.codes, self.span)
        self.outreach = outreach_events(history, self.codes, self.span)
        self.terms = Terms.of(history, self.codes, self.span)
        self.billing = pl.concat([self.accounts.frame["billing"], self.terms.billing])
        self.watched = history.watched("interactions")

    @cached_property
    def openings(self) -> Events:
        """Every inbound contact's opening, however long ago."""
        return opening_events(self.history, self.codes, self.span)

    def _pairs(self, as_of: datetime | pl.DataFrame) -> pl.DataFrame:
        """Pairs with the account's number and the moment in microseconds, in the order they were asked."""
        if isinstance(as_of, datetime):
            moment = pl.lit(as_of, INSTANT)
            every = self.codes.select("account_id", moment.alias("as_of"), "account", instant(moment).alias("at"))
            return every.filter(self.accounts.known_at(every["account"].to_numpy(), every["at"].to_numpy()))
        pairs = as_of.select("account_id", pl.col("as_of").cast(INSTANT))
        found = pairs.join(self.codes, on="account_id", how="left", maintain_order="left")
        unknown = found.filter(pl.col("account").is_null())
        if unknown.height:
            raise UnknownAccount(f"No account {unknown['account_id'][0]!r} is described in this history.")
        return found.with_columns(instant("as_of").alias("at"))

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

    def frame(self, part: slice, baselines: Baselines) -> pl.DataFrame:
        """The part's questions with all facts and, as `base_*`, what is usual in their segments."""
        numbers, pairs = self.numbers[part], self.pairs[part]
        facts = self.facts(part, baselines)
        segments = self.accounts.frame["segment"].gather(numbers)
        usual = baselines.of_segments(segments)
        facts |= expectations(facts, usual["base_contacts_per_day"], usual["base_gap_days"])
        facts |= ratios(facts)
        return pairs.hstack(_numbers({**facts, **usual})).with_columns(
            segments,
            self.billing.gather(facts["billing_row"]),
            pl.lit(baselines.tracks_onboarding).alias("tracks_onboarding"),
            pl.lit(baselines.tracks_resolutions).alias("tracks_resolutions"),
            pl.when(baselines.tracks_resolutions).then(pl.col(_OF_RESOLUTIONS)),
        )


def _span(moments: pl.Series) -> Span:
    """The instants that matter to questions asked at these moments."""
    first, last = moments.min(), moments.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return Span(datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
    return Span(first - REACH, last)


def _numbers(columns: Facts) -> list[pl.Series]:
    """Arrays of one length as columns; NaN becomes null. One conversion for all: each costs as much for one row as for
    a thousand."""
    n = len(next(iter(columns.values())))
    values = pl.Series(np.concatenate(list(columns.values()), dtype=np.float64), nan_to_null=True)
    return [values.slice(i * n, n).alias(name) for i, name in enumerate(columns)]


def _evaluated(prepared: Prepared, part: slice, baselines: Baselines, features: FeatureSet) -> pl.DataFrame:
    """All features of a part in one pass, then the facts that leave with them."""
    frame = prepared.frame(part, baselines)
    facts = [name for name in FACTS if name not in features.names]
    values = frame.select("account_id", "as_of", *(feature.value.alias(feature.name) for feature in features), *facts)
    known = prepared.accounts.known_at(prepared.numbers[part], prepared.at[part])
    if known.all():
        return values
    return values.with_columns(pl.when(pl.Series(known)).then(pl.exclude("account_id", "as_of")))
