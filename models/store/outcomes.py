"""What became of the accounts of a pool: the label, read for those few that may have left."""

from collections.abc import Sequence
from datetime import datetime

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.clock import INSTANT
from models.labels import LabelParams, label
from models.store import history
from models.store.among import among, wanted
from models.store.tables import CONTRACT

#: Ids asked about at a time, and histories read at a time.
_IDS, _HISTORIES = 50_000, 2_000


def outcomes(
    conn: Connection, account_ids: Sequence[str], as_of: datetime, cutoff: datetime, params: LabelParams
) -> dict[str, str]:
    """Account id -> its outcome (`models.labels.OUTCOMES`) as of a moment, as known at `cutoff`.

    Accounts that are not described any more are absent. Only those with an end, a notice or a spell without revenue can
    have left, so only their histories are read.
    """
    found: dict[str, str] = {}
    for start in range(0, len(account_ids), _IDS):
        part = account_ids[start : start + _IDS]
        found |= dict.fromkeys(_described(conn, part), "stay")
        found |= _labelled(conn, [a for a in _may_have_left(conn, part) if a in found], as_of, cutoff, params)
    return found


def _described(conn: Connection, account_ids: Sequence[str]) -> list[str]:
    account_id = CONTRACT["accounts"].c.account_id
    query = sa.select(account_id).where(among(conn.dialect.name, account_id))
    return list(conn.scalars(query, wanted(conn, account_ids)))


def _may_have_left(conn: Connection, account_ids: Sequence[str]) -> list[str]:
    accounts, contracts = CONTRACT["accounts"].c, CONTRACT["contracts"].c
    ended = sa.select(accounts.account_id).where(
        among(conn.dialect.name, accounts.account_id), accounts.notice_at.is_not(None) | accounts.ended_at.is_not(None)
    )
    unpaid = sa.select(contracts.account_id).where(among(conn.dialect.name, contracts.account_id), contracts.mrr <= 0)
    asked = wanted(conn, account_ids)
    return sorted({*conn.scalars(ended, asked), *conn.scalars(unpaid, asked)})


def _labelled(
    conn: Connection, account_ids: Sequence[str], as_of: datetime, cutoff: datetime, params: LabelParams
) -> dict[str, str]:
    watched = history.observed_from(conn, cutoff)
    found: dict[str, str] = {}
    for start in range(0, len(account_ids), _HISTORIES):
        held = history.read_history(conn, account_ids[start : start + _HISTORIES], observed_from=watched)
        pairs = held.accounts.select("account_id", pl.lit(as_of, INSTANT).alias("as_of"))
        labels = label(held, pairs, cutoff, params)
        found |= dict(labels.select("account_id", "outcome").iter_rows())
    return found


def outreached(conn: Connection, account_ids: Sequence[str], since: datetime, until: datetime) -> set[str]:
    """Which of some accounts somebody turned to between two moments (not those deliberately left alone)."""
    outreach = CONTRACT["outreach"].c
    query = sa.select(outreach.account_id).where(
        among(conn.dialect.name, outreach.account_id),
        outreach.at > since,
        outreach.at <= until,
        outreach.held_out.is_not(sa.true()),
    )
    return set(conn.scalars(query, wanted(conn, account_ids)))
