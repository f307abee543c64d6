"""Every source that comes with Ebbtide: its sample becomes what was worked out by hand."""

import tomllib

import pytest

from models.imports.mapping import shipped
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
