"""Facts about surveys and outreach: what was asked, what was answered, and what was met with silence."""

import math

import polars as pl

from models.accounts import OUTREACH
from models.features.contacts import count, grid, within
from models.features.expand import DAY_US, NEVER, Events, coded, instant, usable_from
from models.history import ENGAGE_DAYS, History
from models.surveys import INSTRUMENTS, RESPONSE_DAYS

HALF_LIFE_DAYS = 90
#: Scores are kept as shares of their scale on this grid.
_SCORE_BITS = 16
_PACK = 1 << 17


def scale(edge: str) -> pl.Expr:
    """The lowest or highest possible score of a row's instrument (`edge`: scale_min or scale_max)."""
    known = {name: getattr(instrument, edge) for name, instrument in INSTRUMENTS.items()}
    usual = pl.col("instrument").replace_strict(known, default=None, return_dtype=pl.Float64)
    return pl.coalesce(pl.col(edge), usual)


def share_of_scale() -> pl.Expr:
    """A score as a share of its scale, 1 the best; unknown where the scale is."""
    low, high = scale("scale_min"), scale("scale_max")
    share = pl.when(high > low).then((pl.col("score") - low) / (high - low))
    return pl.when(pl.col("low_is_good").fill_null(value=False)).then(1 - share).otherwise(share)


def low_share() -> pl.Expr:
    """The share of the scale at or below which an answer voices dissatisfaction; unknown instruments have none."""
    limits = {name: instrument.low for name, instrument in INSTRUMENTS.items()}
    return pl.col("instrument").replace_strict(limits, default=None, return_dtype=pl.Float64)


def is_low() -> pl.Expr:
    """Whether an answered survey voices dissatisfaction (CSAT <= 2/5, CES <= 3/7, NPS <= 6/10)."""
    return (share_of_scale() <= low_share() + 1e-9).fill_null(value=False)


def survey_events(history: History, codes: pl.DataFrame) -> Events:
    """Invitations and answers of described accounts, sorted by account and time."""
    asked = instant(pl.coalesce("sent_at", "responded_at"))
    frame = coded(history, "surveys", codes).select(
        "account",
        asked.alias("happened"),
        pl.max_horizontal(asked + 1, instant("recorded_at")).alias("visible_from"),
        pl.col("survey_id").hash(seed=5).reinterpret(signed=True).alias("tie"),
        instant("sent_at").alias("sent"),
        instant("responded_at").alias("responded"),
        usable_from(instant("responded_at"), history.delay).alias("responded_from"),
        grid(share_of_scale(), _SCORE_BITS).alias("share"),
        is_low().alias("low"),
        *((pl.col("instrument") == name).alias(name) for name in INSTRUMENTS),
    )
    return Events.sorted_by(frame, codes.height, "happened", "tie")


def survey_states(asked: pl.DataFrame) -> pl.DataFrame:
    """Each visible invitation as its question sees it."""
    answered = pl.col("at") >= pl.col("responded_from")
    invited = pl.col("sent") != NEVER
    return asked.with_columns(
        invited.alias("invited"),
        answered.alias("answered"),
        pl.when(invited).then((pl.col("at") - pl.col("sent")) / DAY_US).alias("sent_age"),
        pl.when(answered).then((pl.col("at") - pl.col("responded")) / DAY_US).alias("answer_age"),
    ).with_columns(
        (pl.col("invited") & (pl.col("sent_age") >= RESPONSE_DAYS)).alias("matured"),
        pl.col("answered").and_(pl.col("share").is_not_null()).alias("scored"),
        grid((-pl.col("answer_age") / HALF_LIFE_DAYS * math.log(2)).exp(), 30).alias("weight"),
        pl.when(pl.col("answered")).then(pl.col("sent_age")).min().over("q").alias("last_answered"),
    )


def survey_facts() -> list[pl.Expr]:
    """The facts of a question, as aggregates over its surveys' states."""
    year = within(365, "answer_age") & pl.col("scored")
    matured, silent = pl.col("matured"), pl.col("matured") & ~pl.col("answered")
    since_answer = (pl.col("sent_age") < pl.col("last_answered")).fill_null(value=True)
    late, early = within(180, "sent_age"), (pl.col("sent_age") > 180) & within(360, "sent_age")
    return [
        count(matured & within(365, "sent_age")).alias("invitations_365d"),
        count(matured & late).alias("invitations_180d"),
        count(matured & late & pl.col("answered")).alias("answered_180d"),
        count(matured & early).alias("invitations_181_360d"),
        count(matured & early & pl.col("answered")).alias("answered_181_360d"),
        count(silent & since_answer & within(365, "sent_age")).alias("unanswered_in_a_row"),
        count(pl.col("answered") & within(365, "answer_age")).alias("responses_365d"),
        pl.when(pl.col("answered") & pl.col("low"))
        .then(pl.col("answer_age"))
        .min()
        .alias("days_since_low_score"),
        *_score_facts("csat", year),
        *_score_facts("ces", year),
        *_score_facts("nps", year),
        *_trend_facts(year & pl.col("csat")),
        count(year).alias("scores_365d"),
        _sum(pl.col("share"), year).alias("scores_sum_365d"),
        _sum(pl.col("share") * pl.col("share"), year).alias("scores_sum2_365d"),
        count(within(180, "answer_age") & pl.col("scored") & pl.col("ces")).alias("ces_180d"),
        count(within(180, "answer_age") & pl.col("scored") & pl.col("ces") & pl.col("low")).alias(
            "ces_low_180d"
        ),
        _sum(pl.col("share"), within(180, "answer_age") & pl.col("scored") & pl.col("ces")).alias(
            "ces_sum_180d"
        ),
        _last_nps(year),
    ]


def _sum(value: pl.Expr, where: pl.Expr) -> pl.Expr:
    return pl.when(where).then(value).otherwise(0.0).sum()


def _score_facts(name: str, year: pl.Expr) -> list[pl.Expr]:
    where = year & pl.col(name)
    weighted = grid(pl.col("weight") * pl.col("share"), 30)
    return [
        count(where).alias(f"{name}_365d"),
        _sum(pl.col("share"), where).alias(f"{name}_plain_365d"),
        _sum(pl.col("weight"), where).alias(f"{name}_weight_365d"),
        _sum(weighted, where).alias(f"{name}_sum_365d"),
    ]


def _trend_facts(where: pl.Expr) -> list[pl.Expr]:
    x = grid(-pl.col("answer_age") / HALF_LIFE_DAYS, 16)
    y = pl.col("share")
    return [
        _sum(x, where).alias("trend_x"),
        _sum(y, where).alias("trend_y"),
        _sum(x * x, where).alias("trend_xx"),
        _sum(x * y, where).alias("trend_xy"),
    ]


def _last_nps(year: pl.Expr) -> pl.Expr:
    """The latest NPS answer's age and score packed into one sortable integer."""
    age = pl.col("at") - pl.col("responded")
    packed = (NEVER // _PACK - age) * _PACK + (pl.col("share") * 2**_SCORE_BITS).cast(pl.Int64)
    return pl.when(year & pl.col("nps")).then(packed).max().alias("nps_last_packed")


def unpack_nps(packed: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    """The latest NPS answer as (age in days, share of the scale)."""
    return (NEVER // _PACK - packed // _PACK) / DAY_US, (packed % _PACK) / 2.0**_SCORE_BITS


def outreach_events(history: History, codes: pl.DataFrame) -> Events:
    """What the company did about described accounts, held-out decisions left aside."""
    frame = coded(history, OUTREACH.name, codes).filter(~pl.col("held_out").fill_null(value=False))
    when = instant("at")
    frame = frame.select(
        "account",
        when.alias("happened"),
        pl.max_horizontal(when + 1, instant("recorded_at")).alias("visible_from"),
        usable_from(instant("engaged_at"), history.delay).alias("engaged_from"),
        pl.col("outcome").is_in(["reached", "saved"]).fill_null(value=False).alias("reached"),
    )
    return Events.sorted_by(frame, codes.height, "happened")


def outreach_facts() -> list[pl.Expr]:
    """Outreach of 180 days that had its time to be answered, and how much of it was not."""
    age = (pl.col("at") - pl.col("happened")) / DAY_US
    due = (age >= ENGAGE_DAYS) & (age <= 180)
    silent = due & ~(pl.col("at") >= pl.col("engaged_from")) & ~pl.col("reached")
    return [count(due).alias("outreach_180d"), count(silent).alias("outreach_no_answer_180d")]
