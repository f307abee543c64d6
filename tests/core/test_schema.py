"""What a model reads, declared: kept with it, fingerprinted, and refused where it does not fit together."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models import registry
from models.errors import ArtefactError, FeatureMismatch, TableModel
from models.features import DEFAULT, FEATURES
from models.features.fingerprint import fingerprints
from models.features.measures import measure_feature
from models.health import HealthParams
from models.labels import LabelParams
from models.loading import load_model
from models.model import ChurnModel
from models.schema import CATALOGUE, Column, Schema
from models.scorecard import Scorecard, Term

PLAN = Column("Plan", "text", "Plan", "commercial", nulls=("?",), formats=("%d/%m/%Y",), span=(1, 2))
TABLE = Schema("table", (PLAN, Column("Seats", "number", "Seats", "effort", churn=-1)), "customer", "month")
MEASURED = Schema("history", (Column.of(measure_feature("logins", direction=-1)),))


def model(schema: Schema = TABLE, *features: str) -> ChurnModel:
    terms = tuple(Term(name, "line", (0.0, 1.0), (), (0.0, -0.5)) for name in features or ("Seats",))
    silent = None if schema.source == "table" else Scorecard("silent", -2.0)
    return ChurnModel(
        Scorecard("churn", -1.0, terms), silent, HealthParams.for_base(-1.0), LabelParams(), DEFAULT, {"": {}},
        "test", "P3", schema.fingerprints(), columns=schema,
    )  # fmt: skip


def stored(root: Path, made: ChurnModel, features: dict[str, str]) -> str:
    facts = registry.Facts("test", "P3", features, made.health.p_ref, {})
    return registry.put(root, made.to_plain(), facts, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("schema", [CATALOGUE, MEASURED, TABLE])
def test_it_comes_back_as_it_was(schema: Schema) -> None:
    assert Schema.from_plain(schema.to_plain()) == schema


def test_artefacts_of_before_read_the_catalogue() -> None:
    assert Schema.from_plain(None) is CATALOGUE
    assert CATALOGUE.names == FEATURES.names
    assert CATALOGUE.fingerprints() == fingerprints()


def test_measures_come_after_the_catalogue() -> None:
    assert MEASURED.names == (*FEATURES.names, "measure:logins")
    assert MEASURED.features.names == MEASURED.names
    assert list(MEASURED.fingerprints()) == list(MEASURED.names)
    assert "value" not in MEASURED.quoted
    assert MEASURED.quoted == CATALOGUE.quoted


@pytest.mark.parametrize("change", [{"name": "Tariff"}, {"form": "boolean"}, {"unit": "EUR"}, {"churn": 1}])
def test_what_a_column_means_changes_its_fingerprint(change: dict) -> None:
    assert replace(PLAN, **change).fingerprint != PLAN.fingerprint


@pytest.mark.parametrize("change", [{"label": "Tariff"}, {"sentence": "on {value}"}, {"span": None}, {"nulls": ()}])
def test_words_do_not(change: dict) -> None:
    assert replace(PLAN, **change).fingerprint == PLAN.fingerprint


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"source": "cloud", "own": [], "identity": "", "moment": ""},
        {"source": "table", "own": [{"name": "x"}], "identity": "", "moment": ""},
        {"source": "table", "own": [{**TABLE.to_plain()["own"][0], "form": "list"}], "identity": "", "moment": ""},
        {"source": "table", "own": TABLE.to_plain()["own"] * 2, "identity": "", "moment": ""},
        {"source": "history", "own": TABLE.to_plain()["own"], "identity": "", "moment": ""},
    ],
    ids=["empty", "source", "column", "form", "twice", "no measure"],
)
def test_what_is_no_schema_is_refused(plain: dict) -> None:
    with pytest.raises(ArtefactError):
        Schema.from_plain(plain)


def test_a_model_reads_its_own_columns_only() -> None:
    with pytest.raises(ArtefactError, match="reads 'logins', which is none of the model's columns"):
        model(TABLE, "logins")
    with pytest.raises(ArtefactError, match="two scorecards, a model of a table has one"):
        replace(model(), silent=Scorecard("silent", -2.0))
    with pytest.raises(ArtefactError, match="two scorecards, a model of a table has one"):
        replace(model(MEASURED, "measure:logins"), silent=None)


def test_a_model_of_a_table_opens_and_knows_its_limits(tmp_path: Path) -> None:
    made = model()
    opened, _ = load_model(tmp_path, stored(tmp_path, made, dict(made.fingerprints)))
    assert opened.columns == TABLE
    assert opened.silent is None
    with pytest.raises(TableModel, match="not who leaves silently"):
        opened.card("silent")
    with pytest.raises(TableModel, match="score rows by POST /v1/scores with `features`"):
        opened.require_history()
    assert model(MEASURED, "measure:logins").require_history().card("silent").target == "silent"


def test_a_manifest_that_speaks_of_other_columns_is_refused(tmp_path: Path) -> None:
    made = model(MEASURED, "measure:logins")
    with pytest.raises(FeatureMismatch, match="new here: measure:logins"):
        load_model(tmp_path, stored(tmp_path, made, fingerprints()))
    other = {**made.fingerprints, "measure:logins": "0" * 16}
    with pytest.raises(FeatureMismatch, match="defined differently: measure:logins"):
        load_model(tmp_path, stored(tmp_path, made, other))
