"""What an account's own past, and its segment where that is short, lead one to expect; and ratios said as ratios."""

import numpy as np

from models.features.contacts import Facts
from models.features.groups import Floats, ratio

#: Contacts a segment's usual rate is worth in an account's own baseline (the gamma prior's shape).
PRIOR_CONTACTS = 2.0
#: An own baseline needs this many days to be measured on.
BASELINE_DAYS = 60
#: A median gap needs this many gaps.
LEAST_GAPS = 3


def own_rate(facts: Facts, usual_per_day: Floats, window_days: int) -> Floats:
    """An account's own contacts per day over [as_of - 365, as_of - window), with the segment's rate as gamma prior:
    (n + a0) / (T + a0 / l0). NaN with fewer than 60 days to measure it on."""
    count = facts["contacts_365d"] - facts[f"contacts_{window_days}d"]
    days = _baseline_days(facts, window_days)
    return (count + PRIOR_CONTACTS) / (days + PRIOR_CONTACTS / np.maximum(usual_per_day, 1e-6))


def _baseline_days(facts: Facts, window_days: int) -> Floats:
    """Watched days of [as_of - 365, as_of - window); NaN if fewer than 60."""
    days = np.minimum(facts["history_days"], 365.0) - window_days
    return np.where(days >= BASELINE_DAYS, days, np.nan)


def expectations(facts: Facts, usual_per_day: Floats, usual_gap_days: Floats) -> Facts:
    """Contacts to be expected by the own baseline, the silence so far, and the gap it is measured against.

    An account that never contacted us has been silent for as long as it has been watched.
    """
    rates = {days: own_rate(facts, usual_per_day, days) for days in (28, 30, 90)}
    since = facts["days_since_contact"]
    silence = np.where(np.isnan(since), facts["history_days"], since)
    enough = facts["gaps_365d"] >= LEAST_GAPS
    return {
        **{f"expected_{days}d": rate * days for days, rate in rates.items()},
        "expected_self_service_28d": _expected_sessions(facts),
        "silence_days": silence,
        "voiceless_days": np.fmin.reduce(
            [
                *(facts[f"days_since_{voice}"] for voice in ("complaint", "demand", "low_score")),
                np.minimum(facts["history_days"], 365.0),
            ]
        ),
        "expected_in_silence": rates[90] * silence,
        "rhythm_days": np.maximum(np.where(enough, facts["gap_days_365d"], usual_gap_days), 0.5),
    }


def _expected_sessions(facts: Facts) -> Floats:
    """Self-service sessions in 28 days to be expected by the year before; NaN if there were none all year."""
    earlier = facts["self_service_365d"] - facts["self_service_28d"]
    expected = earlier / _baseline_days(facts, 28) * 28
    return np.where(facts["self_service_365d"] > 0, expected, np.nan)


def ratios(facts: Facts) -> Facts:
    """Logarithms as the ratios people speak of."""
    answers = facts["answers_90d"]
    mean = ratio(facts["answers_ln_90d"], answers, where=answers > 0)
    return {
        "answer_ratio": np.exp(mean),
        "closing_ratio": np.exp(facts["closing_ln_p90_180d"]),
        "variability": np.exp(facts["solved_sd_365d"]),
    }
