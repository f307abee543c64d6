"""The one way to compute features: training, the nightly run and the API all come through here.

questions (account, as_of) -> visible rows (`expand`) -> facts (`contacts`, `answers`, `accounts`)
-> features (the lists by theme), with what is usual in the segment (`baselines`) as an argument.
"""

from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl

from models.clock import INSTANT
from models.errors import UnknownAccount
from models.features import accounts as account
from models.features import answers, contacts
from models.features.baselines import DEFAULT, Baselines, from_facts, overall_columns
from models.features.catalogue import FEATURES
from models.features.expand import DAY_US, REACH_DAYS, Ints, chunks, instant
from models.features.quoted import QUOTED
from models.history import History

#: Facts whose absence means none.
_COUNTS = (
    *(f"contacts_{d}d" for d in (28, 30, 90, 180, 365)),
    *("repeats_90d", "repeats_365d", "abandoned_90d", "quiet_failures_90d", "quiet_failures_365d"),
    *("self_service_28d", "self_service_365d", "people_90d", "people_365d", "issues_180d"),
    *(
        "issues_not_fixed_180d",
        "transfers_90d",
        "switches_90d",
        "answers_90d",
        "answers_ln_90d",
        "targets_90d",
    ),
    *(
        "targets_missed_90d",
        "open_contacts",
        "resolved_180d",
        "reopened_180d",
        "solved_365d",
        "solved_ln_365d",
    ),
    *("solved_ln2_365d", "escalations_90d", "escalation_recency", "complaints_365d", "complaint_recency"),
    *("complaints_unresolved_365d", "issues_90d", "effort_90d", "gaps_365d", "invitations_365d"),
    *(
        "invitations_180d",
        "answered_180d",
        "invitations_181_360d",
        "answered_181_360d",
        "unanswered_in_a_row",
    ),
    *("responses_365d", "scores_365d", "scores_sum_365d", "scores_sum2_365d", "ces_180d", "ces_low_180d"),
    *(
        "ces_sum_180d",
        "trend_x",
        "trend_y",
        "trend_xx",
        "trend_xy",
        "outreach_180d",
        "outreach_no_answer_180d",
    ),
    *(f"{i}_{part}_365d" for i in ("csat", "ces", "nps") for part in ("plain", "weight", "sum")),
    *("csat_365d", "ces_365d", "nps_365d"),
)


def compute(history: History, as_of: datetime | pl.DataFrame, baselines: Baselines = DEFAULT) -> pl.DataFrame:
    """One row per (account_id, as_of): only what had happened and was known before as_of counts.

    `as_of` is one moment for every described account, or a frame of pairs (`account_id`, `as_of`). Returns
    `account_id`, `as_of`, one column per feature (Float64 or String, null: unknown), then the facts that
    sentences quote. Rows come in the order of the pairs. Raises `UnknownAccount` for a pair nobody has described.
    """
    prepared = Prepared(history)
    pairs = prepared.questions(as_of)
    usual = (baselines.answer_minutes, baselines.resolution_minutes)
    parts = [_features(prepared.facts(part, usual), baselines) for part in prepared.parts(pairs)]
    return pl.concat(parts) if parts else _features(prepared.facts(pairs, usual), baselines)


def measure(history: History, as_of: datetime) -> Baselines:
    """What is usual in this history as of a moment, per segment: over accounts that are active and not tests."""
    known = history.known_at(as_of)
    prepared = Prepared(history)
    active = known.accounts.filter(pl.col("ended_at").is_null() & ~pl.col("is_test"))
    pairs = prepared.questions(active.select("account_id", pl.lit(as_of, INSTANT).alias("as_of")))
    minutes = _usual_minutes(known)
    facts = pl.concat(
        [prepared.facts(part, minutes) for part in prepared.parts(pairs)] or [prepared.facts(pairs, minutes)]
    )
    facts = facts.with_columns(pl.col("history_days").clip(0, 365).alias("watched_365d"))
    answered = known.interactions["first_response_at"].is_not_null().any()
    onboarded = known.accounts["onboarded_at"].is_not_null().any()
    return from_facts(facts, minutes, answers=answered, onboarding=onboarded)


def _usual_minutes(known: History) -> tuple[float, float]:
    """Median minutes to the first response and to the resolution; published medians where nothing is recorded."""
    opened = known.interactions.filter(pl.col("direction") == "inbound")
    spans = opened.select(
        (pl.col(column) - pl.col("opened_at")).dt.total_seconds().median().alias(column) / 60
        for column in ("first_response_at", "resolved_at")
    ).row(0)
    usual = (DEFAULT.answer_minutes, DEFAULT.resolution_minutes)
    first, last = (max(span, 1.0) if span is not None else u for span, u in zip(spans, usual, strict=True))
    return first, last


class Prepared:
    """A history coded once for many questions."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.accounts = account.account_frame(history)
        self.codes = self.accounts.select("account_id", "account")

    @cached_property
    def _contacts(self):  # type: ignore[no-untyped-def]
        return contacts.events(self.history, self.codes)

    @cached_property
    def _surveys(self):  # type: ignore[no-untyped-def]
        return answers.survey_events(self.history, self.codes)

    @cached_property
    def _outreach(self):  # type: ignore[no-untyped-def]
        return answers.outreach_events(self.history, self.codes)

    @cached_property
    def _terms(self):  # type: ignore[no-untyped-def]
        return account.term_events(self.history, self.codes)

    def questions(self, as_of: datetime | pl.DataFrame) -> pl.DataFrame:
        """Pairs with the account's number and the moment in microseconds, in the order they were asked."""
        if isinstance(as_of, datetime):
            as_of = self.codes.select("account_id", pl.lit(as_of, INSTANT).alias("as_of"))
        pairs = as_of.select("account_id", pl.col("as_of").cast(INSTANT))
        coded_pairs = pairs.join(self.codes, on="account_id", how="left", maintain_order="left")
        unknown = coded_pairs.filter(pl.col("account").is_null())
        if unknown.height:
            raise UnknownAccount(f"No account {unknown['account_id'][0]!r} is described in this history.")
        return coded_pairs.with_columns(instant("as_of").alias("at"))

    def parts(self, pairs: pl.DataFrame) -> list[pl.DataFrame]:
        """The pairs cut into parts whose events fit comfortably into memory."""
        numbers = pairs["account"].to_numpy()
        return [
            pairs[part] for part in chunks(self._contacts.rows(numbers) + self._surveys.rows(numbers) + 1)
        ]

    def facts(self, pairs: pl.DataFrame, usual_minutes: tuple[float, float]) -> pl.DataFrame:
        """All facts of the pairs, one row each, in their order."""
        numbers, at = pairs["account"].to_numpy(), pairs["at"].to_numpy()
        reach = at - REACH_DAYS * DAY_US
        visible = contacts.states(self._contacts.ask(numbers, at, reach), usual_minutes)
        own = self.accounts.drop("account_id")[numbers]
        observed = pl.Series("observed", account.observed_from(self.history, at))
        q = pl.int_range(pairs.height, dtype=pl.Int64, eager=True).alias("q")
        base = pairs.with_columns(q, observed).hstack(own.drop("account"))
        base = base.join(
            account.terms_at(self._terms, numbers, at), on="q", how="left", maintain_order="left"
        )
        base = base.with_columns(**account.account_facts())
        surveys = answers.survey_states(self._surveys.ask(numbers, at, reach))
        outreach = self._outreach.ask(numbers, at, reach)
        tables = (
            visible.group_by("q").agg(contacts.contact_facts()),
            contacts.issue_facts(visible),
            contacts.gap_facts(visible),
            surveys.group_by("q").agg(answers.survey_facts()),
            outreach.group_by("q").agg(answers.outreach_facts()),
        )
        for table in tables:
            base = base.join(table, on="q", how="left", maintain_order="left")
        base = base.with_columns(pl.col(_COUNTS).fill_null(0))
        return self._with_last_contact(base, numbers, at)

    def _with_last_contact(self, base: pl.DataFrame, numbers: Ints, at: Ints) -> pl.DataFrame:
        """Fill `days_since_contact` where the last contact lies beyond the reach of the other facts."""
        quiet = np.flatnonzero(base["days_since_contact"].is_null().to_numpy())
        older = self._contacts.ask(numbers[quiet], at[quiet], np.full(len(quiet), -(2**62)))
        last = older.group_by("q").agg(
            ((pl.col("at") - pl.col("opened")).min() / DAY_US).alias("older_contact")
        )
        last = last.with_columns(pl.Series("q", quiet[last["q"].to_numpy()], dtype=pl.Int64))
        joined = base.join(last, on="q", how="left", maintain_order="left")
        return joined.with_columns(
            pl.coalesce("days_since_contact", "older_contact").alias("days_since_contact")
        ).drop("older_contact")


def _features(facts: pl.DataFrame, baselines: Baselines) -> pl.DataFrame:
    """Facts to features: what is usual in the segment is joined, then every feature is evaluated in one pass."""
    wide = facts.join(baselines.frame(), on="segment", how="left", maintain_order="left").with_columns(
        *overall_columns(baselines.overall),
        pl.lit(baselines.tracks_answers).alias("tracks_answers"),
        pl.lit(baselines.tracks_onboarding).alias("tracks_onboarding"),
    )
    kept = [name for name in facts.columns if name not in (*_INTERNAL, *FEATURES.names, "account_id", "as_of")]
    return (
        wide.with_columns(**{feature.name: feature.value for feature in FEATURES})
        .with_columns(**QUOTED)
        .select("account_id", "as_of", *FEATURES.names, *QUOTED, *kept)
    )


#: Columns that are means, not facts.
_INTERNAL = (
    *("account", "at", "q", "observed", "started", "renewal", "onboarded", "onboarded_from", "has_terms"),
    *("mrr", "billing", "seats", "term_mrr", "term_seats", "term_renewal", "term_billing"),
)
