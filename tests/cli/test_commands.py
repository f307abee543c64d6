"""The command line as a user types it: what it prints, where, and with which exit code."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ebbtide import COMMANDS, main
from models import registry
from models.errors import PromotionRefused
from tests.tables import rows, write

ROOT = Path(__file__).parents[2]
Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment with a small simulated history, imported, trained and scored."""
    folder = tmp_path_factory.mktemp("deployment")
    assert run(folder, "simulate", "--accounts", "300", "--weeks", "100", "--seed", "5", "--out", "history")[0] == 0
    assert run(folder, "import", "history")[0] == 0
    code, _out, err = run(folder, "train", "--db", "--promote")
    assert code == 0, err
    assert run(folder, "score")[0] == 0
    write(folder / "table.csv", rows())
    return folder


def run(folder: Path, *args: str, **variables: str) -> tuple[int, str, str]:
    environment = {
        **variables,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "EBBTIDE_DATABASE_URL": f"sqlite:///{folder}/ebbtide.db",
        "EBBTIDE_ARTIFACTS": str(folder / "artefacts"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "ebbtide", *args],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """As `run`, without a process of its own: for what ends before it has begun."""

    def typed(folder: Path, *args: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("EBBTIDE_DATABASE_URL", f"sqlite:///{folder}/ebbtide.db")
        monkeypatch.setenv("EBBTIDE_ARTIFACTS", str(folder / "artefacts"))
        with pytest.raises(SystemExit) as left:
            main(list(args))
        found = capfd.readouterr()
        return int(left.value.code or 0), found.out, found.err

    return typed


def test_help_lists_every_command() -> None:
    code, out, _ = run(ROOT, "--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(typed: Typed, name: str) -> None:
    code, out, err = typed(ROOT, name, "--help")
    assert (code, err) == (0, "")
    assert "Usage:" in out


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("nonsense",), 2, "No such command"),
        (("train",), 2, "--data FOLDER or --db"),
        (("train", "--data", "nowhere"), 2, "does not exist"),
        (("train", "--table", "table.csv"), 2, "--label COLUMN"),
        (("train", "--data", "history", "--label", "left"), 2, "go with --table FILE"),
        (("train", "--data", "history", "--table", "table.csv", "--label", "left"), 2, "--table FILE"),
        (("train", "--table", "table.csv", "--label", "left", "--as-of", "2026-01-01"), 2, "--as-of-column"),
        (("train", "--table", "table.csv", "--label", "gone"), 1, "has no column 'gone' (--label)"),
        (("train", "--table", "table.csv", "--label", "left"), 1, "say --id customer"),
        (("predict", "--table", "table.csv", "--out", "x.csv"), 1, "trained on histories; use --data"),
        (("predict", "--out", "x.csv"), 2, "--data FOLDER or --table FILE"),
        (("predict", "--data", "history", "--id", "x", "--out", "x.csv"), 2, "--id goes with --table"),
        (("backtest",), 2, "--data FOLDER or --db"),
        (("backtest", "--data", "history", "--as-of", "2020-01-01"), 1, "interactions"),
        (("train", "--data", "history", "--allow-leak", "mrr"), 1, "'mrr' is allowed to leak, but there is no such"),
        (("predict", "--data", "history", "--as-of", "yesterday", "--out", "x.csv"), 2, "2026-03-02"),
        (("predict", "--data", "history", "--as-of", "2025-01-01T08:00:00", "--out", "x.csv"), 2, "no offset"),
        (("predict", "--data", "history", "--out", "x.xlsx"), 1, "name it .csv or .parquet"),
        (("predict", "--data", "history", "--model", "20200101T000000Z-00000000", "--out", "x.csv"), 1, "20200101"),
        (("import", "history", "--delay", "soon"), 2, "90m, 24h or 2d"),
        (("import", "history", "--delay", "²h"), 2, "90m, 24h or 2d"),
        (("import", "history", "--delay", "99999999999d"), 2, "too long"),
        (("score", "--as-of", "0001-01-01"), 2, "outside the years"),
        (("score", "--as-of", "9999-12-31T23:59:59-14:00"), 2, "outside the years"),
        (("score", "--as-of", "2150-01-01"), 2, "lies in the future"),
        (("monitor", "--as-of", "2150-01-01"), 2, "lies in the future"),
        (("import", "history", "--source", "nohelpdesk"), 1, "nohelpdesk"),
        (("models", "promote", "20200101T000000Z-00000000", "--why", "x"), 1, "20200101"),
        (("keys", "revoke", "nobody"), 1, "nobody"),
    ],
)
def test_wrong_use_is_one_clear_sentence(
    place: Path, typed: Typed, args: tuple[str, ...], code: int, said: str
) -> None:
    found, out, err = typed(place, *args)
    assert found == code
    assert said in err
    assert "Traceback" not in err
    assert out == ""


def test_a_process_leaves_as_the_command_does(place: Path) -> None:
    code, out, err = run(place, "keys", "revoke", "nobody")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "nobody" in err


def test_an_empty_store_says_what_to_do(tmp_path: Path) -> None:
    for args, said in ((("score",), "ebbtide train --promote"), (("risk-list",), "ebbtide score")):
        code, _, err = run(tmp_path, *args)
        assert code == 1
        assert said in err


def test_train_prints_the_model_id_alone_on_standard_output(place: Path) -> None:
    code, out, _err = run(place, "models", "show")
    assert code == 0
    manifest = json.loads(out)
    assert manifest["model_id"] in run(place, "models", "list")[1]
    assert manifest["model_id"] in run(place, "models", "history")[1]
    assert run(place, "models", "verify", manifest["model_id"])[0] == 0


def test_an_edited_expert_file_is_back_tested_without_a_fit(place: Path) -> None:
    (place / "ours.toml").write_text((ROOT / "training" / "expert.toml").read_text("utf-8"))
    args = ("backtest", "--data", "history", "--expert", "ours.toml", "--months", "2")
    code, out, err = run(place, *args, "--out", "lists.csv")
    assert code == 0, err
    assert "In 2 months the lists had 40 places" in out
    assert "Not graded yet: " in out
    lines = list(csv.DictReader((place / "lists.csv").read_text("utf-8").splitlines()))
    assert {line["as_of"] for line in lines if line["rank_by_probability"] == "1"} == {line["as_of"] for line in lines}
    code, out, err = run(place, *args, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert [month["phase"] for month in report["months"]] == ["P0", "P0"]
    # An unchanged copy is no better and no worse than the file it was copied from.
    assert report["summary"]["expert"]["left"] == report["summary"]["left"]


def test_promote_and_roll_back(place: Path) -> None:
    first = json.loads(run(place, "models", "show")[1])["model_id"]
    public = run(place, "keys", "signing-key", "--out", "trainer.pem")[1].strip()
    code, out, err = run(place, "train", "--data", "history", "--json", EBBTIDE_SIGNING_KEY="trainer.pem")
    assert code == 0, err
    second = json.loads(out)["model_id"]
    assert "signed by the key" in run(place, "models", "verify", second, EBBTIDE_VERIFY_KEYS=public)[1]
    assert run(place, "models", "promote", second, "--why", "newer")[0] == 0
    assert json.loads(run(place, "models", "show")[1])["model_id"] == second
    assert run(place, "models", "rollback", "--why", "it was worse")[0] == 0
    assert json.loads(run(place, "models", "show")[1])["model_id"] == first
    assert "it was worse" in run(place, "models", "history")[1]


def test_a_model_is_made_again_byte_by_byte_in_another_process(place: Path) -> None:
    manifest = json.loads(run(place, "models", "show")[1])
    assert manifest["command"] == ["train", "--db", "--promote"]
    assert set(manifest["files"]) == {"CARD.md", "estimator.joblib", "model.joblib", "report.html"}
    # Hashes of texts are seeded anew in every process; here the number of threads differs, too.
    threads = {"PYTHONHASHSEED": "1", "POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    code, out, err = run(place, "models", "reproduce", manifest["model_id"], "--db", **threads)
    assert (code, out) == (0, f"{manifest['model_id']}: reproduced, all files and numbers are identical\n"), err


def test_other_data_do_not_reproduce_a_model(place: Path) -> None:
    model_id = json.loads(run(place, "models", "show")[1])["model_id"]
    assert run(place, "simulate", "--accounts", "20", "--weeks", "60", "--out", "other")[0] == 0
    code, out, err = run(place, "models", "reproduce", model_id, "--data", "other")
    assert (code, out) == (1, "")
    assert "The data are not those it learnt from" in err
    assert run(place, "models", "reproduce", model_id)[0] == 2


def test_signatures_are_asked_for_by_every_command_that_opens_a_model(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def inside(*args: str, **variables: str) -> tuple[int, str, str]:
        """As `run`, without a process of its own."""
        monkeypatch.chdir(place)
        monkeypatch.setenv("EBBTIDE_DATABASE_URL", f"sqlite:///{place}/ebbtide.db")
        monkeypatch.setenv("EBBTIDE_ARTIFACTS", str(place / "artefacts"))
        for name in ("SIGNING_KEY", "VERIFY_KEYS", "REQUIRE_SIGNED"):
            monkeypatch.setenv(f"EBBTIDE_{name}", variables.get(name, ""))
        with pytest.raises(SystemExit) as left:
            main(list(args))
        return (int(left.value.code or 0), *capsys.readouterr())

    model_id = json.loads(inside("models", "show")[1])["model_id"]
    assert "unsigned" in inside("models", "verify", model_id)[1]
    code, public, err = inside("keys", "signing-key", "--out", "signing.pem")
    assert code == 0, err
    strict = {"VERIFY_KEYS": public.strip(), "REQUIRE_SIGNED": "1"}
    refused = (
        ("models", "verify", model_id),
        ("models", "promote", model_id, "--why", "x"),
        ("models", "reproduce", model_id, "--data", "history"),
        ("compare", model_id, "20200101T000000Z-00000000", "--data", "history"),
        ("predict", "--data", "history", "--out", "x.csv"),
        ("score",),
    )
    for args in refused:
        code, out, err = inside(*args, **strict)
        assert (code, out) == (1, ""), args
        assert "EBBTIDE_REQUIRE_SIGNED is set: unsigned" in err
    assert inside("models", "sign", model_id)[0] == 1
    code, out, err = inside("models", "sign", model_id, SIGNING_KEY="signing.pem")
    assert code == 0, err
    assert "signed by the key" in inside("models", "verify", model_id, **strict)[1]
    assert inside("predict", "--data", "history", "--out", "x.csv", **strict)[0] == 0


def test_a_model_of_another_recipe_is_compared_before_it_replaces_one(place: Path) -> None:
    """Without a comparison it is refused, and the record says so."""
    served = json.loads(run(place, "models", "show")[1])["model_id"]
    kept = place / "artefacts" / served
    manifest = json.loads((kept / "manifest.json").read_text())
    other = registry.put(
        place / "artefacts",
        {"x": 1.0},
        registry.Facts(
            **{item.name: manifest[item.name] for item in fields(registry.Facts) if item.name != "config"},
            config={**manifest["config"], "seed": 99},
        ),
        datetime(2026, 11, 21, tzinfo=UTC),
    )
    with pytest.raises(PromotionRefused, match="has not been compared with the model in service"):
        registry.promote(place / "artefacts", other, "bob", datetime(2026, 11, 21, tzinfo=UTC), "newer")
    assert run(place, "compare", served, served, "--db")[0] == 2
    told = run(place, "models", "history")[1]
    assert "refused: it has not been compared with the model in service" in told
    code, _, err = run(place, "train", "--db", "--promote", "--force")
    assert code == 2
    assert "a reason: --why" in err


def test_the_list_in_three_forms(place: Path) -> None:
    rows = json.loads(run(place, "risk-list", "--format", "json", "--limit", "5")[1])["entries"]
    assert [row["rank_by_loss"] for row in rows] == [1, 2, 3, 4, 5]
    losses = [row["expected_revenue_loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert all(row["reasons"][0]["sentence"].endswith("points") for row in rows)
    lines = list(csv.DictReader(run(place, "risk-list", "--format", "csv", "--limit", "5")[1].splitlines()))
    assert [line["account_id"] for line in lines] == [row["account_id"] for row in rows]
    table = run(place, "risk-list", "--limit", "5")[1]
    assert rows[0]["reasons"][0]["sentence"].split(";")[0] in " ".join(table.split())


def test_the_list_of_one_owner(place: Path) -> None:
    everybody = json.loads(run(place, "risk-list", "--format", "json", "--limit", "1000")[1])["entries"]
    owner = everybody[0]["owner"]
    mine = json.loads(run(place, "risk-list", "--owner", owner, "--format", "json", "--limit", "1000")[1])["entries"]
    assert [row["account_id"] for row in mine] == [row["account_id"] for row in everybody if row["owner"] == owner]
    assert "No account" in run(place, "risk-list", "--owner", "nobody@example.com")[1]


def test_predict_offline_agrees_with_the_store(place: Path) -> None:
    stored = {
        row["account_id"]: row
        for row in json.loads(run(place, "risk-list", "--format", "json", "--limit", "1000")[1])["entries"]
    }
    listed = json.loads(run(place, "risk-list", "--format", "json", "--limit", "1")[1])["list"]
    code, _out, err = run(place, "predict", "--data", "history", "--as-of", listed["as_of"], "--out", "scores.csv")
    assert code == 0, err
    rows = {row["account_id"]: row for row in csv.DictReader((place / "scores.csv").read_text("utf-8").splitlines())}
    assert set(stored) == {account_id for account_id, row in rows.items() if row["quiet"] == "true"}
    for account_id, row in stored.items():
        assert float(rows[account_id]["p_silent"]) == row["p_silent"]
        assert json.loads(rows[account_id]["reasons"])[0] == row["reasons"][0]["sentence"]


def test_importing_again_changes_nothing(place: Path) -> None:
    code, out, _ = run(place, "import", "history", "--json")
    assert code == 0
    for table in json.loads(out)["tables"].values():
        assert table["inserted"] == 0
        assert table["updated"] == 0


def test_a_dry_run_writes_nothing(place: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "accounts.csv").write_text("account_id,started_at\nnew-one,2024-01-01\n")
    code, out, _ = run(place, "import", str(tmp_path / "more"), "--dry-run", "--timezone", "UTC")
    assert code == 0
    assert "nothing written" in out
    code, out, _ = run(place, "import", str(tmp_path / "more"), "--dry-run", "--timezone", "UTC", "--json")
    assert json.loads(out)["written"] is False


def test_a_dry_run_does_not_even_make_a_store(tmp_path: Path, place: Path) -> None:
    code, out, _ = run(tmp_path, "import", str(place / "history"), "--dry-run")
    assert code == 0
    assert "nothing written" in out
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "ebbtide.db").write_text("not a database at all, whatever its name says\n" * 50)
    code, _, err = run(tmp_path, "score")
    assert code == 1
    assert "cannot be used" in err
    assert "Traceback" not in err


def test_keys_are_shown_once(place: Path) -> None:
    code, out, _err = run(place, "keys", "create", "--name", "crm", "--scope", "read")
    assert code == 0
    key = out.strip()
    assert key.startswith("ebb_")
    listed = run(place, "keys", "list")[1]
    key_id = key.split("_")[1]
    assert key_id in listed
    assert key not in listed
    assert run(place, "keys", "revoke", key_id)[0] == 0


def test_a_table_from_training_to_predictions(tmp_path: Path) -> None:
    write(tmp_path / "table.csv", rows(), ";", "utf-8-sig")
    (tmp_path / "t.toml").write_text('[table]\nas_of = "2026-01-31"\nmembers = ["linear"]\n')
    options = ("--label", "left", "--id", "customer", "--config", "t.toml", "--promote")
    code, out, err = run(tmp_path, "train", "--table", "table.csv", *options)
    assert code == 0, err
    assert len(out.split()) == 1
    assert "paperless       boolean" in err
    assert "always 'NL'" in err
    assert "fitted on a table; in service" in err
    assert "silent" not in err
    code, out, err = run(tmp_path, "predict", "--table", "table.csv", "--out", "risks.csv")
    assert code == 0, err
    assert "600 accounts scored" in out
    with (tmp_path / "risks.csv").open(encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    assert first["account_id"] == "C-00000"
    assert first["p_silent"] == ""
    assert 0 < float(first["p_churn"]) < 1
    assert json.loads(first["reasons"])
    run(tmp_path, "simulate", "--accounts", "20", "--weeks", "30", "--seed", "1", "--out", "history")
    code, _, err = run(tmp_path, "predict", "--data", "history", "--out", "x.csv")
    assert code == 1
    assert "was trained on a table and reads its columns, not a history" in err
    assert run(tmp_path, "import", "history")[0] == 0
    code, _, err = run(tmp_path, "score")
    assert code == 1
    assert "was trained on a table" in err


def test_a_model_is_watched(place: Path) -> None:
    code, out, err = run(
        place,
        "monitor",
        "--json",
        "--as-of",
        json.loads(run(place, "risk-list", "--format", "json")[1])["list"]["as_of"],
    )
    assert code == 0, err
    found = json.loads(out)
    assert found["model_id"] == json.loads(run(place, "models", "show")[1])["model_id"]
    assert found["accounts"] > 250
    assert found["predictions"]["rescored"] > 0
    code, out, _ = run(place, "monitor", "--data", "history")
    assert code == 0
    assert f"Model {found['model_id']}" in out
    assert "if the probabilities are right" in out


def test_a_watch_can_fail_a_pipeline(place: Path) -> None:
    # Two weeks after the simulated log ended no contact has come for two weeks.
    ended = json.loads(run(place, "monitor", "--data", "history", "--json")[1])["as_of"]
    late = (datetime.fromisoformat(ended) + timedelta(days=14)).isoformat()
    code, out, err = run(place, "monitor", "--data", "history", "--as-of", late, "--fail-on", "alarm")
    assert (code, err) == (3, "")
    assert "No contact has become known for 1" in out
    assert "contact_coverage" in out
    assert run(place, "monitor", "--db", "--data", "history")[0] == 2


def test_faults_are_named_and_told_apart(tmp_path: Path) -> None:
    size = ("--accounts", "30", "--weeks", "40", "--out", "h")
    code, _, _ = run(tmp_path, "simulate", *size, "--fault", "outage:30", "--fault", "survey_cut")
    assert code == 0
    told = (tmp_path / "h-truth" / "faults.csv").read_text("utf-8").splitlines()
    assert [line.split(",")[:2] for line in told[1:]] == [["outage", "30"], ["survey_cut", "20"]]
    code, _, err = run(tmp_path, "simulate", *size, "--fault", "flood")
    assert code == 2
    assert "fcr_drop" in err
    assert run(tmp_path, "simulate", *size, "--fault", "outage:40")[0] == 2
