"""Imports from end to end, into the real store and as a dry run."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.errors import ContractError
from models.history import History
from models.imports.run import read_folder, run
from models.imports.summary import Summary
from models.store.audit import By
from models.store.engine import connect
from models.store.erasure import erase
from models.store.tables import CONTRACT
from models.store.upsert import Sink
from tests.databases import Databases
from tests.imports.frames import write

BROKEN = Path(__file__).parent / "samples" / "broken"
ROOT = Path(__file__).parents[2]


def files(folder: Path, **contents: str) -> Path:
    for name, content in contents.items():
        (folder / f"{name}.csv").write_text(content, "utf-8")
    return folder


ACCOUNTS = "account_id,name\nacme,Acme\nborea,Borea\n"
INTERACTIONS = "interaction_id,account_id,opened_at\ni1,acme,2026-03-02T08:00:00Z\ni2,ghost,2026-03-02T08:00:00Z\n"


def count(engine: Engine, table: str) -> int:
    with engine.connect() as conn:
        return int(conn.execute(sa.select(sa.func.count()).select_from(CONTRACT[table])).scalar_one())


def unwritten(summary: Summary) -> dict[str, Any]:
    """The summary without what only a store can say."""
    plain = summary.to_plain()
    plain.pop("written")
    for table in plain["tables"].values():
        for name in ("inserted", "updated", "unchanged", "stale", "erased"):
            table.pop(name)
    return plain


def test_columns_without_a_name_are_said(tmp_path: Path) -> None:
    nameless = (
        ACCOUNTS.replace("account_id,name", "account_id,,name").replace("acme,", "acme,x,").replace("borea,", "borea,,")
    )
    summary = run(files(tmp_path, accounts=nameless))
    assert "  columns without a name, kept out: number 2" in summary.lines()
    assert summary.to_plain()["tables"]["accounts"]["nameless_columns"] == [2]


def test_an_erased_account_does_not_come_back_with_the_next_import(store: Engine) -> None:
    run(BROKEN, sink=Sink(store))
    known = run(BROKEN, sink=Sink(store)).tables["interactions"]
    with store.connect() as conn:
        account = conn.scalar(sa.select(CONTRACT["interactions"].c.account_id).limit(1))
    erase(store, "account", account, By("cli:test", datetime(2026, 3, 2, tzinfo=UTC)))
    again = run(BROKEN, sink=Sink(store)).tables["interactions"]
    assert again.erased
    assert again.unchanged == (known.unchanged or 0) - again.erased
    assert f"  {again.erased:,} of accounts that were erased, kept out" in again.lines()


def test_a_dry_run_says_the_same_and_writes_nothing(store: Engine) -> None:
    dry = run(BROKEN)
    assert [count(store, name) for name in CONTRACT] == [0] * len(CONTRACT)
    real = run(BROKEN, sink=Sink(store))
    assert unwritten(dry) == unwritten(real)
    assert (dry.written, real.written) == (False, True)
    for name, table in real.tables.items():
        assert count(store, name) == table.accepted == table.inserted


def test_the_same_import_again_changes_nothing(store: Engine) -> None:
    run(BROKEN, sink=Sink(store))
    again = run(BROKEN, sink=Sink(store))
    assert all((t.inserted, t.updated, t.unchanged) == (0, 0, t.accepted) for t in again.tables.values())


def test_a_column_a_file_does_not_have_is_left_alone(sqlite_store: Engine, tmp_path: Path) -> None:
    run(files(tmp_path, accounts=ACCOUNTS), sink=Sink(sqlite_store))
    run(files(tmp_path, accounts="account_id,mrr\nacme,100\n"), sink=Sink(sqlite_store))
    with sqlite_store.connect() as conn:
        accounts = CONTRACT["accounts"]
        query = sa.select(accounts.c.name, accounts.c.mrr).where(accounts.c.account_id == "acme")
        assert conn.execute(query).one() == ("Acme", 100.0)


def test_of_several_files_each_fills_only_its_own_columns(sqlite_store: Engine, tmp_path: Path) -> None:
    run(files(tmp_path, accounts=ACCOUNTS), sink=Sink(sqlite_store))
    (tmp_path / "accounts.csv").unlink()
    parts = {"accounts-1": "account_id,mrr\nacme,100\n", "accounts-2": "account_id,name\nborea,New name\n"}
    summary = run(files(tmp_path, **parts), sink=Sink(sqlite_store))
    assert summary.tables["accounts"].updated == 2
    with sqlite_store.connect() as conn:
        accounts = CONTRACT["accounts"]
        query = sa.select(accounts.c.name, accounts.c.mrr).order_by(accounts.c.account_id)
        assert [tuple(row) for row in conn.execute(query)] == [("Acme", 100.0), ("New name", None)]


def test_an_older_version_than_the_store_holds_is_left_alone_and_counted(sqlite_store: Engine, tmp_path: Path) -> None:
    head = "account_id,name,updated_at\n"
    run(files(tmp_path, accounts=head + "acme,New,2026-03-02T00:00:00Z\n"), sink=Sink(sqlite_store))
    summary = run(files(tmp_path, accounts=head + "acme,Old,2026-03-01T00:00:00Z\n"), sink=Sink(sqlite_store))
    assert summary.tables["accounts"].stale == 1
    assert "  1 older than what the store holds, left alone" in summary.lines()


@pytest.mark.parametrize("missing", ["account_id", "opened_at"])
def test_a_missing_required_column_stops_before_any_row_is_written(
    sqlite_store: Engine, tmp_path: Path, missing: str
) -> None:
    """Accounts would be written first and are fine; interactions lack a column."""
    files(tmp_path, accounts=ACCOUNTS, interactions=INTERACTIONS.replace(missing, missing.title()))
    with pytest.raises(ContractError) as caught:
        run(tmp_path, sink=Sink(sqlite_store))
    assert str(caught.value) == (
        f"interactions needs the column {missing!r}, which interactions.csv lacks: "
        f"it has {missing.title()!r}; rename it or map it."
    )
    assert count(sqlite_store, "accounts") == 0


def test_a_missing_column_without_a_likeness_lists_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="lacks: its columns are who, when"):
        run(files(tmp_path, interactions="who,when\n1,2\n"))


def test_rows_go_to_the_sink_in_batches_and_progress_follows(sqlite_store: Engine, tmp_path: Path) -> None:
    rows = "".join(f"a{i},x\n" for i in range(25))
    told: list[tuple[str, int]] = []
    sink = Sink(sqlite_store)
    run(
        files(tmp_path, accounts="account_id,name\n" + rows),
        sink=sink,
        batch=10,
        progress=lambda table, done: told.append((table, done)) or _same(count(sqlite_store, table), done),
    )
    assert told == [("accounts", 10), ("accounts", 20), ("accounts", 25)]


def _same(stored: int, told: int) -> None:
    assert stored == told


def test_orphans_are_counted_against_files_and_store(tmp_path: Path) -> None:
    table = run(files(tmp_path, accounts=ACCOUNTS, interactions=INTERACTIONS)).tables["interactions"]
    assert (table.orphan_rows, table.orphan_accounts) == (1, 1)
    times = {"started_at": pl.Datetime("us", "UTC"), "ended_at": pl.Datetime("us", "UTC")}
    known = pl.DataFrame({"account_id": ["ghost"]}).with_columns(pl.lit(None, t).alias(n) for n, t in times.items())
    (tmp_path / "accounts.csv").unlink()
    table = run(tmp_path, known=known).tables["interactions"]
    assert (table.orphan_rows, table.orphan_accounts) == (1, 1)  # now acme is the stranger


def test_one_file_alone(tmp_path: Path) -> None:
    files(tmp_path, accounts=ACCOUNTS, interactions=INTERACTIONS)
    assert list(run(tmp_path / "accounts.csv").tables) == ["accounts"]


def test_a_table_in_several_files_and_formats(tmp_path: Path) -> None:
    (tmp_path / "interactions").mkdir()
    frame = pl.DataFrame(
        {"interaction_id": ["p1"], "account_id": ["acme"], "opened_at": [datetime(2026, 1, 1, tzinfo=UTC)]}
    )
    frame.with_columns(reopens=2).write_parquet(tmp_path / "interactions" / "part-0.parquet")
    files(tmp_path / "interactions", **{"part-1": INTERACTIONS + "i3,,2026-03-02T08:00:00Z\n"})
    files(tmp_path, accounts=ACCOUNTS, **{"interactions-2": "interaction_id,account_id,opened_at\np1,acme,soon\n"})
    frames, summary = read_folder(tmp_path)
    assert frames["interactions"].select("interaction_id", "reopens").sort("interaction_id").rows() == [
        ("i1", None),
        ("i2", None),
        ("p1", 2),
    ]
    table = summary.tables["interactions"]
    assert table.files == ("part-0.parquet", "part-1.csv", "interactions-2.csv")
    assert table.problems.select("file", "line").rows() == [("interactions-2.csv", 2), ("part-1.csv", 4)]


def test_every_row_is_accounted_for() -> None:
    for table in run(BROKEN).tables.values():
        gone = table.rejected + table.duplicates + table.superseded + table.blank + table.set_aside + table.folded
        assert table.read == table.accepted + gone


def test_nothing_to_import_is_said(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="does not exist"):
        run(tmp_path / "nowhere")
    with pytest.raises(ContractError, match="holds no file that source contract reads; expected accounts"):
        run(tmp_path)
    with pytest.raises(ContractError, match="holds no file for accounts"):
        read_folder(tmp_path, "ravenstack")


def test_a_declared_zone_overrules_the_mappings(tmp_path: Path) -> None:
    (tmp_path / "incidents.csv").write_text(
        "number,incident_state,reassignment_count,reopen_count,caller_id,opened_at,sys_updated_at,contact_type,location,"
        "category,priority,resolved_at\nN1,New,0,0,C,1/7/2026 08:00,1/7/2026 08:00,Phone,?,?,3,?\n"
    )
    opened = [
        read_folder(tmp_path, "servicenow", timezone=zone)[0]["interactions"]["opened_at"].item()
        for zone in (None, "Europe/Berlin")
    ]
    assert opened == [datetime(2026, 7, 1, 8, tzinfo=UTC), datetime(2026, 7, 1, 6, tzinfo=UTC)]
    with pytest.raises(ContractError, match="no time zone"):
        run(tmp_path, "servicenow", timezone="Berlin")


def test_a_delay_is_when_rows_are_known(tmp_path: Path) -> None:
    frames, _ = read_folder(files(tmp_path, accounts=ACCOUNTS, interactions=INTERACTIONS), delay=timedelta(hours=6))
    assert frames["interactions"]["recorded_at"].to_list() == [datetime(2026, 3, 2, 14, tzinfo=UTC)] * 2


def test_what_cannot_have_happened_yet_is_rejected_and_plans_are_not(tmp_path: Path) -> None:
    """A mistyped year would move the end of the data, and with it every label."""
    late = INTERACTIONS + "i3,acme,2028-03-02T08:00:00Z\n"
    plans = "account_id,effective_at,mrr\nacme,2028-01-01T00:00:00Z,10\n"
    folder = files(tmp_path, accounts=ACCOUNTS, interactions=late, contracts=plans)
    frames, summary = read_folder(folder, present=datetime(2026, 3, 3, tzinfo=UTC))
    assert frames["interactions"]["interaction_id"].to_list() == ["i1", "i2"]
    [problem] = summary.tables["interactions"].problems.to_dicts()
    assert (problem["column"], problem["reason"]) == ("opened_at", "lies in the future")
    assert frames["contracts"].height == 1
    history = History.from_frames(frames)
    assert history.last_event(planned=False) == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert history.last_event() == datetime(2028, 1, 1, tzinfo=UTC)
    assert read_folder(folder)[0]["interactions"].height == 3


def test_a_folder_becomes_a_history(tmp_path: Path) -> None:
    frames, _ = read_folder(files(tmp_path, accounts=ACCOUNTS, interactions=INTERACTIONS))
    history = History.from_frames(frames)
    assert history.orphans()["account_id"].to_list() == ["ghost"]


def test_the_summary_is_plain_data_and_can_be_shortened() -> None:
    summary = run(BROKEN)
    plain = json.loads(json.dumps(summary.to_plain(shown=2)))
    assert plain["rejected"] == summary.rejected == 27
    assert len(plain["tables"]["accounts"]["problems"]) == 2
    assert len(summary.to_plain()["tables"]["accounts"]["problems"]) == 14


IMPORTER = """
import sys
from pathlib import Path
from models.imports.run import run
from models.store.audit import By
from models.store.engine import connect
from models.store.erasure import erase
from models.store.upsert import Sink

def told(table, rows):
    print(table, rows, flush=True)

if __name__ == "__main__":
    run(Path(sys.argv[1]), sink=Sink(connect(sys.argv[2]), batch_rows=200), progress=told, batch=200)
"""


@pytest.mark.parametrize("after", [1, 4, 9])
def test_rows_that_were_acknowledged_survive_kill_9(databases: Databases, tmp_path: Path, after: int) -> None:
    """Kill the importer right after its n-th acknowledgement; what it told is there, and a second run completes."""
    total = 4000
    accounts = pl.DataFrame({"account_id": [f"a{i}" for i in range(50)]})
    opened = datetime(2026, 1, 1, tzinfo=UTC)
    interactions = pl.DataFrame(
        {
            "interaction_id": [f"i{i}" for i in range(total)],
            "account_id": [f"a{i % 50}" for i in range(total)],
            "opened_at": [opened + timedelta(minutes=i) for i in range(total)],
        }
    )
    write(accounts, tmp_path, "accounts")
    write(interactions, tmp_path, "interactions")
    (tmp_path / "importer.py").write_text(IMPORTER)
    with databases.address("sqlite") as url:
        command = [sys.executable, str(tmp_path / "importer.py"), str(tmp_path), url]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            told = [process.stdout.readline().split() for _ in range(after)]
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        engine = connect(url)
        for table, rows in told:
            assert count(engine, table) >= int(rows)
        assert count(engine, "interactions") < total
        run(tmp_path, sink=Sink(engine))
        assert (count(engine, "accounts"), count(engine, "interactions")) == (50, total)
        engine.dispose()


@pytest.mark.parametrize("extra", [0, 7_000])
def test_lines_that_end_with_returns_alone_and_a_very_long_header_are_read(tmp_path: Path, extra: int) -> None:
    names = "".join(f",a_column_of_an_export_{i}" for i in range(extra))
    cells = "".join(",1" for _ in range(extra))
    (tmp_path / "accounts.csv").write_bytes(b"account_id\ra\r")
    row = f"interaction_id,account_id,opened_at{names}\ri1,a,2026-03-02T08:00:00Z{cells}\r"
    (tmp_path / "interactions.csv").write_bytes(row.encode())
    assert run(tmp_path).tables["interactions"].accepted == 1


def test_a_header_without_end_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account_id," + "x" * 300_000 + "\na,1\n")
    with pytest.raises(ContractError, match="take more than 256 kB"):
        run(tmp_path)
