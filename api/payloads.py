"""What a score looks like to a caller. The names and units are described in docs/api.md and `api/schemas.py`."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from typing import Any

from api.bodies import encode
from api.serving import Served
from models.clock import isoformat
from models.features import COMPONENTS
from models.model import ChurnModel
from models.reasons import Teller
from models.rows import RowScore
from models.scorecard import Target
from models.store.history import Freshness

#: Months of revenue that `expected_revenue_loss` stands for.
MONTHS = 12
#: Reasons told where the strongest are asked for.
TOP = 3


def model_line(served: Served) -> dict[str, Any]:
    """Which model it was, as every score says it."""
    model = served.model
    return {"id": model.model_id, "status": model.status}


def score_line(values: Mapping[str, Any]) -> dict[str, Any]:
    """A score in the store's columns: what needs no model to be said."""
    return {
        "account_id": values["account_id"],
        "as_of": isoformat(values["as_of"]),
        "health": values["health"],
        "health_unclipped": values["health_unclipped"],
        "health_range_80": _range(values["health_low"], values["health_high"]),
        "band": values["band"],
        "trend": trend(values),
        "confidence": values["confidence"],
        "confidence_reason": values["confidence_reason"],
        "p_churn": values["p_churn"],
        "p_churn_range_80": _range(values["p_churn_low"], values["p_churn_high"]),
        "p_silent": values["p_silent"],
        "p_silent_range_80": _range(values["p_silent_low"], values["p_silent_high"]),
        "p_vocal": values["p_vocal"],
        "quiet": values["quiet"],
        "expected_revenue_loss": loss(values["expected_revenue_loss"], values["currency"]),
        "mrr": values["mrr"],
        "components": {name: values[f"{name}_points"] for name in COMPONENTS},
    }


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored score as it was given: when, and by which model."""
    model = {"id": values["model_id"], "status": values["model_status"]}
    return score_line(values) | {"computed_at": isoformat(values["computed_at"]), "model": model}


def trend(values: Mapping[str, Any]) -> dict[str, Any]:
    """How the health moved, from a row of scores or of a list."""
    return {
        "moving_28d": values["moving_28d"],
        "health_change_28d": values["health_change_28d"],
        "moving_91d": values["moving_91d"],
        "health_change_91d": values["health_change_91d"],
    }


def horizon(model: ChurnModel) -> dict[str, Any]:
    """Within which days from as_of the probabilities hold; null where a table's label says no such thing."""
    if model.of_table:
        return {"horizon": None}
    label = model.label
    return {"horizon": {"from_days": label.blackout_days, "to_days": label.blackout_days + label.horizon_days}}


def loss(amount: float | None, currency: str | None) -> dict[str, Any] | None:
    """Expected loss of revenue by a silent exit; None where the revenue is unknown."""
    return None if amount is None else {"amount": amount, "currency": currency, "months": MONTHS}


def explanation(
    served: Served,
    target: Target,
    contributions: Sequence[float],
    log_odds: float,
    row: Mapping[str, Any],
    reasons: str = "all",
) -> str:
    """The reasons for one target, `all` or the `top` ones, as JSON; `contributions` are those of its scorecard.

    `base_log_odds` plus the `log_odds` of all reasons is `log_odds`. A reason's `points` below zero raise the risk.
    """
    teller, some = served.rows.tellers[target], reasons == "top"
    told = teller.tell(contributions, row, TOP if some else None, harmful_only=some)
    heads = _heads(teller)
    lines = ",".join(
        [
            f'{heads[term]}"points":{points!r},"log_odds":{amount!r},"value":{_cell(value)},'
            f'"usual":{"null" if usual is None else repr(usual)},"sentence":{_text(sentence)}}}'
            for term, points, amount, value, usual, sentence in told
        ]
    )
    base = served.rows.cards[target].base
    return f'{{"target":"{target}","base_log_odds":{base!r},"log_odds":{log_odds!r},"reasons":[{lines}]}}'


def brief_reasons(served: Served | None, row: Mapping[str, Any], *, harmful: bool) -> list[dict[str, Any]] | None:
    """The strongest reasons of a churn score that raise the risk, or that lower it; None without a model."""
    if served is None or not row:
        return None
    contributions = served.rows.contributions("churn", row)
    sign = -1 if harmful else 1
    order = sorted(range(len(contributions)), key=lambda i: sign * contributions[i])[:TOP]
    teller = served.rows.tellers["churn"]
    told = teller.tell_of([i for i in order if sign * contributions[i] < 0], contributions, row)
    found = [(teller.subjects[one.term], one) for one in told]
    return [{"feature": a.feature, "label": a.label, "points": o.points, "sentence": o.sentence} for a, o in found]


@lru_cache(maxsize=64)
def _heads(teller: Teller) -> list[str]:
    """The beginning of each reason, which is the same for all accounts."""
    return [
        encode({"feature": about.feature, "label": about.label, "component": about.component})[:-1] + ","
        for about in teller.subjects
    ]


def _cell(value: float | str | None) -> str:
    if value is None:
        return "null"
    return _text(value) if isinstance(value, str) else repr(value)


def row_score(score: RowScore, model: ChurnModel) -> dict[str, Any]:
    """A score made from features alone."""
    return {
        **horizon(model),
        "health": score.health,
        "health_unclipped": score.health_unclipped,
        "band": score.band,
        "p_churn": score.p_churn,
        "p_churn_range_80": score.p_churn_range,
        "p_silent": score.p_silent,
        "p_silent_range_80": score.p_silent_range,
        "p_vocal": score.p_vocal,
        "components": score.components,
    }


def freshness(
    found: Mapping[str, Freshness], as_of: datetime, fresh_days: int, quiet_since: datetime | None
) -> dict[str, Any]:
    """How far the data behind a score reach."""
    line: dict[str, Any] = {}
    for table in ("interactions", "surveys"):
        recorded = found[table].recorded_at
        line[f"{table}_recorded_until"] = None if recorded is None else isoformat(recorded)
    last = found["interactions"].recorded_at
    # A row from the future says nothing about how far the source reaches today.
    near = last is not None and abs(as_of - last) <= timedelta(days=fresh_days)
    line["contacts_up_to_date"] = near and quiet_since is None
    line["contacts_quiet_since"] = None if quiet_since is None else isoformat(quiet_since)
    return line


def _range(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]
