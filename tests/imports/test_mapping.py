"""Mapping files: every key does what docs/importing.md says, and mistakes are answered with a hint."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from models.errors import ContractError
from models.history import TABLES
from models.imports import mapping as mappings
from models.imports.mapping import load, parse, parse_delay, shipped
from models.imports.run import read_folder, run
from models.imports.summary import Summary

MOMENT = "2026-03-02T08:00:00Z"

DOCS = Path(__file__).parents[2] / "docs" / "importing.md"

ACCOUNTS = '[accounts]\nfile = "accounts.csv"\n'
COLUMNS = '[accounts.columns]\naccount_id = "id"\n'


def columns(tmp_path: Path, lines: str, content: str, more: str = "") -> list[dict[str, Any]]:
    """Map one accounts file whose mapping says `account_id = "id"` and `lines`; the rows as dicts."""
    _, frame = imported(tmp_path, f"{more}\n{ACCOUNTS}{COLUMNS}{lines}", {"accounts.csv": content})
    return frame.to_dicts()


def imported(tmp_path: Path, toml: str, files: dict[str, str]) -> tuple[Summary, pl.DataFrame]:
    """Import files by a mapping text: the summary, and the frame of the mapping's first table."""
    for name, content in files.items():
        (tmp_path / name).write_text(content, "utf-8")
    mapping = parse(toml, "test")
    written = Written()
    summary = run(tmp_path, mapping, sink=written)
    return summary, written.frames[next(iter(mapping.tables))]


class Written:
    """A sink that keeps what it is given."""

    inserted = updated = unchanged = stale = erased = 0

    def __init__(self) -> None:
        self.frames: dict[str, pl.DataFrame] = {}

    def write(self, table_name: str, frame: pl.DataFrame) -> "Written":
        self.frames[table_name] = frame
        return self


# -- cells ---


def test_from_in_its_short_and_its_long_form(tmp_path: Path) -> None:
    rows = columns(tmp_path, 'name = "label"\nplan = { from = "label" }', "id,label\na1,Acme\n")
    assert (rows[0]["name"], rows[0]["plan"]) == ("Acme", "Acme")


def test_constants_of_every_kind(tmp_path: Path) -> None:
    lines = 'currency = { constant = "EUR" }\nseats = { constant = 5 }\nis_test = { constant = true }'
    (row,) = columns(tmp_path, lines, "id\na1\n")
    assert (row["currency"], row["seats"], row["is_test"]) == ("EUR", 5, True)


def test_a_template_is_unknown_where_a_part_is(tmp_path: Path) -> None:
    rows = columns(tmp_path, 'name = { template = "{first}/{second}!" }', "id,first,second\na1,x,y\na2,x,NA\n")
    assert [row["name"] for row in rows] == ["x/y!", None]


def test_values_replace_and_other_cells_stay(tmp_path: Path) -> None:
    lines = 'billing = { from = "term", values = { M = "monthly", "1" = "annual" } }'
    rows = columns(tmp_path, lines, "id,term\na1, M \na2,1\na3,weekly\na4,\n")
    assert [row["billing"] for row in rows] == ["monthly", "annual", "weekly", None]


def test_other_stands_for_everything_known_that_values_does_not_name(tmp_path: Path) -> None:
    cell = 'from = "p", values = { a = "A" }'
    lines = f'plan = {{ {cell}, other = "rest" }}\nregion = {{ {cell}, other = "" }}'
    rows = columns(tmp_path, lines, "id,p\n1,a\n2,b\n3,\n")
    assert [(row["plan"], row["region"]) for row in rows] == [("A", "A"), ("rest", None), (None, None)]


def test_values_come_before_unknown_so_that_a_source_may_mean_something_by_na(tmp_path: Path) -> None:
    rows = columns(tmp_path, 'region = { from = "r", values = { NA = "North America" } }', "id,r\na1,NA\na2,na\n")
    assert [row["region"] for row in rows] == ["North America", None]


def test_default_fills_what_is_unknown(tmp_path: Path) -> None:
    rows = columns(tmp_path, 'segment = { from = "s", default = "smb" }', "id,s\na1,mid\na2,null\n")
    assert [row["segment"] for row in rows] == ["mid", "smb"]


def test_null_tokens_of_a_column_and_of_a_source(tmp_path: Path) -> None:
    lines = 'name = { from = "n", null = "-" }\nplan = "n"'
    rows = columns(tmp_path, lines, "id,n\na1,-\na2,?\na3,NONE\n", more='[source]\nnull = ["?", "none"]')
    assert [(row["name"], row["plan"]) for row in rows] == [(None, "-"), (None, None), (None, None)]


def test_scale_turns_hours_into_the_contracts_seconds(tmp_path: Path) -> None:
    toml = (
        '[interactions]\nfile = "t.csv"\n[interactions.columns]\ninteraction_id = "id"\naccount_id = "a"\n'
        'opened_at = "at"\nhandle_seconds = { from = "hours", scale = 3600 }\n'
        'first_response_at = { from = "at", plus = { minutes = "wait" } }\n'
        'resolved_at = { from = "at", plus = { days = "d" } }'
    )
    content = "id,a,at,hours,wait,d\ni1,a1,2026-03-02T08:00:00Z,0.25,90,0.5\n"
    _, frame = imported(tmp_path, toml, {"t.csv": content})
    row = frame.row(0, named=True)
    assert row["handle_seconds"] == 900.0
    assert row["first_response_at"] == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    assert row["resolved_at"] == datetime(2026, 3, 2, 20, tzinfo=UTC)


def test_decimal_commas_where_declared(tmp_path: Path) -> None:
    (row,) = columns(tmp_path, 'mrr = { from = "m", decimal = "," }', "id;m\na1;1200,50\n")
    assert row["mrr"] == 1200.5


def test_formats_of_a_column_overrule_the_sources(tmp_path: Path) -> None:
    lines = 'started_at = "s"\nended_at = { from = "e", format = "%Y/%m/%d" }'
    more = '[source]\ntimezone = "Europe/Berlin"\ndate_format = "%d.%m.%Y"'
    (row,) = columns(tmp_path, lines, "id,s,e\na1,02.03.2026,2026/07/02\n", more)
    assert row["started_at"] == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert row["ended_at"] == datetime(2026, 7, 1, 22, tzinfo=UTC)


def test_the_first_known_of_several(tmp_path: Path) -> None:
    lines = 'name = ["n", { from = "m", null = "?" }, { constant = "nobody" }]'
    rows = columns(tmp_path, lines, "id,n,m\na1,x,y\na2,,y\na3,,?\n")
    assert [row["name"] for row in rows] == ["x", "y", "nobody"]


def test_a_condition_on_the_row_itself(tmp_path: Path) -> None:
    lines = 'notice_at = { from = "at", when = [{ is = { flag = ["Y", "y"] } }, { at_least = { score = 9 } }] }'
    rows = columns(tmp_path, lines, f"id,at,flag,score\na1,{MOMENT},Y,0\na2,{MOMENT},N,10 - high\na3,{MOMENT},,\n")
    assert [row["notice_at"] is not None for row in rows] == [True, True, False]


# -- rows ---


def test_a_condition_on_a_column_the_file_lacks_holds_nowhere(tmp_path: Path) -> None:
    line = 'plan = { from = "label", when = { is = { state = "on" } } }\nsegment = { from = "label" }'
    rows = columns(tmp_path, line, "id,label\na1,Acme\n")
    assert [(row["plan"], row["segment"]) for row in rows] == [(None, "Acme")]


def test_rows_are_filtered_and_the_rest_is_counted(tmp_path: Path) -> None:
    rows = 'where = { kind = ["A", "B"] }\nwhere_not = { state = "gone" }\nwhere_known = "score"\n'
    content = "id,kind,state,score\n1,A,,5\n2,C,,5\n3,B,gone,5\n4,B,here,\n5, A ,here,NA\n6,B,here,1\n"
    summary, frame = imported(tmp_path, f"{ACCOUNTS}{rows}{COLUMNS}", {"accounts.csv": content})
    assert frame["account_id"].to_list() == ["1", "6"]
    assert summary.tables["accounts"].set_aside == 4


EVENTS = """at,n,state,priority,count,note
2026-03-01T08:00:00Z,N1,New,3 - Moderate,0,first
2026-03-01T10:00:00Z,N1,Active,2 - High,1,NA
2026-03-01T09:00:00Z,N1,Resolved,3 - Moderate,0,second
2026-03-01T12:00:00Z,N1,Closed,2 - High,1,last
2026-03-01T08:30:00Z,N2,New,3 - Moderate,0,only
"""


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('"note"', ["last", "only"]),
        ('{ from = "note", take = "first" }', ["first", "only"]),
        ('{ from = "note", when = { is = { state = "Active" } } }', [None, None]),
        ('{ from = "at", when = { grew = "count" } }', ["2026-03-01T10:00:00Z", None]),
        ('{ from = "at", when = { fell = "priority" } }', ["2026-03-01T10:00:00Z", None]),
        ('{ from = "at", take = "first", when = { is_not = { state = "New" } } }', ["2026-03-01T09:00:00Z", None]),
        ('{ from = "at", when = { becomes = { state = ["Resolved", "Closed"] } } }', ["2026-03-01T12:00:00Z", None]),
        ('{ from = "at", take = "first", when = { at_least = { count = 1 } } }', ["2026-03-01T10:00:00Z", None]),
        ('{ from = "priority", take = "min" }', ["2 - High", "3 - Moderate"]),
        ('{ from = "count", take = "max" }', ["1", "0"]),
        ('{ take = "count", when = { is_not = { state = "New" } } }', ["3", "0"]),
        ('{ take = "count" }', ["4", "1"]),
        ('{ template = "{n}:{state}" }', ["N1:Closed", "N2:New"]),
        ('{ constant = "x" }', ["x", "x"]),
        ('{ constant = "x", when = { is = { state = "Closed" } } }', ["x", None]),
    ],
)
def test_event_rows_become_one_row(tmp_path: Path, cell: str, expected: list[str | None]) -> None:
    """Events are ordered by time, not by line: the second event of N1 stands third in the file."""
    rows = 'last_row_per = "n"\nordered_by = "at"\n[accounts.columns]\naccount_id = "n"\n'
    summary, frame = imported(tmp_path, f"{ACCOUNTS}{rows}name = {cell}", {"accounts.csv": EVENTS})
    assert frame["account_id"].to_list() == ["N1", "N2"]
    assert frame["name"].to_list() == expected
    assert (summary.tables["accounts"].folded, summary.tables["accounts"].read) == (3, 5)


def test_events_at_the_same_moment_keep_their_order_in_the_file(tmp_path: Path) -> None:
    content = "n,at,state\nN1,2026-03-01T08:00:00Z,a\nN1,2026-03-01T08:00:00Z,b\n"
    rows = 'last_row_per = "n"\nordered_by = "at"\n[accounts.columns]\naccount_id = "n"\nname = "state"'
    _, frame = imported(tmp_path, f"{ACCOUNTS}{rows}", {"accounts.csv": content})
    assert frame["name"].to_list() == ["b"]


def test_events_that_cannot_be_placed_are_rejected(tmp_path: Path) -> None:
    content = "n,at\nN1,2026-03-01T08:00:00Z\nN1,2026-03-01 08:00\n,2026-03-01T08:00:00Z\nN2,\n"
    rows = 'last_row_per = "n"\nordered_by = "at"\n[accounts.columns]\naccount_id = "n"'
    summary, frame = imported(tmp_path, f"{ACCOUNTS}{rows}", {"accounts.csv": content})
    assert frame["account_id"].to_list() == ["N1"]
    assert summary.problems.select("line", "column", "reason").rows() == [
        (3, "at", "has no offset; declare the time zone of the source"),
        (4, "n", "is required to tell which rows belong together"),
        (5, "at", "is required to order the rows"),
    ]


RUNNING = (
    '[contracts]\nfile = "s.csv"\nrunning = { by = "a", start = "from", end = "to", total = ["mrr", "seats"] }\n'
    '[contracts.columns]\naccount_id = "a"\neffective_at = "from"\nrenewal_at = "to"\nmrr = "mrr"\nseats = "seats"\n'
    'plan = "p"\n'
    '[source]\ntimezone = "UTC"\n'
)


def test_what_runs_together_becomes_a_history(tmp_path: Path) -> None:
    content = (
        "a,from,to,mrr,seats,p\n"
        "a1,2026-01-01,2026-05-01,100,1,basic\n"
        "a1,2026-03-01,,50,2,pro\n"
        "a1,2026-04-01,2026-04-01,999,9,never\n"
        "a2,2026-01-01,2026-02-01,0.1,,basic\n"
        "a2,2026-01-15,2026-02-01,0.2,,pro\n"
    )
    summary, frame = imported(tmp_path, RUNNING, {"s.csv": content})
    rows = [(r["account_id"], f"{r['effective_at']:%m-%d}", r["mrr"], r["seats"], r["plan"]) for r in frame.to_dicts()]
    assert rows == [
        ("a1", "01-01", 100.0, 1, "basic"),
        ("a1", "03-01", 150.0, 3, "pro"),
        ("a1", "05-01", 50.0, 2, "pro"),
        ("a2", "01-01", 0.1, 0, "basic"),
        ("a2", "01-15", pytest.approx(0.3), 0, "pro"),
        ("a2", "02-01", 0.0, 0, "pro"),
    ]
    assert frame["renewal_at"].to_list()[:3] == [
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 5, 1, tzinfo=UTC),
        None,
    ]
    assert (summary.tables["contracts"].folded, summary.tables["contracts"].rejected) == (-1, 0)


def test_spans_that_make_no_sense_are_rejected(tmp_path: Path) -> None:
    content = (
        "a,from,to,mrr,seats,p\n"
        "a1,2026-02-01,2026-01-01,1,1,x\n"
        "a1,2026-02-01,soon,1,1,x\n"
        "a1,2026-02-01,,much,1,x\n"
        "a1,,,1,1,x\n"
        "a2,2026-02-01,,1,1,x\n"
    )
    summary, _ = imported(tmp_path, RUNNING, {"s.csv": content})
    assert summary.problems.select("line", "column", "reason").rows() == [
        (2, "to", "precedes from"),
        (3, "to", "is not an ISO 8601 time"),
        (4, "mrr", "is not a number (thousands separators are not guessed)"),
        (5, "from", "is required to order the rows"),
    ]


LOOKUP = (
    ACCOUNTS + '[accounts.lookup.exit]\nfile = "exits.csv"\nwhere = { real = "1" }\nmatch = { id = "who" }\n'
    'ordered_by = "at"\ntake = "{take}"\n'
    '[accounts.columns]\naccount_id = "id"\nended_at = "exit.at"\nend_reason = "exit.why"\n'
)
EXITS = """who,at,why,real
a1,2026-05-01T00:00:00Z,late,1
a1,2026-03-01T00:00:00Z,early,1
a1,2026-01-01T00:00:00Z,fake,0
a3,x,bad,1
"""


@pytest.mark.parametrize(("take", "reason"), [("first", "early"), ("last", "late")])
def test_another_file_is_looked_up(tmp_path: Path, take: str, reason: str) -> None:
    files = {"accounts.csv": "id\na1\na2\n", "exits.csv": EXITS}
    summary, frame = imported(tmp_path, LOOKUP.replace("{take}", take), files)
    assert frame["end_reason"].to_list() == [reason, None]
    accounts = summary.tables["accounts"]
    assert (accounts.rejected, accounts.unusable) == (0, 1)
    assert accounts.problems.select("file", "line", "column").rows() == [("exits.csv", 5, "exit.at")]


def test_a_lookup_without_its_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("id\na1\n")
    with pytest.raises(ContractError, match=r"looks up exit and .* holds no exits.csv"):
        run(tmp_path, parse(LOOKUP.replace("{take}", "last"), "test"))


def test_what_runs_now_can_be_looked_up(tmp_path: Path) -> None:
    toml = (
        ACCOUNTS + '[accounts.lookup.terms]\nfile = "s.csv"\nmatch = { id = "a" }\n'
        'running = { by = "a", start = "from", end = "to", total = "mrr" }\n'
        + COLUMNS
        + 'mrr = "terms.mrr"\nplan = "terms.p"\n'
    )
    content = "a,from,to,mrr,p\na1,2026-01-01T00:00:00Z,,100,x\na1,2026-02-01T00:00:00Z,,50,y\n"
    _, frame = imported(tmp_path, toml, {"accounts.csv": "id\na1\n", "s.csv": content})
    assert frame.select("mrr", "plan").row(0) == (150.0, "y")


def test_one_file_can_fill_two_tables_and_only_columns_nobody_uses_are_named(tmp_path: Path) -> None:
    toml = (
        ACCOUNTS
        + COLUMNS
        + '[measures]\nfile = "accounts.csv"\n[measures.columns]\naccount_id = "id"\n'
        + ('name = { constant = "logins" }\nvalue = "logins"\nat = { constant = "2026-03-02T00:00:00Z" }\n')
    )
    summary, _ = imported(tmp_path, toml, {"accounts.csv": "id,logins,color\na1,5,red\n"})
    assert summary.tables["measures"].accepted == 1
    assert summary.tables["accounts"].unknown_columns == ("color",)
    assert summary.tables["measures"].unknown_columns == ()


def test_an_optional_column_the_file_lacks_is_named(tmp_path: Path) -> None:
    summary, frame = imported(tmp_path, f'{ACCOUNTS}{COLUMNS}name = "label"', {"accounts.csv": "id\na1\n"})
    assert summary.tables["accounts"].absent_columns == ("label",)
    assert frame["name"].to_list() == [None]


def test_a_delay_of_the_source_is_when_its_rows_are_known(tmp_path: Path) -> None:
    content = "id,s,r\na1,2026-03-02T08:00:00Z,\na2,2026-03-02T08:00:00Z,2026-03-02T09:00:00Z\n"
    rows = columns(tmp_path, 'started_at = "s"\nrecorded_at = "r"', content, more='[source]\ndelay = "24h"')
    known = [datetime(2026, 3, 3, 8, tzinfo=UTC), datetime(2026, 3, 2, 9, tzinfo=UTC)]
    assert [row["recorded_at"] for row in rows] == known


def test_parquet_through_a_mapping(tmp_path: Path) -> None:
    pl.DataFrame(
        {"id": [1, 2], "at": [datetime(2026, 3, 2, 8), None], "score": [7.0, None], "state": ["a", "b"]}
    ).write_parquet(tmp_path / "accounts.parquet")
    toml = (
        '[source]\ntimezone = "UTC"\ndate_format = "%d/%m/%Y"\n[accounts]\nfile = "accounts.parquet"\n'
        'last_row_per = "id"\nordered_by = "at"\n[accounts.columns]\naccount_id = "id"\n'
        'started_at = ["at", { constant = "02/03/2026" }]\nmrr = "score"\n'
    )
    summary, frame = imported(tmp_path, toml, {})
    assert frame.drop("recorded_at").rows() == [("1", 7.0, datetime(2026, 3, 2, 8, tzinfo=UTC))]
    assert summary.tables["accounts"].rejected == 1  # its order is unknown


# -- mistakes ---


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "fills no table; add a section"),
        ("[accounts", "is not valid TOML"),
        ("[acounts]", "unknown key 'acounts'; did you mean 'accounts'"),
        ('[source]\ntimezon = "UTC"', "unknown key 'timezon'; did you mean 'timezone'"),
        ('[source]\ntimezone = "Mars"', "'Mars' is no time zone"),
        ("[source]\ntimezone = 1", "must be text in quotes"),
        ('[source]\ndate_format = "d/m"', "is no time format"),
        ('[source]\ndelay = "tomorrow"', "is no delay"),
        ('[source]\ndecimal = ";"', "decimal must be"),
        ("source = 1\n" + ACCOUNTS, "source in test must be a table"),
        ("[accounts]", "must name its file"),
        (ACCOUNTS + 'last_row_per = "n"', "not ordered_by"),
        (ACCOUNTS + 'ordered_by = "n"', "not last_row_per"),
        (ACCOUNTS + 'running = { by = "a" }', "must name start"),
        (ACCOUNTS + 'ordered_by = "x"\nrunning = { by = "a", start = "s", end = "e", total = "t" }', "orders its rows"),
        (ACCOUNTS + '[accounts.columns]\nacount_id = "x"', "unknown key 'acount_id'; did you mean 'account_id'"),
        (ACCOUNTS + '[accounts.columns]\nname = "x"', "must say where account_id comes from"),
        (ACCOUNTS + COLUMNS + "name = 5", "must be a source column or a table"),
        (ACCOUNTS + COLUMNS + "name = {}", "exactly one of from, constant, template"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", constant = "b" }', "exactly one of"),
        (ACCOUNTS + COLUMNS + 'name = { fron = "a" }', "unknown key 'fron'; did you mean 'from'"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", take = "first" }', "uses take, which needs last_row_per"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", when = { grew = "b" } }', "uses grew, which needs last_row_per"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", when = { grown = "b" } }', "did you mean 'grew'"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", when = "b" }', "must hold one condition"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", when = { is = "b" } }', "when is must be such as"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", when = { at_least = { b = "c" } } }', "must be a number"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", plus = { weeks = "b" } }', "units: seconds, minutes, hours, days"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", scale = "b" }', "scale must be a number"),
        (ACCOUNTS + COLUMNS + 'name = { from = "a", default = [1] }', "a constant must be text"),
        (ACCOUNTS + COLUMNS + 'mrr = [{ from = "a", scale = 2 }, "b"]', "must agree on decimal, scale and plus"),
        (
            ACCOUNTS + 'last_row_per = "a"\nordered_by = "b"\n' + COLUMNS + 'name = { from = "a", take = "median" }',
            "take must be one of first, last, min, max, count",
        ),
        (ACCOUNTS + '[accounts.lookup.x]\nfile = "x"', "must say match"),
        (ACCOUNTS + '[accounts.lookup.x]\nfile = "x"\nmatch = "a"\ntake = "min"', "take must be first or last"),
        (ACCOUNTS + '[accounts.lookup.x]\nfile = "x"\nmatch = "a"\nlast_row_per = "a"', "unknown key 'last_row_per'"),
        (ACCOUNTS + COLUMNS + "name = []", "lists no source column"),
        (ACCOUNTS + COLUMNS + 'name = { template = "{" }', "must be text with columns in braces"),
        (ACCOUNTS + COLUMNS + 'name = { template = "{id:>9}" }', "must be text with columns in braces"),
        *(
            (f'[accounts]\nfile = "{name}"\n{COLUMNS}', "a name or pattern within the folder")
            for name in ("", ".", "/etc/*.csv", "**.csv")
        ),
        (f"[accounts]\nfile = []\n{COLUMNS}", "must name its file"),
    ],
)
def test_a_mistake_in_a_mapping_is_answered_with_a_hint(toml: str, message: str) -> None:
    with pytest.raises(ContractError, match=re.escape(message)) as caught:
        parse(toml, "test")
    assert str(caught.value).count("\n") == 0


def test_a_mapping_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="use one of contract, freshdesk, gorgias, helpscout"):
        load("zendesc")
    with pytest.raises(ContractError, match=r"none\.toml cannot be read"):
        load(tmp_path / "none.toml")


def test_a_mapping_file_by_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(ACCOUNTS + COLUMNS)
    assert load(tmp_path / "mine.toml").name == "mine"


@pytest.mark.parametrize(("text", "delay"), [("24h", timedelta(hours=24)), ("90m", timedelta(minutes=90)),
                                             ("1.5d", timedelta(hours=36)), ("0s", timedelta(0))])  # fmt: skip
def test_delays(text: str, delay: timedelta) -> None:
    assert parse_delay(text) == delay


@pytest.mark.parametrize("text", ["", "h", "24", "-1h", "24 weeks", "²h", "99999999999999d"])
def test_what_is_no_delay(text: str) -> None:
    with pytest.raises(ContractError, match=r"is no delay|too long a delay"):
        parse_delay(text)


def test_every_shipped_mapping_says_what_it_is() -> None:
    assert {"contract", "hubspot", "intercom", "ravenstack", "servicenow", "zendesk"} <= set(shipped())
    assert all(load(name).about for name in shipped())


def test_the_contract_mapping_reads_every_table(tmp_path: Path) -> None:
    assert list(load("contract").tables) == list(TABLES)


SUMMED = (
    ACCOUNTS
    + """
[accounts.columns]
account_id = "id"
plan = "plan.name"
seats = "plan.changes"
[accounts.lookup.plan]
file = "plans.csv"
match = { id = "account", region = "region" }
ordered_by = "at"
columns.name = { from = "plan" }
columns.changes = { take = "count", when = { changed = "plan" } }
"""
)


def test_an_event_log_is_summed_up_by_several_columns(tmp_path: Path) -> None:
    log = ["account,region,plan,at"]
    log += ["a,n,pro,2025-01-02T00:00:00Z", "a,n,free,2025-01-01T00:00:00Z", "a,n,pro,2025-01-03T00:00:00Z"]
    log += ["a,s,top,2025-01-04T00:00:00Z", "b,,top,2025-01-04T00:00:00Z", "b,s,top,soon"]
    files = {"accounts.csv": "id,region\na,n\na2,n\nb,s\nc,\n", "plans.csv": "\n".join(log) + "\n"}
    summary, frame = imported(tmp_path, SUMMED, files)
    assert frame.select("account_id", "plan", "seats").rows() == [
        ("a", "pro", 1),
        ("a2", None, None),
        ("b", None, None),
        ("c", None, None),
    ]
    # one without a region, one with an order that is no time
    assert summary.tables["accounts"].unusable == 2


def test_a_lookup_within_a_lookup_and_conditions_on_what_was_found(tmp_path: Path) -> None:
    toml = """
[accounts]
file = "accounts.csv"
where_not = { "last.by.role" = "robot" }
[accounts.columns]
account_id = "id"
name = "last.by.name"
owner = "note.text"
[accounts.lookup.last]
file = "calls.csv"
where_not = { "by.role" = "trainee" }
match = { id = "account" }
lookup.by = { file = "people.csv", match = { person = "id" } }
[accounts.lookup.note]
file = "notes.csv"
match = "id"
optional = true
"""
    files = {
        "accounts.csv": "id\na\nb\nc\n",
        "calls.csv": "account,person\na,1\na,2\nb,3\nc,2\n",
        "people.csv": "id,name,role\n1,Ann,agent\n2,Tim,trainee\n3,R2,robot\n",
    }
    summary, frame = imported(tmp_path, toml, files)
    assert frame.select("account_id", "name", "owner").rows() == [("a", "Ann", None), ("c", None, None)]
    assert summary.tables["accounts"].set_aside == 1
    assert (tmp_path / "notes.csv").write_text("id,text\na,call back\n")
    _, frame = imported(tmp_path, toml, files)
    assert frame["owner"].to_list() == ["call back", None]


def test_what_an_absent_file_would_look_up_is_not_missed(tmp_path: Path) -> None:
    inner = '[accounts.lookup.note.lookup.author]\nfile = "authors.csv"\nmatch = { by = "id" }\n'
    note = '[accounts.lookup.note]\nfile = "notes.csv"\nmatch = "id"\noptional = true\n'
    toml = ACCOUNTS + COLUMNS + 'owner = "note.text"\n' + note + inner
    _, frame = imported(tmp_path, toml, {"accounts.csv": "id\na\n"})
    assert frame["account_id"].to_list() == ["a"]
    (tmp_path / "notes.csv").write_text("id,text,by\na,x,1\n")
    with pytest.raises(ContractError, match=r"looks up note\.author"):
        imported(tmp_path, toml, {})


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (SUMMED.replace('ordered_by = "at"\n', ""), "has columns but not ordered_by"),
        (SUMMED.replace('ordered_by = "at"', 'ordered_by = "at"\noptional = "yes"'), "optional must be true or false"),
        (SUMMED.replace("changed", "change"), "did you mean 'changed'"),
        (SUMMED.replace('{ id = "account", region = "region" }', "{}"), "must say match"),
    ],
)
def test_lookups_that_make_no_sense(broken: str, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        parse(broken, "test")


def test_leaving_a_state_is_seen_between_events(tmp_path: Path) -> None:
    toml = SUMMED.replace('changed = "plan"', 'leaves = { plan = "free" }')
    log = "account,region,plan,at\n" + "".join(
        f"a,n,{plan},2025-01-0{day}T00:00:00Z\n" for day, plan in enumerate(("free", "free", "pro", "free", "top"), 1)
    )
    _, frame = imported(tmp_path, toml, {"accounts.csv": "id,region\na,n\n", "plans.csv": log})
    assert frame["seats"].to_list() == [2]


# -- documentation ---


@pytest.mark.parametrize(
    "keys",
    [
        *("HEAD_KEYS", "SOURCE_KEYS", "TABLE_KEYS", "LOOKUP_KEYS", "RUNNING_KEYS", "COLUMN_KEYS", "WHEN_KEYS"),
        *("HOURS_KEYS", "HOLIDAY_KEYS", "SPAN_KEYS"),
    ],
)
def test_the_documentation_lists_exactly_the_keys(keys: str) -> None:
    """Each list of keys has a table in docs/importing.md, introduced by a comment that names it."""
    _, _, after = DOCS.read_text("utf-8").partition(f"<!-- {keys} -->")
    rows = re.findall(r"^\| `(\w+)` \|", after.split("\n\n")[0], re.MULTILINE)
    assert rows == list(getattr(mappings, keys))


def test_the_documentation_names_every_shipped_mapping_take_and_unit() -> None:
    text = DOCS.read_text("utf-8")
    for name in (*shipped(), *mappings.TAKES, *mappings.UNITS):
        assert f"`{name}`" in text, name


def test_examples_in_the_documentation_are_valid_mappings() -> None:
    examples = re.findall(r"```toml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        parse(example, "example")


def test_read_folder_needs_accounts_and_interactions(tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("account_id\na1\n")
    with pytest.raises(ContractError, match="holds no file for interactions"):
        read_folder(tmp_path)
