"""Facts about an account's inbound contacts: who came back, how hard it was, what was left lying.

Rows arrive in the order (question, issue key, opening), so a contact's neighbours on its issue are the rows
before and after it. Sums are taken over numbers rounded to a binary grid: such sums are exact in 64-bit floats,
hence the same bit for bit whatever the order, the batch or the number of threads.
"""

import polars as pl

from models.features.expand import DAY_US, NEVER, Events, coded, instant, usable_from
from models.history import History, closed_at, totals_at
from models.interactions import REPEAT_DAYS

#: Contacts this close together are one visit when gaps between contacts are measured.
SAME_VISIT_US = 3_600_000_000
#: Days after which an unanswered matter counts as given up.
QUIET_DAYS = 14
#: Half an order of decay for past escalations and complaints, days.
DECAY_DAYS = 60
SELF_SERVICE = ("self_service", "portal")
_MINUTE_US = 60_000_000
#: Room for an effort below 1024 beside an age in one sortable integer.
_PACK = 1024


def grid(expr: pl.Expr, bits: int = 20) -> pl.Expr:
    """Round to multiples of 2^-bits, so that sums do not depend on their order."""
    return (expr * 2.0**bits).round() / 2.0**bits


def events(history: History, codes: pl.DataFrame) -> Events:
    """Inbound contacts of described accounts, sorted by account, issue key and opening."""
    frame = coded(history, "interactions", codes).filter(pl.col("direction") == "inbound")
    explicit = pl.col("issue_id").is_not_null()
    # Without an id or a topic nothing says that two contacts are about one problem.
    key = pl.coalesce(
        pl.format("i{}", "issue_id"), pl.format("c{}", "category"), pl.format("r{}", "interaction_id")
    )
    opened, delay = instant("opened_at"), history.delay
    frame = frame.select(
        "account",
        opened.alias("happened"),
        pl.max_horizontal(opened + 1, instant("recorded_at")).alias("visible_from"),
        opened.alias("opened"),
        key.hash(seed=1).reinterpret(signed=True).alias("issue"),
        pl.col("interaction_id").hash(seed=2).reinterpret(signed=True).alias("tie"),
        explicit.alias("explicit"),
        pl.col("channel").hash(seed=3).reinterpret(signed=True).fill_null(0).alias("channel"),
        pl.col("channel").is_in(SELF_SERVICE).fill_null(value=False).alias("self_service"),
        pl.col("contact_id").hash(seed=4).reinterpret(signed=True).alias("person"),
        (pl.col("kind") == "complaint").fill_null(value=False).alias("complaint"),
        (pl.col("escalation") == "customer").fill_null(value=False).alias("demanded"),
        _gave_up().alias("gave_up"),
        (_gave_up() | (pl.col("outcome") == "unresolved")).fill_null(value=False).alias("failing"),
        instant(closed_at()).alias("closed"),
        usable_from(instant(closed_at()), delay).alias("closed_from"),
        usable_from(instant(totals_at()), delay).alias("totals_from"),
        usable_from(instant("reopened_at"), delay).alias("reopened_from"),
        (pl.col("reopened_at") > pl.col("resolved_at")).fill_null(value=False).alias("reopened_last"),
        instant("first_response_at").alias("answered"),
        usable_from(instant("first_response_at"), delay).alias("answered_from"),
        instant("escalated_at").alias("escalated"),
        usable_from(instant("escalated_at"), delay).alias("escalated_from"),
        pl.col("resolved_at").is_not_null().alias("resolved"),
        pl.col("reopens").fill_null(0).alias("reopens"),
        pl.col("transfers").fill_null(0).alias("transfers"),
        pl.col("sla_first_response_minutes").alias("target_answer"),
        pl.col("sla_resolution_minutes").alias("target_resolution"),
    )
    return Events.sorted_by(frame, codes.height, "issue", "opened", "tie")


def _gave_up() -> pl.Expr:
    left = pl.col("outcome").is_in(["abandoned", "auto_closed"]) | pl.col("abandoned")
    return left.fill_null(value=False)


def states(asked: pl.DataFrame, usual_minutes: tuple[float, float]) -> pl.DataFrame:
    """Each visible contact as its question sees it. `usual_minutes` are the portfolio's median first response and
    resolution, which stand in for targets nobody set."""
    at, age = pl.col("at"), pl.col("at") - pl.col("opened")
    closed = at >= pl.col("closed_from")
    reopened = at >= pl.col("reopened_from")
    same_before = (pl.col("issue") == pl.col("issue").shift(1)) & (pl.col("q") == pl.col("q").shift(1))
    same_after = (pl.col("issue") == pl.col("issue").shift(-1)) & (pl.col("q") == pl.col("q").shift(-1))
    before = pl.when(same_before).then(pl.col("opened") - pl.col("opened").shift(1))
    after = pl.when(same_after).then(pl.col("opened").shift(-1) - pl.col("opened"))
    first = asked.with_columns(
        (age / DAY_US).alias("age"),
        (closed & ~(reopened & pl.col("reopened_last"))).alias("is_closed"),
        reopened.alias("was_reopened"),
        (at >= pl.col("totals_from")).alias("counts"),
        (at >= pl.col("answered_from")).alias("is_answered"),
        (at >= pl.col("escalated_from")).alias("is_escalated"),
        (before / DAY_US).alias("days_before"),
        (after / DAY_US).alias("days_after"),
        (same_before & (pl.col("channel") != pl.col("channel").shift(1)))
        .fill_null(value=False)
        .alias("other_channel"),
    )
    second = first.with_columns(
        (pl.col("days_before") <= REPEAT_DAYS).fill_null(value=False).alias("repeat"),
        (
            pl.col("days_before").is_null() | (~pl.col("explicit") & (pl.col("days_before") > REPEAT_DAYS))
        ).alias("new_issue"),
        (pl.col("is_closed") & pl.col("failing")).alias("failed"),
        pl.when("counts").then(pl.col("transfers")).otherwise(0).alias("moves"),
        pl.when("counts").then(pl.col("reopens")).otherwise(0).alias("reopenings"),
        ((at - pl.col("escalated")) / DAY_US).alias("escalation_age"),
        (pl.when("is_answered").then(pl.col("answered") - pl.col("opened")).otherwise(age) / _MINUTE_US)
        .clip(1.0)
        .alias("answer_minutes"),
        (pl.when("is_closed").then(pl.col("closed") - pl.col("opened")).otherwise(age) / _MINUTE_US)
        .clip(1.0)
        .alias("closing_minutes"),
        pl.when("is_closed").then((at - pl.col("closed")) / DAY_US).alias("closed_age"),
    )
    answer, resolution = usual_minutes
    return second.with_columns(
        pl.col("new_issue").cast(pl.Int64).cum_sum().alias("issue_number"),
        (pl.col("failed") | (~pl.col("is_closed") & (pl.col("age") >= QUIET_DAYS))).alias("left_lying"),
        (pl.col("answer_minutes") / pl.col("target_answer").fill_null(answer).clip(1.0))
        .log()
        .alias("ln_answer"),
        (pl.col("closing_minutes") / pl.col("target_resolution").fill_null(resolution).clip(1.0))
        .log()
        .alias("ln_closing"),
        pl.col("closing_minutes").log().alias("ln_minutes"),
    )


def within(days: int, age: str = "age") -> pl.Expr:
    """Whether an age in days lies in the half-open window [as_of - days, as_of)."""
    return pl.col(age) <= days


def count(condition: pl.Expr) -> pl.Expr:
    """How many rows meet a condition."""
    return condition.sum().cast(pl.Int64)


def _total(value: pl.Expr, where: pl.Expr) -> pl.Expr:
    return pl.when(where).then(value).otherwise(0).sum()


def _latest_age(where: pl.Expr, age: str = "age") -> pl.Expr:
    return pl.when(where).then(pl.col(age)).min()


def contact_facts() -> list[pl.Expr]:
    """The facts of a question, as aggregates over its contacts' states."""
    quiet = (
        pl.col("left_lying")
        & (pl.col("age") >= QUIET_DAYS)
        & ~(pl.col("days_after") <= QUIET_DAYS).fill_null(value=False)
    )
    unfollowed = ~(pl.col("days_after") <= REPEAT_DAYS).fill_null(value=False)
    given_up = pl.col("is_closed") & pl.col("gave_up") & unfollowed & (pl.col("age") >= REPEAT_DAYS)
    first_try = pl.col("new_issue") & (pl.col("age") >= REPEAT_DAYS) & within(180)
    not_fixed = first_try & ~(pl.col("is_closed") & ~pl.col("failing") & unfollowed)
    waiting = ~pl.col("is_answered") & ~pl.col("is_closed")
    answer_known = (pl.col("is_answered") | waiting) & within(90)
    answer_due = pl.col("target_answer").is_not_null() & answer_known
    late_answer = answer_due & (pl.col("answer_minutes") > pl.col("target_answer"))
    answer_due = answer_due & (pl.col("is_answered") | late_answer)
    solved = pl.col("is_closed") & pl.col("resolved")
    resolution_due = pl.col("target_resolution").is_not_null() & within(90)
    late_resolution = resolution_due & (pl.col("closing_minutes") > pl.col("target_resolution"))
    resolution_due = resolution_due & (pl.col("is_closed") | late_resolution)
    resolved_then = pl.col("resolved") & (pl.col("closed_age") >= QUIET_DAYS) & within(180, "closed_age")
    escalated = pl.col("is_escalated")
    decay = grid((-pl.col("escalation_age") / DECAY_DAYS).exp(), 30)
    complaint_decay = grid((-pl.col("age") / DECAY_DAYS).exp(), 30)
    open_or_failed = ~pl.col("is_closed") | pl.col("failing")
    ln_minutes = grid(pl.col("ln_minutes"), 16)
    return [
        *(count(within(days)).alias(f"contacts_{days}d") for days in (28, 30, 90, 180, 365)),
        pl.col("age").min().alias("days_since_contact"),
        *(count(pl.col("repeat") & within(days)).alias(f"repeats_{days}d") for days in (90, 365)),
        count(given_up & within(90)).alias("abandoned_90d"),
        *(count(quiet & within(days)).alias(f"quiet_failures_{days}d") for days in (90, 365)),
        *(count(pl.col("self_service") & within(days)).alias(f"self_service_{days}d") for days in (28, 365)),
        *(
            pl.when(within(days))
            .then(pl.col("person"))
            .drop_nulls()
            .n_unique()
            .cast(pl.Int64)
            .alias(f"people_{days}d")
            for days in (90, 365)
        ),
        _latest_age(pl.col("left_lying") & within(365)).alias("days_since_failure"),
        count(first_try).alias("issues_180d"),
        count(not_fixed).alias("issues_not_fixed_180d"),
        _total(pl.col("moves"), within(90)).alias("transfers_90d"),
        count(pl.col("other_channel") & within(90)).alias("switches_90d"),
        count(answer_known).alias("answers_90d"),
        _total(grid(pl.col("ln_answer")), answer_known).alias("answers_ln_90d"),
        (count(answer_due) + count(resolution_due)).alias("targets_90d"),
        (count(late_answer) + count(late_resolution)).alias("targets_missed_90d"),
        pl.when(within(180)).then(pl.col("ln_closing")).quantile(0.9, "linear").alias("closing_p90_180d"),
        pl.when(~pl.col("is_closed") & within(365)).then(pl.col("age")).max().alias("open_days"),
        count(~pl.col("is_closed") & within(365)).alias("open_contacts"),
        count(resolved_then).alias("resolved_180d"),
        count(resolved_then & (pl.col("was_reopened") | (pl.col("reopenings") > 0))).alias("reopened_180d"),
        count(solved & within(365)).alias("solved_365d"),
        _total(ln_minutes, solved & within(365)).alias("solved_ln_365d"),
        _total(ln_minutes * ln_minutes, solved & within(365)).alias("solved_ln2_365d"),
        count(escalated & within(90, "escalation_age")).alias("escalations_90d"),
        _total(decay, escalated & within(365, "escalation_age")).alias("escalation_recency"),
        count(pl.col("complaint") & within(365)).alias("complaints_365d"),
        _total(complaint_decay, pl.col("complaint") & within(365)).alias("complaint_recency"),
        count(pl.col("complaint") & open_or_failed & within(365)).alias("complaints_unresolved_365d"),
        pl.min_horizontal(
            _latest_age(pl.col("complaint")),
            _latest_age(escalated & pl.col("demanded"), "escalation_age"),
        ).alias("days_since_complaint"),
    ]


def issue_facts(contacts: pl.DataFrame) -> pl.DataFrame:
    """Effort per question: 1 + repeats + transfers + channel switches + reopenings of an issue, summed up."""
    issues = contacts.group_by("q", "issue_number", maintain_order=True).agg(
        (pl.len() + pl.col("moves").sum() + pl.col("other_channel").sum() + pl.col("reopenings").sum())
        .cast(pl.Int64)
        .alias("effort"),
        pl.col("age").min().alias("age"),
        (pl.col("at") - pl.col("opened")).min().alias("age_us"),
        pl.col("is_closed").last().alias("over"),
    )
    recent = within(90)
    packed = (NEVER // (2 * _PACK) - pl.col("age_us")) * _PACK + pl.col("effort").clip(0, _PACK - 1)
    return issues.group_by("q", maintain_order=True).agg(
        count(recent).alias("issues_90d"),
        _total(pl.col("effort"), recent).alias("effort_90d"),
        pl.when(recent).then(pl.col("effort")).max().alias("effort_peak_90d"),
        (pl.when(pl.col("over") & within(180)).then(packed).max() % _PACK).alias("effort_last_180d"),
    )


def gap_facts(contacts: pl.DataFrame) -> pl.DataFrame:
    """Median days between visits (contacts at least an hour apart) in 365 days, and how many gaps there were."""
    visits = contacts.select("q", "opened", "age").filter(within(365)).sort("q", "opened")
    gap = pl.when(pl.col("q") == pl.col("q").shift(1)).then(pl.col("opened") - pl.col("opened").shift(1))
    gaps = visits.select("q", gap.alias("gap")).filter(pl.col("gap") >= SAME_VISIT_US)
    return gaps.group_by("q").agg(
        pl.len().cast(pl.Int64).alias("gaps_365d"), (pl.col("gap").median() / DAY_US).alias("gap_days_365d")
    )
