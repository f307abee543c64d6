"""The figures a simulated world is held against, measured from its tables alone."""

from datetime import datetime, timedelta

import polars as pl

from training.simulator import Simulated

LOOK_BACK = timedelta(days=90)
EXIT_VOICE = timedelta(days=1)
BLACKOUT = timedelta(days=14)
HORIZON = timedelta(days=90)


def voices(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """The moments an account spoke up: account_id, at."""
    contacts, surveys = tables["interactions"], tables["surveys"]
    low = {"csat": 2, "nps": 6}
    poor = pl.any_horizontal((pl.col("instrument") == name) & (pl.col("score") <= score) for name, score in low.items())
    picked = (
        contacts.filter(pl.col("kind") == "complaint").select("account_id", at="opened_at"),
        contacts.filter(pl.col("escalation") == "customer").select("account_id", at="escalated_at"),
        surveys.filter(poor).select("account_id", at="responded_at"),
    )
    return pl.concat(picked)


def exits(tables: dict[str, pl.DataFrame], look_back: timedelta = LOOK_BACK) -> pl.DataFrame:
    """Who left, when, whether by choice, and whether in silence: account_id, at, voluntary, silent."""
    gone = tables["accounts"].filter(pl.col("ended_at").is_not_null())
    leaving = gone.select("account_id", left="ended_at", voluntary=pl.col("end_reason") == "voluntary")
    heard = leaving.join(voices(tables), on="account_id")
    before = pl.col("left") - pl.col("at")
    loud = heard.filter((before <= look_back) & (before > EXIT_VOICE))["account_id"].unique()
    return leaving.with_columns(silent=~pl.col("account_id").is_in(loud.implode())).rename({"left": "at"})


def outcomes(tables: dict[str, pl.DataFrame], t: datetime) -> pl.DataFrame:
    """One row per account active at ``t`` and through the blackout, with what it did in the horizon."""
    accounts = tables["accounts"].filter(pl.col("started_at") < t)
    rows = accounts.select("account_id", "segment").join(exits(tables), on="account_id", how="left")
    rows = rows.filter(pl.col("at").is_null() | (pl.col("at") > t + BLACKOUT))
    left = (pl.col("at") <= t + BLACKOUT + HORIZON).fill_null(False)
    return rows.select(
        "account_id",
        "segment",
        any=left,
        churn=left & pl.col("voluntary"),
        silent=left & pl.col("voluntary") & pl.col("silent"),
        unheard=left & pl.col("silent"),
    )


def base_rates(simulated: Simulated, first: int = 26) -> dict[str, float]:
    """Mean outcome over snapshots every four weeks whose horizon lies inside the log."""
    weeks = range(first, simulated.weeks - 15, 4)
    rows = pl.concat(outcomes(simulated.tables, simulated.start + timedelta(weeks=w)) for w in weeks)
    return {name: float(rows[name].mean()) for name in ("any", "churn", "silent", "unheard")}


def annual_churn(simulated: Simulated) -> dict[str, float]:
    """Share of the accounts of a day that are gone a year later, over all and by segment."""
    accounts, parts = simulated.tables["accounts"], []
    for week in range(0, simulated.weeks - 51, 13):
        t = simulated.start + timedelta(weeks=week)
        active = (pl.col("started_at") < t) & (pl.col("ended_at").is_null() | (pl.col("ended_at") >= t))
        gone = (pl.col("ended_at") < t + timedelta(weeks=52)).fill_null(False)
        parts.append(accounts.filter(active).select("segment", gone=gone))
    rows = pl.concat(parts)
    by_segment = rows.group_by("segment").agg(pl.col("gone").mean())
    return {"all": float(rows["gone"].mean()), **dict(by_segment.rows())}


def silent_share(simulated: Simulated, look_back_days: int = 90, voluntary: bool = True) -> float:
    """Share of exits without a voice in the look-back; only exits whose look-back the log covers."""
    look_back = timedelta(days=look_back_days)
    left = exits(simulated.tables, look_back).filter(pl.col("at") > simulated.start + look_back)
    return float(left.filter(pl.col("voluntary") | (not voluntary))["silent"].mean())


def repeat_rate(contacts: pl.DataFrame) -> float:
    """Share of contacts whose issue already had one in the seven days before."""
    ordered = contacts.sort("opened_at")
    since = ordered.select(pl.col("opened_at").diff().over("issue_id")).to_series()
    return float((since < timedelta(days=7)).fill_null(False).mean())


def account_weeks(simulated: Simulated) -> float:
    accounts = simulated.tables["accounts"]
    first = pl.max_horizontal("started_at", pl.lit(simulated.start))
    last = pl.col("ended_at").fill_null(simulated.end)
    days = accounts.select(((last - first).dt.total_seconds() / 86400).sum()).item()
    return float(days) / 7


def marginals(simulated: Simulated) -> dict[str, float]:
    """The published figures of a simulated base."""
    contacts, surveys = simulated.tables["interactions"], simulated.tables["surveys"]
    complaints = contacts["kind"] == "complaint"
    issues = contacts.group_by("issue_id").agg(problem=(pl.col("kind") != "question").any())
    csat = surveys.filter(pl.col("instrument") == "csat")
    nps = surveys.filter(pl.col("instrument") == "nps")
    churn = annual_churn(simulated)
    return {
        "annual_churn": churn["all"],
        **{f"annual_churn_{name}": rate for name, rate in churn.items() if name != "all"},
        "silent_share": silent_share(simulated),
        "contacts_per_week": len(contacts) / account_weeks(simulated),
        "repeat_rate": repeat_rate(contacts),
        "escalation_rate": float(contacts["escalated_at"].is_not_null().mean()),
        "csat_response": float(csat["score"].is_not_null().mean()),
        "nps_response": float(nps["score"].is_not_null().mean()),
        "csat_top_two": float((csat["score"] >= 4).mean()),
        "nps": 100 * float((nps["score"] >= 9).mean() - (nps["score"] <= 6).mean()),
        "complaints_per_100_failures": 100 * float(complaints.sum() / issues["problem"].sum()),
        **{f"base_{name}": rate for name, rate in base_rates(simulated).items()},
    }
