"""An erasure knows every table: one that nobody has thought about, or that says whose its rows are, is named here."""

import pytest

from models.store.erasure import COVER
from models.store.tables import metadata

#: Columns that say whose a row is.
TELLING = {"account_id", "contact_id", "parent_id"}


def test_every_table_is_covered() -> None:
    assert list(COVER) and set(COVER) == set(metadata.tables), (
        "say in COVER of models/store/erasure.py what an erasure does with a new table"
    )


@pytest.mark.parametrize("name", sorted(metadata.tables))
def test_a_table_that_says_whose_a_row_is_is_erased_from(name: str) -> None:
    columns = set(metadata.tables[name].c.keys())
    assert not columns & TELLING or COVER[name].account is not None
    assert "contact_id" not in columns or COVER[name].person is not None
    assert COVER[name].what
