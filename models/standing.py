"""Whether an account is somebody's customer at a moment, as far as was known then.

    t = 2026-07-20, midnight
    started 2026-06-30                                          20 days old  -> young
    notice 2026-07-20 08:00                                     not yet      -> eligible
    notice 2026-07-19, and the source reports a day late        not known    -> eligible
    notice 2026-07-18, and the source reports a day late        known        -> leaving

Training learns from eligible accounts only (the label takes care of the decisions that nobody knew yet);
scores are given to young and undated ones as well.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from models.clock import INSTANT
from models.history import TABLES, History, rows_known, value_known
from models.labels import DEFAULTS, LabelParams, only, zero_runs

#: Younger accounts have no own normal yet.
YOUNG_DAYS = 30

#: Every standing, first match wins.
STANDINGS = ("unknown", "test", "gone", "leaving", "unpaid", "undated", "young", "eligible")

#: The standings that get a score.
SCORED = ("eligible", "young", "undated")

_LOOKED_AT = ("account_id", "is_test", "started_at", "notice_at", "ended_at", "recorded_at")


def standings(history: History, at: Sequence[datetime], params: LabelParams = DEFAULTS) -> pl.DataFrame:
    """account_id, as_of, standing: one row per account and moment, sorted by as_of, then account_id.

    unknown   nobody knew the account yet (recorded later), or it had not started
    test      internal and test accounts
    gone      the end had happened and was known
    leaving   a notice had been given and was known
    unpaid    paying nothing for `lapse_days` or longer, as the contracts known then say
    undated   no start, so no age: scored, not learnt from
    young     under 30 days old: scored, not learnt from
    eligible  all others
    """
    times = pl.DataFrame({"as_of": sorted(at)}, schema={"as_of": INSTANT})
    t, delay = pl.col("as_of"), history.delay
    accounts = history.accounts.select(_LOOKED_AT).sort("account_id")
    pairs = times.join(accounts, how="cross", maintain_order="left_right").join(
        _unpaid(history, at, params), on=["account_id", "as_of"], how="left", maintain_order="left"
    )
    standing = (
        pl.when(~rows_known(TABLES["accounts"], t, delay)).then(pl.lit("unknown"))
        .when("is_test").then(pl.lit("test"))
        .when(value_known("ended_at", t, delay)).then(pl.lit("gone"))
        .when(value_known("notice_at", t, delay)).then(pl.lit("leaving"))
        .when(pl.col("unpaid").is_not_null()).then(pl.lit("unpaid"))
        .when(pl.col("started_at").is_null()).then(pl.lit("undated"))
        .when(t - pl.col("started_at") < timedelta(days=YOUNG_DAYS)).then(pl.lit("young"))
        .otherwise(pl.lit("eligible"))
    )  # fmt: skip
    return pairs.select("account_id", "as_of", standing=standing)


def eligible(history: History, as_of: datetime, params: LabelParams = DEFAULTS) -> pl.DataFrame:
    """The accounts to score at `as_of`: account_id, as_of, young (under 30 days old, or of unknown age)."""
    scored = standings(history, [as_of], params).filter(pl.col("standing").is_in(SCORED))
    return scored.select("account_id", "as_of", young=pl.col("standing") != "eligible")


def _unpaid(history: History, at: Sequence[datetime], params: LabelParams) -> pl.DataFrame:
    """The (account_id, as_of) inside a spell without revenue that was `lapse_days` old by then."""
    contracts = only(history, "contracts")
    lapsed = [
        zero_runs(contracts.known_at(t), params)
        .filter(pl.col("until_at").is_null() & (pl.col("from_at") <= t - timedelta(days=params.lapse_days)))
        .select("account_id", as_of=pl.lit(t, INSTANT), unpaid=pl.lit(True))
        for t in at
    ]
    none = pl.DataFrame(schema={"account_id": pl.String(), "as_of": INSTANT, "unpaid": pl.Boolean()})
    return pl.concat([none, *lapsed])
