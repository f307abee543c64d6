"""One account from its raw history, as the API scores it: features, both scorecards, trend and all reasons."""

import random
import statistics
import time
from datetime import UTC, datetime, timedelta

import polars as pl

from bench.figures import Figure
from models.history import History
from models.model import ChurnModel
from models.reasons import reasons
from models.scoring import score_history

CONTACTS = 40
AS_OF = datetime(2026, 3, 2, tzinfo=UTC)
AIM_MILLISECONDS = 10.0


def figures(model: ChurnModel, times: int) -> list[Figure]:
    """Latency of so many accounts, one after the other."""
    tables = [_account(random.Random(seed)) for seed in range(8)]
    for frames in tables:
        _score(model, frames)
    took = []
    for turn in range(times):
        began = time.perf_counter()
        _score(model, tables[turn % len(tables)])
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    name = f"one account from raw history, {CONTACTS} contacts"
    return [
        Figure(f"{name}, p50", statistics.median(took), "ms", f"of {times}", AIM_MILLISECONDS),
        Figure(f"{name}, p99", took[int(0.99 * len(took))], "ms", f"of {times}"),
    ]


def _score(model: ChurnModel, frames: dict[str, pl.DataFrame]) -> None:
    history = History.from_frames(frames)
    scored = score_history(model, history, AS_OF, fresh=True)
    reasons(model, scored.features, "churn")
    reasons(model, scored.features, "silent")


def _account(dice: random.Random) -> dict[str, pl.DataFrame]:
    opened = [AS_OF - timedelta(days=dice.uniform(1, 360)) for _ in range(CONTACTS)]
    sent = [AS_OF - timedelta(days=dice.uniform(1, 360)) for _ in range(CONTACTS // 4)]
    account = {"account_id": ["a"], "mrr": [100.0], "segment": ["smb"], "started_at": [AS_OF - timedelta(days=600)]}
    return {
        "accounts": pl.DataFrame(account),
        "interactions": pl.DataFrame(
            {
                "interaction_id": [f"i{n}" for n in range(CONTACTS)],
                "account_id": ["a"] * CONTACTS,
                "opened_at": opened,
                "channel": dice.choices(["email", "phone", "chat"], k=CONTACTS),
                "category": dice.choices(["billing", "login", "export"], k=CONTACTS),
                "kind": dice.choices(["problem", "question", "complaint"], [6, 6, 1], k=CONTACTS),
                "first_response_at": [moment + timedelta(hours=1) for moment in opened],
                "resolved_at": [moment + timedelta(hours=dice.uniform(2, 90)) for moment in opened],
                "outcome": dice.choices(["resolved", "unresolved"], [8, 1], k=CONTACTS),
            }
        ),
        "surveys": pl.DataFrame(
            {
                "survey_id": [f"s{n}" for n in range(len(sent))],
                "account_id": ["a"] * len(sent),
                "instrument": dice.choices(["csat", "nps", "ces"], k=len(sent)),
                "sent_at": sent,
                "responded_at": [moment + timedelta(days=1) for moment in sent],
                "score": [float(dice.randint(1, 5)) for _ in sent],
            }
        ),
    }
