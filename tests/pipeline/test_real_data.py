"""On data nobody here wrote: a real service desk log without labels, and a random B2B data set without signal.

Both stay outside the project; without them these tests say so and are skipped.
"""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from models.history import History
from models.imports.run import read_folder
from models.reasons import reasons
from models.scoring import Scored, score_history
from tests.imports.shared import shared_data
from training.train import Config, Trained, train

MOMENTS = (datetime(2016, 4, 15, tzinfo=UTC), datetime(2016, 5, 10, tzinfo=UTC))


@pytest.fixture(scope="module")
def desk() -> dict[str, pl.DataFrame]:
    frames, _ = read_folder(shared_data("servicenow_incident_log"), "servicenow")
    return frames


def scored(frames: dict[str, pl.DataFrame], as_of: datetime) -> tuple[Trained, Scored]:
    history = History.from_frames(frames)
    trained = train(history, as_of, Config())
    return trained, score_history(trained.model, history, as_of, fresh=True)


@pytest.mark.parametrize("as_of", MOMENTS)
def test_a_desk_without_labels_gets_the_expert_and_a_list_that_reads_sensibly(
    desk: dict[str, pl.DataFrame], as_of: datetime
) -> None:
    trained, found = scored(desk, as_of)
    assert trained.model.status == "expert prior, uncalibrated"
    assert found.scores.height > 1500
    assert found.scores["expected_revenue_loss"].null_count() == found.scores.height
    worst = found.scores["p_silent"].arg_sort(descending=True)[:10]
    told = reasons(trained.model, found.features[worst], "silent", 3, harmful_only=True)
    assert all(row for row in told)
    assert {reason.component for row in told for reason in row} <= {"effort", "resolution", "silence"}
    # Ten weeks of log: nobody has the half year of history that the best grade asks for.
    assert set(found.scores["confidence"]) <= {"B", "C", "D"}


@pytest.mark.parametrize("as_of", MOMENTS)
def test_nothing_after_as_of_leaks_in_although_the_file_is_full_of_it(
    desk: dict[str, pl.DataFrame], as_of: datetime
) -> None:
    """Another future (other resolutions, reopenings, totals, contacts) gives the same scores to the last bit."""
    contacts = desk["interactions"]
    later = contacts.filter(pl.col("resolved_at") >= as_of).height
    assert later > 100
    moved = {
        name: pl.when(pl.col(name) >= as_of).then(pl.col(name) + timedelta(days=77)).otherwise(pl.col(name))
        for name in ("resolved_at", "reopened_at", "escalated_at", "updated_at")
    }
    open_then = (pl.col("resolved_at") >= as_of).fill_null(value=True)
    totals = {name: pl.when(open_then).then(99).otherwise(pl.col(name)) for name in ("transfers", "reopens")}
    other = contacts.filter(pl.col("opened_at") < as_of).with_columns(**moved, **totals)
    accounts = desk["accounts"].filter(pl.col("started_at") < as_of)
    _, honest = scored(desk, as_of)
    _, changed = scored({**desk, "accounts": accounts, "interactions": other}, as_of)
    assert changed.scores.equals(honest.scores)


def test_a_random_data_set_shows_no_signal() -> None:
    frames, summary = read_folder(shared_data("ravenstack"), "ravenstack")
    assert sum(table.warnings.get("happened before the account started", 0) for table in summary.tables.values()) > 1000
    history = History.from_frames(frames)
    trained = train(history, datetime(2025, 1, 1, tzinfo=UTC), Config())
    assert trained.report["service_signal"] != "adds"
    for target in ("churn", "silent"):
        assert trained.report["metrics"][target]["auc"]["value"] <= 0.65
