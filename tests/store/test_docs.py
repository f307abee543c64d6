"""The documentation of the store names exactly its tables and keys."""

from pathlib import Path

from models.store.tables import metadata

DOCS = Path(__file__).parents[2] / "docs" / "store.md"


def test_every_table_is_documented_with_its_key() -> None:
    cells = [line.split("|")[1:-1] for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    documented = {cell[0].strip(" `"): cell[2].strip() for cell in cells if len(cell) == 3}
    declared = {table.name: ", ".join(table.primary_key.columns.keys()) for table in metadata.sorted_tables}
    assert documented == declared
