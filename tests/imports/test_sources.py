"""Every source that comes with Ebbtide: its sample becomes what was worked out by hand."""

import tomllib
from pathlib import Path

import pytest

from models.imports.mapping import shipped
from models.imports.run import run
from tests.imports.sources import FOLDER, made, refused


@pytest.mark.parametrize("name", shipped())
def test_the_sample_becomes_what_is_expected(name: str) -> None:
    expected = tomllib.loads((FOLDER / name / "expected.toml").read_text("utf-8"))
    rows, summary = made(name)
    assert refused(summary) == expected.pop("rejected")
    assert set(rows) == set(expected)
    for table, each in expected.items():
        assert list(rows[table]) == list(each), table
        for key, row in each.items():
            assert rows[table][key] == row, f"{table} {key}"


@pytest.mark.parametrize("name", shipped())
def test_an_export_of_a_day_without_anything_is_read(name: str, tmp_path: Path) -> None:
    for file in (FOLDER / name / "sample").iterdir():
        header = file.read_text("utf-8").splitlines()[0]
        (tmp_path / file.name).write_text(f"{header}\n", "utf-8")
    summary = run(tmp_path, name)
    assert summary.tables
    assert [table.read for table in summary.tables.values()] == [0] * len(summary.tables)
    assert summary.problems.is_empty()
