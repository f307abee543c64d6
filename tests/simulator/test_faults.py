"""Faults: silent before their week, visible after it in what they change, told to the truth only."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from training.simulator import FAULTS, Fault, Simulated, oracle, simulate, write_faults, write_truth

WEEKS, SINCE = 60, 40
SIZE = {"accounts": 400, "weeks": WEEKS, "world": "default", "seed": 3}


@pytest.fixture(scope="module")
def usual() -> Simulated:
    return simulate(**SIZE)


@pytest.fixture(scope="module")
def faulty() -> dict[str, Simulated]:
    return {name: simulate(**SIZE, faults=[Fault(name, SINCE)]) for name in FAULTS}


def contacts_per_week(simulated: Simulated, late: bool) -> float:
    since = simulated.start + timedelta(weeks=SINCE)
    opened = simulated.tables["interactions"]["opened_at"]
    inside = opened >= since if late else opened < since
    return inside.sum() / (WEEKS - SINCE if late else SINCE)


@pytest.mark.parametrize("name", FAULTS)
def test_before_its_week_a_fault_changes_nobody(name: str, usual: Simulated, faulty: dict[str, Simulated]) -> None:
    since = usual.start + timedelta(weeks=SINCE)
    lived = [s.tables["accounts"].filter(pl.col("started_at") < since) for s in (usual, faulty[name])]
    same = ("account_id", "name", "segment", "mrr", "started_at")
    assert lived[0].select(same).equals(lived[1].select(same))
    gone = [frame.filter(pl.col("ended_at") < since).select("account_id", "ended_at", "end_reason") for frame in lived]
    assert gone[0].equals(gone[1])
    issues = [
        s.tables["interactions"].filter(pl.col("opened_at") < since - timedelta(weeks=4)).group_by("account_id").len()
        for s in (usual, faulty[name])
    ]
    # Repeats of an issue come days later, at hours that are drawn anew: few fall on the other side of a moment.
    both = issues[0].join(issues[1], on="account_id", how="full", suffix="_faulty")
    assert (both["len"] == both["len_faulty"]).mean() > 0.9


def test_a_world_without_faults_is_the_world(usual: Simulated) -> None:
    again = simulate(**SIZE, faults=[])
    assert all(again.tables[name].equals(table) for name, table in usual.tables.items())
    assert again.truth.equals(usual.truth)


def test_what_each_fault_does(usual: Simulated, faulty: dict[str, Simulated]) -> None:
    def resolved_first(simulated: Simulated) -> float:
        late = simulated.tables["interactions"].filter(
            (pl.col("opened_at") >= simulated.start + timedelta(weeks=SINCE)) & (pl.col("kind") != "question")
        )
        return (late.group_by("issue_id").len()["len"] == 1).mean()

    def left(simulated: Simulated) -> int:
        ended = simulated.tables["accounts"]["ended_at"]
        return (ended >= simulated.start + timedelta(weeks=SINCE + 4)).sum()

    def invited(simulated: Simulated) -> float:
        sent = simulated.tables["surveys"].filter(
            (pl.col("instrument") == "csat") & (pl.col("sent_at") >= simulated.start + timedelta(weeks=SINCE + 2))
        )
        return sent.height / contacts_per_week(simulated, late=True)

    def questions(simulated: Simulated) -> int:
        late = pl.col("opened_at") >= simulated.start + timedelta(weeks=SINCE)
        return simulated.tables["interactions"].filter(late & (pl.col("kind") == "question")).height

    def smb(simulated: Simulated) -> float:
        there = simulated.tables["accounts"].filter(pl.col("ended_at").is_null())
        return (there["segment"] == "smb").mean()

    def week(simulated: Simulated) -> int:
        since = simulated.start + timedelta(weeks=SINCE)
        opened = simulated.tables["interactions"]["opened_at"]
        return opened.is_between(since, since + timedelta(weeks=1)).sum()

    assert resolved_first(faulty["fcr_drop"]) < resolved_first(usual) - 0.05
    assert left(faulty["hazard_rise"]) > 1.05 * left(usual)
    assert questions(faulty["self_service"]) == pytest.approx(0.6 * questions(usual), rel=0.12)
    assert smb(faulty["mix_shift"]) > smb(usual) + 0.04
    assert week(faulty["outage"]) > 2.5 * week(usual)
    assert invited(faulty["survey_cut"]) == pytest.approx(0.25 * invited(usual), rel=0.15)
    assert contacts_per_week(faulty["dead_feed"], late=True) == 0


def test_the_oracle_knows_the_fault(usual: Simulated, faulty: dict[str, Simulated]) -> None:
    here, there = (oracle(simulated, futures=40)["p_churn"].mean() for simulated in (usual, faulty["hazard_rise"]))
    assert there > here


def test_faults_are_told_to_the_truth_only(tmp_path: Path, usual: Simulated, faulty: dict[str, Simulated]) -> None:
    assert write_faults(usual, tmp_path / "none", "csv") == []
    (path,) = write_faults(faulty["outage"], tmp_path / "outage-truth", "parquet")
    told = pl.read_parquet(path).row(0, named=True)
    assert (told["fault"], told["week"], told["starts_at"]) == ("outage", SINCE, usual.start + timedelta(weeks=SINCE))
    written = write_truth(faulty["survey_cut"], tmp_path / "truth", "csv", futures=2)
    assert [one.name for one in written] == ["truth.csv", "oracle.csv", "faults.csv"]


def test_refusals() -> None:
    with pytest.raises(ValueError, match="choose from fcr_drop"):
        Fault("flood", 3)
    with pytest.raises(ValueError, match="week 0 or later"):
        Fault("outage", -1)
