"""Reference pages say what the code declares; a stale page fails here."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from models.features import FEATURES, describe
from models.features.facts import FACTS
from models.history import TABLES
from tests.contracts.reference import DOCS, KNOWN_FROM, PAGES
from tests.core.histories import Drawn

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name):
    assert (DOCS / name).read_text("utf-8") == PAGES[name](), (
        f"docs/{name} is stale; run python -m tests.contracts.reference"
    )


def test_every_feature_and_fact_has_its_row():
    rows = re.findall(r"^\| `([\w]+)` \|", describe.page(), re.MULTILINE)
    assert sorted(rows) == sorted({*FEATURES.names, *FACTS})


def test_every_column_of_every_table_has_its_row():
    page = PAGES["data-contract.md"]()
    for name, table in TABLES.items():
        part = page.split(f"<!-- table: {name} -->")[1].split("<!-- end -->")[0]
        assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == list(table.names)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (
            "accounts",
            {"account_id": "a", "started_at": NOW, "onboarded_at": 9, "notice_at": 9, "ended_at": 9, "end_reason": "x"},
        ),
        (
            "interactions",
            {
                "interaction_id": "i",
                "account_id": "a",
                "opened_at": NOW,
                **dict.fromkeys(("first_response_at", "resolved_at", "reopened_at", "escalated_at", "updated_at"), 9),
                "escalation": "customer",
                "outcome": "resolved",
                "abandoned": True,
                **dict.fromkeys(("reopens", "transfers", "customer_replies"), 1),
                **dict.fromkeys(("wait_seconds", "handle_seconds"), 1.0),
            },
        ),
        (
            "surveys",
            {
                "survey_id": "s",
                "account_id": "a",
                "instrument": "csat",
                "sent_at": NOW,
                "responded_at": 9,
                "score": 3.0,
                "comment": "fine",
            },
        ),
        (
            "outreach",
            {"outreach_id": "o", "account_id": "a", "at": NOW, "kind": "call", "engaged_at": 9, "outcome": "reached"},
        ),
    ],
)
def test_known_from_names_exactly_the_values_that_come_later(table, row):
    # Ten days in, everything that happens on the ninth day of a later row is there; five days in, it is not.
    later = {name: NOW + timedelta(days=value) if value == 9 else value for name, value in row.items()}
    history = Drawn({table: [later]}).history()
    (early,) = history.known_at(NOW + timedelta(days=5)).frame(table).to_dicts()
    (late,) = history.known_at(NOW + timedelta(days=10)).frame(table).to_dicts()
    hidden = {name for name in row if early[name] is None and late[name] is not None}
    assert hidden == set(KNOWN_FROM[table])


def test_links_between_pages_lead_somewhere():
    for name in ("features.md", "data-contract.md", "glossary.md"):
        for target in re.findall(r"\]\(([\w./-]+\.md)\)", (DOCS / name).read_text("utf-8")):
            assert (DOCS / target).exists(), f"{name} links to {target}"


def test_the_glossary_says_each_word_once():
    words = re.findall(r"^\| ([^|]+) \|", (DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    terms = [term.strip() for word in words if word != "word" and "---" not in word for term in word.split(",")]
    assert len(terms) == len(set(terms))
