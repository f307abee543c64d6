"""The same data, configuration and seed are the same artefact: what names the data, and what is said of differences.

That two processes write the same bytes is tested where processes are: in tests/cli.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import registry
from models.errors import ArtefactError, ContractError
from models.labels import LabelParams
from training import config as configs
from training.fingerprint import content_hash, history_hash
from training.measures import Declared
from training.reproduce import differences, reproduce
from training.train import Config

NOW = datetime(2026, 3, 2, tzinfo=UTC)
SCHEMA = {"n": pl.Float64, "t": pl.String, "b": pl.Boolean, "at": pl.Datetime("us", "UTC"), "d": pl.Date}
values = st.fixed_dictionaries(
    {
        "n": st.none() | st.floats(),
        "t": st.none() | st.text(max_size=3),
        "b": st.none() | st.booleans(),
        "at": st.none() | st.datetimes(datetime(1960, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
        "d": st.none() | st.dates(),
    }
)


def hashed(rows: list[dict], name: str = "x") -> str:
    return content_hash({name: pl.DataFrame(rows, SCHEMA, orient="row")})


@given(st.lists(values, max_size=6), st.randoms())
def test_neither_the_order_of_rows_nor_that_of_columns_counts(rows, random):
    shuffled = random.sample(rows, len(rows))
    frame = pl.DataFrame(shuffled, SCHEMA, orient="row").select(random.sample(list(SCHEMA), len(SCHEMA)))
    assert content_hash({"x": frame}) == hashed(rows)


def key(row: dict) -> tuple:
    """Equal exactly where the values are: -0 is 0, and every NaN is the same unknown number."""
    number = row["n"]
    return (
        *(row[name] for name in ("t", "b", "at", "d")),
        "nan" if number is not None and number != number else number,
    )


@given(st.lists(values, min_size=1, max_size=4), st.lists(values, min_size=1, max_size=4))
def test_other_content_has_another_number(one, other):
    same = sorted(map(repr, map(key, map(_positive, one)))) == sorted(map(repr, map(key, map(_positive, other))))
    assert (hashed(one) == hashed(other)) == same


def _positive(row: dict) -> dict:
    return {**row, "n": 0.0 if row["n"] == 0 else row["n"]}


def test_values_that_are_easily_confused_are_not():
    def one(**columns: list) -> str:
        return content_hash({"x": pl.DataFrame(columns)})

    numbers = {
        one(a=["ab", "c"]), one(a=["a", "bc"]), one(a=["", None]), one(a=[None, None]), one(b=["ab", "c"]),
        one(a=[0.0]), one(a=[None]), one(a=[float("nan")]), one(a=[False]), one(a=["0"]), one(a=[0.0, 0.0]),
        one(a=[1.0], b=[2.0]), one(a=[2.0], b=[1.0]), content_hash({}), content_hash({"y": pl.DataFrame({"a": [0.0]})}),
    }  # fmt: skip
    assert len(numbers) == 15
    assert one(a=[None, None]) == one(a=pl.Series([None, None], dtype=pl.Float64)), "nobody wrote a type down"


def test_how_a_number_or_a_moment_is_stored_does_not_count():
    frames = (
        pl.DataFrame({"n": [1, 2], "at": [NOW, NOW + timedelta(seconds=1)], "c": ["u", "v"]}),
        pl.DataFrame({"n": [1.0, 2.0], "at": [NOW, NOW + timedelta(seconds=1)], "c": ["u", "v"]}).with_columns(
            pl.col("at").cast(pl.Datetime("ms", "UTC")), pl.col("c").cast(pl.Categorical)
        ),
    )
    assert len({content_hash({"x": frame}) for frame in frames}) == 1


def test_the_number_stays_what_it_was():
    """Artefacts keep it for years."""
    frame = pl.DataFrame({"n": [1.5, None], "t": ["é", "x"], "at": [NOW, None], "b": [True, False]})
    assert content_hash({"x": frame}) == "9adf973a481366b1ca3e5002c05307a9b30185656b22bd830037f56a9eec0ab9"


def test_what_has_no_values_to_hash_is_refused():
    with pytest.raises(ContractError, match="'l' holds values of type List"):
        content_hash({"x": pl.DataFrame({"l": [[1]]})})


def test_what_was_not_known_does_not_count(history, simulated):
    cutoff = simulated.end - timedelta(weeks=20)
    assert history_hash(history.known_at(cutoff)) == history_hash(history.known_at(simulated.end).known_at(cutoff))
    assert history_hash(history.known_at(cutoff)) != history_hash(history.known_at(simulated.end))


def test_a_configuration_survives_with_the_files_it_names(tmp_path: Path):
    (tmp_path / "ours.toml").write_text("base_rate_churn = 0.1")
    measures = {"logins": Declared(label="logins a week", direction=-1)}
    config = Config(7, 2, label=LabelParams(horizon_days=60), expert=tmp_path / "ours.toml", measures=measures)
    plain = configs.to_plain(config)
    assert plain["expert"] == "base_rate_churn = 0.1"
    assert str(tmp_path) not in str(plain)
    (tmp_path / "there").mkdir()
    again = configs.from_plain(plain, tmp_path / "there")
    assert replace(again, expert=config.expert) == config
    assert again.expert.read_text() == "base_rate_churn = 0.1"
    assert configs.from_plain(configs.to_plain(Config()), tmp_path) == Config()
    with pytest.raises(ArtefactError, match="trained with 'depth', which this version does not know"):
        configs.from_plain({**plain, "depth": 3}, tmp_path)


FACTS = registry.Facts(
    "s", "P2", {"a": "1"}, 0.04, {"horizon_days": 90}, metrics={"auc": {"value": 0.7}, "curve": [1, 2]},
    versions={"numpy": "2.4"}, data_hash="0" * 64, config={"as_of": "2026-03-02T00:00:00Z"},
)  # fmt: skip


def stored(root: Path, facts: registry.Facts = FACTS, x: float = 1.0) -> registry.Manifest:
    return registry.show(root, registry.put(root, {"x": np.array([x])}, facts, NOW))


def test_differences_are_named(tmp_path):
    first = stored(tmp_path)
    assert list(differences(first, stored(tmp_path))) == []
    other = replace(FACTS, metrics={"auc": {"value": 0.71}, "curve": [1, 3]}, versions={"numpy": "2.5"}, p_ref=0.05)
    assert list(differences(first, stored(tmp_path, other, x=2.0))) == [
        "model.joblib differs.",
        "p_ref is 0.05 instead of 0.04.",
        "metrics.auc.value is 0.71 instead of 0.7.",
        "metrics.curve[1] is 3 instead of 2.",
        "It may be the libraries: numpy is 2.5 instead of 2.4.",
    ]
    assert list(differences(first, stored(tmp_path, replace(FACTS, versions={"numpy": "2.5"})))) == []
    long = replace(FACTS, metrics={**FACTS.metrics, "groups": ["word"] * 99})
    (_, told) = differences(first, stored(tmp_path, long, x=2.0))
    assert told.startswith("metrics.groups is ['word', 'word',")
    assert told.endswith(" ... instead of None.")
    many = replace(FACTS, metrics={str(n): n for n in range(9)})
    assert list(differences(first, stored(tmp_path, many)))[-1] == "6 more values differ."


def test_an_artefact_that_does_not_say_how_it_was_made_is_not_reproduced(tmp_path, history):
    old = stored(tmp_path, replace(FACTS, data_hash=None, config=None))
    with pytest.raises(ArtefactError, match="does not say how it was made"):
        reproduce(tmp_path, old.model_id, history, registry.Trust())
    of_table = replace(FACTS, label={"column": "left", "id": None, "as_of_column": None})
    table = registry.put(tmp_path, {"x": 1}, of_table, NOW)
    with pytest.raises(ArtefactError, match="learnt from a wide table"):
        reproduce(tmp_path, table, history, registry.Trust())
    found = history_hash(history.known_at(NOW))[:12]
    assert reproduce(tmp_path, stored(tmp_path).model_id, history, registry.Trust()) == [
        f"The data are not those it learnt from (SHA-256 {found}..., not 000000000000...)."
    ]
