"""A model, and accounts with a story: healthy, slipping away without a word, complaining, gone, a test account."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from models import registry
from models.features import DEFAULT
from models.features.fingerprint import fingerprints
from models.health import HealthParams
from models.history import History
from models.labels import LabelParams
from models.loading import load_model
from models.model import ChurnModel, usual_values
from models.store.scoring import Scoring, score_store
from models.store.upsert import upsert
from training import expert

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def day(days: float) -> datetime:
    """So many days before now."""
    return NOW - timedelta(days=days)


def accounts() -> pl.DataFrame:
    """The cast."""
    common = {"segment": "smb", "region": "north", "billing": "annual", "currency": "EUR", "owner": "ana@example.org"}
    rows = [
        {"account_id": "healthy", "name": "Healthy Ltd", "mrr": 900.0, "renewal_at": day(-300)},
        {"account_id": "slipping", "name": '=HYPERLINK("x")', "mrr": 2000.0, "renewal_at": day(-20)},
        {
            "account_id": "fading",
            "name": "Fading, Inc",
            "mrr": 500.0,
            "renewal_at": day(-40),
            "owner": "bob@example.org",
        },
        {"account_id": "priceless", "name": "No Price", "mrr": None, "renewal_at": day(-25), "segment": "mid"},
        {"account_id": "vocal", "name": "Vocal Ltd", "mrr": 700.0, "renewal_at": day(-60)},
        {"account_id": "a/b c", "name": "Slash & Space", "mrr": 100.0, "region": "süd"},
        {"account_id": "young", "name": "Young", "mrr": 50.0, "started_at": day(10)},
        {"account_id": "undated", "name": "Undated", "mrr": 60.0, "started_at": None},
        {"account_id": "leaving", "name": "Leaving", "mrr": 80.0, "notice_at": day(5)},
        {"account_id": "gone", "name": "Gone", "mrr": 80.0, "notice_at": day(60), "ended_at": day(30)},
        {"account_id": "test", "name": "Test", "mrr": 1.0, "is_test": True},
        {"account_id": "future", "name": "Future", "mrr": 1.0, "started_at": day(-5)},
    ]
    full = [
        {"started_at": day(500), "notice_at": None, "ended_at": None, "is_test": False, **common, **row} for row in rows
    ]
    return pl.DataFrame(full, infer_schema_length=None)


def interactions() -> pl.DataFrame:
    """Contacts: the slipping account fell silent, the vocal one complains, the others carry on."""
    rows = []
    for account, ages in {
        "healthy": range(3, 400, 14),
        "slipping": range(120, 420, 7),
        "fading": range(100, 420, 9),
        "priceless": range(110, 400, 8),
        "vocal": range(2, 300, 10),
        "a/b c": range(5, 200, 20),
        "undated": range(5, 200, 30),
        "leaving": range(8, 200, 10),
        "gone": range(70, 300, 10),
    }.items():
        for n, age in enumerate(ages):
            opened = day(age)
            solved = n % 4 != 1
            rows.append(
                {
                    "interaction_id": f"{account}-{age}",
                    "account_id": account,
                    "channel": "email",
                    "category": ("billing", "export", "login")[n % 3],
                    "kind": "complaint" if account == "vocal" and n < 2 else "problem",
                    "opened_at": opened,
                    "first_response_at": opened + timedelta(hours=2),
                    "resolved_at": opened + timedelta(hours=20) if solved else None,
                    "outcome": "resolved" if solved else "unresolved",
                    "updated_at": opened + timedelta(hours=20),
                    "reopens": n % 2,
                    "transfers": n % 3,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def surveys() -> pl.DataFrame:
    """Answers that became rarer for those who withdraw."""
    rows = []
    for account in ("healthy", "slipping", "fading", "vocal"):
        for n, age in enumerate(range(10, 350, 30)):
            answered = account == "healthy" or age > 200
            sent = day(age)
            rows.append(
                {
                    "survey_id": f"{account}-s{age}",
                    "account_id": account,
                    "instrument": ("csat", "nps")[n % 2],
                    "sent_at": sent,
                    "responded_at": sent + timedelta(days=1) if answered else None,
                    "score": (4.0, 8.0)[n % 2] if answered else None,
                    "comment": "a secret word" if answered else None,
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None)


def history() -> History:
    """The whole story."""
    return History.from_frames({"accounts": accounts(), "interactions": interactions(), "surveys": surveys()})


def model(shift: float = 0.0, model_id: str = "") -> ChurnModel:
    """The expert's tables, centred on the cast; `shift` moves the base, to tell two models apart."""
    from models.features import compute
    from models.model import columns

    known = history()
    features = compute(known, NOW, DEFAULT)
    rows = columns(features)
    cards = []
    for target in ("churn", "silent"):
        card = expert.load().scorecard(target)
        cards.append(card.centred(card.means(rows)))
    churn, silent = (_moved(card, shift) for card in cards)
    return ChurnModel(
        churn=churn,
        silent=silent,
        health=HealthParams.for_base(churn.base),
        label=LabelParams(),
        baselines=DEFAULT,
        usual=usual_values(features),
        status=expert.STATUS,
        phase="P0",
        fingerprints=fingerprints(),
        model_id=model_id,
    )


def _moved(card, shift: float):
    from dataclasses import replace

    return replace(card, base=card.base + shift)


def put_model(root: Path, created_at: datetime, shift: float = 0.0) -> str:
    """Store an artefact; gives its id."""
    made = model(shift)
    facts = registry.Facts(
        status=made.status,
        phase=made.phase,
        features=dict(made.fingerprints),
        p_ref=made.health.p_ref,
        label={"look_back_days": 90},
        data_range=("2025-01-01T00:00:00Z", "2026-06-01T00:00:00Z"),
        metrics={"note": "none"},
    )
    return registry.put(root, made.to_plain(), facts, created_at)


def promote(root: Path, model_id: str, at: datetime) -> None:
    """Put it in service."""
    registry.promote(root, model_id, who="test", when=at, why="test")


def tell_story(engine, artefacts: Path, model_id: str) -> Scoring:
    """The story into the store, and a run."""
    upsert(engine, "accounts", accounts())
    upsert(engine, "interactions", interactions())
    upsert(engine, "surveys", surveys())
    made, _ = load_model(artefacts, model_id)
    return score_store(engine, made, NOW, who="test", clock=lambda: NOW, currency="EUR")
