"""Tickets of the three real layouts, followed by hand through the raw rows of the samples.

What each became is in the `expected.toml` beside its sample; here stand the raw rows it was worked out from, and the
repeat contacts, which no row says: of the contacts of one account about one thing, those within 7 days of another.

    zendesk 11071       priority normal 2020-08-28, medium 09-30, high 10-15 11:01:27 (escalated), urgent 11-02;
                        status solved 11-14 11:01:27 (resolved), closed 11-15: never left again (no reopening)
    zendesk 16988       solved, without a history of its status: at its last change, 2021-01-13 18:42:39
    zendesk 1966        closed, likewise: 2020-03-25 16:03:26. Nobody's organization comes twice: no repeats
    intercom ...1311    opened 2020-10-28 23:59:37; a note 10-29; its last row closed at 11-02 14:17:59
    intercom ...1372    the same contact, opened 11-04 03:12:03, 6.1 days after ...1311; closed 11-06 13:55:01. Neither
                        is tagged, so nobody says that they are about one thing: no repeat (tagged alike: one)
    intercom 27526781645    closed by parts at 06-17 17:02:16, 17:55:42 and 06-19 12:43:01 (resolved: the last)
    hubspot 293370454   opened 2021-01-29 15:02:38, answered 15:37:44; open
    hubspot 297600437   of the same company and category, opened 2021-02-04 12:54:52, 5.9 days later: a repeat; open
    hubspot 350123456   21 days later: no repeat. Stages 14863823 and 14863823a, both OPEN: no reopening; closed by its
                        close date 2025-07-25 08:15:00. Pipeline 3136178 became 3136178a at 2024-10-04 12:39:42.002
    hubspot 307034542   closed three months before it was created: refused
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from models.features import compute
from models.history import History
from models.imports.mapping import parse
from models.imports.run import read_folder
from tests.imports.sources import FOLDER, made
from tests.imports.test_vendors import rows


def sample(name: str) -> Path:
    return FOLDER / name / "sample"


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("zendesk", {"370469077513": 0, "370297696174": 0, "370295721514": 0}),
        ("intercom", {"5f7295ca37f0d717d37dfddb": 0, "5eea4a90f3d31f0b5cf000f0": 0}),
        ("hubspot", {"2182162682": 1}),
    ],
)
def test_repeat_contacts(name: str, repeats: dict[str, int]) -> None:
    frames, _ = read_folder(sample(name), name)
    assert repeated(frames["interactions"]) == repeats


def test_conversations_tagged_alike_are_about_one_thing(tmp_path: Path) -> None:
    copied = shutil.copytree(sample("intercom"), tmp_path / "tagged")
    both = ("156643300001311", "156643300001372")
    lines = ["tag_id,conversation_id,conversation_updated_at", *(f"9,{one},2020-12-01 18:00:16.972" for one in both)]
    (copied / "conversation_tag_history_data.csv").write_text("\n".join(lines))
    (copied / "tag_data.csv").write_text("id,name\n9,Support\n")
    frames, _ = read_folder(copied, "intercom")
    assert rows(frames["interactions"])[both[0]]["category"] == "Support"
    assert repeated(frames["interactions"])["5f7295ca37f0d717d37dfddb"] == 1


def repeated(contacts: pl.DataFrame) -> dict[str, int]:
    """Repeat contacts by account, as the product counts them a day after the last contact."""
    # Most samples describe nobody's account: here everybody is one, so that features can be asked for.
    accounts = pl.DataFrame({"account_id": contacts["account_id"].unique().sort()})
    history = History.from_frames({"accounts": accounts, "interactions": contacts})
    asked = contacts.group_by("account_id").agg(as_of=pl.col("opened_at").max() + timedelta(days=1)).sort("account_id")
    facts = compute(history, asked)
    return dict(facts.select("account_id", "repeats_365d").iter_rows())


def test_raw_rows_say_what_was_read_from_them() -> None:
    log = (sample("zendesk") / "ticket_field_history_data.csv").read_text()
    assert "priority,11071,2020-10-15 11:01:27,,high" in log
    assert "status,11071,2020-11-14 11:01:27,,solved" in log
    parts = (sample("intercom") / "conversation_part_history_data.csv").read_text()
    assert [line.split(",")[8] for line in parts.splitlines() if ",27526781645," in line] == [
        "2020-06-17 17:02:16",
        "2020-06-17 17:55:42",
        "2020-06-19 12:43:01",
    ]
    moves = (sample("hubspot") / "ticket_property_history_data.csv").read_text()
    assert "350123456,hs_pipeline, source name49, sg5923,2024-10-04 12:39:42.002,3136178a" in moves


def test_what_an_escalation_is_decides_what_the_raw_rows_say() -> None:
    usual = rows(read_folder(sample("hubspot"), "hubspot")[0]["interactions"])
    assert usual["350123456"]["escalated_at"] is None
    mine = parse('extends = "hubspot"\n[choices]\nescalation_pipelines = ["3136178a"]\n', "mine")
    frames, summary = read_folder(sample("hubspot"), mine)
    moved = rows(frames["interactions"])["350123456"]["escalated_at"]
    assert moved == datetime(2024, 10, 4, 12, 39, 42, 2000, tzinfo=UTC)
    assert summary.meanings["escalation"] == "priority raised to HIGH, URGENT, or pipeline changed to 3136178a"
    urgent = parse('extends = "zendesk"\n[choices]\nescalation_priorities = ["urgent"]\n', "mine")
    raised = rows(read_folder(sample("zendesk"), urgent)[0]["interactions"])["11071"]["escalated_at"]
    assert raised == datetime(2020, 11, 2, 11, 1, 27, tzinfo=UTC)


def test_business_minutes_of_a_real_ticket() -> None:
    # Opened on Friday 2020-08-28 at 11:06:36 in Los Angeles, open until 20:00: 533.4 minutes; 11 weeks of five days of
    # twelve hours from Monday 31 August to Friday 13 November (clocks went back on Sunday 1 November): 39,600; solved
    # on Saturday the 14th.
    _, summary = made("zendesk")
    took = summary.to_plain()["tables"]["interactions"]["business_hours"]["resolution"]
    assert took == {"rows": 1, "median_business_minutes": 533.4 + 39_600, "median_minutes": 111_894.85}
