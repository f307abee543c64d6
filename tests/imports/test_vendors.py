"""Helpdesk exports as vendors lay them out: what each mapping makes of a few tickets followed by hand."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.history import History
from models.imports.mapping import parse
from models.imports.run import read_folder, run
from models.store.tables import CONTRACT
from models.store.upsert import Sink
from tests.imports.shared import shared_data


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lay_out(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        lines = [line.strip() for line in text.strip().splitlines()]
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def rows(frame: pl.DataFrame) -> dict[str, dict]:
    return {row["interaction_id"]: row for row in frame.iter_rows(named=True)}


ZENDESK = {
    "organization_data": """
        id,_synced,created_at,name,updated_at
        900,x,2025-01-10 08:00:00,North Ltd,2025-03-01 08:00:00
        901,x,2025-01-11 08:00:00,South Ltd,2025-01-11 08:00:00""",
    "user_data": """
        id,name,organization_id,role
        1,Agent,800,agent
        2,Boss,800,admin
        5,Customer,900,end-user
        6,Other,901,end-user""",
    # 70: solved, reopened, solved, closed; 71 follows it up; 72 is open; 73 was merged into 72; 74 deleted
    "ticket_data": """
        id,created_at,organization_id,requester_id,status,type,ticket_form_id,updated_at,via_channel,via_followup_source_id
        70,2025-05-01 09:00:00,900,5,closed,problem,11,2025-05-20 10:00:00,email,
        71,2025-05-21 09:00:00,,5,solved,question,11,2025-05-22 10:00:00,voice,70
        72,2025-05-23 09:00:00,901,6,open,,12,2025-05-23 12:00:00,native_messaging,
        73,2025-05-23 09:05:00,901,6,closed,incident,12,2025-05-23 09:30:00,web,
        74,2025-05-24 09:00:00,901,6,deleted,incident,12,2025-05-24 09:30:00,web,""",
    "ticket_tag_data": """
        tag,ticket_id
        vip,72
        closed_by_merge,73""",
    "ticket_field_history_data": """
        field_name,ticket_id,updated,user_id,value
        status,70,2025-05-01 09:00:00,5,new
        priority,70,2025-05-01 09:00:00,5,normal
        group_id,70,2025-05-01 09:00:00,1,301
        status,70,2025-05-02 09:00:00,1,open
        group_id,70,2025-05-02 10:00:00,1,302
        group_id,70,2025-05-02 11:00:00,1,302
        priority,70,2025-05-03 09:00:00,1,high
        status,70,2025-05-04 09:00:00,1,solved
        status,70,2025-05-06 09:00:00,5,open
        priority,70,2025-05-06 10:00:00,1,urgent
        status,70,2025-05-16 09:00:00,1,solved
        status,70,2025-05-20 10:00:00,,closed
        priority,72,2025-05-23 09:00:00,6,urgent""",
    # a note among agents and the customer's own words are no answer
    "ticket_comment_data": """
        id,created,public,ticket_id,user_id
        1,2025-05-01 09:00:00,TRUE,70,5
        2,2025-05-01 09:30:00,FALSE,70,1
        3,2025-05-01 11:00:00,TRUE,70,2
        4,2025-05-02 11:00:00,TRUE,70,1
        5,2025-05-23 10:00:00,TRUE,72,6""",
    "satisfaction_rating_data": """
        id,ticket_id,requester_id,score,created_at,updated_at
        31,70,5,bad,2025-05-17 09:00:00,2025-05-18 09:00:00
        32,71,5,offered,2025-05-22 12:00:00,2025-05-22 12:00:00
        33,72,6,unoffered,2025-05-23 12:00:00,2025-05-23 12:00:00""",
}


def test_zendesk(tmp_path: Path) -> None:
    frames, summary = read_folder(lay_out(tmp_path, ZENDESK), "zendesk")
    tickets = rows(frames["interactions"])
    assert sorted(tickets) == ["70", "71", "72"]
    assert summary.tables["interactions"].set_aside == 2
    solved = tickets["70"]
    assert solved["account_id"] == "900"
    assert solved["first_response_at"] == at("2025-05-01 11:00")
    # solved twice; that it was closed afterwards is no third time
    assert solved["resolved_at"] == at("2025-05-16 09:00")
    assert solved["reopened_at"] == at("2025-05-06 09:00")
    assert solved["reopens"] == 1
    # the same group again is no transfer; the second rise is no second first escalation
    assert solved["transfers"] == 1
    assert solved["escalated_at"] == at("2025-05-03 09:00")
    assert (solved["kind"], solved["channel"], solved["outcome"]) == ("problem", "email", "resolved")
    followed = tickets["71"]
    assert followed["account_id"] == "900"
    assert followed["issue_id"] == solved["issue_id"] == "70"
    assert (followed["channel"], followed["first_response_at"]) == ("phone", None)
    # no history of its status: solved at its last change
    assert followed["resolved_at"] == at("2025-05-22 10:00")
    waiting = tickets["72"]
    assert (waiting["kind"], waiting["outcome"], waiting["resolved_at"], waiting["channel"]) == (
        None,
        None,
        None,
        "chat",
    )
    # urgent from the start was never raised
    assert waiting["escalated_at"] is None
    assert waiting["issue_id"] is None


def test_zendesk_as_a_database_writes_what_is_true(tmp_path: Path) -> None:
    files = ZENDESK | {"ticket_comment_data": ZENDESK["ticket_comment_data"].replace("TRUE", "t").replace("FALSE", "f")}
    frames, _ = read_folder(lay_out(tmp_path, files), "zendesk")
    assert rows(frames["interactions"])["70"]["first_response_at"] == at("2025-05-01 11:00")


def test_zendesk_without_the_optional_files(tmp_path: Path) -> None:
    slim = {name: text for name, text in ZENDESK.items() if name != "ticket_tag_data"}
    frames, _ = read_folder(lay_out(tmp_path, slim), "zendesk")
    # nobody says which tickets were merged
    assert sorted(rows(frames["interactions"])) == ["70", "71", "72", "73"]


def test_zendesk_ratings(tmp_path: Path) -> None:
    frames, _ = read_folder(lay_out(tmp_path, ZENDESK), "zendesk")
    surveys = {row["survey_id"]: row for row in frames["surveys"].iter_rows(named=True)}
    assert sorted(surveys) == ["31", "32"]
    assert (surveys["31"]["score"], surveys["31"]["responded_at"]) == (0.0, at("2025-05-18 09:00"))
    assert (surveys["32"]["score"], surveys["32"]["responded_at"]) == (None, None)
    assert surveys["32"]["account_id"] == "900"
    assert (surveys["31"]["scale_min"], surveys["31"]["scale_max"]) == (0.0, 1.0)


def test_zendesk_ratings_in_the_history_of_fields(tmp_path: Path) -> None:
    """Exports without a file of ratings: offered, then good or bad, perhaps once more."""
    history = """
        satisfaction_score,70,2025-05-16 09:00:00,,unoffered
        satisfaction_score,70,2025-05-17 09:00:00,,offered
        satisfaction_score,70,2025-05-18 09:00:00,5,good
        satisfaction_score,70,2025-05-19 09:00:00,5,bad
        satisfaction_score,71,2025-05-22 12:00:00,,offered"""
    files = ZENDESK | {"ticket_field_history_data": ZENDESK["ticket_field_history_data"] + history}
    del files["satisfaction_rating_data"]
    frames, _ = read_folder(lay_out(tmp_path, files), "zendesk")
    surveys = {row["interaction_id"]: row for row in frames["surveys"].iter_rows(named=True)}
    assert sorted(surveys) == ["70", "71"]
    assert (surveys["70"]["sent_at"], surveys["70"]["responded_at"]) == (at("2025-05-17 09:00"), at("2025-05-19 09:00"))
    assert (surveys["70"]["score"], surveys["70"]["scale_max"], surveys["70"]["account_id"]) == (0.0, 1.0, "900")
    # a ticket of no organization: its requester's
    assert (surveys["71"]["score"], surveys["71"]["account_id"]) == (None, "900")


#: 80 was opened by agent 1 with words to the customer; 81 by the customer, answered by a machine, then by 7, who left.
OPENED = {
    "ticket_data": """80,2025-06-01 09:00:00,900,5,open,,11,2025-06-02 09:00:00,web,
        81,2025-06-01 09:00:00,900,5,open,,11,2025-06-02 09:00:00,email,""",
    "user_data": """8,Machine,800,admin
        7,Left,800,end-user""",
    "ticket_comment_data": """10,2025-06-01 09:00:00,TRUE,80,1
        11,2025-06-01 10:00:00,TRUE,80,5
        12,2025-06-01 11:00:00,TRUE,80,1
        13,2025-06-01 09:00:00,TRUE,81,5
        14,2025-06-01 09:00:05,TRUE,81,8
        15,2025-06-01 12:00:00,TRUE,81,7""",
}
WHO = """extends = "zendesk"
[choices]
outbound_channels = ["web"]
automatic_users = ["8"]
former_agents = ["7"]
"""


def test_zendesk_what_a_ticket_is_opened_with_is_no_answer_and_whose_words_are(tmp_path: Path) -> None:
    files = ZENDESK | {name: f"{ZENDESK[name]}\n{lines}" for name, lines in OPENED.items()}
    frames, _ = read_folder(lay_out(tmp_path, files), "zendesk")
    usual = rows(frames["interactions"])
    assert (usual["80"]["first_response_at"], usual["80"]["customer_replies"]) == (at("2025-06-01 11:00"), 1)
    assert (usual["80"]["direction"], usual["81"]["direction"]) == (None, None)  # inbound
    assert (usual["81"]["first_response_at"], usual["81"]["customer_replies"]) == (at("2025-06-01 09:00:05"), 1)
    frames, summary = read_folder(tmp_path, parse(WHO, "mine"))
    mine = rows(frames["interactions"])
    assert (mine["80"]["direction"], mine["81"]["direction"]) == ("outbound", None)
    assert (mine["81"]["first_response_at"], mine["81"]["customer_replies"]) == (at("2025-06-01 12:00"), 0)
    assert summary.meanings["outbound"] == "opened by an agent or admin over web"
    assert summary.meanings["automatic replies"] == "comments of 8"


def test_a_reopened_ticket_was_open_in_between(tmp_path: Path) -> None:
    frames, _ = read_folder(lay_out(tmp_path, ZENDESK), "zendesk")
    history = History.from_frames(frames)
    then = rows(history.known_at(at("2025-05-05 00:00")).interactions)["70"]
    assert (then["resolved_at"], then["reopened_at"], then["reopens"], then["outcome"]) == (None, None, None, None)


def lines(text: str, keep: Callable[[str], bool]) -> str:
    """A file with its header and some of its rows."""
    head, *rest = text.strip().splitlines()
    return "\n".join([head, *(line for line in rest if keep(line))])


def test_a_nightly_pull_of_changed_tickets_with_their_whole_history_is_as_good_as_everything(
    store: Engine, tmp_path: Path
) -> None:
    """As `docs/live-doors.md` has it: first all there was by 5 May, then the tickets that changed since."""
    contacts = CONTRACT["interactions"]
    known = sa.select(contacts, CONTRACT["surveys"].c.score).outerjoin(
        CONTRACT["surveys"], CONTRACT["surveys"].c.interaction_id == contacts.c.interaction_id
    )

    def pulled(name: str, files: dict[str, str]) -> list[sa.Row[Any]]:
        (tmp_path / name).mkdir()
        run(lay_out(tmp_path / name, files), "zendesk", sink=Sink(store))
        with store.connect() as conn:
            return list(conn.execute(known.order_by(contacts.c.interaction_id)))

    dated = ("ticket_field_history_data", "ticket_comment_data", "satisfaction_rating_data")
    early = {name: lines(ZENDESK[name], lambda line: re.search("2025-05-0[1-5]", line) is not None) for name in dated}
    open_then = lines(ZENDESK["ticket_data"], lambda line: line.strip().startswith("70,"))
    early["ticket_data"] = open_then.replace("closed", "solved").replace("2025-05-20 10", "2025-05-04 09")
    [then] = pulled("then", ZENDESK | early)
    assert (then.reopens, then.resolved_at, then.score) == (0, at("2025-05-04 09:00"), None)
    changed = pulled("changed", ZENDESK)
    assert [row.reopens for row in changed] == [1, None, None]
    with store.begin() as conn:
        for name in ("surveys", "interactions"):
            conn.execute(sa.delete(CONTRACT[name]))
    assert pulled("everything", ZENDESK) == changed


INTERCOM = {
    "company_history_data": """
        id,updated_at,created_at,remote_created_at,monthly_spend,plan_name,name
        c1,2025-01-02 00:00:00,2025-01-01 00:00:00,2024-06-01 00:00:00,0,,One
        c1,2025-03-02 00:00:00,2025-01-01 00:00:00,2024-06-01 00:00:00,250,pro,One Ltd
        c2,2025-01-02 00:00:00,2025-01-01 00:00:00,,0,,Two""",
    "contact_company_history_data": """
        company_id,contact_id,contact_updated_at
        c2,p1,2025-01-01 00:00:00
        c1,p1,2025-02-01 00:00:00""",
    "conversation_contact_history_data": """
        contact_id,conversation_id,conversation_updated_at
        p1,10,2025-05-01 00:00:00
        p2,11,2025-05-01 00:00:00""",
    "conversation_history_data": """
        id,updated_at,conversation_rating_created_at,conversation_rating_value,created_at,source_delivered_as,source_type,state
        10,2025-05-01 09:00:00,,,2025-05-01 09:00:00,customer_initiated,conversation,open
        10,2025-05-03 09:00:00,,,2025-05-01 09:00:00,customer_initiated,conversation,closed
        10,2025-05-06 12:00:00,2025-05-06 12:00:00,2,2025-05-01 09:00:00,customer_initiated,conversation,closed
        11,2025-05-02 09:00:00,,,2025-05-02 09:00:00,campaigns_initiated,email,open""",
    "conversation_part_history_data": """
        id,assigned_to_id,author_id,author_type,conversation_id,created_at,part_type
        1,,p1,user,10,2025-05-01 09:10:00,comment
        2,,a1,admin,10,2025-05-01 09:20:00,note
        3,a1,a1,admin,10,2025-05-01 09:25:00,assignment
        4,,a1,admin,10,2025-05-01 10:00:00,comment
        5,a2,a1,admin,10,2025-05-02 10:00:00,assignment
        6,,a1,admin,10,2025-05-03 09:00:00,close
        7,,p1,user,10,2025-05-04 09:00:00,open
        8,,a2,admin,10,2025-05-06 09:00:00,close""",
}


def test_intercom(tmp_path: Path) -> None:
    frames, summary = read_folder(lay_out(tmp_path, INTERCOM), "intercom")
    accounts = {row["account_id"]: row for row in frames["accounts"].iter_rows(named=True)}
    assert (accounts["c1"]["name"], accounts["c1"]["mrr"], accounts["c1"]["plan"]) == ("One Ltd", 250.0, "pro")
    assert accounts["c1"]["started_at"] == at("2024-06-01 00:00")
    assert (accounts["c2"]["mrr"], accounts["c2"]["started_at"]) == (None, at("2025-01-01 00:00"))
    talks = rows(frames["interactions"])
    told = talks["10"]
    # the contact's company as it was last
    assert (told["account_id"], told["contact_id"]) == ("c1", "p1")
    assert told["first_response_at"] == at("2025-05-01 10:00")
    assert (told["resolved_at"], told["reopened_at"]) == (at("2025-05-06 09:00"), at("2025-05-04 09:00"))
    assert (told["reopens"], told["transfers"], told["outcome"]) == (1, 1, "resolved")
    assert (told["channel"], told["direction"]) == ("chat", "inbound")
    # somebody of no company: an orphan, not an account
    assert (talks["11"]["account_id"], talks["11"]["direction"]) == ("p2", "proactive")
    assert summary.tables["interactions"].orphan_rows == 1
    [rating] = frames["surveys"].to_dicts()
    asked = at("2025-05-06 12:00")
    assert (rating["score"], rating["account_id"], rating["sent_at"]) == (2.0, "c1", asked)


def test_intercom_asks_for_a_rating_and_is_answered_later_or_never(tmp_path: Path) -> None:
    """What Intercom calls the creation of a rating is when it was asked for."""
    told = """
        10,2025-05-07 08:00:00,2025-05-06 12:00:00,4,2025-05-01 09:00:00,customer_initiated,conversation,closed
        11,2025-05-08 09:00:00,2025-05-08 09:00:00,,2025-05-02 09:00:00,customer_initiated,conversation,closed"""
    asked = INTERCOM["conversation_history_data"].replace("2025-05-06 12:00:00,2,", "2025-05-06 12:00:00,,")
    frames, _ = read_folder(lay_out(tmp_path, INTERCOM | {"conversation_history_data": asked + told}), "intercom")
    surveys = {row["interaction_id"]: row for row in frames["surveys"].iter_rows(named=True)}
    assert (surveys["10"]["sent_at"], surveys["10"]["responded_at"]) == (at("2025-05-06 12:00"), at("2025-05-07 08:00"))
    assert (surveys["10"]["score"], surveys["11"]["score"]) == (4.0, None)
    assert (surveys["11"]["sent_at"], surveys["11"]["responded_at"]) == (at("2025-05-08 09:00"), None)


def test_intercom_parts_told_twice_and_answers_within_an_assignment(tmp_path: Path) -> None:
    parts = """
        id,updated_at,assigned_to_id,author_id,author_type,conversation_id,created_at,part_type,body
        1,2025-05-01 09:10:00,,p1,user,10,2025-05-01 09:10:00,comment,words
        1,2025-05-01 09:12:00,,p1,user,10,2025-05-01 09:10:00,comment,other words
        2,2025-05-01 09:20:00,a1,a1,admin,10,2025-05-01 09:20:00,assignment,
        3,2025-05-01 09:25:00,a2,a1,admin,10,2025-05-01 09:25:00,assignment,words
        4,2025-05-01 09:40:00,,a1,admin,10,2025-05-01 09:40:00,comment,words
        5,2025-05-01 09:50:00,,a1,admin,10,2025-05-01 09:50:00,close,"""
    frames, _ = read_folder(lay_out(tmp_path, INTERCOM | {"conversation_part_history_data": parts}), "intercom")
    told = rows(frames["interactions"])["10"]
    assert (told["customer_replies"], told["first_response_at"]) == (1, at("2025-05-01 09:25"))
    assert (told["transfers"], told["resolved_at"]) == (1, at("2025-05-01 09:50"))


HUBSPOT = {
    "company_data": """
        id,is_deleted,property_name,property_createdate,property_industry,property_country
        7,FALSE,Seven,2024-01-01 00:00:00,software,DE
        8,TRUE,Eight,2024-01-01 00:00:00,,""",
    "ticket_data": """
        id,is_deleted,property_closed_date,property_createdate,property_first_agent_reply_date,property_hs_pipeline_stage,property_hs_ticket_category
        1,FALSE,2025-05-09 09:00:00,2025-05-01 09:00:00,2025-05-01 10:00:00,s3,BILLING
        2,FALSE,,2025-05-02 09:00:00,,s1,
        3,TRUE,,2025-05-02 09:00:00,,s1,""",
    "ticket_company_data": """
        ticket_id,company_id
        1,7
        2,7""",
    "ticket_pipeline_stage_data": """
        stage_id,ticket_state
        s1,OPEN
        s2,OPEN
        s3,CLOSED
        s4,CLOSED""",
    "ticket_property_history_data": """
        ticket_id,name,timestamp_instant,value
        1,hs_pipeline_stage,2025-05-01 09:00:00,s1
        1,hs_ticket_priority,2025-05-01 09:00:00,LOW
        1,hubspot_owner_id,2025-05-01 09:00:00,o1
        1,hs_ticket_priority,2025-05-02 09:00:00,MEDIUM
        1,hs_pipeline_stage,2025-05-03 09:00:00,s4
        1,hs_pipeline_stage,2025-05-05 09:00:00,s2
        1,hs_ticket_priority,2025-05-05 10:00:00,HIGH
        1,hubspot_owner_id,2025-05-06 09:00:00,o2
        1,hs_pipeline_stage,2025-05-09 09:00:00,s3""",
}


def test_hubspot(tmp_path: Path) -> None:
    frames, _ = read_folder(lay_out(tmp_path, HUBSPOT), "hubspot")
    assert frames["accounts"]["account_id"].to_list() == ["7"]
    tickets = rows(frames["interactions"])
    assert sorted(tickets) == ["1", "2"]
    solved = tickets["1"]
    assert (solved["account_id"], solved["category"], solved["outcome"]) == ("7", "BILLING", "resolved")
    assert solved["first_response_at"] == at("2025-05-01 10:00")
    assert (solved["resolved_at"], solved["reopened_at"]) == (at("2025-05-09 09:00"), at("2025-05-05 09:00"))
    assert (solved["reopens"], solved["transfers"]) == (1, 1)
    assert solved["escalated_at"] == at("2025-05-05 10:00")
    assert (tickets["2"]["resolved_at"], tickets["2"]["outcome"]) == (None, None)


def test_hubspot_feedback(tmp_path: Path) -> None:
    feedback = {
        "feedback_submission": """
            id,is_deleted,property_hs_survey_type,property_hs_value,property_hs_content,property_hs_submission_timestamp,property_hs_createdate
            f1,FALSE,CSAT,5,fine,2025-05-10 09:00:00,2025-05-10 09:00:05
            f2,FALSE,NPS,3,,,2025-05-11 09:00:00
            f3,FALSE,CES,,no score,2025-05-11 09:00:00,2025-05-11 09:00:00""",
        "feedback_submission_company": """
            feedback_submission_id,company_id
            f2,7""",
        "feedback_submission_ticket": """
            feedback_submission_id,ticket_id
            f1,1""",
    }
    frames, _ = read_folder(lay_out(tmp_path, HUBSPOT | feedback), "hubspot")
    found = {row["survey_id"]: row for row in frames["surveys"].iter_rows(named=True)}
    assert sorted(found) == ["f1", "f2"]
    # the company of the ticket it is about
    assert (found["f1"]["account_id"], found["f1"]["interaction_id"], found["f1"]["instrument"]) == ("7", "1", "csat")
    assert (found["f1"]["score"], found["f1"]["responded_at"]) == (5.0, at("2025-05-10 09:00"))
    assert (found["f2"]["account_id"], found["f2"]["instrument"], found["f2"]["sent_at"]) == ("7", "nps", None)


def test_without_the_optional_files(tmp_path: Path) -> None:
    slim = {name: text for name, text in HUBSPOT.items() if name != "ticket_property_history_data"}
    frames, _ = read_folder(lay_out(tmp_path, slim), "hubspot")
    solved = rows(frames["interactions"])["1"]
    assert (solved["resolved_at"], solved["reopens"]) == (at("2025-05-09 09:00"), None)


@pytest.mark.parametrize(
    ("vendor", "accounts", "contacts"), [("zendesk", 10, 8), ("intercom", 9, 2), ("hubspot", 24, 0)]
)
def test_the_layouts_of_real_exports_are_read(vendor: str, accounts: int, contacts: int) -> None:
    frames, _ = read_folder(shared_data("export_shapes") / vendor, vendor)
    assert frames["accounts"].height == accounts
    # HubSpot's sample does not say whose its tickets are: keys of its files do not meet.
    assert frames["interactions"].height == contacts
