"""Who left, when they decided, and whether anybody could have known: the label of silent churn.

One account carried through this module, with the default parameters (look-back L = 90 d, grace g = 1 d,
blackout B = 14 d, horizon H = 90 d, maturity R = 30 d), in 2026:

    started 2025-01-10; the source's first contact of any account is 2024-06-01
    asked how to export a report       12 January
    complained about an invoice        20 February
    gave notice                        1 July   = tau, the moment of the decision
    left                               31 July
    cutoff (today)                     1 December

`exits` finds tau = 1 July. The look-back window is [tau - L, tau - g) = [2 April, 30 June). The complaint of
20 February lies before it, so nobody heard a voice there: the exit is *silent*. The account had no inbound
contact in the window either: sub-type *dormant*.

`label` places tau against a snapshot t: blackout (t, t + B], horizon (t + B, t + B + H].

    t = 3 March    blackout to 17 March, horizon to 15 June     1 July is later          -> stay
    t = 31 March   blackout to 14 April, horizon to 13 July     1 July lies in (.., ..]  -> silent
    t = 17 June    blackout to 1 July, its end included         1 July lies in (t, t+B]  -> blackout
    t = 1 July     the decision has been taken                                           -> blackout
    t = 28 July    t + B + H + R = 9 December is after the cutoff                        -> immature
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import polars as pl

from models.clock import INSTANT
from models.errors import ContractError, SettingsError, UnknownAccount
from models.history import TABLES, History
from models.rhythm import WEEKS, blind_spells
from models.voice import inbound, observed_since, voice_events

#: From when to when.
Spells = Sequence[tuple[datetime, datetime]]

#: What a snapshot can turn out to be.
OUTCOMES = ("stay", "silent", "vocal", "involuntary", "unlabelable", "blackout", "immature")

#: What a silent exit looked like in the log, first match wins.
SUBTYPES = ("dormant", "faded", "quiet_after_failure", "other")

#: Share of the look-back that must have been observed before silence means anything.
OBSERVED_SHARE = 0.9

#: A feed of fewer accounts is not told from the accounts themselves.
LEAST_HEARD = 10

#: An account's own baseline: the year before the decision without the look-back, and its least length.
BASELINE_DAYS, BASELINE_DAYS_MIN = 365, 60

#: "Below half of what it used to be", and how much it used to be at least, in contacts per look-back.
FADED_SHARE, FADED_EXPECTED = 0.5, 2.0

FAILED_OUTCOMES = ("unresolved", "auto_closed", "abandoned")

_NEVER = pl.lit(datetime(9999, 1, 1, tzinfo=UTC), INSTANT)


#: A century: a longer stretch is a slip, and no calendar holds it.
MOST_DAYS = 36_500


@dataclass(frozen=True)
class LabelParams:
    """The label's parameters, in days; stored with every artefact and score.

    `notice_period_days` is subtracted from an end without a notice; `lapse_days` is how long an open-ended
    account must have paid nothing to count as gone. Raises `SettingsError` for values without a meaning.
    """

    look_back_days: int = 90
    blackout_days: int = 14
    horizon_days: int = 90
    maturity_days: int = 30
    grace_days: int = 1
    notice_period_days: int = 0
    lapse_days: int = 90

    def __post_init__(self) -> None:
        for name in ("look_back_days", "horizon_days", "lapse_days"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("blackout_days", "maturity_days", "grace_days", "notice_period_days"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must not be negative.")
        for name in vars(self):
            if getattr(self, name) > MOST_DAYS:
                raise SettingsError(f"{name} is {getattr(self, name)}; it must be at most {MOST_DAYS:,} days.")
        if self.grace_days >= self.look_back_days:
            raise SettingsError("grace_days must be shorter than look_back_days.")

    @property
    def window(self) -> timedelta:
        """B + H: how far a label looks beyond its snapshot."""
        return timedelta(days=self.blackout_days + self.horizon_days)

    @property
    def settled(self) -> timedelta:
        """B + H + R: how long after its snapshot a label can be trusted."""
        return self.window + timedelta(days=self.maturity_days)


DEFAULTS = LabelParams()


def zero_runs(history: History, params: LabelParams) -> pl.DataFrame:
    """Spells in which a paying account paid nothing, from `contracts`: account_id, from_at, until_at (null:
    it still pays nothing), except those that ended within `lapse_days`.

    An account that never paid has not stopped paying: the first zero after a positive amount starts a spell.
    """
    terms = history.contracts.filter(pl.col("mrr").is_not_null())
    terms = terms.join(terms.filter(pl.col("mrr") <= 0), on="account_id", how="semi")
    paid_at = pl.when(pl.col("mrr") > 0).then(pl.col("effective_at"))
    spells = terms.sort("account_id", "effective_at").select(
        "account_id",
        "mrr",
        before=pl.col("mrr").shift(1).over("account_id"),
        from_at="effective_at",
        until_at=paid_at.backward_fill().over("account_id"),
    )
    short = pl.col("until_at") - pl.col("from_at") < timedelta(days=params.lapse_days)
    begun = (pl.col("mrr") <= 0) & (pl.col("before") > 0)
    return spells.filter(begun & ~short.fill_null(value=False)).drop("mrr", "before")


def exits(history: History, cutoff: datetime, params: LabelParams = DEFAULTS) -> pl.DataFrame:
    """Every decision to leave that was known at `cutoff`, one row each:

    account_id
    decided_at  tau: the notice; without one the end less the notice period; for an account with neither, the
                start of a spell of `lapse_days` without revenue. A notice dated after the end is an error of
                the source: the end counts
    resumed_at  when such a spell ended; null otherwise. Only then may an account have several rows
    cause       `involuntary` if the end says so, else `unlabelable` where the voice channels were watched for
                less than 90 % of the look-back (not yet, or the contact feed was down: `models.rhythm`), else
                `vocal` with a voice event in [tau - L, tau - g), else `silent`; `pending` for a spell without
                revenue that is not long enough yet
    subtype     of a silent exit one of SUBTYPES, else null
    """
    decided, known = _decided(history, cutoff, params)
    decided = _with_voice(decided, known, params).pipe(_with_contacts, known, params)
    decided = _with_blind(decided, _down(known, cutoff), params)
    return (
        decided.with_columns(cause=_cause(params))
        .with_columns(subtype=pl.when(pl.col("cause") == "silent").then(_subtype(params)))
        .select("account_id", "decided_at", "resumed_at", "cause", "subtype")
        .sort("account_id", "decided_at")
    )


def _decided(history: History, cutoff: datetime, params: LabelParams) -> tuple[pl.DataFrame, History]:
    """The decisions, with `observed` (since when the account's voice was watched), and what is known of them."""
    decided = _decisions(only(history, "accounts", "contracts").known_at(cutoff), cutoff, params)
    members = decided.get_column("account_id").unique().to_list()
    known = only(history, "interactions", "surveys").of(members).known_at(cutoff)
    watched = observed_since(history, cutoff)
    observed = pl.max_horizontal("started_at", pl.lit(watched, INSTANT))
    return decided.with_columns(observed=observed if watched else pl.lit(None, INSTANT)), known


def only(history: History, *names: str) -> History:
    """The history with these tables and no others."""
    frames: dict[str, Any] = {name: table.empty() for name, table in TABLES.items() if name not in names}
    return replace(history, **frames)


def _decisions(terms: History, cutoff: datetime, params: LabelParams) -> pl.DataFrame:
    """account_id, started_at, decided_at, resumed_at, involuntary, pending; before any question of voice."""
    told = pl.when(pl.col("notice_at") <= pl.coalesce("ended_at", "notice_at")).then("notice_at")
    ended = pl.col("ended_at") - timedelta(days=params.notice_period_days)
    reason = pl.col("end_reason").str.strip_chars().str.to_lowercase()
    accounts = terms.accounts.select(
        "account_id",
        "started_at",
        decided_at=pl.coalesce(told, ended),
        involuntary=(reason == "involuntary").fill_null(value=False),
    )
    gone = accounts.filter(pl.col("decided_at").is_not_null()).with_columns(
        resumed_at=pl.lit(None, INSTANT), pending=pl.lit(False)
    )
    open_ended = accounts.filter(pl.col("decided_at").is_null()).drop("decided_at")
    long_ago = pl.lit(cutoff, INSTANT) - timedelta(days=params.lapse_days)
    lapsed = open_ended.join(zero_runs(terms, params), on="account_id").with_columns(
        decided_at="from_at", resumed_at="until_at", pending=pl.col("from_at") > long_ago
    )
    return pl.concat([gone, lapsed.select(gone.columns)])


def _look_back(params: LabelParams) -> tuple[pl.Expr, pl.Expr]:
    """The window [tau - L, tau - g): [2 April, 30 June) for the notice of 1 July."""
    tau = pl.col("decided_at")
    return tau - timedelta(days=params.look_back_days), tau - timedelta(days=params.grace_days)


def _with_voice(decided: pl.DataFrame, known: History, params: LabelParams) -> pl.DataFrame:
    since, until = _look_back(params)
    heard = (
        decided.join(voice_events(known), on="account_id")
        .filter((pl.col("at") >= since) & (pl.col("at") < until))
        .select("account_id", "decided_at", voice=pl.lit(True))
        .unique()
    )
    return decided.join(heard, on=["account_id", "decided_at"], how="left").with_columns(
        pl.col("voice").fill_null(value=False)
    )


def _down(known: History, cutoff: datetime) -> Spells:
    """When the contact feed told nothing although it should have, as known at the cutoff. Where few accounts had been
    heard before, it may as well be they who fell silent."""
    told = known.contacts_told(cutoff)
    return [
        (since, until)
        for since, until in blind_spells(told["opened_at"], cutoff)
        if told.filter(pl.col("opened_at").is_between(since - timedelta(weeks=WEEKS), since))["account_id"].n_unique()
        >= LEAST_HEARD
    ]


def _with_blind(decided: pl.DataFrame, down: Spells, params: LabelParams) -> pl.DataFrame:
    """Adds `blind`: for how long of the look-back the feed was down while the account was watched."""
    tau, nothing = pl.col("decided_at"), pl.lit(timedelta(0))
    begun = pl.max_horizontal(tau - timedelta(days=params.look_back_days), "observed")
    spans = [pl.min_horizontal(pl.lit(end), tau) - pl.max_horizontal(pl.lit(start), begun) for start, end in down]
    return decided.with_columns(blind=pl.sum_horizontal(nothing, *(pl.max_horizontal(span, nothing) for span in spans)))


def _with_contacts(decided: pl.DataFrame, known: History, params: LabelParams) -> pl.DataFrame:
    """Adds `recent`, `earlier` (inbound contacts in the look-back; in the baseline) and `failed`."""
    since, until = _look_back(params)
    opened, tau = pl.col("opened_at"), pl.col("decided_at")
    recent = (opened >= since) & (opened < until)
    earlier = (opened >= tau - timedelta(days=BASELINE_DAYS)) & (opened < since)
    counts = (
        decided.select("account_id", "decided_at")
        .join(known.interactions.filter(inbound()), on="account_id")
        .group_by("account_id", "decided_at")
        .agg(recent=recent.sum(), earlier=earlier.sum(), failed=(recent & _failed(tau)).any())
    )
    return decided.join(counts, on=["account_id", "decided_at"], how="left").with_columns(
        pl.col("recent", "earlier").fill_null(0), pl.col("failed").fill_null(value=False)
    )


def _failed(at: pl.Expr) -> pl.Expr:
    """Whether a contact had not been put right by `at`, however it was closed afterwards."""
    gave_up = pl.col("outcome").is_in(FAILED_OUTCOMES) | pl.col("abandoned")
    closed_well = pl.coalesce("resolved_at", pl.when(pl.col("outcome") == "resolved").then("opened_at"))
    return gave_up.fill_null(value=False) | (closed_well > at).fill_null(value=True)


def _cause(params: LabelParams) -> pl.Expr:
    since, look_back = pl.col("decided_at") - pl.col("observed"), timedelta(days=params.look_back_days)
    watched = pl.when(since > look_back).then(look_back).otherwise(since) - pl.col("blind")
    needed = OBSERVED_SHARE * timedelta(days=params.look_back_days)
    return (
        pl.when("pending").then(pl.lit("pending"))
        .when("involuntary").then(pl.lit("involuntary"))
        .when((watched < needed).fill_null(value=True)).then(pl.lit("unlabelable"))
        .when("voice").then(pl.lit("vocal"))
        .otherwise(pl.lit("silent"))
    )  # fmt: skip


def _subtype(params: LabelParams) -> pl.Expr:
    since, _ = _look_back(params)
    tau, day = pl.col("decided_at"), timedelta(days=1)
    baseline = (since - pl.max_horizontal("observed", tau - timedelta(days=BASELINE_DAYS))) / day
    usual = pl.col("earlier") / baseline  # contacts per day
    expected = usual * (params.look_back_days - params.grace_days)
    faded = (
        (baseline >= BASELINE_DAYS_MIN)
        & (usual * params.look_back_days >= FADED_EXPECTED)
        & (pl.col("recent") < FADED_SHARE * expected)
    )
    return (
        pl.when((pl.col("recent") == 0) & (pl.col("observed") <= since)).then(pl.lit("dormant"))
        .when(faded).then(pl.lit("faded"))
        .when("failed").then(pl.lit("quiet_after_failure"))
        .otherwise(pl.lit("other"))
    )  # fmt: skip


def label(
    history: History,
    pairs: pl.DataFrame,
    cutoff: datetime,
    params: LabelParams = DEFAULTS,
    decided: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """What became of each snapshot: the rows of `pairs` (account_id, as_of), in their order, with

    outcome     one of OUTCOMES; `blackout` also covers decisions taken by t but unknown then
    subtype     of a silent outcome, else null
    decided_at  the decision that applies to this snapshot, wherever it lies; null: none known at cutoff
    y_churn     1 left of their own will (silent, vocal, unlabelable); 0 stay; null: not for fitting
    y_silent    1 silent; 0 stay or vocal; null: not for fitting. Also null where the contact feed was down so long that
                a decision within the horizon would have been `unlabelable`: to drop those who left and keep those who
                stayed would make leaving silently look rare

    `decided`: what `exits` gave for this history, cutoff and look-back, where the caller has it already.
    Nothing that happened or became known after `cutoff` is looked at. Raises `ContractError` for pairs
    without the two columns and `UnknownAccount` for an account that the history does not describe.
    """
    pairs = _checked(history, pairs)
    ordered = pairs.with_row_index("_row").sort("as_of")
    # A spell without revenue is over once the account pays again; a later snapshot sees the next decision.
    known = exits(history, cutoff, params) if decided is None else decided
    over = known.with_columns(_over=pl.coalesce("resumed_at", _NEVER)).sort("_over")
    found = ordered.join_asof(
        over.drop("resumed_at"),
        left_on="as_of",
        right_on="_over",
        by="account_id",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    outcome = _outcome(pl.lit(cutoff, INSTANT), params)
    silent = pl.col("outcome") == "silent"
    return (
        found.with_columns(outcome=outcome)
        .sort("_row")
        .select("account_id", "as_of", "outcome", pl.when(silent).then("subtype"), "decided_at")
        .with_columns(y_churn=_y(one=("silent", "vocal", "unlabelable"), zero=("stay",)))
        .with_columns(
            y_silent=pl.when(~_deaf(history, cutoff, params)).then(_y(one=("silent",), zero=("stay", "vocal")))
        )
    )


def _checked(history: History, pairs: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in ("account_id", "as_of") if name not in pairs.columns]
    if missing:
        raise ContractError(f"Snapshots need a column {missing[0]!r}.")
    strangers = pairs.join(history.accounts, on="account_id", how="anti")
    if strangers.height:
        raise UnknownAccount(f"Nobody has described the account {strangers['account_id'][0]!r}.")
    return pairs.select("account_id", pl.col("as_of").cast(INSTANT))


def _outcome(cutoff: pl.Expr, params: LabelParams) -> pl.Expr:
    t, tau = pl.col("as_of"), pl.col("decided_at")
    seen = (tau <= t + params.window).fill_null(value=False)
    dark = tau <= t + timedelta(days=params.blackout_days)
    unknown = (t + params.settled > cutoff) | (seen & (pl.col("cause") == "pending"))
    return (
        pl.when(unknown).then(pl.lit("immature"))
        .when(~seen).then(pl.lit("stay"))
        .when(dark).then(pl.lit("blackout"))
        .otherwise("cause")
    )  # fmt: skip


def _y(one: Sequence[str], zero: Sequence[str]) -> pl.Expr:
    values = dict.fromkeys(one, 1) | dict.fromkeys(zero, 0)
    return pl.col("outcome").replace_strict(values, default=None, return_dtype=pl.Int8)


def _deaf(history: History, cutoff: datetime, params: LabelParams) -> pl.Expr:
    """Whether a decision in (t + B, t + B + H] could fall where nobody could have told silent from vocal."""
    known = only(history, "interactions", "surveys").known_at(cutoff)
    since = pl.col("as_of") + timedelta(days=params.blackout_days)
    spans = [
        (since < pl.lit(until, INSTANT)) & (pl.col("as_of") + params.window > pl.lit(start, INSTANT))
        for start, until in unheard(_down(known, cutoff), params)
    ]
    return pl.any_horizontal(pl.lit(value=False), *spans)


def unheard(down: Spells, params: LabelParams) -> list[tuple[datetime, datetime]]:
    """The spans of decisions whose look-back was blind for more than 10 %, where a feed was down in these spells.

    down 1 to 23 March (22 days), L = 90 d: more than 9 days of [tau - L, tau] are blind
    from 10 March (9 days after the beginning) to 12 June (81 days after 23 March)
    """
    look_back = timedelta(days=params.look_back_days)
    allowed = look_back - OBSERVED_SHARE * look_back

    def blind(tau: datetime) -> timedelta:
        spans = (min(until, tau) - max(since, tau - look_back) for since, until in down)
        return sum((max(span, timedelta(0)) for span in spans), timedelta(0))

    # Between two corners the blind part rises or falls in a straight line.
    corners = sorted({edge + late for spell in down for edge in spell for late in (timedelta(0), look_back)})
    found: list[tuple[datetime, datetime]] = []
    for first, last in pairwise(corners):
        over = blind(first) - allowed, blind(last) - allowed
        if max(over) <= timedelta(0):
            continue
        cross = first + (last - first) * (over[0] / (over[0] - over[1])) if min(over) < timedelta(0) else first
        begun, ended = (first if over[0] >= timedelta(0) else cross), (last if over[1] >= timedelta(0) else cross)
        joined = found.pop()[0] if found and found[-1][1] >= begun else begun
        found.append((joined, ended))
    return found


def look_back_curve(
    history: History,
    days: Sequence[int] = (30, 60, 90, 180, 365),
    cutoff: datetime | None = None,
    params: LabelParams = DEFAULTS,
) -> pl.DataFrame:
    """How much of churn is silent depends on how far back one listens: print this beside any silent share.

    One row per look-back: look_back_days, exits (voluntary and watched for 90 % of that look-back, so the
    populations shrink as it grows), silent, silent_share (null without exits). cutoff: the end of the history
    where not given.
    """
    end = cutoff or history.last_event() or datetime.min.replace(tzinfo=UTC)
    decided, known = _decided(history, end if cutoff else end + timedelta(microseconds=1), params)
    down = _down(known, end)
    rows = [_silent_share(decided, known, down, replace(params, look_back_days=d)) for d in days]
    schema = {"look_back_days": pl.Int64, "exits": pl.Int64, "silent": pl.Int64, "silent_share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _silent_share(
    decided: pl.DataFrame, known: History, down: Spells, params: LabelParams
) -> tuple[int, int, int, float | None]:
    heard = _with_voice(decided, known, params).pipe(_with_blind, down, params)
    cause = heard.select(cause=_cause(params)).get_column("cause")
    silent, vocal = int((cause == "silent").sum()), int((cause == "vocal").sum())
    share = silent / (silent + vocal) if silent + vocal else None
    return params.look_back_days, silent + vocal, silent, share
