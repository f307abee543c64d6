"""Everything the store holds about an account or a person: given out, or erased for good.

    erase(engine, "account", "acme", by)     its rows, scores, features and history go; on lists that were issued a
                                             pseudonym stands for it, without name or words
    erase(engine, "contact", "ana", by)      the contacts stay with their account, without the person

`COVER` says of every table of the store what an erasure does with it. A table nobody has thought about fails a test.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.history import TABLES
from models.store.audit import By, audit
from models.store.engine import overwriting, writing
from models.store.erased import Kind, digest, pseudonym, the_key
from models.store.outbox import forget_account
from models.store.tables import (
    CONTRACT,
    erasures,
    health_overrides,
    idempotent_answers,
    import_runs,
    inbound_messages,
    latest_scores,
    metadata,
    risk_list_entries,
    risk_list_receipts,
    risk_lists,
    scores,
    sentiments,
    webhook_deliveries,
    webhook_events,
)

#: Does its part for an id, for which a pseudonym stands from now on; gives how many rows it touched.
Act = Callable[[Connection, str, str], int]


@dataclass(frozen=True)
class Way:
    """What an erasure does with a table: `account` and `person` act on it, `what` says what they do. A table with
    neither holds nothing about anybody, and `what` says why."""

    what: str
    account: Act | None = None
    person: Act | None = None


@dataclass(frozen=True)
class Touched:
    """What was done to a table's rows."""

    table: str
    rows: int
    what: str


@dataclass(frozen=True)
class Erasure:
    """A receipt. `scored_by`: the models whose scores of the account were kept. `first_known`: when the store had first
    known of it; None where it held nothing with a time."""

    erasure_id: int
    kind: Kind
    pseudonym: str
    erased_at: datetime
    tables: tuple[Touched, ...]
    scored_by: tuple[str, ...]
    first_known: datetime | None


def delete(table: sa.Table, column: str = "account_id") -> Act:
    """Delete the rows of an account."""

    def act(conn: Connection, ident: str, _: str) -> int:
        return conn.execute(table.delete().where(table.c[column] == ident)).rowcount

    return act


def blank(table: sa.Table, column: str, *also: str) -> Act:
    """Leave the rows and forget who it was, and what else would tell."""

    def act(conn: Connection, ident: str, _: str) -> int:
        unknown = dict.fromkeys((column, *also), None)
        return conn.execute(table.update().where(table.c[column] == ident).values(unknown)).rowcount

    return act


def delete_mentions(table: sa.Table, *columns: str, numbers: bool = False) -> Act:
    """Delete the rows whose JSON or text in these columns names the id: payloads, stored answers. `numbers`: other
    systems' payloads, in which ids may be JSON numbers."""

    def act(conn: Connection, ident: str, _: str) -> int:
        key = next(iter(table.primary_key.columns))
        found = [row[0] for row in _mentioning(conn, table, columns, ident, numbers=numbers)]
        return sum(conn.execute(table.delete().where(key == one)).rowcount for one in found)

    return act


def _mentioning(
    conn: Connection, table: sa.Table, columns: tuple[str, ...], ident: str, *, numbers: bool = False
) -> list[tuple[Any, ...]]:
    """Primary key and columns of the rows that name the id."""
    key = next(iter(table.primary_key.columns))
    rows = conn.execute(sa.select(key, *(table.c[name] for name in columns)))
    return [tuple(row) for row in rows if any(mentions(cell, ident, numbers=numbers) for cell in row[1:])]


def mentions(value: Any, ident: str, *, numbers: bool = False) -> bool:
    """Whether a JSON value (or a text or bytes that hold one) names the id: as a text, or a word of one, anywhere;
    as a number only if asked."""
    parts = [part for pair in value.items() for part in pair] if isinstance(value, Mapping) else value
    if isinstance(parts, list | tuple):
        return any(mentions(part, ident, numbers=numbers) for part in parts)
    if isinstance(value, bytes | memoryview):
        value = bytes(value).decode("utf-8", "replace")
    if not isinstance(value, str):
        return numbers and not isinstance(value, bool) and value is not None and str(value) == ident
    return _names(value, ident, numbers=numbers)


def _names(value: str, ident: str, *, numbers: bool) -> bool:
    """The same of a text, which may hold JSON."""
    # Without an escape JSON writes an id as it is.
    if value == ident or (ident not in value and "\\" not in value):
        return value == ident
    try:
        plain = json.loads(value)
    except ValueError:
        return re.search(rf"(?<![\w-]){re.escape(ident)}(?![\w-])", value) is not None
    return not isinstance(plain, str) and mentions(plain, ident, numbers=numbers)


def _parents(conn: Connection, ident: str, _: str) -> int:
    """An account's own row, and what its children say of it."""
    accounts = CONTRACT["accounts"]
    blank(accounts, "parent_id")(conn, ident, _)
    return delete(accounts)(conn, ident, _)


def _list_entries(conn: Connection, ident: str, alias: str) -> int:
    """The entries of every list, looked up list by list as their index is made."""
    entries = risk_list_entries
    mine = entries.c.list_id.in_(sa.select(risk_lists.c.list_id)) & (entries.c.account_id == ident)
    unknown = dict.fromkeys(("name", "owner", "region", "reasons"), None)
    return conn.execute(entries.update().where(mine).values(account_id=alias, **unknown)).rowcount


def _receipts(conn: Connection, ident: str, alias: str) -> int:
    """The pools that issued lists were picked from, and what had changed on them."""
    touched = 0
    for row in conn.execute(sa.select(risk_list_receipts)).all():
        pool, changes = json.loads(zlib.decompress(row.pool)), row.changes
        if ident not in pool and not mentions(changes, ident):
            continue
        renamed = [alias if one == ident else one for one in pool]
        values = {"pool": zlib.compress(json.dumps(renamed, ensure_ascii=False).encode())}
        told = {"changes": _renamed(changes, ident, alias)}
        mine = risk_list_receipts.c.list_id == row.list_id
        touched += conn.execute(risk_list_receipts.update().where(mine).values(values | told)).rowcount
    return touched


#: What is said of an account where a list's changes name it, beside numbers.
_TELLING = ("name", "owner", "region", "reasons")


def _renamed(value: Any, ident: str, alias: str) -> Any:
    """A JSON value in which a pseudonym stands for the id, and nothing beside it says who it was."""
    if isinstance(value, list):
        return [_renamed(part, ident, alias) for part in value]
    if isinstance(value, Mapping):
        mine = ident in [part for part in value.values() if isinstance(part, str)]
        return {
            (alias if name == ident else name): None if mine and name in _TELLING else _renamed(part, ident, alias)
            for name, part in value.items()
        }
    return alias if value == ident else value


def _import_problems(conn: Connection, ident: str, _: str) -> int:
    """Rejected cells and errors that import summaries show, where they name the id."""
    touched = 0
    for import_id, summary in _mentioning(conn, import_runs, ("summary",), ident):
        cleaned = _blanked(_renamed(summary, ident, "erased"), ident)
        mine = import_runs.c.import_id == import_id
        touched += conn.execute(import_runs.update().where(mine).values(summary=cleaned)).rowcount
    return touched


def _blanked(value: Any, ident: str, name: str = "") -> Any:
    """An import's summary without the cells and errors in whose words the id is."""
    if isinstance(value, list):
        return [_blanked(part, ident, name) for part in value]
    if isinstance(value, Mapping):
        return {key: _blanked(part, ident, key) for key, part in value.items()}
    return "erased" if name in ("value", "error") and mentions(value, ident) else value


def _answers(conn: Connection, ident: str, _: str) -> int:
    """Answers kept for callers who ask twice, where they or the callers' own keys name the id: asked again, the write
    is made again."""
    key, body = (idempotent_answers.c.key_id, idempotent_answers.c.idempotency_key), idempotent_answers.c.body
    rows = conn.execute(sa.select(*key, body).where(body.is_not(None)))
    found = [row[:2] for row in rows if mentions([row.idempotency_key, zlib.decompress(row.body)], ident)]
    mine = (idempotent_answers.delete().where(key[0] == who, key[1] == under) for who, under in found)
    return sum(conn.execute(one).rowcount for one in mine)


def _deliveries(conn: Connection, ident: str, _: str) -> int:
    """What was sent, and waits to be sent, of the events about an account."""
    about = sa.select(webhook_events.c.event_no).where(webhook_events.c.account_id == ident)
    return conn.execute(webhook_deliveries.delete().where(webhook_deliveries.c.event_no.in_(about))).rowcount


def _events(conn: Connection, ident: str, _: str) -> int:
    """The outbox: events about an account."""
    return forget_account(conn, ident)


def _told(conn: Connection, ident: str, alias: str) -> int:
    """Events whose data name a person, and what was sent of them."""
    found = [row[0] for row in _mentioning(conn, webhook_events, ("data",), ident)]
    for event_no in found:
        conn.execute(webhook_deliveries.delete().where(webhook_deliveries.c.event_no == event_no))
    return delete_mentions(webhook_events, "data")(conn, ident, alias)


_INTERACTIONS, _SURVEYS = CONTRACT["interactions"], CONTRACT["surveys"]
_NOBODY = "holds nothing about anybody"
_PROBLEMS = Way("rejected cells that named it are blanked", _import_problems, _import_problems)

#: Table -> what an erasure does with it. Rows go first, what points to them later.
COVER: dict[str, Way] = {
    "interactions": Way("deleted; of a person: unnamed", delete(_INTERACTIONS), blank(_INTERACTIONS, "contact_id")),
    "surveys": Way(
        "deleted; of a person: unnamed, without comment", delete(_SURVEYS), blank(_SURVEYS, "contact_id", "comment")
    ),
    "contracts": Way("deleted", delete(CONTRACT["contracts"])),
    "outreach": Way("deleted", delete(CONTRACT["outreach"])),
    "measures": Way("deleted", delete(CONTRACT["measures"])),
    "accounts": Way("deleted; children forget their parent", _parents),
    "latest_scores": Way("deleted", delete(latest_scores)),
    "scores": Way("deleted, with the features they came from", delete(scores)),
    "risk_list_entries": Way("a pseudonym without name, owner, region and reasons", _list_entries),
    "risk_list_receipts": Way("a pseudonym", _receipts),
    "health_overrides": Way("deleted", delete(health_overrides)),
    "sentiments": Way("deleted", delete(sentiments)),
    "idempotent_answers": Way("answers that name it are deleted", _answers, _answers),
    "imports": _PROBLEMS,
    "webhook_deliveries": Way("deleted, sent or not", _deliveries),
    "webhook_events": Way("deleted, sent or not; those that name a person, too", _events, _told),
    "webhook_endpoints": Way("the receivers of events; their addresses are the company's own"),
    "audit_log": Way("kept, as the database itself refuses to change it: it may name an account's id, never a person"),
    "score_runs": Way(f"counts of a run; {_NOBODY}"),
    "feature_layouts": Way(f"names of features; {_NOBODY}"),
    "risk_lists": Way(f"counts and parameters of a list; {_NOBODY}"),
    "current_list": Way(f"which list is current; {_NOBODY}"),
    "model_pointer_history": Way(f"which model was in service; {_NOBODY}"),
    "monitor_runs": Way(f"distributions and counts of the portfolio; {_NOBODY}"),
    "api_keys": Way("who may call; owners and segments it is restricted to are the company's own people and groups"),
    "sources": Way(f"who tells the store things, and when; {_NOBODY}"),
    "source_hours": Way(f"how many rows each source told in which hour; {_NOBODY}"),
    "inbound_messages": Way(
        "deleted, read or not, where they name it",
        delete_mentions(inbound_messages, "body", numbers=True),
        delete_mentions(inbound_messages, "body", numbers=True),
    ),
    "erasure_key": Way("the secret that ids are hashed with"),
    "erasures": Way("what remains: a keyed hash and counts"),
}


def holdings(kind: Kind, ident: str) -> Iterator[tuple[str, sa.Select[Any]]]:
    """Table -> the query for its rows about an account or a person, in key order, as they are given out. (What
    `latest_scores` says, `scores` says too.)"""
    columns = {"account": "account_id", "contact": "contact_id"}
    for name in (*TABLES, *(name for name in COVER if name not in TABLES and name != "latest_scores")):
        table = metadata.tables[name]
        if columns[kind] in table.c:
            mine = sa.select(table).where(table.c[columns[kind]] == ident)
            if name == "risk_list_entries":
                mine = mine.where(table.c.list_id.in_(sa.select(risk_lists.c.list_id)))
            yield name, mine.order_by(*table.primary_key.columns)


def holds(conn: Connection, kind: Kind, ident: str) -> bool:
    """Whether the store holds anything under this id, or has erased it before."""
    if any(conn.execute(query.limit(1)).first() is not None for _, query in holdings(kind, ident)):
        return True
    return _standing(conn, kind, ident) is not None


def erase(engine: Engine, kind: Kind, ident: str, by: By) -> Erasure:
    """Erase an account or a person, in one transaction, and remember it by a hash, so that it does not come back.

    Somebody who stands as an account of his own is erased as one, too (`_stands_alone`).
    """
    with overwriting(engine) as conn:
        key = the_key(conn, alone=True)
        alias = pseudonym(key, kind, ident)
        as_account = kind == "account" or _stands_alone(conn, ident)
        scored = sa.select(scores.c.model_id).where(scores.c.account_id == ident).distinct()
        scored_by = tuple(sorted(conn.scalars(scored))) if as_account else ()
        first_known = _first_known(conn, kind, ident)
        touched = []
        for name, way in COVER.items():
            acts = ([way.person] if kind == "contact" else []) + ([way.account] if as_account else [])
            rows = sum(act(conn, ident, alias) for act in dict.fromkeys(acts) if act is not None)
            if any(acts):
                touched.append(Touched(name, rows, way.what))
        kinds: tuple[Kind, ...] = ("contact", "account") if kind == "contact" and as_account else (kind,)
        receipt = {"pseudonym": alias, "rows": {one.table: one.rows for one in touched}}
        made = {"erased_at": by.at, "erased_by": by.actor, "receipt": receipt}
        for one in kinds:
            row = {"kind": one, "hash": digest(key, one, ident), **made}
            erasure_id = conn.execute(erasures.insert().values(row).returning(erasures.c.erasure_id)).scalar_one()
        audit(conn, by, "personal_data.erased", alias, kind=kind, rows=receipt["rows"])
    return Erasure(int(erasure_id), kind, alias, by.at, tuple(touched), scored_by, first_known)


def _stands_alone(conn: Connection, ident: str) -> bool:
    """Whether a person stands as an account of his own, as some imports have it of those without a company: it is not
    described, his contacts are under his own id, and nobody else's are. A company that happens to have the same number
    is none of his."""
    accounts = CONTRACT["accounts"].c
    if conn.scalar(sa.select(accounts.account_id).where(accounts.account_id == ident)) is not None:
        return False
    persons: set[str] = set()
    for table in (_INTERACTIONS, _SURVEYS):
        under = sa.select(table.c.contact_id).where(table.c.account_id == ident, table.c.contact_id.is_not(None))
        persons |= set(conn.scalars(under.distinct().limit(2)))
    return persons == {ident}


def readmit(engine: Engine, kind: Kind, ident: str, by: By) -> bool:
    """Let an erased id in again from now on; gives whether it had been kept out."""
    with writing(engine) as conn:
        key = the_key(conn, alone=True)
        mine = (erasures.c.hash == digest(key, kind, ident)) & erasures.c.lifted_at.is_(None)
        lifted = erasures.update().where(mine).values(lifted_at=by.at, lifted_by=by.actor)
        found = conn.execute(lifted).rowcount > 0
        if found:
            audit(conn, by, "personal_data.readmitted", pseudonym(key, kind, ident), kind=kind)
        return found


def _standing(conn: Connection, kind: Kind, ident: str) -> int | None:
    mine = erasures.c.hash == digest(the_key(conn), kind, ident)
    found: int | None = conn.scalar(sa.select(erasures.c.erasure_id).where(mine, erasures.c.lifted_at.is_(None)))
    return found


def _first_known(conn: Connection, kind: Kind, ident: str) -> datetime | None:
    """The earliest `recorded_at` or happened-at of the rows about it."""
    found = []
    for name, query in holdings(kind, ident):
        if name in TABLES:
            mine = query.order_by(None).subquery()
            times = [mine.c[column] for column in (*TABLES[name].happened, "recorded_at")]
            found += [conn.scalar(sa.select(sa.func.min(column))) for column in times]
    return min((moment for moment in found if moment is not None), default=None)
