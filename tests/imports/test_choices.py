"""What a mapping leaves to choose: filled in, overruled in a few lines, and said by every import."""

from pathlib import Path

import pytest

from models.errors import ContractError
from models.imports.mapping import load, parse
from models.imports.run import read_folder
from tests.imports.test_vendors import ZENDESK, at, lay_out, rows

MINE = """
extends = "zendesk"
[choices]
escalation_priorities = ["urgent"]
escalation_groups = ["302"]
"""


def test_choosing_differently_takes_a_few_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    frames, summary = read_folder(lay_out(tmp_path, ZENDESK), tmp_path / "mine.toml")
    # the change to group 302 on the second of May comes before urgent on the sixth; high no longer counts
    assert rows(frames["interactions"])["70"]["escalated_at"] == at("2025-05-02 10:00")
    assert "  escalation = priority raised to urgent, or group changed to 302" in summary.lines()
    assert summary.to_plain()["meanings"]["escalation"] == "priority raised to urgent, or group changed to 302"


def test_nothing_may_be_chosen(tmp_path: Path) -> None:
    none = MINE.replace('"urgent"', "").replace('"302"', "")
    frames, summary = read_folder(lay_out(tmp_path, ZENDESK), parse(none, "none"))
    assert rows(frames["interactions"])["70"]["escalated_at"] is None
    assert summary.meanings["escalation"] == "nothing: no rule is chosen"


def test_what_extends_may_replace_more_than_choices() -> None:
    mine = parse('extends = "zendesk"\n[interactions.columns]\ncategory = "brand_id"\n', "mine")
    columns = mine.tables["interactions"].columns or {}
    assert columns["category"][0].source == "brand_id"
    assert columns["opened_at"] == (load("zendesk").tables["interactions"].columns or {})["opened_at"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('extends = "zendesk"\n[choices]\nescalation_group = ["1"]', "did you mean 'escalation_groups'"),
        ('extends = "zendesk"\nchoices = 5', "choices in the mapping test must be a table"),
        ('extends = "nobody"', "no source 'nobody'"),
        ('[choices]\na = ["x"]\n[accounts]\nfile = "$b"', r"uses \$b, and \[choices\] has no 'b'"),
        ('[choices]\na = ["x"]\n[accounts]\nfile = "f.csv"', r"offers the choice 'a' and uses \$a nowhere"),
        ("[choices]\na = [1]\n[accounts]\nfile = '$a'", "must be text in quotes, or a list of it"),
        ('choices = "x"\n[accounts]\nfile = "f.csv"', "choices in the mapping test must be a table"),
        ('meanings = "x"\n[accounts]\nfile = "f.csv"', "meanings in the mapping test must be a table"),
        ('[meanings]\nword = "{gone}"\n[accounts]\nfile = "f.csv"', "names no choice: 'gone'"),
        ('tested_on = "hope"\n[accounts]\nfile = "f.csv"', "tested_on in the mapping test must be one of"),
    ],
)
def test_mistakes_are_answered_in_words(text: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        parse(text, "test")


LOG = """
[accounts]
file = "accounts.csv"
[accounts.columns]
account_id = "id"

[interactions]
file = "tickets.csv"
[interactions.lookup.priority]
file = "log.csv"
match = { id = "ticket" }
ordered_by = "at"
columns.raised_at = { from = "at", take = "first", when = { moves_to = { value = ["high"] } } }
[interactions.lookup.terms]
file = "terms.csv"
match = { account = "account" }
ordered_by = "since"
until = "opened"
[interactions.columns]
interaction_id = "id"
account_id = "account"
opened_at = "opened"
category = "terms.plan"
escalated_at = { earliest = ["handed", "priority.raised_at"] }
"""
FILES = {
    "accounts": "id\na",
    "tickets": """id,account,opened,handed
        1,a,2025-05-01T00:00Z,2025-05-09T00:00Z
        2,a,2025-06-01T00:00Z,2025-06-02T00:00Z
        3,a,2025-04-01T00:00Z,
        4,a,2025-07-01T00:00Z,someday""",
    "log": """ticket,at,value
        1,2025-05-01T00:00Z,low
        1,2025-05-03T00:00Z,high
        2,2025-06-05T00:00Z,high
        3,2025-04-01T00:00Z,
        3,2025-04-02T00:00Z,high""",
    "terms": """account,since,plan
        a,2025-05-01T00:00Z,new
        a,2025-04-15T00:00Z,old
        a,2025-06-15T00:00Z,newest""",
}


def test_the_first_of_several_times_counts_and_terms_are_those_of_then(tmp_path: Path) -> None:
    frames, summary = read_folder(lay_out(tmp_path, FILES), parse(LOG, "log"))
    tickets = rows(frames["interactions"])
    assert {key: (row["category"], row["escalated_at"]) for key, row in tickets.items()} == {
        "1": ("new", at("2025-05-03 00:00")),
        "2": ("new", at("2025-06-02 00:00")),  # high from the start was never raised
        "3": (None, None),  # no terms yet; nothing was there before
    }
    [refused] = summary.problems.to_dicts()
    assert (refused["line"], refused["column"], refused["value"]) == (5, "escalated_at", "someday")


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('"priority.raised_at"] }', '"priority.raised_at"], take = "first" }', "and nothing else"),
        ('["handed", "priority.raised_at"]', '["handed"]', "must be such as { earliest"),
        ('category = "terms.plan"', 'category = { earliest = ["id", "account"] }', "category is no time"),
        ('ordered_by = "since"', "", "it needs ordered_by one time column"),
        ('until = "opened"', 'until = "opened"\ntake = "first"', "it needs ordered_by one time column"),
        ('columns.raised_at = { from = "at", take', 'columns.raised_at = { earliest = ["at"], take', "earliest is for"),
        ('until = "opened"', 'until = "begun"', "needs the column 'begun'"),
    ],
)
def test_mistakes_with_times_are_answered_in_words(tmp_path: Path, was: str, becomes: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        read_folder(lay_out(tmp_path, FILES), parse(LOG.replace(was, becomes), "log"))


HOURS = """
[interactions]
file = "tickets.csv"
[interactions.business_hours]
file = "hours.csv"
match = { schedule = "name" }
opens = "opens"
closes = "closes"
timezone = "zone"
columns.due = { from = "opened", minutes = "promised" }
[interactions.columns]
interaction_id = "id"
account_id = "account"
opened_at = "opened"
"""


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('minutes = "promised"', 'to = "answered", minutes = "promised"', "needs either to"),
        ('columns.due = { from = "opened", minutes = "promised" }', "columns.due = 5", "must be such as { from"),
        ('match = { schedule = "name" }', "", "which row has which schedule"),
        ('opens = "opens"', "", "opens must be text in quotes"),
        ('timezone = "zone"', "", "timezone must be a source column"),
        ('file = "hours.csv"', 'file = "hours.csv"\nholiday = 1', "unknown key 'holiday'"),
    ],
)
def test_mistakes_with_business_hours_are_answered_in_words(was: str, becomes: str, said: str) -> None:
    parse(HOURS, "hours")
    with pytest.raises(ContractError, match=said):
        parse(HOURS.replace(was, becomes, 1), "hours")


def test_a_choice_may_be_one_text() -> None:
    other = parse('extends = "qualtrics"\n[choices]\nquestion = "Q7"\ninstrument = "csat"\n', "mine")
    columns = other.tables["surveys"].columns or {}
    assert (columns["score"][0].source, columns["instrument"][0].constant) == ("Q7", "csat")
    assert other.meanings["score"] == "the answer to Q7, read as csat"


SINCE = """
[interactions]
file = "tickets.csv"
[interactions.columns]
interaction_id = "id"
account_id = "account"
opened_at = "opened"
sla_resolution_minutes = { from = "due", since = "opened" }
"""


def test_minutes_between_two_times(tmp_path: Path) -> None:
    lines = """id,account,opened,due
        1,a,2026-03-29T00:30:00+01:00,2026-03-29T03:30:00+02:00
        2,a,2026-03-29T00:30:00+01:00,"""
    accounts = '[accounts]\nfile = "accounts.csv"\ncolumns.account_id = "id"\n'
    folder = lay_out(tmp_path, {"tickets": lines, "accounts": "id\na"})
    frames, _ = read_folder(folder, parse(accounts + SINCE, "since"))
    assert frames["interactions"]["sla_resolution_minutes"].to_list() == [120.0, None]
    with pytest.raises(ContractError, match="it needs from, the time to count to"):
        parse(SINCE.replace('from = "due"', 'constant = "x"'), "since")
