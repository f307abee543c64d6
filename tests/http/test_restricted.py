"""A key restricted to a book: to its holder everybody else's accounts do not exist, on any route.

Ana has eleven of the cast, Bob has `fading`; whatever is asked about `fading` with Ana's key is answered as it is about
`nobody`, an id that nobody has described.
"""

import base64
import json
import re
import threading
from contextlib import contextmanager

import polars as pl
import pytest
import sqlalchemy as sa

from models.errors import ContractError, UnknownAccount
from models.store.audit import By
from models.store.books import Book, held
from models.store.engine import writing
from models.store.keys import create_key
from models.store.narrowed import NOT_THERE, upsert_within
from models.store.opinions import Sentiment
from models.store.overrides import Override
from models.store.upsert import upsert
from tests.http.cast import NOW, accounts, day, tell_story
from tests.http.conftest import let_go, serve

ANA, BOB = "ana@example.org", "bob@example.org"
MINE, THEIRS, NOBODYS = "slipping", "fading", "nobody"
LIST = "/v1/risk-lists/silent"


def restricted(served):
    """The application with keys restricted to Ana's accounts."""
    for who, scopes in {"ana": ["read"], "ana_writes": ["write"]}.items():
        served.keys[who] = create_key(served.engine, who, scopes, NOW, book=Book(owners=(ANA,)))[1]
    return served


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ana(request, databases, model_store):
    """The cast's application, for tests that change nothing."""
    with databases.open(request.param) as engine:
        found = serve(engine, *model_store)
        tell_story(engine, found.artefacts, found.model_id)
        yield restricted(found)
        let_go(found)


@pytest.fixture
def alone(told):
    """The same for a test that writes."""
    return restricted(told)


def answered(got, account_id: str) -> tuple:
    """Everything a caller can see of an answer, with the id he asked about left out."""
    text = got.get_data(as_text=True).replace(account_id, "ID")
    text = re.sub(r'"request_id": ?"\w+"', "", text)
    headers = {name: value for name, value in got.headers.items() if name != "X-Request-Id"}
    headers["Content-Length"] = str(int(headers["Content-Length"]) - len(account_id) * text.count("ID"))
    return got.status_code, text, headers


@contextmanager
def statements(engine):
    """The statements that answering sends to the database; not those of the thread that remembers a key's use."""
    seen, me = [], threading.get_ident()

    def remember(*args):
        if threading.get_ident() == me:
            seen.append(args[2])

    sa.event.listen(engine, "before_cursor_execute", remember)
    yield seen


@pytest.mark.parametrize(
    "rest", ["/health", "/scores", "/changes?from=2026-05-01T00:00:00Z", "/changes", "/scores?x=1"]
)
def test_an_account_of_somebody_else_is_one_nobody_has_described(ana, rest):
    assert ana.get(f"/v1/accounts/{MINE}{rest}", "ana").status_code != 404
    with statements(ana.app.extensions["ebbtide"].store.engine) as seen:
        theirs = ana.get(f"/v1/accounts/{THEIRS}{rest}", "ana")
        costs = seen[:]
        seen.clear()
        nobodys = ana.get(f"/v1/accounts/{NOBODYS}{rest}", "ana")
    assert answered(theirs, THEIRS) == answered(nobodys, NOBODYS)
    assert theirs.json["code"] == "unknown_account"
    assert costs == seen, "existence must not be told by the work it makes"


def test_who_has_an_account_now_counts(alone):
    moved = accounts().filter(account_id=MINE).with_columns(owner=accounts().filter(account_id=THEIRS)["owner"])
    upsert(alone.engine, "accounts", moved)
    assert alone.get(f"/v1/accounts/{MINE}/health", "ana").status_code == 404
    assert MINE not in alone.get(LIST, "ana").get_data(as_text=True), "though it was Ana's when the list was published"


def test_her_list_is_a_list_of_hers_alone(ana):
    everybody = ana.get(LIST).json
    mine = ana.get(LIST, "ana").json
    told = [entry for entry in everybody["entries"] if entry["owner"] == ANA]
    assert THEIRS in [entry["account_id"] for entry in everybody["entries"]]
    assert mine["entries"] == [entry | {"rank": n} for n, entry in enumerate(told, 1)]
    assert mine["list"] == everybody["list"] | {"entries": len(told), "population": {}}


def test_her_pages_and_their_cursors_count_hers_alone(ana):
    whole, seen, path = ana.get(LIST, "ana").json["entries"], [], f"{LIST}?limit=1"
    while path:
        body = ana.get(path, "ana").json
        seen += body["entries"]
        if body["next_cursor"]:
            padded = body["next_cursor"] + "=" * (-len(body["next_cursor"]) % 4)
            assert json.loads(base64.urlsafe_b64decode(padded))[1] == len(seen)
        path = body["next"]
    assert seen == whole
    assert len(seen) > 2


def test_ranks_are_counted_before_filters_narrow(ana):
    whole = ana.get(LIST, "ana").json["entries"]
    narrowed = ana.get(f"{LIST}?segment=smb&rank_by=expected_loss", "ana").json["entries"]
    assert narrowed == [entry for entry in whole if entry["segment"] == "smb"]
    assert ana.get(f"{LIST}?owner={BOB}", "ana").json["entries"] == []


def test_her_spreadsheet_has_hers_alone(ana):
    got = ana.get(LIST, "ana", headers={"Accept": "text/csv"}).get_data(as_text=True)
    assert MINE in got
    assert THEIRS not in got
    assert BOB not in got


def test_the_tag_of_her_list_says_nothing_of_others(alone):
    tag = alone.get(LIST, "ana").headers["ETag"]
    upsert(alone.engine, "accounts", accounts().filter(account_id=THEIRS).with_columns(region=pl.lit("west")))
    assert alone.get(LIST, "ana").headers["ETag"] == tag


def test_a_cursor_of_another_key_is_refused(ana):
    cursor = ana.get(f"{LIST}?limit=1").json["next_cursor"]
    assert ana.get(f"{LIST}?cursor={cursor}", "ana").json["code"] == "invalid_cursor"


def forged(cursor: str, list_id: int) -> str:
    """The cursor, into another list: it is no secret how they are made."""
    _, _, digest = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    return base64.urlsafe_b64encode(json.dumps([list_id, 0, digest]).encode()).decode().rstrip("=")


def test_a_cursor_she_made_up_opens_no_list_that_was_issued_to_others(alone):
    """Entries of such a list say their place among everybody's."""
    issued = alone.post("/v1/risk-lists", {"capacity": 5}).json["list"]["list_id"]
    cursor = alone.get(f"{LIST}?limit=1", "ana").json["next_cursor"]
    theirs, nobodys = (alone.get(f"{LIST}?cursor={forged(cursor, n)}", "ana") for n in (issued, 777))
    assert (theirs.status_code, theirs.json["code"]) == (410, "list_expired")
    assert answered(theirs, str(issued)) == answered(nobodys, "777")
    plain = alone.get(f"{LIST}?limit=1").json["next_cursor"]
    assert alone.get(f"{LIST}?cursor={forged(plain, issued)}").status_code == 410


def test_scores_on_demand(ana):
    body = {"items": [{"id": "1", "account_id": name} for name in (MINE, THEIRS, NOBODYS)]}
    mine, theirs, nobodys = ana.post("/v1/scores", body, "ana").json["results"]
    assert mine["status"] == "scored"
    as_nobody = json.loads(json.dumps(nobodys).replace(NOBODYS, THEIRS).replace("/items/2", "/items/1"))
    assert theirs == as_nobody
    assert theirs["errors"][0]["code"] == "unknown_account"


def test_how_far_everybodys_data_reach_is_not_told(ana):
    told = ana.get(f"/v1/accounts/{MINE}/health", "ana").json["data"]
    assert told == {
        "interactions_recorded_until": None, "surveys_recorded_until": None, "contacts_up_to_date": True,
        "contacts_quiet_since": None,
    }  # fmt: skip


def test_how_well_the_model_did_on_everybody_is_not_told(ana):
    assert ana.get("/v1/model").json["metrics"] != {}
    assert ana.get("/v1/model", "ana").json["metrics"] == {}


@pytest.mark.parametrize("path", ["/v1/model/monitor"])
def test_what_speaks_of_all_is_closed(ana, path):
    got = ana.get(path, "ana")
    assert (got.status_code, got.json["code"]) == (403, "restricted_key")


@pytest.mark.parametrize("path", ["/v1/interactions", "/v1/surveys"])
def test_rows_whose_ids_are_everybodys_are_not_hers_to_write(ana, path):
    """Whether an id is taken would be told by `created` or `updated`."""
    got = ana.post(path, {"items": [{}]}, "ana_writes")
    assert (got.status_code, got.json["code"]) == (403, "restricted_key")


def test_she_writes_accounts_of_hers(alone):
    row = {"owner": ANA, "segment": "smb", "name": "New name", "started_at": day(500).isoformat()}
    items = [{"account_id": name, **row} for name in (MINE, THEIRS, NOBODYS)]
    mine, theirs, nobodys = alone.post("/v1/accounts", {"items": items}, "ana_writes").json["results"]
    assert mine["status"] == "updated"
    assert theirs == json.loads(json.dumps(nobodys).replace(NOBODYS, THEIRS).replace("/items/2", "/items/1"))
    assert theirs["errors"][0]["code"] == "unknown_account"
    answers = [answered(alone.put(f"/v1/accounts/{name}", row, "ana_writes"), name) for name in (THEIRS, NOBODYS)]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    assert alone.put(f"/v1/accounts/{MINE}", row, "ana_writes").status_code == 200


def test_she_cannot_give_an_account_away(alone):
    for row in ({"owner": BOB}, {}):
        got = alone.put(f"/v1/accounts/{MINE}", row, "ana_writes")
        assert (got.status_code, got.json["errors"][0]["code"]) == (422, "outside_book")
    with alone.engine.connect() as conn:
        assert conn.scalar(sa.text("SELECT owner FROM accounts WHERE account_id = 'slipping'")) == ANA


def whole(account_id: str, **values: str) -> pl.DataFrame:
    """An account of the cast as a request describes it anew."""
    row = accounts().filter(account_id=account_id).with_columns(parent_id=pl.lit(None, pl.String))
    return row.with_columns(pl.lit(value).alias(name) for name, value in values.items())


def test_what_has_left_the_book_since_it_was_looked_up_is_not_written(alone):
    """The store asks once more, in the transaction that writes."""
    store, book = alone.app.extensions["ebbtide"].store, Book(owners=(ANA,))
    row = whole(THEIRS, owner=ANA)
    view = Sentiment(THEIRS, NOW, 1, "ana", None, "key")
    override = Override(THEIRS, "watch", "ana", "why", NOW, "key", day(-30))
    for write in (
        lambda: store.put_account(row, None, book),
        lambda: store.put_account(row, lambda _tag: True, book),
        lambda: store.put_sentiment(view, book),
        lambda: store.put_override(override, By("key", NOW), book),
        lambda: store.end_override(THEIRS, By("key", NOW), book),
    ):
        with pytest.raises(UnknownAccount):
            write()
    assert store.upsert("accounts", row, book).to_list() == [NOT_THERE]
    assert alone.get(f"/v1/accounts/{THEIRS}").json["owner"] == BOB


def test_nobody_moves_an_account_while_it_is_written(alone):
    moved = accounts().filter(account_id=MINE).with_columns(owner=pl.lit(BOB))
    mover = threading.Thread(target=upsert, args=(alone.engine, "accounts", moved))
    with writing(alone.engine) as conn:
        assert held(conn, Book(owners=(ANA,)), [MINE, THEIRS], keep=True) == {MINE}
        mover.start()
        mover.join(timeout=0.3)
        assert mover.is_alive()
        row = whole(MINE, name="hers")
        assert upsert_within(conn, "accounts", row, Book(owners=(ANA,)), NOW).to_list() == ["updated"]
    mover.join(timeout=30)
    assert not mover.is_alive()
    assert alone.get(f"/v1/accounts/{MINE}", "ana").status_code == 404


def test_a_parent_that_is_somebody_elses_is_not_there_for_her_and_stays(alone):
    path = f"/v1/accounts/{MINE}"
    before = alone.get(path, "ana")
    own = {name: value for name, value in before.json.items() if value is not None and name != "recorded_at"}
    upsert(alone.engine, "accounts", accounts().filter(account_id=MINE).with_columns(parent_id=pl.lit(THEIRS)))
    seen = alone.get(path, "ana")
    assert (seen.json, seen.headers["ETag"]) == (before.json, before.headers["ETag"])
    assert alone.get(path).json["parent_id"] == THEIRS
    # what she reads she may send back, and nothing is lost by it
    headers = alone.headers("ana_writes") | {"If-Match": seen.headers["ETag"]}
    got = alone.client.put(path, json=own | {"region": "west"}, headers=headers)
    assert (got.status_code, got.json["status"]) == (200, "updated")
    assert got.headers["ETag"] == alone.get(path, "ana").headers["ETag"]
    assert alone.post("/v1/accounts", {"items": [own]}, "ana_writes").json["results"][0]["status"] == "updated"
    assert alone.get(path).json["parent_id"] == THEIRS
    # one she cannot see is one that nobody described
    answers = [answered(alone.put(path, own | {"parent_id": p}, "ana_writes"), p) for p in (THEIRS, NOBODYS)]
    assert answers[0] == answers[1]
    assert (answers[0][0], '"unknown_account"' in answers[0][1]) == (422, True)
    assert alone.put(path, own | {"parent_id": "vocal"}, "ana_writes").status_code == 200
    assert alone.get(path, "ana").json["parent_id"] == "vocal"


def test_she_writes_measures_of_hers(alone):
    row = {"name": "logins", "value": 3, "at": day(2).isoformat()}
    items = [{"account_id": name, **row} for name in (MINE, THEIRS, NOBODYS)]
    got = alone.post("/v1/measures", {"items": items}, "ana_writes").json
    assert [item["status"] for item in got["results"]] == ["created", "rejected", "rejected"]
    with alone.engine.connect() as conn:
        assert conn.scalars(sa.text("SELECT account_id FROM measures")).all() == [MINE]


@pytest.mark.parametrize(
    ("book", "mine"),
    [
        (Book(segments=("mid",)), {"priceless"}),
        (Book(owners=(BOB, ANA), segments=("mid",)), {"priceless"}),
        (Book(owners=(BOB,), segments=("mid",)), set()),
        (Book(owners=("nobody@example.org",)), set()),
    ],
)
def test_books(ana, book, mine):
    ana.keys["x"] = create_key(ana.engine, "x", ["read"], NOW, book=book)[1]
    assert {entry["account_id"] for entry in ana.get(LIST, "x").json["entries"]} == mine
    assert {
        name for name in ("priceless", "fading") if ana.get(f"/v1/accounts/{name}/health", "x").status_code == 200
    } == mine


def test_nobody_restricts_an_admin(sqlite_store):
    with pytest.raises(ContractError, match="cannot be restricted"):
        create_key(sqlite_store, "x", ["read", "admin"], NOW, book=Book(owners=(ANA,)))


def test_a_score_key_scores_what_it_sends_and_reads_nothing(told):
    told.keys["scores"] = create_key(told.engine, "scores", ["score"], NOW)[1]
    got = told.post(
        "/v1/scores", {"items": [{"features": {}}, {"account_id": MINE}, {"account_id": NOBODYS}]}, "scores"
    )
    assert [item["status"] for item in got.json["results"]] == ["scored", "rejected", "rejected"]
    assert {item["errors"][0]["code"] for item in got.json["results"][1:]} == {"forbidden"}
    assert told.get(f"/v1/accounts/{MINE}/health", "scores").status_code == 403
    assert told.post("/v1/scores", {"items": [{"account_id": MINE}]}, "reader").status_code == 200, "read includes it"
