"""Erased for good: nothing of an account is left in any table, lists still count, and it does not come back."""

import json
import threading
import zlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.store import erased
from models.store.audit import By, lines
from models.store.engine import writing
from models.store.erasure import erase, holds, mentions, readmit
from models.store.given_out import page
from models.store.import_runs import finish_import, start_import
from models.store.inbound import keep
from models.store.lists import publish_list
from models.store.scores import save_scores
from models.store.tables import (
    CONTRACT,
    erasures,
    health_overrides,
    idempotent_answers,
    metadata,
    risk_list_receipts,
    risk_lists,
    sentiments,
    webhook_deliveries,
    webhook_events,
)
from models.store.upsert import upsert, upsert_rows
from tests.store import cast
from tests.store.cast import HOUR, T, rows, stored

BY = By("key:1", T)


def fill(engine: Engine) -> None:
    """Acme with everything a store can hold, its child, and Borea, who stays."""
    accounts = [
        {"account_id": "acme", "name": "Acme GmbH", "owner": "mia"},
        {"account_id": "child", "parent_id": "acme"},
        {"account_id": "borea", "name": "Borea"},
    ]
    upsert(engine, "accounts", rows("accounts", *accounts))
    for who in ("acme", "borea"):
        contact = {"interaction_id": f"i-{who[0]}", "account_id": who, "contact_id": "ana", "opened_at": T}
        upsert(engine, "interactions", rows("interactions", contact))
        answer = {"survey_id": f"s-{who[0]}", "account_id": who, "contact_id": "ana", "instrument": "csat"}
        answered = answer | {"sent_at": T, "responded_at": T + HOUR, "score": 4.0, "comment": "Ana says hello"}
        upsert(engine, "surveys", rows("surveys", answered))
        upsert(engine, "contracts", rows("contracts", {"account_id": who, "effective_at": T, "mrr": 1.0}))
        touch = {"outreach_id": f"o-{who[0]}", "account_id": who, "at": T, "kind": "call"}
        upsert(engine, "outreach", rows("outreach", touch))
        measure = {"account_id": who, "name": "delay", "value": 3.0, "at": T}
        upsert(engine, "measures", rows("measures", measure))
    both = ["acme", "borea"]
    save_scores(engine, cast.scores(both), cast.features(both), computed_at=T)
    entries = cast.entries({"account_id": "acme", "name": "Acme GmbH"}, {"account_id": "borea"})
    told: dict[str, Any] = {"as_of": T, "model_id": "m-1", "population": {}, "parameters": {}, "created_at": T}
    list_id = publish_list(engine, "silent", entries, **told)
    changes = {"new": [{"account_id": "acme", "name": "Acme GmbH", "p_silent": 0.2}], "left": [{"account_id": "borea"}]}
    receipt = {"list_id": list_id, "pool": zlib.compress(json.dumps(["borea", "acme"]).encode()), "changes": changes}
    with engine.begin() as conn:
        conn.execute(risk_list_receipts.insert().values(receipt))
        for no, (who, data) in enumerate((("acme", {"account_id": "acme"}), ("borea", {"contact_id": "ana"})), 1):
            event = {"event_no": no, "message_id": f"m{no}", "type": "survey.low_score", "at": T, "account_id": who}
            conn.execute(webhook_events.insert().values(event | {"data": data}))
            sent = {"endpoint_id": "e", "event_no": no, "account_id": who, "status": "pending", "attempts": 0}
            conn.execute(webhook_deliveries.insert().values(sent | {"created_at": T, "log": []}))
            answer = {"key_id": "k", "idempotency_key": f"{no}", "fingerprint": "f", "started_at": T, "kept_until": T}
            body = zlib.compress(json.dumps({"items": [{"id": who, "status": "created"}]}).encode())
            conn.execute(idempotent_answers.insert().values(answer | {"status": 200, "body": body}))
            opinion = {"account_id": who, "at": T, "sentiment": 2, "who": "mia", "note": "quiet", "set_by": "key:1"}
            conn.execute(sentiments.insert().values(opinion))
            shown = {"account_id": who, "band": "watch", "owner": "mia", "reason": "calls back", "set_by": "key:1"}
            conn.execute(
                health_overrides.insert().values(shown | dict.fromkeys(("set_at", "expires_at", "changed_at"), T))
            )
    with engine.begin() as conn:
        answer = {"key_id": "k", "fingerprint": "f", "started_at": T, "kept_until": T, "status": 200}
        said = answer | {"idempotency_key": "put acme 1", "body": zlib.compress(b"{}")}
        conn.execute(idempotent_answers.insert().values(said))
    problem = {"line": 3, "column": "account_id", "value": "acme", "reason": "is odd"}
    keep(engine, "zendesk", b'{"type": "zen:event-type:organization.created", "detail": {"id": "acme"}}', T)
    run = start_import(engine, "contract: history", T)
    finish_import(engine, run, T, "done", {"tables": {"accounts": {"problems": [problem]}}})
    run = start_import(engine, "contract: history", T)
    finish_import(engine, run, T, "failed", {"error": "The list has acme twice."})


def everything(engine: Engine) -> str:
    """Every cell of every table, as one text."""
    cells = []
    with engine.connect() as conn:
        for table in metadata.tables.values():
            for row in conn.execute(sa.select(table)):
                for cell in row:
                    if isinstance(cell, bytes) and table in (risk_list_receipts, idempotent_answers):
                        cell = zlib.decompress(cell)  # noqa: PLW2901
                    cells.append(cell.decode("latin-1") if isinstance(cell, bytes) else json.dumps(cell, default=str))
    return "\n".join(cells)


def test_nothing_of_an_erased_account_is_left_anywhere(store: Engine) -> None:
    fill(store)
    assert "acme" in everything(store)
    receipt = erase(store, "account", "acme", replace(BY, at=T + 5 * HOUR))
    left = everything(store)
    assert "acme" not in left
    assert "Acme" not in left
    assert {one.table: one.rows for one in receipt.tables} == {
        **dict.fromkeys(("interactions", "surveys", "contracts", "outreach", "measures", "accounts"), 1),
        **dict.fromkeys(("latest_scores", "scores", "risk_list_entries", "risk_list_receipts"), 1),
        "imports": 2,
        **dict.fromkeys(("webhook_events", "webhook_deliveries", "sentiments", "health_overrides"), 1),
        "idempotent_answers": 2,
        "inbound_messages": 1,
    }
    assert (receipt.scored_by, receipt.first_known) == (("m-1",), T)
    with store.connect() as conn:
        [line] = lines(conn, 10)
    assert (line.action, line.subject, line.actor) == ("personal_data.erased", receipt.pseudonym, "key:1")
    assert line.details["rows"]["interactions"] == 1
    # the others stay as they were, and the child has forgotten its parent
    assert [(a["account_id"], a["parent_id"]) for a in stored(store, "accounts")] == [("borea", None), ("child", None)]
    assert [i["contact_id"] for i in stored(store, "interactions")] == ["ana"]


def test_the_file_itself_holds_nothing_of_it_any_more(sqlite_store: Engine) -> None:
    """SQLite leaves what was deleted lie in its pages and in its log, where any editor finds it."""
    fill(sqlite_store)
    many = [{"interaction_id": f"n{i}", "account_id": "acme", "opened_at": T} for i in range(2_000)]
    upsert(sqlite_store, "interactions", rows("interactions", *many))
    with sqlite_store.begin() as conn:  # an old list, say: its pages are free before anybody asks for an erasure
        conn.exec_driver_sql("CREATE TABLE old (name TEXT)")
        conn.exec_driver_sql("INSERT INTO old VALUES (?)", ("Acme GmbH " * 5_000,))
    with sqlite_store.begin() as conn:
        conn.exec_driver_sql("DROP TABLE old")
    path = Path(sqlite_store.url.database or "")
    files = (path, path.with_name(f"{path.name}-wal"))
    assert any(b"acme" in file.read_bytes() for file in files)
    erase(sqlite_store, "account", "acme", BY)
    for file in files:
        assert b"acme" not in file.read_bytes().lower()
    # connections go on as before
    with sqlite_store.connect() as conn:
        assert conn.exec_driver_sql("PRAGMA secure_delete").scalar() == 2


def test_lists_still_count(sqlite_store: Engine) -> None:
    fill(sqlite_store)
    alias = erase(sqlite_store, "account", "acme", BY).pseudonym
    with sqlite_store.connect() as conn:
        counted = conn.scalar(sa.select(risk_lists.c.entries))
        entries = conn.execute(sa.text("SELECT account_id, name, p_silent FROM risk_list_entries ORDER BY 1")).all()
        row = conn.execute(sa.select(risk_list_receipts)).one()
    assert counted == len(entries) == 2
    assert [tuple(entry) for entry in entries] == [("borea", "x", 0.25), (alias, None, 0.25)]
    assert json.loads(zlib.decompress(row.pool)) == ["borea", alias]
    assert row.changes["new"] == [{"account_id": alias, "name": None, "p_silent": 0.2}]


ACME = rows("accounts", {"account_id": "acme", "name": "Acme GmbH"}, {"account_id": "new", "parent_id": "acme"})


def test_among_many_it_is_found_too(sqlite_store: Engine) -> None:
    everybody = [{"account_id": f"a{i}", "parent_id": "a7"} for i in range(erased.MANY + 2)]
    upsert(sqlite_store, "accounts", rows("accounts", *everybody))
    erase(sqlite_store, "account", "a7", BY)
    counts = upsert(sqlite_store, "accounts", rows("accounts", *everybody))
    assert (counts.erased, counts.unchanged) == (1, erased.MANY + 1)


def test_an_erased_account_does_not_come_back_unless_told(store: Engine) -> None:
    fill(store)
    erase(store, "account", "acme", BY)
    assert upsert_rows(store, "accounts", ACME).to_list() == ["erased", "inserted"]
    counts = upsert(store, "accounts", ACME)
    assert (counts.erased, counts.unchanged, counts.rows) == (1, 1, 2)
    save_scores(store, cast.scores(["acme", "borea"]), None, computed_at=T)
    told: dict[str, Any] = {"as_of": T, "model_id": "m", "population": {}, "parameters": {}, "created_at": T}
    publish_list(store, "silent", cast.entries({"account_id": "acme"}, {"account_id": "borea"}), **told)
    assert "acme" not in everything(store)
    assert readmit(store, "account", "acme", replace(BY, at=T + HOUR))
    assert not readmit(store, "account", "acme", replace(BY, at=T + HOUR))
    assert upsert_rows(store, "accounts", ACME).to_list() == ["inserted", "updated"]


def test_what_is_being_written_is_erased_too(store: Engine) -> None:
    done: list[int] = []

    def erasing() -> None:
        done.append(erase(store, "account", "acme", BY).tables[0].rows)

    contact = rows("interactions", {"interaction_id": "late", "account_id": "acme", "opened_at": T})
    eraser = threading.Thread(target=erasing)
    with writing(store) as conn:
        upsert(conn, "interactions", contact)
        eraser.start()
        eraser.join(0.3)
        assert eraser.is_alive()  # it waits for those who asked before
    eraser.join(30)
    assert done == [1]
    assert upsert(store, "interactions", contact).erased == 1
    assert stored(store, "interactions") == []


def test_an_erased_person_is_unnamed_and_stays_so(store: Engine) -> None:
    fill(store)
    receipt = erase(store, "contact", "ana", BY)
    left = everything(store)
    assert '"ana"' not in left
    assert "Ana says" not in left
    assert {one.table: one.rows for one in receipt.tables if one.rows} == {
        **dict.fromkeys(("interactions", "surveys"), 2),
        "webhook_events": 1,
    }
    assert [(s["score"], s["comment"]) for s in stored(store, "surveys")] == [(4.0, None)] * 2
    again = rows("interactions", {"interaction_id": "i-a", "account_id": "acme", "contact_id": "ana", "opened_at": T})
    assert upsert(store, "interactions", again).unchanged == 1
    more = again.with_columns(interaction_id=pl.lit("i-9"))
    assert upsert(store, "interactions", more).inserted == 1
    assert '"ana"' not in everything(store)


def test_somebody_who_stands_as_an_account_is_erased_as_one(sqlite_store: Engine) -> None:
    mine = rows("interactions", {"interaction_id": "1", "account_id": "ben", "contact_id": "ben", "opened_at": T})
    upsert(sqlite_store, "interactions", mine)
    erase(sqlite_store, "contact", "ben", BY)
    assert stored(sqlite_store, "interactions") == []
    assert upsert(sqlite_store, "interactions", mine).erased == 1


def test_a_company_that_has_the_number_of_a_person_is_left_alone(store: Engine) -> None:
    """Counted in one system, companies and people have the same numbers."""
    under = {"account_id": "7", "opened_at": T}
    contacts = rows("interactions", {"interaction_id": "1", **under, "contact_id": "7"},
                    {"interaction_id": "2", **under, "contact_id": "8"})  # fmt: skip
    upsert(store, "interactions", contacts)
    erase(store, "contact", "7", BY)
    assert [(i["account_id"], i["contact_id"]) for i in stored(store, "interactions")] == [("7", None), ("7", "8")]
    assert upsert(store, "accounts", rows("accounts", {"account_id": "7"})).inserted == 1
    erase(store, "contact", "9", BY)
    assert upsert(store, "accounts", rows("accounts", {"account_id": "9"})).inserted == 1
    # but a person who had a company, and has none in the next export, does not come back as an account
    alone = {"interaction_id": "3", "account_id": "9", "contact_id": "9", "opened_at": T}
    assert upsert(store, "interactions", rows("interactions", alone)).erased == 1


def test_everything_stored_is_given_out_page_by_page(store: Engine) -> None:
    fill(store)
    whole, more = page(store, "account", "acme", None, 100)
    assert not more
    assert [entry["table"] for entry in whole] == [
        *("accounts", "interactions", "surveys", "contracts", "outreach", "measures", "scores", "risk_list_entries"),
        *("health_overrides", "sentiments", "webhook_deliveries", "webhook_events"),
    ]
    assert whole[2]["row"]["comment"] == "Ana says hello"
    assert whole[6]["row"]["features"] == {"contacts_90d": 0.0, "csat": None, "segment": "smb"}
    for limit in (1, 3):
        pieces, after = page(store, "account", "acme", None, limit)
        while after is not None:
            part, after = page(store, "account", "acme", after, limit)
            pieces += part
        assert pieces == whole
    persons, _ = page(store, "contact", "ana", None, 100)
    assert [entry["table"] for entry in persons] == ["interactions"] * 2 + ["surveys"] * 2


def test_what_is_remembered_says_nothing_without_the_key(sqlite_store: Engine) -> None:
    fill(sqlite_store)
    erase(sqlite_store, "account", "acme", BY)
    with sqlite_store.connect() as conn:
        key = erased.the_key(conn)
        [remembered] = conn.execute(sa.select(erasures)).all()
        assert holds(conn, "account", "acme")  # known to be kept out: erasing again is no mistake
        assert not holds(conn, "account", "nobody")
    assert remembered.hash == erased.digest(key, "account", "acme") != erased.digest("0f" * 32, "account", "acme")
    assert remembered.receipt["rows"]["interactions"] == 1
    assert erase(sqlite_store, "account", "acme", replace(BY, at=T + timedelta(days=1))).tables[0].rows == 0


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("7", True),
        (7, True),
        ({"ticket": {"organization_id": 7}}, True),
        ('{"a": ["7"]}', True),
        (b'{"a": 7}', True),
        ({"7": 1}, True),
        ("order 7 is late", True),
        ("order 77 is late", False),
        ({"a": 77, "b": "x-7"}, False),
        ('{"a": 7.5}', False),
        (None, False),
        (True, False),
    ],
)
def test_what_names_an_id(value: Any, found: bool) -> None:
    assert mentions(value, "7", numbers=True) is found


@pytest.mark.parametrize(
    ("written", "ident"),
    [(r"a\/b", "a/b"), (r"a\"b", 'a"b'), (r"a\\b", "a\\b"), (r"\u00e4", "ä"), (r"a\tb", "a\tb")],
    ids=["slash", "quote", "backslash", "letter", "tab"],
)
def test_an_id_is_found_however_json_writes_it(written: str, ident: str) -> None:
    assert mentions(f'{{"detail": {{"id": "{written}"}}}}', ident)
    assert not mentions(f'{{"detail": {{"id": "{written}x"}}}}', ident)


def test_our_own_counts_name_nobody() -> None:
    assert not mentions({"created": 7, "items": ["a"]}, "7")
    assert mentions({"created": 0, "items": [{"id": "7"}]}, "7")


def test_contract_tables_have_columns_that_tell() -> None:
    assert all("account_id" in table.c for table in CONTRACT.values())
