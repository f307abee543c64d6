"""A small portfolio, built the same way every time, that sends accounts down every branch of the features.

Fingerprints are taken on it: code whose features differ here computes other features.
"""

from datetime import UTC, datetime, timedelta

import polars as pl

from models.clock import INSTANT
from models.features.baselines import Baselines, Usual
from models.history import History

#: The moments asked about; the last is after every row.
MOMENTS = tuple(datetime(2026, 3, 2, tzinfo=UTC) - timedelta(days=days) for days in (400, 160, 91, 28, 0))
_NOW = MOMENTS[-1]

BASELINES = Baselines(
    overall=Usual(contacts_per_day=0.06, gap_days=11.0),
    segments={
        "smb": Usual(contacts_per_day=0.04, repeat_rate=0.1, csat=0.7, response_rate=0.3),
        "enterprise": Usual(contacts_per_day=0.2, repeat_rate=0.2, effort=1.6, nps=0.6, ln_minutes_sd=1.2),
    },
    answer_minutes=90.0,
    resolution_minutes=800.0,
    tracks_onboarding=True,
)


def history() -> History:
    """Forty accounts; contact i of account a takes its properties from a and i by turns of coprime length."""
    tables = {
        "accounts": [_account(a) for a in range(40)],
        "interactions": [_contact(a, i) for a in range(40) for i in range(_contacts(a))],
        "surveys": [_survey(a, i) for a in range(40) for i in range(a % 4 * 6)],
        "contracts": [_terms(a, i) for a in range(0, 40, 2) for i in range(a % 3 + 1)],
        "outreach": [_outreach(a, i) for a in range(0, 40, 3) for i in range(3)],
    }
    return History.from_frames({name: _frame(rows) for name, rows in tables.items()}, timedelta(hours=2))


def questions() -> pl.DataFrame:
    """Every account at every moment."""
    moments = pl.DataFrame({"as_of": MOMENTS}, schema={"as_of": INSTANT})
    return history().accounts.select("account_id").sort("account_id").join(moments, how="cross")


def _frame(rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, infer_schema_length=None)


def _ago(days: float) -> datetime:
    return _NOW - timedelta(seconds=round(days * 86_400))


def _turn(values: tuple[object, ...], number: int) -> object:
    return values[number % len(values)]


def _account(a: int) -> dict[str, object]:
    started = None if a % 13 == 12 else _ago(30 + a * 37 % 900)
    return {
        "account_id": f"a{a:02}",
        "segment": _turn(("smb", "mid", "enterprise", None), a),
        "billing": _turn(("monthly", "annual", None, "annual", "quarterly"), a),
        "mrr": None if a % 11 == 10 else 100.0 + 37 * a,
        "seats": None if a % 7 == 6 else 3 + a,
        "started_at": started,
        "renewal_at": None if a % 9 == 8 else _NOW + timedelta(days=a * 29 % 500 - 60),
        "onboarded_at": None if a % 3 == 2 or started is None else started + timedelta(days=20 + a * 5),
        "recorded_at": _ago(50) if a % 17 == 16 else started,
    }


def _contacts(a: int) -> int:
    """None, one, a few, many."""
    return (0, 1, 5, 14, 30)[a % 5]


def _contact(a: int, i: int) -> dict[str, object]:
    turn = a + i
    # Steps of 1.3 to 20 days, some in bursts; the quiet ones (a % 7 == 3) stopped half a year ago.
    opened = _ago((180 if a % 7 == 3 else 0) + 0.4 + i * (1.3 + a % 6 * 3.7) + (i % 3) * 0.01)
    resolved = None if turn % 6 == 5 else opened + timedelta(minutes=20 + (turn * 613) % 9000)
    reopened = resolved + timedelta(days=1 + turn % 20) if resolved and turn % 7 == 4 else None
    if reopened and turn % 2:
        resolved = reopened + timedelta(hours=30)
    escalated = opened + timedelta(hours=5) if turn % 9 == 2 else None
    return {
        "interaction_id": f"i{a:02}-{i:02}",
        "account_id": f"a{a:02}",
        "issue_id": f"q{a}-{i // 3}" if turn % 4 == 1 else None,
        "contact_id": _turn((f"{a}-x", f"{a}-y", None, f"{a}-z", f"{a}-x"), i),
        "channel": _turn(("email", "phone", "portal", None, "self_service", "email", "chat"), turn),
        "direction": _turn((None, "inbound", "inbound", "inbound", "outbound", "inbound", "proactive"), i * 3 + a),
        "category": _turn(("billing", "login", None, "billing"), i // 2 + a),
        "kind": _turn(("question", "problem", "complaint", None, "problem"), turn),
        "opened_at": opened,
        "first_response_at": None if turn % 5 == 3 else opened + timedelta(minutes=3 + turn * 37 % 700),
        "resolved_at": resolved,
        "reopened_at": reopened,
        "escalated_at": escalated,
        "escalation": _turn(("customer", "functional", None), turn // 9) if escalated else None,
        "reopens": 1 if reopened else None,
        "transfers": _turn((0, 1, None, 2), turn),
        "abandoned": True if turn % 19 == 7 else None,
        "outcome": _turn((None, "resolved", "unresolved", "auto_closed", None, "abandoned", "resolved"), turn),
        "sla_first_response_minutes": None if turn % 3 == 0 else 120.0,
        "sla_resolution_minutes": None if turn % 4 == 0 else 1440.0,
        "recorded_at": opened + timedelta(days=40) if turn % 23 == 6 else None,
        "updated_at": opened + timedelta(days=2 + turn % 25),
    }


def _survey(a: int, i: int) -> dict[str, object]:
    turn = a + i
    sent = _ago(2 + i * (9 + a % 5 * 11))
    answered = turn % 3 != 1 and not (a % 8 == 7 and i < 4)
    instrument = ("csat", "nps", "ces", "csat", "thumbs")[turn % 5]
    lowest, highest = {"csat": (1, 5), "nps": (0, 10), "ces": (1, 7), "thumbs": (0, 1)}[instrument]
    return {
        "survey_id": f"s{a:02}-{i:02}",
        "account_id": f"a{a:02}",
        "instrument": instrument,
        "low_is_good": True if instrument == "ces" and a % 4 == 3 else None,
        "scale_max": 1.0 if instrument == "thumbs" and a % 2 else None,
        "scale_min": 0.0 if instrument == "thumbs" and a % 2 else None,
        "sent_at": None if answered and turn % 8 == 5 else sent,
        "responded_at": sent + timedelta(days=turn % 17, hours=3) if answered else None,
        "score": float(lowest + (i * i + a) % (highest - lowest + 1)) if answered and turn % 11 else None,
        "recorded_at": sent + timedelta(days=30) if turn % 21 == 9 else None,
    }


def _terms(a: int, i: int) -> dict[str, object]:
    return {
        "account_id": f"a{a:02}",
        "effective_at": _ago(5 + i * (90 + a * 7)),
        "mrr": None if a % 8 == 6 else 500.0 + 100 * ((a + i) % 4),
        "billing": _turn(("annual", "monthly", None), a + i),
        "seats": None if a % 5 == 4 else 4 + (a * i) % 9,
        "renewal_at": None if (a + i) % 4 == 3 else _ago(i * 100 - 40 - a * 11),
        "recorded_at": _ago(1) if a % 10 == 8 else None,
    }


def _outreach(a: int, i: int) -> dict[str, object]:
    at = _ago(4 + i * (30 + a))
    return {
        "outreach_id": f"o{a:02}-{i}",
        "account_id": f"a{a:02}",
        "at": at,
        "kind": "call",
        "engaged_at": at + timedelta(days=3 + a % 20) if (a + i) % 4 == 0 else None,
        "outcome": _turn(("reached", "no_answer", None, "saved"), a + 2 * i),
        "held_out": True if (a + i) % 11 == 5 else None,
    }
