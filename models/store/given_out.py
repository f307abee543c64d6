"""What is stored about an account or a person, page by page: each page goes on behind the last row of the one before.

page(engine, "account", "acme", None, 2)                     accounts acme, interactions T-1; goes on behind T-1
page(engine, "account", "acme", ("interactions", ["T-1"]))   interactions T-2, ...: whatever came or went before it
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.clock import isoformat, parse_instant
from models.errors import NaiveTime
from models.store.engine import reading
from models.store.erased import Kind
from models.store.erasure import holdings
from models.store.scores import stored
from models.store.tables import metadata

#: A table and the key of a row of it, its moments as text.
Place = tuple[str, list[str | int]]


def page(
    engine: Engine, kind: Kind, ident: str, after: Place | None, limit: int
) -> tuple[list[dict[str, Any]], Place | None]:
    """`limit` rows behind a place (None: from the first), each `table` and `row`, and the place of the last one where
    there are more. Raises `ValueError` for a place that cannot be one."""
    queries = list(holdings(kind, ident))
    if after is not None:
        names = [name for name, _ in queries]
        queries = queries[names.index(after[0]) :]
        queries[0] = after[0], queries[0][1].where(_behind(*after))
    found: list[tuple[str, sa.Row[Any]]] = []
    with reading(engine) as conn:
        for name, query in queries:
            wanted = limit + 1 - len(found)
            found += [(name, row) for row in conn.execute(query.limit(wanted))] if wanted else []
        told = [{"table": name, "row": _given_out(conn, name, row)} for name, row in found[:limit]]
    return told, _place(*found[limit - 1]) if len(found) > limit else None


def _place(name: str, row: sa.Row[Any]) -> Place:
    key = [row._mapping[column.name] for column in metadata.tables[name].primary_key.columns]
    return name, [isoformat(value) if isinstance(value, datetime) else value for value in key]


def _behind(name: str, key: list[str | int]) -> sa.ColumnElement[bool]:
    """The rows behind one, in the order of their keys."""
    columns = list(metadata.tables[name].primary_key.columns)
    values = [sa.literal(_value(column, part), column.type) for column, part in zip(columns, key, strict=True)]
    return sa.tuple_(*columns) > sa.tuple_(*values)


def _value(column: sa.Column[Any], part: str | int) -> Any:
    if isinstance(column.type, sa.BigInteger):
        if type(part) is not int or not 0 <= part < 2**62:
            raise ValueError
        return part
    if type(part) is not str or "\0" in part:
        raise ValueError
    part.encode()  # half of a surrogate pair is no text
    if isinstance(column.type, sa.Text):
        return part
    try:
        return parse_instant(part)
    except (NaiveTime, OverflowError) as error:
        raise ValueError from error


def _given_out(conn: Connection, table: str, row: sa.Row[Any]) -> dict[str, Any]:
    """A row as it is given out: a score with the features it came from, by name."""
    if table != "scores":
        return dict(row._mapping)
    given = stored(conn, row)
    return given.values | {"features": given.features}
