"""The Python API: the guide runs, pandas goes in and out, and every part says what the commands say."""

import doctest
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import training
from models.errors import ArtefactError, ContractError, NaiveTime, SettingsError
from models.health import expit
from models.history import History
from training import artefact, notebook, predict
from training.frames import polars
from training.notebook import Run
from training.simulator import Simulated
from training.train import Config, Trained

GUIDE = Path(__file__).parents[2] / "docs" / "notebook.md"


def test_the_guide_runs(tmp_path: Path) -> None:
    found = doctest.testfile(
        str(GUIDE), module_relative=False, globs={"folder": tmp_path}, encoding="utf-8", optionflags=doctest.ELLIPSIS
    )
    assert found.attempted > 40
    assert found.failed == 0


def test_importing_the_package_brings_nothing_heavy() -> None:
    heavy = "{'pandas', 'matplotlib', 'sklearn', 'polars'}"
    said = f"import sys, training; assert not {heavy} & set(sys.modules); assert 'fit' in dir(training)"
    subprocess.run([sys.executable, "-c", said], check=True)


def test_what_is_offered_is_there() -> None:
    assert all(getattr(training, name) is not None for name in training.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fitted'"):
        training.fitted  # noqa: B018


@pytest.fixture(scope="module")
def run(trained: Trained) -> Run:
    return Run(trained.model, artefact.plain(trained.report), Config(seed=3), trained)


@pytest.fixture(scope="module")
def frames(simulated: Simulated) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in simulated.tables.items()}


class TestFramesIn:
    def test_pandas_gives_the_history_polars_gives(self, frames: dict[str, pd.DataFrame], history: History) -> None:
        found = notebook.history(frames)
        for name in frames:
            assert found.frame(name).equals(history.frame(name)), name

    def test_times_without_a_zone_are_utc_and_categories_are_texts(self) -> None:
        frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-02 03:04", None]), "kind": pd.Categorical(["a", None])})
        found = polars(frame)
        assert found["at"].to_list() == [datetime(2026, 1, 2, 3, 4, tzinfo=UTC), None]
        assert found.schema["kind"] == pl.String

    def test_other_zones_keep_their_instant(self) -> None:
        at = pd.to_datetime(["2026-01-02 03:04"]).tz_localize("Europe/Berlin")
        assert polars(pd.DataFrame({"at": at}))["at"].item() == datetime(2026, 1, 2, 2, 4, tzinfo=UTC)

    def test_a_folder_is_read_as_the_command_reads_it(self, tmp_path: Path, frames: dict[str, pd.DataFrame]) -> None:
        for name, frame in frames.items():
            polars(frame).write_parquet(tmp_path / f"{name}.parquet")
        assert notebook.history(tmp_path).interactions.height == len(frames["interactions"])

    def test_what_is_no_table_of_the_contract_is_refused(self) -> None:
        with pytest.raises(ContractError, match="calls"):
            notebook.history({"calls": pd.DataFrame()})

    @pytest.mark.parametrize(
        ("table", "column", "value", "said"),
        [
            ("surveys", "score", 99, "surveys.score: '99' is outside its scale"),
            ("accounts", "mrr", -5, "accounts.mrr: '-5' is below 0"),
            ("interactions", "direction", "sideways", "interactions.direction: 'sideways' is not one of inbound, "),
            ("interactions", "reopens", -3, "interactions.reopens: '-3' is below 0"),
            ("interactions", "opened_at", None, "interactions.opened_at: is required"),
            ("surveys", "comment", "\0", "surveys.comment: holds a NUL character ("),
        ],
    )
    def test_cells_that_break_the_contract_are_refused_as_imports_refuse_them(
        self, frames: dict[str, pd.DataFrame], table: str, column: str, value: object, said: str
    ) -> None:
        broken = frames[table].copy()
        if column == "score":
            broken = broken[broken["responded_at"].notna()].reset_index(drop=True)
        broken[column] = broken[column].astype(object) if column in broken else None
        broken.loc[[3, 7], column] = value
        with pytest.raises(ContractError) as refused:
            notebook.history({**frames, table: broken})
        assert said in str(refused.value)
        assert "(2 rows, first row 4)" in str(refused.value)

    def test_what_pandas_reads_from_files_is_the_history(
        self, tmp_path: Path, simulated: Simulated, history: History
    ) -> None:
        read = {}
        for name, table in simulated.tables.items():
            table.write_csv(tmp_path / f"{name}.csv", datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")
            read[name] = pd.read_csv(tmp_path / f"{name}.csv")
        found = notebook.history(read)
        for name in read:
            assert found.frame(name).equals(history.frame(name)), name
        read["accounts"]["started_at"] = "01/02/2026"
        with pytest.raises(ContractError, match=r"accounts.started_at: '01/02/2026' is not an ISO 8601 time"):
            notebook.history(read)

    def test_a_time_as_text_without_a_zone_is_utc_as_any_other(self) -> None:
        read = notebook.history({"accounts": pd.DataFrame({"account_id": [1], "started_at": ["2026-01-02 03:04"]})})
        assert read.accounts["started_at"].item() == datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
        assert read.accounts["account_id"].item() == "1"

    def test_rows_of_files_that_are_left_out_are_said(self, tmp_path: Path) -> None:
        (tmp_path / "accounts.csv").write_text("account_id,mrr\na,1\nb,-2\n")
        (tmp_path / "interactions.csv").write_text("interaction_id,account_id,opened_at\n")
        with pytest.warns(UserWarning, match=r"^1 rows .* left out. accounts.mrr: '-2' is below 0 \(line 3\)"):
            assert notebook.history(tmp_path).accounts.height == 1

    def test_what_is_no_history_is_said(self) -> None:
        with pytest.raises(ContractError, match="A DataFrame is no history; give the contract's tables by name"):
            notebook.history(pd.DataFrame({"a": [1]}))  # type: ignore[arg-type]
        with pytest.raises(ContractError, match="accounts is a list; give a pandas or Polars frame"):
            notebook.history({"accounts": []})  # type: ignore[dict-item]
        mixed = pd.DataFrame({"account_id": ["a", "b"], "name": ["x", ["y"]]})
        with pytest.raises(ContractError, match="The frame accounts cannot be read"):
            notebook.history({"accounts": mixed})
        with pytest.raises(ContractError, match="lacks the required column 'opened_at'"):
            notebook.history({"interactions": pd.DataFrame({"interaction_id": ["i"], "account_id": ["a"]})})

    @pytest.mark.parametrize("at", ["yesterday", 20260302, pd.NaT, "2026-13-01"])
    def test_what_is_no_moment_is_said(self, at: object) -> None:
        with pytest.raises(ContractError, match="as_of is "):
            notebook.moment(at)

    @pytest.mark.parametrize(
        "at", ["2026-03-02", pd.Timestamp("2026-03-02", tz="UTC"), datetime(2026, 3, 2, tzinfo=UTC)]
    )
    def test_moments(self, at: object) -> None:
        assert notebook.moment(at) == datetime(2026, 3, 2, tzinfo=UTC)

    @pytest.mark.parametrize("at", [pd.Timestamp("2026-03-02"), datetime(2026, 3, 2), "2026-03-02T08:00"])
    def test_a_time_of_day_needs_its_offset(self, at: object) -> None:
        with pytest.raises(NaiveTime):
            notebook.moment(at)

    def test_a_configuration_is_a_mapping_a_file_or_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text("blocks = 2\n[label]\nlook_back_days = 60\n")
        told = {"blocks": 2, "label": {"look_back_days": 60}}
        assert notebook.configured(told) == notebook.configured(tmp_path / "c.toml")
        assert notebook.configured(None) == Config()
        with pytest.raises(SettingsError, match="The configuration sets 'block'"):
            notebook.configured({"block": 2})


class TestRun:
    def test_scores_are_those_of_predict(
        self, run: Run, frames: dict[str, pd.DataFrame], history: History, simulated: Simulated
    ) -> None:
        scores = run.scores(frames, simulated.end, top=2)
        said = predict.predict(run.model, history, simulated.end, 1.0, "EUR", 2)
        assert tuple(scores.columns) == predict.COLUMNS
        assert scores["p_silent"].tolist() == said["p_silent"].to_list()
        assert all(len(reasons) <= 2 for reasons in scores["reasons"])

    @pytest.mark.parametrize("target", ["churn", "silent"])
    def test_contributions_sum_to_the_score(
        self, run: Run, frames: dict[str, pd.DataFrame], simulated: Simulated, target: str
    ) -> None:
        parts = run.explain(frames, simulated.end, target)
        scores = run.scores(frames, simulated.end).set_index("account_id")
        found = expit(parts.sum(axis=1).to_numpy())
        if target == "churn":
            assert np.abs(found - scores.loc[parts.index, "p_churn"]).max() < 1e-9
        else:
            capped = np.minimum(found, scores.loc[parts.index, "p_churn"])
            assert np.abs(capped - scores.loc[parts.index, "p_silent"]).max() < 1e-9

    def test_it_is_kept_and_opened_again(self, run: Run, tmp_path: Path, artefacts: Path) -> None:
        model_id = run.save(created_at=datetime(2026, 3, 2, tzinfo=UTC))
        again = notebook.load(artefacts / model_id)
        assert again.model.model_id == notebook.load(model_id).model.model_id == model_id
        assert again.report == run.report
        with pytest.raises(ArtefactError, match="stored already"):
            again.save(tmp_path)
        with pytest.raises(ArtefactError, match="No model is in service"):
            notebook.load()

    def test_tables_of_it(self, run: Run) -> None:
        assert run.metrics("silent").loc["auc", "value"] == run.report["metrics"]["silent"]["auc"]["value"]
        assert run.table("churn")["log_odds"].iloc[0] == run.model.churn.base
        assert "phase P2" in repr(run)

    def test_every_drawing_draws_where_it_is_told(self, run: Run) -> None:
        for draw in (
            run.folds, run.look_back, run.months, run.calibration, run.captured, run.weights,
            lambda ax: run.captured("churn", ax, of="revenue"), lambda ax: run.shape("days_to_renewal", ax),
        ):  # fmt: skip
            ax = Figure().add_subplot()
            assert draw(ax=ax) is ax
            assert isinstance(draw(ax=None), Axes)

    def test_what_there_is_not_is_said(self, run: Run) -> None:
        bare = Run(run.model, {"phase": "P0", "cutoff": "2026-01-01", "verdicts": ["Nothing yet."], "metrics": None})
        for ask in (bare.metrics, bare.months, bare.folds, bare.weights, bare.calibration):
            with pytest.raises(ContractError):
                ask()
        with pytest.raises(ContractError, match="no term for 'moon'"):
            run.shape("moon")
        with pytest.raises(ContractError, match="no grid"):
            run.grid("a x b")
        with pytest.raises(ContractError, match="not 'vocal'"):
            run.table("vocal")  # type: ignore[arg-type]
        with pytest.raises(ContractError, match=r"measured on churn and silent, not on 'nope'\.$"):
            run.metrics("nope")  # type: ignore[arg-type]
        with pytest.raises(ContractError, match="exits or revenue"):
            run.captured(of="moon")
