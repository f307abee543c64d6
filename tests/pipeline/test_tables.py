"""A wide table: types, refusals, labels, groups, folds, and one model from file to predictions."""

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

from models import registry, tables
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
from training.tables import infer as inferring
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


def kinds(path: Path, table: TableConfig = DATED, names: Names = NAMES) -> dict[str, str]:
    return {column.name: column.kind for column in reading.load(path, names, table)[1]}


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


# --- types ---


def test_types_are_what_the_cells_say(file: Path) -> None:
    assert kinds(file) == {
        "contract": "category",
        "monthly_charge": "number",
        "total_charge": "number",
        "paperless": "boolean",
        "calls": "number",
        "town": "category",
        "last_login": "date",
        "country": "constant",
    }


def test_blanks_are_unknown_and_counted(file: Path) -> None:
    found = {column.name: column for column in reading.load(file, NAMES, DATED)[1]}
    blanks = sum(row["total_charge"] == " " for row in rows())
    assert blanks > 5
    assert found["total_charge"].note == f"{blanks} blank cells are unknown"
    assert read(file).frame["total_charge"].null_count() == blanks


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2.5", "NA", ""], "number"),
        (["1,5", "2,25", "3,125"], "number"),
        (["1,500", "2,250"], "unclear"),
        (["1.500,5", "2,25"], "number"),
        (["1,234.50", "999"], "number"),
        (["1,234,567", "1,234"], "number"),
        (["1.234", "5.678,9", "1,5"], "number"),
        (["1 234,50", "9\u202f999,00"], "number"),
        (["1\u2019234.50", "2"], "number"),
        (["1,50.5", "2,250.5"], "category"),
        (["$29.85", "$30.00"], "unclear"),
        (["12 %", "7 %"], "unclear"),
        (["29,85 EUR", "1.200,00 EUR"], "unclear"),
        (["0", "1", "1"], "boolean"),
        (["TRUE", "false", ""], "boolean"),
        (["yes", "no", "maybe"], "category"),
        (["2026-01-05", "2026-02-05T10:00:00Z"], "date"),
        (["05/01/2026", "31/12/2025"], "unclear"),
        (["5-Jan-26", "31-Dec-25"], "unclear"),
        (["2026/01/05 10:00", "2026/02/05 11:30"], "unclear"),
        (["1-5-10", "2-5-10", "x"], "category"),
        (["a", "a", "", "NA"], "constant"),
        (["", "", "null"], "constant"),
        ([f"u-{n}" for n in range(30)], "id"),
        ([f"so pleased with {n} new things" for n in range(30)], "text"),
        ([*map(str, range(40)), "many"], "unclear"),
        ([str(1000 + n) for n in range(100)], "id"),
        ([str(10**19 + n * 10**15) for n in range(100)], "id"),
        ([str(n / 7) for n in range(100)], "number"),
    ],
)
def test_each_kind_of_cell(cells: list[str], kind: str) -> None:
    raw, lines = pl.Series("x", cells), pl.Series(range(2, 2 + len(cells)))
    assert inferring.infer("x", raw, lines, ColumnDeclared()).kind == kind


@pytest.mark.parametrize(
    ("cells", "numbers", "declared"),
    [
        (["1.234,50", "12,5", "1.000"], [1234.5, 12.5, 1000.0], ColumnDeclared()),
        (["1,234,567.5", "-1,000", "7"], [1234567.5, -1000.0, 7.0], ColumnDeclared()),
        (["1\u00a0234,5", "12"], [1234.5, 12.0], ColumnDeclared()),
        (["1,500", "2,250"], [1500.0, 2250.0], ColumnDeclared(thousands=",")),
        (["1,500", "2,250"], [1.5, 2.25], ColumnDeclared(decimal=",")),
    ],
)
def test_thousands_are_read_where_they_are_told(cells: list[str], numbers: list, declared: ColumnDeclared) -> None:
    raw = pl.Series("x", cells)
    column = inferring.column_of(inferring.infer("x", raw, pl.Series(range(len(cells))), declared), declared)
    read = tables.cells(column, raw)
    assert (read.values.to_list(), read.problems) == (numbers, [])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("31.12.2025", 'declare formats = ["%d.%m.%Y"], or "%m.%d.%Y"'),
        ("31/12/25 10:30", 'declare formats = ["%d/%m/%y %H:%M"], or "%m/%d/%y %H:%M"'),
        ("5-Jan-26", 'declare formats = ["%d-%b-%y"]'),
        ("2026/01/05", 'declare formats = ["%Y/%m/%d"]'),
        ("5 January 2026", 'declare formats = ["%d %B %Y"]'),
    ],
)
def test_a_date_that_is_not_iso_comes_with_its_format(cell: str, said: str) -> None:
    raw = pl.Series("x", [cell, cell.replace("5", "6")])
    found = inferring.infer("x", raw, pl.Series([2, 3]), ColumnDeclared())
    assert found.kind == "unclear"
    assert said in found.note
    form = re.findall(r'"(%[^"]+)"', found.note)[0]
    declared = ColumnDeclared(formats=(form,))
    assert inferring.infer("x", raw, pl.Series([2, 3]), declared).kind == "date"
    column = inferring.column_of(inferring.infer("x", raw, pl.Series([2, 3]), declared), declared)
    assert tables.cells(column, raw).values.null_count() == 0


@pytest.mark.parametrize(
    ("form", "cells", "typed", "missing"),
    [
        ("number", ["1", "-999", "?"], [1, -999, None], -999),
        ("number", ["1.5", "-999", "-999.0"], [1.5, -999.0, -999.0], -999.0),
        ("boolean", ["1", "0", "9"], [1, 0, 9], 9),
        ("text", ["7", "?", "-999"], [7, None, -999], -999),
        ("date", ["2026-01-05", "9999-12-31", "?"], [date(2026, 1, 5), date(9999, 12, 31), None], "9999-12-31"),
        ("date", ["2026-01-05", "9999-12-31", "?"], [datetime(2026, 1, 5), datetime(9999, 12, 31), None], "?"),
    ],
)
def test_what_means_unknown_is_unknown_in_every_way_in(form, cells, typed, missing) -> None:
    column = Column("x", form, "x", "commercial", nulls=("-999", "-999.0", "?", "9", "9999-12-31"))
    by_text, by_type = (tables.cells(column, pl.Series(values)) for values in (cells, typed))
    assert by_type.values.to_list() == by_text.values.to_list()
    assert not by_text.problems + by_type.problems
    assert by_text.values.null_count() == len(cells) - (2 if form == "boolean" else 1)
    schema = Schema("table", (column,))
    assert tables.read_row(schema, {"x": missing}, NOW) == ({"x": None}, [])


def test_parquet_columns_no_model_reads_can_be_dropped(tmp_path: Path) -> None:
    frame = pl.DataFrame(rows(200)).with_columns(tags=pl.lit([1]), tenure=pl.duration(days=pl.int_range(200)))
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(ContractError, match=r"(?s)'tags' is free text.*'tenure' is free text"):
        read(tmp_path / "t.parquet")
    dropped = replace(DATED, columns={name: ColumnDeclared(type="drop") for name in ("tags", "tenure")})
    assert "tenure" not in read(tmp_path / "t.parquet", dropped).schema


def test_cells_that_stand_for_nothing_or_for_a_name_come_with_the_line_to_write(tmp_path: Path) -> None:
    never = [row | {"last_login": "9999-12-31" if i < 5 else row["last_login"]} for i, row in enumerate(rows(200))]
    with pytest.raises(ContractError, match=r'say missing = \["9999-12-31"\] in \[columns.last_login\]'):
        read(write(tmp_path / "a.csv", never))
    named = [row | {"cell mast": f"{10**15 + i % 7}"} for i, row in enumerate(rows(200))]
    with pytest.raises(ContractError, match=r'type = "category" \(or "drop"\) in \[columns."cell mast"\]'):
        read(write(tmp_path / "b.csv", named))


def test_columns_without_a_name_are_said(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", rows(200))
    path.write_text(path.read_text("utf-8").replace("town", "", 1), "utf-8")
    made = read(path)
    assert "town" not in made.schema
    assert "1 columns have no name and are left out" in counted(made)


def test_a_declared_type_is_believed() -> None:
    raw = pl.Series("x", ["1", "2", "x"])
    declared = ColumnDeclared(type="category")
    assert inferring.infer("x", raw, pl.Series([2, 3, 4]), declared).kind == "category"


def test_every_refusal_comes_at_once_with_its_way_out(tmp_path: Path) -> None:
    table = [row | {"code": f"K{i}", "seen": "31/12/2025"} for i, row in enumerate(rows(120))]
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError) as refused:
        read(path, TableConfig(), Names("left"))
    said = str(refused.value)
    assert "'customer' is an id (120 of 120 differ): say --id customer if it names the account" in said
    assert "'code' is an id" in said
    assert "'last_login' is a date, and nothing says as of when" in said
    assert "--as-of-column" in said
    # Always the same day: nobody is told apart by it.
    assert "seen" not in said
    declared = TableConfig(columns={name: ColumnDeclared(type="drop") for name in ("code", "last_login")})
    assert "code" not in read(path, declared).schema


def test_cells_that_cannot_be_read_are_named_by_line(tmp_path: Path) -> None:
    table = rows(80)
    table[3]["calls"], table[9]["calls"] = "many", "few"
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError, match="2 cells are no numbers, such as 'many' in line 5"):
        read(path)
    as_number = replace(DATED, columns={"calls": ColumnDeclared(type="number")})
    with pytest.raises(ContractError, match=r"'calls' is not a number .*: line 5 holds 'many'; line 11 holds 'few'"):
        read(path, as_number)
    missing = replace(DATED, columns={"calls": ColumnDeclared(type="number", missing=("many", "few"))})
    assert read(path, missing).frame["calls"].null_count() == 2


@pytest.mark.parametrize("cell", ["NaN", "inf"])
def test_what_programs_write_for_no_number_is_refused_with_the_way_out(tmp_path: Path, cell: str) -> None:
    table = rows(80)
    table[3]["calls"] = cell
    path = write(tmp_path / "t.csv", table)
    with pytest.raises(ContractError) as refused:
        read(path)
    assert f'missing = ["{cell}"] in [columns.calls]' in str(refused.value)
    declared = replace(DATED, columns={"calls": ColumnDeclared(missing=(cell,))})
    assert read(path, declared).frame["calls"].null_count() == 1


@pytest.mark.parametrize(("delimiter", "encoding"), [(";", "utf-8-sig"), ("\t", "utf-16"), (",", "cp1252")])
def test_spreadsheets_of_all_kinds_read_alike(file: Path, tmp_path: Path, delimiter: str, encoding: str) -> None:
    other = write(tmp_path / "t.csv", rows(), delimiter, encoding)
    assert read(other).frame.equals(read(file).frame)


def test_parquet_keeps_its_types(file: Path, tmp_path: Path) -> None:
    typed = pl.read_csv(file, try_parse_dates=True).with_columns(
        pl.col("total_charge").str.strip_chars().cast(pl.Float64, strict=False), pl.col("paperless") == "Yes"
    )
    path = tmp_path / "t.parquet"
    typed.write_parquet(path)
    made, expected = read(path), read(file)
    assert made.frame.equals(expected.frame)
    assert made.schema == expected.schema


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
