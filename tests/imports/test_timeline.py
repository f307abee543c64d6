"""Impossible timelines and orphans: kept, counted, by name."""

from datetime import UTC, datetime

import polars as pl

from models.history import TABLES
from models.imports.timeline import AFTER, BEFORE, account_warnings, lives, orphans, warnings


def day(number: int) -> datetime:
    return datetime(2026, 3, number, tzinfo=UTC)


def accounts(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=TABLES["accounts"].schema)


ACME = {"account_id": "acme", "started_at": day(10), "ended_at": day(20)}
BOREA = {"account_id": "borea"}


def test_accounts_that_contradict_themselves() -> None:
    frame = accounts(
        ACME,
        BOREA,
        {"account_id": "c", "started_at": day(10), "notice_at": day(9), "ended_at": day(8), "onboarded_at": day(1)},
    )
    assert account_warnings(frame) == {
        "ended before they started": 1,
        "gave notice before they started": 1,
        "onboarded before they started": 1,
        "ended before they gave notice": 1,
    }
    assert account_warnings(accounts(ACME)) == {}


def test_rows_outside_the_life_of_their_account() -> None:
    table = TABLES["interactions"]
    rows = [
        {"interaction_id": str(i), "account_id": account, "opened_at": day(number)}
        for i, (account, number) in enumerate(
            [("acme", 9), ("acme", 10), ("acme", 20), ("acme", 21), ("borea", 1), ("ghost", 1)]
        )
    ]
    frame = pl.DataFrame(rows, schema=table.schema)
    lived = lives(accounts(ACME, BOREA))
    assert warnings(frame, table, lived) == {BEFORE: 1, AFTER: 1}
    assert orphans(frame, lived) == (1, 1)


def test_surveys_count_by_invitation_or_answer_and_contracts_by_their_date() -> None:
    surveys = TABLES["surveys"]
    base = {"account_id": "acme", "instrument": "csat"}
    frame = pl.DataFrame(
        [
            base | {"survey_id": "1", "sent_at": day(9), "responded_at": day(11)},
            base | {"survey_id": "2", "responded_at": day(9)},
            base | {"survey_id": "3", "responded_at": day(11)},
        ],
        schema=surveys.schema,
    )
    assert warnings(frame, surveys, lives(accounts(ACME))) == {BEFORE: 2}
    contracts = TABLES["contracts"]
    terms = pl.DataFrame([{"account_id": "acme", "effective_at": day(1)}], schema=contracts.schema)
    assert warnings(terms, contracts, lives(accounts(ACME))) == {BEFORE: 1}


def test_accounts_the_store_holds_are_no_orphans_and_new_descriptions_win() -> None:
    known = pl.DataFrame(
        [
            {"account_id": "acme", "started_at": day(1), "ended_at": None},
            {"account_id": "ghost", "started_at": None, "ended_at": None},
        ],
        schema={"account_id": pl.String, "started_at": pl.Datetime("us", "UTC"), "ended_at": pl.Datetime("us", "UTC")},
    )
    lived = lives(accounts(ACME), known).sort("account_id")
    assert lived["account_id"].to_list() == ["acme", "ghost"]
    assert lived["started_at"].to_list() == [day(10), None]
