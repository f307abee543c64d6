"""Reference pages and the code they restate. `python -m tests.contracts.reference` writes what the tests compare."""

import re
from collections.abc import Callable
from pathlib import Path

from models.columns import Column, Table
from models.features import describe
from models.history import TABLES

DOCS = Path(__file__).parents[2] / "docs"

_SECTION = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: Column -> the column whose time decides when a value is known; rows that were not known bring no values at all.
KNOWN_FROM = {
    "accounts": {"onboarded_at": "itself", "notice_at": "itself", "ended_at": "itself", "end_reason": "`ended_at`"},
    "interactions": {
        **dict.fromkeys(("first_response_at", "resolved_at", "reopened_at", "escalated_at", "updated_at"), "itself"),
        "escalation": "`escalated_at`",
        **dict.fromkeys(("outcome", "abandoned"), "closed"),
        **dict.fromkeys(
            ("reopens", "transfers", "customer_replies", "wait_seconds", "handle_seconds"), "closed, or changed"
        ),
    },
    "surveys": {"responded_at": "itself", "score": "`responded_at`", "comment": "`responded_at`"},
    "outreach": {"engaged_at": "itself", "outcome": "`engaged_at`, or 14 days"},
}


def data_contract() -> str:
    """docs/data-contract.md with its tables drawn from the declarations."""
    text = (DOCS / "data-contract.md").read_text("utf-8")
    return _SECTION.sub(lambda found: f"{found[1]}{_columns(TABLES[found[2]])}{found[3]}", text)


def _columns(table: Table) -> str:
    rows = [
        (f"`{column.name}`", _type(column, table), column.meaning, KNOWN_FROM.get(table.name, {}).get(column.name, ""))
        for column in table.columns
    ]
    key = ", ".join(f"`{name}`" for name in table.key)
    happened = " or ".join(f"`{name}`" for name in table.happened)
    return f"Key: {key}. Happened at: {happened}.\n\n" + describe.table(
        ("column", "type", "meaning", "known from"), rows
    )


def _type(column: Column, table: Table) -> str:
    said = str(column.type)
    if column.minimum is not None:
        said += f" ≥ {column.minimum:g}"
    if column.choices:
        said = " / ".join(f"`{choice}`" for choice in column.choices)
    return f"**{said}**, required" if column.required else said


#: Page -> what it must say.
PAGES: dict[str, Callable[[], str]] = {"features.md": describe.page, "data-contract.md": data_contract}


def write() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    write()
