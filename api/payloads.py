"""What a score looks like to a caller. The names and units are described in docs/api.md and `api/schemas.py`."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from api.serving import Served
from models.clock import isoformat
from models.features import COMPONENTS
from models.health import Floats
from models.model import ChurnModel
from models.reasons import Reason
from models.rows import RowScores
from models.scorecard import Scorecard, Target
from models.store.history import Freshness
from models.telling import tell

#: Months of revenue that `expected_revenue_loss` stands for.
MONTHS = 12
#: Reasons told where the strongest are asked for.
TOP = 3


def model_line(served: Served) -> dict[str, Any]:
    """Which model it was, as every score says it."""
    model = served.model
    return {"id": model.model_id, "status": model.status}


def reason_line(reason: Reason) -> dict[str, Any]:
    """One reason. `points` below zero raise the risk; `log_odds` above zero raise the risk."""
    return {
        "feature": reason.feature,
        "label": reason.label,
        "component": reason.component,
        "points": reason.points,
        "log_odds": reason.log_odds,
        "value": reason.value,
        "usual": reason.usual,
        "sentence": reason.sentence,
    }


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


def trend(values: Mapping[str, Any]) -> dict[str, Any]:
    """How the health moved, from a row of scores or of a list."""
    return {
        "moving_28d": values["moving_28d"],
        "health_change_28d": values["health_change_28d"],
        "moving_91d": values["moving_91d"],
        "health_change_91d": values["health_change_91d"],
    }


def horizon(model: ChurnModel) -> dict[str, Any]:
    """Within which days from as_of the probabilities hold."""
    label = model.label
    return {"horizon": {"from_days": label.blackout_days, "to_days": label.blackout_days + label.horizon_days}}


def loss(amount: float | None, currency: str | None) -> dict[str, Any] | None:
    """Expected loss of revenue by a silent exit; None where the revenue is unknown."""
    return None if amount is None else {"amount": amount, "currency": currency, "months": MONTHS}


def explanation(
    served: Served, target: Target, contributions: Floats, log_odds: float, row: Mapping[str, Any], reasons: str = "all"
) -> dict[str, Any]:
    """The reasons for one target, `all` or the `top` ones; `contributions` (terms,) are those of its scorecard."""
    card: Scorecard = getattr(served.model, target)
    some = reasons == "top"
    found = tell(served.model, card, contributions, row, TOP if some else None, harmful_only=some)
    return told(target, card.base, log_odds, found)


def told(target: Target, base: float, log_odds: float, reasons: Sequence[Reason]) -> dict[str, Any]:
    """All reasons for one target: `base_log_odds` plus their `log_odds` is `log_odds`."""
    return {
        "target": target,
        "base_log_odds": base,
        "log_odds": log_odds,
        "reasons": [reason_line(reason) for reason in reasons],
    }


def row_score(scores: RowScores, row: int, model: ChurnModel) -> dict[str, Any]:
    """A score made from features alone."""
    return {
        **horizon(model),
        "health": float(scores.health[row]),
        "health_unclipped": float(scores.health_unclipped[row]),
        "band": scores.bands[row],
        "p_churn": float(scores.p_churn[row]),
        "p_churn_range_80": _floats(scores.p_churn_low[row], scores.p_churn_high[row]),
        "p_silent": float(scores.p_silent[row]),
        "p_silent_range_80": _floats(scores.p_silent_low[row], scores.p_silent_high[row]),
        "p_vocal": float(scores.p_vocal[row]),
        "components": {name: float(scores.components[name][row]) for name in COMPONENTS},
    }


def freshness(found: Mapping[str, Freshness], as_of: datetime, fresh_days: int) -> dict[str, Any]:
    """How far the data behind a score reach."""
    line: dict[str, Any] = {}
    for table in ("interactions", "surveys"):
        recorded = found[table].recorded_at
        line[f"{table}_recorded_until"] = None if recorded is None else isoformat(recorded)
    last = found["interactions"].recorded_at
    line["contacts_up_to_date"] = last is not None and as_of - last <= timedelta(days=fresh_days)
    return line


def _range(low: float | None, high: float | None) -> list[float] | None:
    return None if low is None or high is None else [low, high]


def _floats(low: float, high: float) -> list[float] | None:
    return None if math.isnan(low) else [float(low), float(high)]
