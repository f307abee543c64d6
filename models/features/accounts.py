"""Facts about the account itself: its age, its terms as of each question, and how long it has been watched."""

import numpy as np
import polars as pl

from models.features.expand import DAY_US, NEVER, Events, Ints, coded, instant, microseconds, usable_from
from models.history import History

_YEAR_US = 365 * DAY_US
#: A change of terms this fresh may already be part of an exit, so it is left out of changes.
SETTLED_DAYS = 14
CHANGE_DAYS = 180


def account_frame(history: History) -> pl.DataFrame:
    """Described accounts in order of their id, numbered `account` from 0, with coded times."""
    accounts = history.accounts.sort("account_id")
    delay = history.delay
    return accounts.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("account"),
        "account_id",
        "segment",
        "mrr",
        "billing",
        "seats",
        instant("started_at").alias("started"),
        instant("renewal_at").alias("renewal"),
        instant("onboarded_at").alias("onboarded"),
        usable_from(instant("onboarded_at"), delay).alias("onboarded_from"),
    )


def observed_from(history: History, at: Ints) -> Ints:
    """Since when contacts are being recorded, as known at each moment (microseconds; the moment itself if not yet)."""
    given = (history.observed_from or {}).get("interactions")
    if given is not None:
        return np.minimum(microseconds(given), at)
    known = history.interactions.select(
        pl.max_horizontal(instant("opened_at") + 1, instant("recorded_at")).alias("from"),
        instant("opened_at").alias("opened"),
    ).sort("from", "opened")
    earliest = np.minimum.accumulate(known["opened"].to_numpy()) if known.height else np.empty(0, np.int64)
    moments, where = np.unique(at, return_inverse=True)
    index = np.searchsorted(known["from"].to_numpy(), moments, side="right")
    first = np.array(
        [earliest[i - 1] if i else t for i, t in zip(index, moments, strict=True)], dtype=np.int64
    )
    return np.minimum(first[where], at)


def term_events(history: History, codes: pl.DataFrame) -> Events:
    """Commercial terms over time, sorted by account and the moment they took effect."""
    effective = instant("effective_at")
    frame = coded(history, "contracts", codes).select(
        "account",
        effective.alias("happened"),
        pl.max_horizontal(effective + 1, instant("recorded_at")).alias("visible_from"),
        pl.col("mrr").alias("term_mrr"),
        pl.col("seats").alias("term_seats"),
        instant("renewal_at").alias("term_renewal"),
        pl.col("billing").alias("term_billing"),
    )
    return Events.sorted_by(frame, codes.height, "happened")


def terms_at(terms: Events, accounts: Ints, at: Ints) -> pl.DataFrame:
    """For each question the terms in force (`term_*`), those before a settled change (`settled_*`), those half a
    year earlier (`before_*`), and whether any terms were ever written down (`has_terms`)."""
    ever = np.full(len(at), -NEVER)
    seen = terms.ask(accounts, at, ever).with_row_index("row")
    settled = pl.col("happened") < pl.col("at") - SETTLED_DAYS * DAY_US
    before = pl.col("happened") < pl.col("at") - (SETTLED_DAYS + CHANGE_DAYS) * DAY_US
    rows = seen.group_by("q", maintain_order=True).agg(
        pl.col("row").last(),
        pl.when(settled).then(pl.col("row")).max().alias("settled"),
        pl.when(before).then(pl.col("row")).max().alias("before"),
    )
    values = seen.select("row", "term_mrr", "term_seats", "term_renewal", "term_billing")
    changes = values.select("row", "term_mrr", "term_seats")
    joined = rows.join(values, on="row", how="left")
    for moment in ("settled", "before"):
        named = changes.rename({"row": moment, "term_mrr": f"{moment}_mrr", "term_seats": f"{moment}_seats"})
        joined = joined.join(named, on=moment, how="left")
    described = pl.DataFrame({"q": np.arange(len(at)), "has_terms": terms.rows(accounts) > 0})
    return described.join(joined.drop("row", "settled", "before"), on="q", how="left").sort("q")


def account_facts() -> dict[str, pl.Expr]:
    """The account's own facts from its row (`account_frame`), its terms (`terms_at`) and the question's `at`.

    Without a history of terms the account's row stands in: what it says now is taken to have always held, and an
    annual term is rolled back to the anniversary that lay ahead.
    """
    at = pl.col("at")
    known = pl.col("has_terms")
    billing = pl.when(known).then(pl.coalesce("term_billing", "billing")).otherwise(pl.col("billing"))
    annual = billing == "annual"
    ahead = pl.col("term_renewal") - at
    rolled = pl.when(annual).then(ahead % _YEAR_US)
    in_history = pl.when(pl.col("term_renewal") != NEVER).then(
        pl.when(ahead >= 0).then(ahead).otherwise(rolled)
    )
    now_ahead = pl.col("renewal") - at
    from_row = (
        pl.when(annual)
        .then(now_ahead % _YEAR_US)
        .when((now_ahead >= 0) & (now_ahead <= _YEAR_US))
        .then(now_ahead)
    )
    row_renewal = pl.when(pl.col("renewal") != NEVER).then(from_row)
    renewal = pl.when(known).then(in_history).otherwise(row_renewal)
    tenure = pl.when(pl.col("started") != NEVER).then((at - pl.col("started")).clip(0) / DAY_US)
    watched = (at - pl.max_horizontal(pl.when(pl.col("started") != NEVER).then("started"), "observed")).clip(
        0
    )
    return {
        "billing_now": billing,
        "mrr_now": pl.when(known).then(pl.col("term_mrr")).otherwise(pl.col("mrr")),
        "seats_now": pl.when(known).then(pl.col("term_seats")).otherwise(pl.col("seats")),
        "renewal_days": renewal / DAY_US,
        "tenure_days": tenure,
        "history_days": watched / DAY_US,
        "is_onboarded": (at >= pl.col("onboarded_from")),
    }
