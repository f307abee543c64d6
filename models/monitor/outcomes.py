"""Observed against expected: did as many leave as the scores said?

    O / E = accounts that left over the sum of their probabilities, over rows whose outcome is known

Rows are snapshots 28 days apart that the training has not learnt from. One exit is in the horizon of several of them,
so the sums are divided by how often (`repeats` = sum over accounts of their exits squared, over all exits); then O is
Poisson about E, and its exact interval (Garwood) divided by E is the interval of O/E:

    84 rows with an exit, 3 of each account -> repeats 3, 28 accounts; E = 60 -> 20
    O / E = 1.40, 95 % from 18.6 / 20 to 40.5 / 20 = .93 to 2.02

The model knows its own level only as well as the exits it was fitted on allow. The alarm takes both into account:

    z = 2 (sqrt(O + 3/8) - sqrt(E + 3/8)) / sqrt(1 + E / exits in training)        O, E counted in accounts

A snapshot is not left unused until its whole horizon has passed: after a part of it (and the time exits take to be
reported) what should have happened by then is p times the share of a horizon's exits that come within that part.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from scipy.special import gammaincinv, ndtr

from models.history import History
from models.labels import LabelParams, exits, label
from models.monitor.drift import Floats
from models.monitor.findings import Finding
from models.monitor.inputs import LEFT, TARGETS
from models.monitor.reference import TIMING_PARTS, Reference

#: Two targets, two spans, every month: each may be wrong once in four hundred times.
ALARM = 0.0025
#: And differ by this at least.
LEAST_RELATIVE = 0.10
#: Accounts that left, fewer of which say nothing.
LEAST_EXITS = 10
#: Of so many exits expected, none is seen once in twenty times: a source that records none is doubted from here on.
EXPECTED_AT_LEAST = 3.0
#: The latest span: what happened in so many snapshots' horizons.
RECENT_MOMENTS = 5


@dataclass(frozen=True)
class Observed:
    """Observed against expected of one target over one `span` (`all` since training, or the `latest` snapshots)."""

    target: str
    span: str
    since: datetime
    until: datetime
    rows: int
    accounts: int
    observed: float
    expected: float
    exits: int
    ratio: float
    low: float
    high: float
    z: float
    auc: float | None

    @property
    def chance(self) -> float:
        """How probable a ratio as far from 1 is if the model is right."""
        return 2 * float(ndtr(-abs(self.z)))


def settled_rows(
    rows: pl.DataFrame,
    known: History,
    as_of: datetime,
    params: LabelParams,
    reference: Reference,
    decided: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The rows whose outcomes are known at least in part: account_id, as_of, p_churn, p_silent, y_churn, y_silent, and
    `part`, the share of a horizon's exits that should have come by then. `decided`: `labels.exits` of the same."""
    first = reference.as_of - params.settled
    seen: dict[tuple[int, float], list[datetime]] = {}
    for moment in rows["as_of"].unique().sort():
        horizon = _seen(moment, as_of, params, reference.timing)
        if moment > first and horizon is not None:
            seen.setdefault(horizon, []).append(moment)
    found, decided = [_NO_ROWS], exits(known, as_of, params) if decided is None else decided
    for (days, part), moments in seen.items():
        mine = rows.filter(pl.col("as_of").is_in(moments)).select("account_id", "as_of", "p_churn", "p_silent")
        labels = label(known, mine.select("account_id", "as_of"), as_of, replace(params, horizon_days=days), decided)
        told = mine.hstack(labels.select("y_churn", "y_silent"))
        found.append(told.with_columns(pl.lit(part).alias("part")))
    return pl.concat(found)


_NO_ROWS = pl.DataFrame(
    schema={
        "account_id": pl.String(),
        "as_of": pl.Datetime("us", "UTC"),
        **dict.fromkeys(("p_churn", "p_silent"), pl.Float64()),
        **dict.fromkeys(("y_churn", "y_silent"), pl.Int8()),
        "part": pl.Float64(),
    }
)


def _seen(moment: datetime, as_of: datetime, params: LabelParams, timing: Sequence[float]) -> tuple[int, float] | None:
    """How many days of a snapshot's horizon are known, in ninths, and the share of exits that come by then."""
    days = (as_of - moment - timedelta(days=params.blackout_days + params.maturity_days)) / timedelta(days=1)
    parts = int(min(days / params.horizon_days, 1.0) * TIMING_PARTS + 1e-9)
    horizon = params.horizon_days * parts // TIMING_PARTS
    if parts < 1 or horizon < 1:
        return None
    # Where a ninth is no whole number of days, the share is that of the whole days within it.
    return horizon, timing[parts - 1] * horizon * TIMING_PARTS / (params.horizon_days * parts)


def observed(rows: pl.DataFrame, reference: Reference) -> list[Observed]:
    """O/E of both targets over both spans; spans without enough exits are left out."""
    if not rows.height:
        return []
    moments = rows["as_of"].unique().sort().to_list()
    spans = {"all": moments[0]}
    if len(moments) > RECENT_MOMENTS:
        spans["latest"] = moments[-RECENT_MOMENTS]
    found = []
    for target in TARGETS:
        for span, since in spans.items():
            part = rows.filter((pl.col("as_of") >= since) & pl.col(f"y_{target}").is_not_null())
            if part.height:
                found.append(_observed(part, target, span, reference.events.get(target, 0)))
    return found


def _observed(rows: pl.DataFrame, target: str, span: str, learnt: int) -> Observed:
    p, y = rows[f"p_{target}"].to_numpy(), rows[f"y_{target}"].to_numpy().astype(np.float64)
    part = rows["part"].to_numpy()
    total, due = float(y.sum()), float((p * part).sum())
    per_account = rows.group_by("account_id").agg(pl.col(f"y_{target}").sum().alias("n"))["n"].to_numpy().astype(float)
    repeats = float((per_account**2).sum() / total) if total else _expected_repeats(rows)
    low, high = garwood(total / repeats)
    ratio = total / due if due else np.nan
    whole = part == part.max()
    return Observed(
        target=target,
        span=span,
        since=rows["as_of"].min(),  # type: ignore[arg-type]
        until=rows["as_of"].max(),  # type: ignore[arg-type]
        rows=rows.height,
        accounts=rows["account_id"].n_unique(),
        observed=total,
        expected=due,
        exits=int((per_account > 0).sum()),
        ratio=ratio,
        low=low * repeats / due if due else np.nan,
        high=high * repeats / due if due else np.nan,
        z=_surprise(total / repeats, due / repeats, learnt),
        auc=auc(p[whole], y[whole]),
    )


def _surprise(seen: float, due: float, learnt: int) -> float:
    """How far a count lies from what was due, in standard errors, given that `learnt` exits taught what is due."""
    return float(2 * (np.sqrt(seen + 0.375) - np.sqrt(due + 0.375)) / np.sqrt(1 + due / max(learnt, 0.5)))


def _expected_repeats(rows: pl.DataFrame) -> float:
    """Snapshots per account: how often an exit would have been counted, had there been one."""
    return max(1.0, rows.height / rows["account_id"].n_unique())


def garwood(count: float, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a Poisson mean after `count` events (any number from 0)."""
    tail = (1 - confidence) / 2
    low = float(gammaincinv(count, tail)) if count > 0 else 0.0
    return low, float(gammaincinv(count + 1, 1 - tail))


def auc(p: Floats, y: Floats) -> float | None:
    """The probability that one who left was ranked above one who stayed; None without both."""
    positive = y > 0
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return None
    ranks = pl.Series(p).rank("average").to_numpy()
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def outcome_findings(found: Sequence[Observed], reference: Reference) -> list[Finding]:
    """The alarm: one finding per target, of the span that is farther from what was expected."""
    told = []
    for target in TARGETS:
        spans = [one for one in found if one.target == target and max(one.exits, one.expected) >= LEAST_EXITS]
        off = [one for one in spans if one.chance <= ALARM and abs(one.ratio - 1) >= LEAST_RELATIVE]
        if off:
            told.append(_finding(max(off, key=lambda one: abs(one.z)), reference))
    return told


def no_exits(rows: pl.DataFrame) -> Finding:
    """Where the history holds no exit at all: then silence of the source and loyalty of the customers look alike."""
    due = float((rows["p_churn"] * rows["part"]).sum()) / _expected_repeats(rows) if rows.height else 0.0
    return Finding(
        kind="no_exits",
        severity="warning" if due >= EXPECTED_AT_LEAST else "info",
        subject="churn",
        sentence="The history holds no exit at all, so nobody can tell whether the scores come true; if they do, "
        f"{due:.0f} accounts will have left by now.",
        action="If customers have left, have their end recorded: `ended_at` of their account, or the end or "
        "cancellation of their contract.",
        numbers={"expected": due, "observed": 0.0},
    )


def _finding(one: Observed, reference: Reference) -> Finding:
    word = "more" if one.ratio > 1 else "fewer"
    return Finding(
        kind="observed_expected",
        severity="alarm",
        subject=one.target,
        sentence=f"{word.capitalize()} accounts were {LEFT[one.target]} than the scores said: observed over expected "
        f"is {one.ratio:.2f} ({one.low:.2f} to {one.high:.2f}) over {one.exits} exits in the snapshots of "
        f"{one.since:%Y-%m-%d} to {one.until:%Y-%m-%d}.",
        action="The order of the list may still be right, its probabilities are not: train again on data that hold the "
        "latest exits, compare, and promote.",
        numbers={
            "observed_expected": one.ratio,
            "low": one.low,
            "high": one.high,
            "z": one.z,
            "chance": one.chance,
            "observed": one.observed,
            "expected": one.expected,
            "exits": one.exits,
            "exits_in_training": reference.events.get(one.target, 0),
            "span": one.span,
            "direction": "up" if one.ratio > 1 else "down",
        },
        since=one.since,
    )


def to_plain(one: Observed) -> dict[str, object]:
    """For JSON: undefined numbers as null."""
    plain = asdict(one) | {"chance": one.chance}
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in plain.items()
    }
