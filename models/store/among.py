"""Rows whose id is one of many: one parameter and one statement, however many ids there are."""

import json
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection


def among(dialect: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """The condition of a text column being one of the parameter `wanted`; see `wanted`."""
    if dialect == "postgresql":
        return column == sa.any_(sa.bindparam("wanted", type_=postgresql.ARRAY(sa.Text)))
    listed = sa.func.json_each(sa.bindparam("wanted", type_=sa.Text)).table_valued("value")
    return column.in_(sa.select(listed.c.value))


def wanted(conn: Connection, ids: Iterable[str]) -> dict[str, Any]:
    """The parameter of `among`."""
    once = list(dict.fromkeys(ids))
    return {"wanted": once if conn.dialect.name == "postgresql" else json.dumps(once)}
