"""Nothing leaks, on any route: every operation of the OpenAPI document with every kind of key.

Requests are made from the description, so that a new route is covered without being named; one whose parameters or
body cannot be made up fails. Two worlds differ by Bob's accounts alone: whatever is asked with Ana's key is answered
the same in both. Within one world, whatever is asked about an account of Bob's is answered as it is about an id nobody
has described, for the same look-ups in the database.
"""

import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
import sqlalchemy as sa

from models.loading import load_model
from models.store.books import Book
from models.store.keys import create_key, revoke_key
from models.store.scoring import score_store
from models.store.tables import api_keys
from models.store.upsert import upsert
from tests.http import cast
from tests.http.cast import NOW, day
from tests.http.conftest import Served, serve

ANA, BOB = "ana@example.org", "bob@example.org"
MINE, THEIRS, NOBODYS = "slipping", "fading", "undescribed"
#: What nobody but Bob should see: the names of his accounts and his own. (Ids are echoed to those who ask for them.)
SECRETS = ("Fading, Inc", BOB)
#: Parameters of addresses; one that is not here is a route this test does not know how to call.
IN_PATH = {
    "account_id": None,
    "contact_id": "c-1",
    "list_id": "1",
    "webhook_id": "we_0",
    "key_id": "0" * 12,
    "name": "docs.js",
}
#: Members and query parameters that cannot be made up from their type.
VALUES: dict[str, Any] = {
    "url": "https://receiver.example.org/x",
    "from": "2026-05-30T00:00:00Z",
    "capacity": 5,
    "expires_at": "2027-01-01T00:00:00Z",
    "score": 4.0,
    "scale_min": 1.0,
    "scale_max": 5.0,
}
#: Members that are made up although they may be left out: one of several is needed, or it says whose a row is.
ALSO = ("account_id", "owner", "url", "failed_since")
#: Headers that differ from request to request; the length follows from the id asked about.
HEADERS_ASIDE = ("X-Request-Id", "Content-Length", "Date", "Location")
EVERYTHING = ["read", "write", "score"]


@dataclass(frozen=True)
class Operation:
    """A described operation, and how to ask for it."""

    method: str
    path: str
    scope: str | None
    parameters: list[dict[str, Any]]
    body: dict[str, Any] | None
    schemas: dict[str, Any] = field(repr=False)

    @property
    def about_account(self) -> bool:
        return "{account_id}" in self.path

    def address(self, account_id: str) -> str:
        """The address with its parameters. Raises `KeyError` for one it does not know how to make up."""
        path = self.path
        for name in re.findall(r"{(\w+)}", path):
            path = path.replace(f"{{{name}}}", quote(IN_PATH[name] or account_id, safe=""))
        asked = [
            f"{p['name']}={VALUES[p['name']]}" for p in self.parameters if p["in"] == "query" and p.get("required")
        ]
        return f"{path}?{'&'.join(asked)}" if asked else path

    def content(self, account_id: str) -> Any:
        """A body that fits the description."""
        return None if self.body is None else self._made(self.body, "", account_id)

    def _made(self, schema: dict[str, Any], name: str, account_id: str) -> Any:
        if "$ref" in schema:
            schema = self.schemas[schema["$ref"].rsplit("/", 1)[1]]
        if name == "account_id":
            return account_id
        if name in VALUES:
            return VALUES[name]
        if "enum" in schema:
            return schema["enum"][0]
        kinds = schema.get("type", "object")
        kind = kinds if isinstance(kinds, str) else kinds[0]
        if kind == "object":
            return self._object(schema, account_id)
        if kind == "array":
            return [self._made(schema["items"], name.removesuffix("s"), account_id)]
        if schema.get("format") == "date-time":
            return "2026-05-20T00:00:00Z"
        return {"string": f"x-{name}", "integer": 1, "number": 1.0, "boolean": True}[kind]

    def _object(self, schema: dict[str, Any], account_id: str) -> dict[str, Any]:
        wanted = {*schema.get("required", []), *ALSO} & set(schema.get("properties", {}))
        made = {name: self._made(schema["properties"][name], name, account_id) for name in sorted(wanted)}
        return made | ({"owner": ANA} if "owner" in made else {})


def operations(served: Served) -> list[Operation]:
    """Every operation of the document, what takes away last."""
    document = served.client.get("/openapi.json").json
    found = [
        Operation(
            method.upper(), path, said.get("x-scope"),
            [*item.get("parameters", []), *said.get("parameters", [])],
            said["requestBody"]["content"]["application/json"]["schema"] if "requestBody" in said else None,
            document["components"]["schemas"],
        )
        for path, item in document["paths"].items()
        for method, said in item.items()
        if method != "parameters"
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.method == "DELETE", one.method != "GET"))


def world(engine, model_store, *, with_bob: bool) -> Served:
    """The cast's application, with Bob's accounts or as if they had never been."""
    mine = pl.lit(True) if with_bob else pl.col("account_id") != THEIRS
    # How far back contacts are known at all is the portfolio's, and Bob's are not to be the oldest.
    parent = pl.when(pl.col("account_id") == MINE).then(pl.lit(THEIRS)).alias("parent_id")
    upsert(engine, "accounts", cast.accounts().filter(mine).with_columns(parent))
    upsert(engine, "interactions", cast.interactions().filter(mine, pl.col("opened_at") > day(410)))
    upsert(engine, "surveys", cast.surveys().filter(mine))
    made, _ = load_model(*model_store)
    score_store(engine, made, NOW, who="test", clock=lambda: NOW, currency="EUR")
    found = serve(engine, *model_store)
    before = NOW - timedelta(days=2)
    for who, scopes, more in (
        ("ana", EVERYTHING, {"book": Book(owners=(ANA,))}),
        ("expired", ["admin"], {"expires_at": NOW - timedelta(days=1)}),
        ("revoked", ["admin"], {}),
    ):
        key, found.keys[who] = create_key(engine, who, scopes, before, **more)
        if who == "revoked":
            revoke_key(engine, key.key_id, NOW)
    found.keys |= {"unknown": f"ebb_{'0' * 12}_{'0' * 64}", **_scoped(engine)}
    return found


def _scoped(engine) -> dict[str, str]:
    """A key per scope that has nothing else."""
    return {f"only {scope}": create_key(engine, scope, [scope], NOW)[1] for scope in ("read", "write", "score")}


@pytest.fixture(scope="module")
def worlds(databases, model_store):
    with databases.open("sqlite") as one, databases.open("sqlite") as other:
        both = world(one, model_store, with_bob=True), world(other, model_store, with_bob=False)
        with one.connect() as conn:
            keys = [dict(row._mapping) for row in conn.execute(sa.select(api_keys))]
        with other.begin() as conn:
            conn.execute(api_keys.delete())
            conn.execute(api_keys.insert(), keys)
        both[1].keys |= both[0].keys
        yield both
        for served in both:
            served.app.extensions["ebbtide"].store.close()


@dataclass
class Seen:
    """All that a caller can see of an answer, the id he asked about left out, and what it cost."""

    status: int
    text: str
    headers: dict[str, str]
    statements: list[str]

    @property
    def plain(self) -> tuple:
        return self.status, self.text, self.headers


@contextmanager
def statements(engine):
    seen, me = [], threading.get_ident()

    def remember(*args):
        if threading.get_ident() == me:  # not the thread that remembers a key's use
            seen.append(args[2])

    sa.event.listen(engine, "before_cursor_execute", remember)
    yield seen
    sa.event.remove(engine, "before_cursor_execute", remember)


def ask(served: Served, operation: Operation, who: str | None, account_id: str) -> Seen:
    headers = {} if who is None else served.headers(who)
    options = {} if operation.body is None else {"json": operation.content(account_id)}
    with statements(served.app.extensions["ebbtide"].store.engine) as seen:
        got = served.client.open(operation.address(account_id), method=operation.method, headers=headers, **options)
    # Each request has an id, and each list that is issued the next number.
    text = re.sub(r'("request_id": ?)"\w+"|("list_id":)\d+', r"\1\2", got.get_data(as_text=True))
    parts = text.replace(account_id, "ID")
    kept = {name: value for name, value in got.headers.items() if name not in HEADERS_ASIDE}
    if account_id in text:
        kept.pop("ETag", None)  # it stands for the text, which is compared
    return Seen(got.status_code, parts, kept, seen[:])


REFUSED = {None: 401, "unknown": 401, "expired": 401, "revoked": 401}


@pytest.mark.parametrize("who", REFUSED, ids=lambda who: who or "none")
def test_without_a_key_that_opens_every_door_is_the_same(worlds, who):
    served, wrong = worlds[0], []
    for operation in operations(served):
        if operation.scope is None:
            continue
        seen = [ask(served, operation, who, account_id) for account_id in (MINE, THEIRS, NOBODYS)]
        assert seen[0].plain == seen[1].plain == seen[2].plain, operation
        assert seen[0].statements == seen[1].statements == seen[2].statements, operation
        if seen[0].status != 401 or '"unauthenticated"' not in seen[0].text:
            wrong.append((operation, seen[0].plain))
    assert not wrong


def test_all_that_do_not_open_are_refused_in_the_same_words(worlds):
    served = worlds[0]
    for operation in operations(served):
        if operation.scope is not None:
            seen = [ask(served, operation, who, THEIRS).plain for who in ("unknown", "expired", "revoked")]
            assert seen[0] == seen[1] == seen[2], operation


def test_the_wrong_scope_learns_nothing(worlds):
    served, tried = worlds[0], 0
    for operation in operations(served):
        allowed = {operation.scope, *({"read"} if operation.scope == "score" else ())}
        for scope in {"read", "write", "score"} - allowed if operation.scope else ():
            seen = [ask(served, operation, f"only {scope}", account_id) for account_id in (THEIRS, NOBODYS)]
            assert seen[0].status == 403, (operation, scope, seen[0])
            assert seen[0].plain == seen[1].plain, operation
            assert same_work(served, operation, f"only {scope}"), operation
            tried += 1
    assert tried > 30


def test_open_doors_say_nothing_about_anybody(worlds):
    for operation in operations(worlds[0]):
        if operation.scope is None:
            text = ask(worlds[0], operation, None, NOBODYS).text
            assert not [word for word in (*SECRETS, THEIRS, MINE) if word in text], operation


def test_anas_key_and_bobs_account(worlds):
    """Bob's account is nobody's to Ana: the same status, words, headers and look-ups; and nothing of his changes."""
    served = worlds[0]
    before = _of_bob(served)
    for operation in operations(served):
        theirs, nobodys = (ask(served, operation, "ana", account_id) for account_id in (THEIRS, NOBODYS))
        if operation.scope is None:
            continue
        assert theirs.plain == nobodys.plain, operation
        assert same_work(served, operation, "ana"), operation
        assert not [word for word in SECRETS if word in theirs.text], operation
        if operation.about_account and operation.scope != "admin":
            assert (theirs.status, '"unknown_account"' in theirs.text) == (404, True), operation
    assert _of_bob(served) == before


def same_work(served: Served, operation: Operation, who: str) -> bool:
    """Whether Bob's account costs the same look-ups as nobody's.

    What a process remembers for some seconds is looked up by the first who asks, so a difference counts once it shows
    three times.
    """
    for _ in range(3):
        theirs, nobodys = (ask(served, operation, who, account_id).statements for account_id in (THEIRS, NOBODYS))
        if theirs == nobodys:
            return True
    return False


def _of_bob(served: Served) -> list[Any]:
    tables = ("accounts", "interactions", "surveys", "measures", "scores", "latest_scores")
    with served.engine.connect() as conn:
        return [conn.execute(sa.text(f"SELECT * FROM {table} WHERE account_id = '{THEIRS}'")).all() for table in tables]


def test_anas_key_in_a_world_without_bob(worlds):
    """All that Ana can ask has the same answer whether Bob's accounts are there or not."""
    answered = 0
    for operation in operations(worlds[0]):
        seen = [ask(served, operation, "ana", MINE) for served in worlds]
        if operation.path == "/metrics":  # counters of requests, which say nothing about any account
            continue
        assert seen[0].plain == seen[1].plain, operation
        assert THEIRS not in seen[0].text, operation
        answered += seen[0].status < 300
    assert answered > 10, "most of what she asked was answered"


def test_requests_made_up_from_the_description_are_understood(worlds):
    """A route that refuses what its description allows is one that this file does not really ask."""
    served = worlds[0]
    for operation in operations(served):
        if operation.method != "DELETE":
            seen = ask(served, operation, "admin", "vocal")
            assert seen.status not in (400, 405, 415, 422), (operation, seen)
