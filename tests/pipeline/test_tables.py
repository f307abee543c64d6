"""A wide table: labels, groups, folds, and one model from file to predictions."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import fsum
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from models import registry
from models.errors import ArtefactError, ContractError, LeakageError, SettingsError, TableModel, TooFewLabels
from models.health import expit
from models.history import History
from models.loading import load_model
from models.model import columns
from models.reasons import reasons
from models.schema import Column, Schema
from models.scorecard import Scorecard, Term
from models.scoring import score_features, score_history
from tests.tables import rows, write
from training import artefact, config, notebook
from training.deployment import Deployment
from training.notebook import Run
from training.previous import Previous
from training.tables import folds as folding
from training.tables import previous as serving
from training.tables import read as reading
from training.tables.declare import ColumnDeclared, TableConfig
from training.tables.predict import predict
from training.tables.read import Names
from training.tables.reproduce import reproduce
from training.tables.train import counted, train
from training.train import Config, Trained

NAMES = Names("left", "customer")
DATED = TableConfig(as_of="2026-01-31T00:00:00Z")
CONFIG = Config(table=replace(DATED, members=("linear",), columns={"calls": ColumnDeclared(None, 1, "service calls")}))
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("table") / "customers.csv", rows())


@pytest.fixture(scope="module")
def taught(file: Path) -> Trained:
    return train(file, NAMES, CONFIG)


def read(path: Path, table: TableConfig = DATED, names: Names = NAMES) -> reading.Table:
    raw, found = reading.load(path, names, table)
    return reading.table(raw, found, names, table)


def test_a_model_is_made_again_from_its_file(tmp_path: Path, file: Path) -> None:
    served = artefact.save(train(file, NAMES, CONFIG), tmp_path, NOW - timedelta(days=1), CONFIG, None)
    registry.promote(tmp_path, served, who="ana", when=NOW, why="first")
    before = serving.in_service(tmp_path, registry.Trust(), "left")
    model_id = artefact.save(train(file, NAMES, CONFIG, served=before), tmp_path, NOW, CONFIG, None)
    assert reproduce(tmp_path, model_id, file, registry.Trust()) == []
    other = write(tmp_path / "other.csv", rows()[:-1])
    [told] = reproduce(tmp_path, model_id, other, registry.Trust())
    assert told.startswith("The data are not those it learnt from")
    of_history = registry.Facts("s", "P2", {}, 0.04, {"horizon_days": 90}, data_hash="0" * 64, config={"as_of": "x"})
    with pytest.raises(ArtefactError, match="learnt from a history"):
        reproduce(tmp_path, registry.put(tmp_path, {"x": 1}, of_history, NOW), file, registry.Trust())


# --- labels, groups, folds ---


@pytest.mark.parametrize(
    ("cells", "positive", "expected"),
    [
        (["Yes", "no", ""], None, [1.0, 0.0, None]),
        (["1.0", "0", "NA"], None, [1.0, 0.0, None]),
        ([True, False, None], None, [1.0, 0.0, None]),
        (["Churned", "Stayed", "Joined"], "Churned", [1.0, 0.0, 0.0]),
        ([1.0, 0.0, float("nan"), None], None, [1.0, 0.0, None, None]),
        (["1", "0", "NaN"], None, [1.0, 0.0, None]),
        ([1.0, 0.0, float("nan")], "1", [1.0, 0.0, None]),
    ],
)
def test_labels_are_read(cells: list, positive: str | None, expected: list) -> None:
    assert reading.labels(pl.Series("y", cells), "y", positive).to_list() == expected


def test_cells_that_mean_stayed_are_counted_and_can_be_declared_unknown(tmp_path: Path) -> None:
    kinds = {0: "?", 1: "moved"}
    table = [row | {"left": kinds.get(i % 10, "1" if row["left"] == "Yes" else "0")} for i, row in enumerate(rows())]
    path = write(tmp_path / "t.csv", table)
    told = counted(read(path, replace(DATED, positive="1")))
    stayed = sum(row["left"] == "0" for row in table)
    assert told[-1].startswith(f"stayed, by 3 different cells of the label: '0' ({stayed:,}), '?' (60), 'moved' (60); ")
    declared = replace(DATED, positive="1", columns={"left": ColumnDeclared(missing=("?", "moved"))})
    made = read(path, declared)
    assert (made.counts["without_label"], made.counts["stayed_cells"]) == (120, {"0": stayed})
    assert not any("stayed" in line for line in counted(made))


def test_a_label_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match=r"'y' holds 'Churned', 'Stayed'.*positive = "):
        reading.labels(pl.Series("y", ["Churned", "Stayed"]), "y", None)
    with pytest.raises(ContractError, match="No cell of 'y' is 'Gone'"):
        reading.labels(pl.Series("y", ["Churned", "Stayed"]), "y", "Gone")


def test_too_few_exits_are_not_learnt_from(tmp_path: Path) -> None:
    table = [row | {"left": "Yes" if i < 29 else "No"} for i, row in enumerate(rows(200))]
    with pytest.raises(TooFewLabels, match="29 of 200 rows are labelled as left; 30 of either outcome"):
        read(write(tmp_path / "t.csv", table))


def test_repeated_rows_and_contradictions_are_counted_and_kept_together(tmp_path: Path) -> None:
    table = rows(300)
    twice = table[0] | {"customer": "other"}
    against = table[1] | {"customer": "another", "left": "No" if table[1]["left"] == "Yes" else "Yes"}
    moved = table[2] | {"contract": "One year", "monthly_charge": "1"}
    made = read(write(tmp_path / "t.csv", [*table, twice, against, moved]))
    assert made.counts["repeated_rows"] == 1
    assert made.counts["conflicting_rows"] == 2
    assert made.counts["repeated_accounts"] == 1
    assert list(made.groups[300:]) == list(made.groups[:3])
    assert len(np.unique(made.groups)) == 300
    for fold in folding.folds(made.y, made.groups, made.moments, 90, seed=0):
        assert not set(made.groups[fold.train]) & set(made.groups[fold.test])


@pytest.mark.parametrize(("rows", "folds"), [(400, 5), (19_999, 5), (20_000, 3)])
def test_random_folds_test_every_row_once(rows: int, folds: int) -> None:
    groups = np.random.default_rng(0).integers(0, rows // 5, rows)
    y = (np.arange(rows) % 3 == 0).astype(np.float64)
    made = folding.folds(y, groups, pl.Series([None] * rows, dtype=pl.Datetime("us", "UTC")), 90, seed=3)
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(rows))
    assert len(made) == folds
    assert all(len(fold.test) > rows / 8 for fold in made)


def test_with_a_time_column_folds_go_forward() -> None:
    days = np.random.default_rng(0).integers(0, 700, 2000)
    moments = pl.Series([NOW + timedelta(days=int(day)) for day in days])
    y = (np.arange(2000) % 3 == 0).astype(np.float64)
    made = folding.folds(y, np.arange(2000) // 2, moments, 90, seed=0)
    tested = np.concatenate([fold.test for fold in made])
    assert len(tested) == len(set(tested))
    assert 0.55 < len(tested) / 2000 < 0.65
    for fold in made:
        assert days[fold.train].max() + 90 <= days[fold.test].min()
    with pytest.raises(TooFewLabels, match="horizon of 900 days"):
        folding.folds(y, np.arange(2000) // 2, moments, 900, seed=0)


def test_a_block_is_told_the_earlier_ones_whose_labels_were_all_known_when_it_began() -> None:
    days = np.repeat(np.arange(0, 1000, 2), 4)
    moments = pl.Series([NOW + timedelta(days=int(day)) for day in days])
    y = (np.arange(len(days)) % 3 == 0).astype(np.float64)

    def told(horizon: int) -> dict[int, tuple[int, ...]]:
        return {fold.block: fold.told for fold in folding.folds(y, np.arange(len(y)), moments, horizon, seed=0)}

    # blocks of 200 days, begun on days 400, 600 and 800
    assert told(0) == {0: (), 1: (0,), 2: (0, 1)}
    assert told(90) == {0: (), 1: (), 2: (0,)}
    assert told(300) == {0: (), 1: (), 2: ()}


def test_a_level_that_changes_in_time_is_corrected_by_later_labels(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    table = []
    for i in range(3000):
        day, calls = int(dice.integers(0, 1000)), int(dice.poisson(1.5))
        left = dice.random() < 1 / (1 + np.exp(0.5 - 0.5 * calls + 2.5 * day / 1000))
        month = (date(2023, 1, 1) + timedelta(days=day)).isoformat()
        table.append({"customer": f"C{i}", "month": month, "calls": str(calls), "left": str(int(left))})
    names = Names("left", "customer", "month")
    linear = Config(table=TableConfig(members=("linear",), horizon_days=30))
    made = train(write(tmp_path / "t.csv", table), names, linear)
    found = artefact.plain(made.report)["calibration"]["churn"]
    assert found["kind"] in ("level", "line")
    assert found["intercept"] < -0.4
    assert set(found["gain"]) == {"level", "line", "beta", "isotonic"}
    # a month after the last row, where the fit alone would promise what was true long before
    calls = dice.poisson(1.5, 20_000).astype(np.float64)
    truth = expit(-0.5 + 0.5 * calls - 2.5 * 1.03).mean()
    z = made.model.churn.log_odds({"calls": calls})
    served, uncorrected = expit(z).mean(), expit((z - found["intercept"]) / found["slope"]).mean()
    assert abs(truth - served) < abs(truth - uncorrected) / 2
    assert any("built into the model that serves" in said for said in made.report["verdicts"])


# --- a model ---


def test_it_reports_what_it_read_and_how_good_it_is(taught: Trained) -> None:
    report = artefact.plain(taught.report)
    churn = report["metrics"]["churn"]
    assert set(report["metrics"]) == {"churn"}
    assert 0.65 < churn["auc"]["value"] < 0.9
    assert set(churn["gain"]) == {"base", "logistic", "boosting"}
    assert report["label"] == {"column": "left", "id": "customer", "as_of_column": None}
    assert report["table"]["grouped_by"] == "account and identical rows"
    assert any("boosted trees" in verdict for verdict in report["verdicts"])
    assert not any("silent" in verdict for verdict in report["verdicts"])


def test_a_declared_base_rate_is_what_is_served(taught: Trained, file: Path) -> None:
    declared = replace(CONFIG, deployment=Deployment(base_rate_churn=0.04))
    told: list[tuple[str, int | None]] = []
    moved = train(file, NAMES, declared, lambda what, steps=None, /: told.append((what, steps)))
    assert [steps for _, steps in told if steps is not None] == [len(told)]
    told = moved.report["deployment"]["churn"]
    assert told["rate"] == 0.04
    assert moved.model.churn.base - taught.model.churn.base == pytest.approx(told["shift"])
    assert told["shift"] < 0
    with pytest.raises(SettingsError, match="base_rate_churn and nothing else"):
        train(file, NAMES, replace(CONFIG, deployment=Deployment(estimate=True)))


def test_there_is_one_outcome(taught: Trained, file: Path) -> None:
    model = taught.model
    assert model.silent is None
    scores = score_features(model, read(file).frame)
    for name in ("p_silent", "p_vocal", "p_silent_low", "p_silent_high", "log_odds_silent"):
        assert scores[name].null_count() == scores.height
    points = scores.select(pl.sum_horizontal("^.*_points$")).to_series()
    assert (50 + points - scores["health_unclipped"]).abs().max() < 1e-9  # type: ignore[operator]
    with pytest.raises(TableModel, match="who leaves, not who leaves silently"):
        reasons(model, read(file).frame, "silent")
    with pytest.raises(TableModel, match="trained on a table and reads its columns, not a history"):
        score_history(model, History.from_frames({}), NOW, fresh=True)


def test_declared_directions_and_labels_hold(taught: Trained, file: Path) -> None:
    frame = read(file).frame
    calls = [
        taught.model.churn.log_odds(columns(frame.with_columns(pl.lit(float(n)).alias("calls")), taught.model.columns))
        for n in range(7)
    ]
    assert min(np.diff(calls, axis=0).min(axis=1)) >= -1e-9
    assert taught.model.columns["calls"].label == "service calls"


def test_reasons_are_sentences_with_the_usual(taught: Trained, file: Path) -> None:
    frame = read(file).frame
    (row,) = reasons(taught.model, frame[:1], "churn")
    said = {reason.feature: reason.sentence for reason in row}
    assert said["contract"].startswith(f"contract: {frame['contract'][0]}: ")
    assert f"service calls {frame['calls'][0]:.0f}; usual here 1." in said["calls"]
    days = frame["last_login"][0]
    assert said["last_login"].startswith(f"last login {days:.0f} days ago; usual here ")
    total = fsum(reason.log_odds for reason in row) + taught.model.churn.base
    assert total == pytest.approx(score_features(taught.model, frame[:1])["log_odds_churn"][0], abs=1e-9)


def test_saved_opened_and_predicting(tmp_path: Path, taught: Trained, file: Path) -> None:
    model_id = artefact.save(taught, tmp_path, NOW, CONFIG, None)
    model, manifest = load_model(tmp_path, model_id)
    assert manifest.label["column"] == "left"
    assert list(manifest.features) == list(taught.model.columns.names)
    for name in ("CARD.md", "report.html"):
        text = (tmp_path / model_id / name).read_text("utf-8")
        assert "{{" not in text
        assert not re.search(r"phase|contacts|what was known at|of their own will|companies", text)
        assert "as of when the rows are" in text
        assert "rows up to 2026-01-31" in text
    # an account on an edge between two tenths is in both: 60 rows of 61 accounts, and the heading says why
    assert "accounts, one on an edge in both" in text
    assert manifest.phase == "table"
    made = predict(model, file, "", NOW, top=2)
    expected = score_features(taught.model, read(file).frame)
    assert made.rows["account_id"].to_list() == [row["customer"] for row in rows()]
    assert made.rows["p_churn"].equals(expected["p_churn"])
    assert made.rows["p_silent"].null_count() == made.rows.height
    assert all(len(json.loads(told)) <= 2 for told in made.rows["reasons"])
    assert made.notes == ("not read by the model: country, left",)


def test_a_notebook_scores_and_explains_frames_as_the_command_scores_files(
    tmp_path: Path, taught: Trained, file: Path
) -> None:
    run = notebook.load(tmp_path / artefact.save(taught, tmp_path, NOW, CONFIG, None))
    made = predict(run.model, file, "", NOW, top=2)
    frame = pd.read_csv(file)
    for data in (frame, pl.read_csv(file), file):
        found = notebook.score(run, data, NOW, top=2)
        assert (found["p_churn"] == made.rows["p_churn"].to_numpy()).all()
        assert found["account_id"].to_list() == made.rows["account_id"].to_list()
        assert found["reasons"].to_list() == [json.loads(told) for told in made.rows["reasons"]]
    parts = run.explain(frame, "2026-01-31")
    assert np.abs(expit(parts.sum(axis=1)) - found.set_index("account_id")["p_churn"]).max() < 1e-9
    assert str(run) == f"Run({run.model.model_id}: fitted on a table, known at 2026-01-31)"
    for told, data in (
        ("lacks the column 'calls'", frame.drop(columns="calls")),
        ("'calls' is not a number .*: line 1 holds 'many'", frame.assign(calls="many")),
        ("reads rows of a wide table, not a dict", {"accounts": frame}),
    ):
        with pytest.raises(ContractError, match=told):
            run.scores(data)
    with pytest.raises(ContractError, match="answers churn, not 'silent'"):
        run.explain(frame, target="silent")


def test_a_column_called_base_is_explained_beside_the_base(taught: Trained) -> None:
    schema = Schema("table", (Column("base", "number", "base", "commercial"),))
    card = Scorecard("churn", taught.model.churn.base, (Term("base", "line", (0.0, 1.0), (), (0.0, -0.5)),))
    run = Run(replace(taught.model, churn=card, columns=schema), taught.report)
    parts = run.explain(pd.DataFrame({"base": [0.0, 1.0]}))
    assert list(parts.columns) == ["base", "base"]
    assert parts.to_numpy().tolist() == [[card.base, 0.0], [card.base, -0.5]]


def test_the_next_model_of_a_table_is_compared_with_the_one_in_service(
    tmp_path: Path, taught: Trained, file: Path
) -> None:
    assert serving.in_service(tmp_path, registry.Trust(), "left").why == "No model is in service."
    first = artefact.save(taught, tmp_path, NOW, CONFIG, None)
    registry.promote(tmp_path, first, "ann", NOW, "the first")
    assert "predicts another label: 'left'" in serving.in_service(tmp_path, registry.Trust(), "gone").why
    served = serving.in_service(tmp_path, registry.Trust(), "left")
    other = replace(CONFIG, seed=7)
    again = train(file, NAMES, other, served=served)
    told = again.report["previous"]
    assert (told["status"], told["model_id"], told["why"]) == ("compared", first, serving.FLATTERED)
    # it learnt from these very rows, and so ranks them at least about as well as folds that had not seen them
    assert told["churn"]["gain"]["auc"]["value"] < 0.01
    assert any("the new model ranks" in said and "flatters it" in said for said in again.report["verdicts"])
    second = artefact.save(again, tmp_path, NOW + timedelta(hours=1), other, None)
    assert first in (tmp_path / second / "report.html").read_text("utf-8")


def test_what_the_model_in_service_cannot_read_is_not_compared(taught: Trained, file: Path) -> None:
    made = read(file)
    rows = pl.DataFrame(
        {"account_id": made.accounts, "as_of": made.moments, "y": made.y, "p": np.full(len(made.y), 0.2)}
    )
    model, schema = replace(taught.model, model_id="m"), taught.model.columns
    later = rows.with_columns(pl.col("as_of") + timedelta(days=90))
    fair = serving.compare(Previous(model, NOW), made.frame, schema, later)
    assert (fair["status"], fair["why"], fair["churn"]["n_rows"]) == ("compared", None, rows.height)
    short = replace(schema, own=schema.own[1:])
    told = serving.compare(Previous(model, NOW), made.frame, short, later)
    assert (told["status"], schema.own[0].name in told["why"]) == ("none", True)


def test_predicting_checks_the_columns(tmp_path: Path, taught: Trained, file: Path) -> None:
    table = rows(5)
    lacking = [{("Contract" if name == "contract" else name): v for name, v in row.items()} for row in table]
    with pytest.raises(ContractError, match="lacks the column 'contract' that the model reads; it has 'Contract'"):
        predict(taught.model, write(tmp_path / "a.csv", lacking), "", NOW, 0)
    table[2]["calls"] = "lots"
    with pytest.raises(ContractError, match=r"'calls' is not a number .*: line 4 holds 'lots'"):
        predict(taught.model, write(tmp_path / "b.csv", table), "", NOW, 0)
    with pytest.raises(ContractError, match=r"no column 'nobody' \(--id\)"):
        predict(taught.model, file, "nobody", NOW, 0)


def test_what_training_never_saw_is_scored_all_the_same(tmp_path: Path, taught: Trained) -> None:
    odd = [row | {"contract": "Forever", "monthly_charge": "", "calls": "99"} for row in rows(3)]
    made = predict(taught.model, write(tmp_path / "t.csv", odd), "", NOW, 3)
    assert made.rows["p_churn"].is_between(0, 1).all()


def test_a_column_that_knows_the_label_stops_the_fit(tmp_path: Path) -> None:
    table = [row | {"refund": "9" if row["left"] == "Yes" else f"{i % 4}"} for i, row in enumerate(rows(400))]
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(LeakageError, match="refund"):
        train(path, NAMES, CONFIG)


def test_a_refusal_calls_the_moment_by_its_column(tmp_path: Path) -> None:
    days = {"taken": lambda i: f"2026-01-{i % 28 + 1:02}", "closed_at": lambda i: f"2026-01-{i % 9 + 15}"}
    table = [row | {name: day(i) for name, day in days.items()} for i, row in enumerate(rows(400))]
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(LeakageError, match=r"'closed_at' lie after the row's own moment \(taken\)"):
        train(path, Names("left", "customer", "taken"), CONFIG)


def test_the_configuration_declares_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(
        '[table]\npositive = "Churned"\nas_of = 2026-01-31\nhorizon_days = 30\n'
        '[columns."Total Charges"]\ntype = "number"\nmissing = ["?"]\ndirection = -1\n'
    )
    declared = config.load(path)
    assert declared.table.positive == "Churned"
    assert declared.table.moment == NOW
    assert declared.table.columns["Total Charges"] == ColumnDeclared("number", -1, missing=("?",))
    assert config.from_plain(json.loads(json.dumps(config.to_plain(declared))), tmp_path).table == declared.table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[columns.a]\ntype = "money"', "sets type to 'money'; it is one of number, category"),
        ("[columns.a]\ndirection = 3", "sets direction to 3"),
        ('[columns.a]\nmissing = "x"', "needs a list of texts as missing"),
        ('[columns.a]\nformats = ["%Q"]', "is no time format"),
        ("[columns.a]\ncolour = 1", "sets 'colour'; it may set type"),
        ("[table]\nhorizon_days = -1", "whole number of days"),
        ('[table]\nas_of = "soon"', r"\[table\] as_of cannot be read"),
        ("[table]\nlabel = 1", "sets 'label'; it may set positive"),
        ("table = 1", r"as a table: \[table\]"),
    ],
)
def test_a_slip_in_the_declarations_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "t.toml"
    path.write_text(text)
    with pytest.raises((SettingsError, ContractError), match=said):
        config.load(path)


def test_names_that_are_not_there_are_refused(file: Path) -> None:
    for names, said in ((Names("gone"), "--label"), (Names("left", "x"), "--id"), (Names("left", "", "y"), "--as-of-")):
        with pytest.raises(ContractError, match=said):
            reading.load(file, names, DATED)
    with pytest.raises(SettingsError, match="declares the column 'x'"):
        reading.load(file, NAMES, replace(DATED, columns={"x": ColumnDeclared()}))
