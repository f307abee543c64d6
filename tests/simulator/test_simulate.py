"""Seeds, sizes and refusals."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from training.simulator import WORLDS, Simulated, find_world, oracle, simulate, write, write_truth

SMALL = {"accounts": 60, "weeks": 30, "world": "default"}


def same(one: Simulated, other: Simulated) -> bool:
    tables = [one.tables[name].equals(other.tables[name]) for name in one.tables]
    return all(tables) and one.truth.equals(other.truth)


def test_the_same_seed_gives_the_same_base() -> None:
    one, other = simulate(**SMALL, seed=1), simulate(**SMALL, seed=1)
    assert same(one, other)
    assert oracle(one, futures=20).equals(oracle(other, futures=20))


def test_another_seed_gives_another_base() -> None:
    assert not same(simulate(**SMALL, seed=1), simulate(**SMALL, seed=2))


def test_a_snapshot_does_not_disturb_the_world() -> None:
    assert same(simulate(**SMALL, seed=1), simulate(**SMALL, seed=1, snapshot_week=10))


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_files_are_byte_identical(tmp_path: Path, format: str) -> None:
    for folder in ("one", "two"):
        simulated = simulate(**SMALL, seed=3)
        write(simulated, tmp_path / folder, format)
        write_truth(simulated, tmp_path / f"{folder}-truth", format, futures=10)
    for part in ("", "-truth"):
        files = sorted(path.name for path in (tmp_path / f"one{part}").iterdir())
        assert files
        for name in files:
            assert (tmp_path / f"one{part}" / name).read_bytes() == (tmp_path / f"two{part}" / name).read_bytes()


def test_csv_times_are_utc_with_an_offset_and_read_back(tmp_path: Path) -> None:
    simulated = simulate(**SMALL, seed=3)
    paths = write(simulated, tmp_path, "csv")
    assert [path.name for path in paths] == [
        "accounts.csv",
        "interactions.csv",
        "surveys.csv",
        "contracts.csv",
    ]
    raw = pl.read_csv(tmp_path / "accounts.csv", infer_schema=False)
    assert raw["started_at"].str.ends_with("+00:00").all()
    for name, table in simulated.tables.items():
        back = pl.read_csv(tmp_path / f"{name}.csv", schema_overrides=dict(table.schema))
        assert back.equals(table)


def test_the_truth_has_a_folder_of_its_own(tmp_path: Path) -> None:
    simulated = simulate(**SMALL, seed=3)
    write(simulated, tmp_path / "data", "parquet")
    write_truth(simulated, tmp_path / "truth", "parquet", futures=10)
    assert {p.name for p in (tmp_path / "truth").iterdir()} == {"truth.parquet", "oracle.parquet"}
    hidden = {"satisfaction", "engagement", "decided_to_leave", "p_silent"}
    for path in (tmp_path / "data").iterdir():
        assert not hidden & set(pl.read_parquet_schema(path))


def test_accounts_exist_at_the_start_and_more_arrive() -> None:
    simulated = simulate(500, 52, "default", seed=4)
    started = simulated.tables["accounts"]["started_at"]
    existing = started.filter(started < simulated.start)
    assert len(existing) == 500
    assert existing.min() >= simulated.start - timedelta(weeks=156)
    assert 50 < len(started) - 500 < 140
    assert simulated.end == simulated.start + timedelta(weeks=52)


def test_any_start_will_do() -> None:
    start = datetime(2024, 2, 29, 13, 30, tzinfo=UTC)
    simulated = simulate(200, 20, "default", seed=5, start=start)
    opened = simulated.tables["interactions"]["opened_at"]
    assert opened.min() >= start
    assert (opened.dt.weekday() >= 6).mean() < 0.1


def test_one_account_for_one_week() -> None:
    simulated = simulate(1, 1, "null", seed=0)
    assert len(simulated.tables["accounts"]) == 1
    assert set(simulated.tables) == {"accounts", "interactions", "surveys", "contracts"}
    assert len(oracle(simulated, futures=5)) == 1


def test_a_world_of_one_s_own() -> None:
    loyal = replace(WORLDS["default"], name="loyal", involuntary=0.0, arrivals=0.0, fade=1.0)
    segments = tuple(replace(segment, base_hazard=-50.0) for segment in loyal.segments)
    simulated = simulate(100, 60, replace(loyal, segments=segments), seed=6)
    assert simulated.tables["accounts"]["ended_at"].null_count() == 100
    assert oracle(simulated, futures=10)["p_churn"].max() == 0


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="choose one of null, default, strong"):
        find_world("defualt")
    with pytest.raises(ValueError, match="at least one account"):
        simulate(0, 10, "default", seed=1)
    with pytest.raises(ValueError, match="snapshot_week must lie inside"):
        simulate(10, 10, "default", seed=1, snapshot_week=10)
    with pytest.raises(ValueError, match="UTC"):
        simulate(10, 10, "default", seed=1, start=datetime(2023, 1, 2))
    with pytest.raises(ValueError, match="whole second"):
        simulate(10, 10, "default", seed=1, start=datetime(2023, 1, 2, microsecond=1, tzinfo=UTC))
    doomed = replace(WORLDS["default"], name="doomed", involuntary=0.2)
    with pytest.raises(ValueError, match="outlive the burn-in"):
        simulate(10, 10, doomed, seed=1)
