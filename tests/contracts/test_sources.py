"""Every source that comes with Ebbtide: its folder is complete, and the guide says what it was tested on."""

import re
import tomllib
from pathlib import Path

import pytest

from models.imports.mapping import load, shipped
from tests.imports.sources import FOLDER

DOCS = (Path(__file__).parents[2] / "docs" / "importing.md").read_text("utf-8")
README = "## How the sample came to be"


@pytest.mark.parametrize(
    "name", sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and path.name[0] != "_")
)
def test_the_folder_of_a_source_is_complete(name: str) -> None:
    folder = FOLDER / name
    assert {path.name for path in folder.iterdir()} == {"mapping.toml", "expected.toml", "README.md", "sample"}
    assert any((folder / "sample").iterdir())
    assert README in (folder / "README.md").read_text("utf-8")
    mapping = load(name)
    assert mapping.about.strip()
    assert mapping.tested_on
    assert set(tomllib.loads((folder / "expected.toml").read_text("utf-8"))) > {"rejected"}


def test_the_documentation_says_what_each_source_was_tested_on() -> None:
    _, _, after = DOCS.partition("<!-- SOURCES -->")
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| tested on ([^|]+) \|$", after.split("\n\n")[0], re.MULTILINE)
    assert [(name, tested) for name, _, tested in rows] == [(name, load(name).tested_on) for name in shipped()]
    assert all(f"### `{name}`" in DOCS for name in shipped())


@pytest.mark.parametrize("name", shipped())
def test_what_an_escalation_is_here_is_said(name: str) -> None:
    mapping = load(name)
    for table in mapping.tables.values():
        assert "escalated_at" not in (table.columns or {}) or mapping.meanings["escalation"]
