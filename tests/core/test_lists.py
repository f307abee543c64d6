"""The silent list's order, by hand."""

import polars as pl

from models.lists import ranked


def test_the_example_of_the_module() -> None:
    entries = pl.DataFrame(
        {
            "account_id": ["e", "c", "b", "a"],
            "p_silent": [0.02, 0.08, 0.05, 0.10],
            "expected_revenue_loss": [None, None, 5400.0, 1200.0],
        }
    )
    found = ranked(entries)
    assert found["account_id"].to_list() == ["b", "a", "c", "e"]
    assert found["rank_by_loss"].to_list() == [1, 2, 3, 4]
    assert found["rank_by_probability"].to_list() == [3, 1, 2, 4]


def test_ties_go_by_account_id_whatever_the_row_order() -> None:
    entries = pl.DataFrame(
        {"account_id": ["b", "c", "a"], "p_silent": [0.1, 0.1, 0.1], "expected_revenue_loss": [5.0, None, 5.0]}
    )
    for order in ([0, 1, 2], [2, 1, 0]):
        assert ranked(entries[order])["account_id"].to_list() == ["a", "b", "c"]
