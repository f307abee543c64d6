"""How fresh the data are: per source and per feed, and on how many days each account was watched."""

import threading
import time
from datetime import datetime, timedelta
from typing import Any

import marshmallow as ma
from flask import Response
from marshmallow import fields

from api.auth import needs
from api.bodies import answer, query
from api.contract import Resource, operation
from api.errors import FieldError, Problem
from api.schemas import said
from api.service import Service, the_service
from models.clock import isoformat
from models.errors import UnknownAccount
from models.imports.convert import ID_LENGTH
from models.store.engine import reading
from models.store.feeds import DAYS, Feed, feeds
from models.store.history import read_history
from models.store.sources import Source, list_sources

resource = Resource("freshness", "How fresh the data are")


class SourceLine(ma.Schema):
    """One source of one table."""

    source = fields.String(required=True)
    table = fields.String(required=True)
    first_seen = fields.DateTime(required=True, metadata=said("when it first told something, by our clock"))
    last_seen = fields.DateTime(required=True)
    happened_until = fields.DateTime(required=True, allow_none=True, metadata=said("the latest thing it told of"))
    quiet_since = fields.DateTime(
        required=True, allow_none=True, metadata=said("it must have stopped, by its own rhythm; null: alive")
    )
    due = fields.Float(required=True, allow_none=True, metadata=said("rows that were due when that was found"))
    retired_at = fields.DateTime(required=True, allow_none=True, metadata=said("its silence means nothing any more"))


class Spell(ma.Schema):
    """A time in which a feed told nothing although it should have."""

    since = fields.DateTime(required=True)
    until = fields.DateTime(required=True)


class FeedLine(ma.Schema):
    """A table as a feed, whatever its sources."""

    table = fields.String(required=True)
    recorded_until = fields.DateTime(required=True, allow_none=True)
    happened_until = fields.DateTime(required=True, allow_none=True)
    watched_since = fields.DateTime(required=True, allow_none=True)
    lag_days_median = fields.Float(required=True, allow_none=True, metadata=said("how late it tells"))
    lag_days_99 = fields.Float(required=True, allow_none=True)
    observed_days = fields.Float(required=True, metadata=said(f"of the latest {DAYS}"))
    blind = fields.List(fields.Nested(Spell), required=True)


class AccountCoverage(ma.Schema):
    """On how many of the latest days the voice of one account could have been heard."""

    account_id = fields.String(required=True)
    days = fields.Integer(required=True)
    observed_days = fields.Dict(required=True, metadata=said("by table"))


class FreshnessAnswer(ma.Schema):
    """GET /v1/freshness."""

    as_of = fields.DateTime(required=True)
    contacts_quiet_since = fields.DateTime(
        required=True, allow_none=True, metadata=said("accounts are scored as of then while it lasts")
    )
    feeds = fields.List(fields.Nested(FeedLine), required=True)
    sources = fields.List(fields.Nested(SourceLine), required=True)
    account = fields.Nested(AccountCoverage, allow_none=True, required=True)


class FreshnessQuery(ma.Schema):
    """Whose coverage is wanted, too."""

    account_id = fields.String()


class Feeds:
    """The feeds as one process sees them; counting them takes a while, so they are kept for a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until, self._found = 0.0, list[Feed]()

    def now(self, service: Service, at: datetime) -> list[Feed]:
        """At most `KEEP_SECONDS` old."""
        with self._lock:
            if time.monotonic() >= self._until:
                with reading(service.store.engine) as conn:
                    self._found = feeds(conn, at)
                self._until = time.monotonic() + KEEP_SECONDS
            return self._found


KEEP_SECONDS = 60.0


@resource.route("/v1/freshness")
@needs("read")
@operation(
    gives={200: (FreshnessAnswer, "Per source and feed: last seen, lag, coverage, whether it is quiet")},
    refuses=("unknown_account",),
    query=FreshnessQuery,
    scope="read",
)
def get_freshness() -> Response:
    """Who told us what last, how late they tell, when they were blind, and whether one has fallen silent.

    With `account_id`, also on how many of the latest days that account was watched. At most a minute old.
    """
    service, now = the_service(), the_service().clock()
    asked = query("account_id")
    found = service.feeds.now(service, now)
    account = _account(service, asked["account_id"], found, now) if "account_id" in asked else None
    with service.store.connection() as conn:
        known = list_sources(conn)
    quiet = service.freshness.quiet_since()
    return answer(
        {
            "as_of": isoformat(now),
            "contacts_quiet_since": _time(quiet),
            "feeds": [_feed(feed, now) for feed in found],
            "sources": [_source(one) for one in known],
            "account": account,
        }
    )


def _account(service: Service, account_id: str, found: list[Feed], now: datetime) -> dict[str, Any]:
    if not 1 <= len(account_id) <= ID_LENGTH or "\0" in account_id:
        error = FieldError("account_id", "invalid", f"must be text of 1 to {ID_LENGTH} characters")
        raise Problem(422, "invalid_query", "The query does not fit; see errors.", [error])
    with service.store.connection() as conn:
        accounts = read_history(conn, [account_id]).accounts
    if accounts.is_empty():
        raise UnknownAccount(f"There is no account {account_id!r}.")
    start = now - timedelta(days=DAYS)
    begun = max(start, accounts["started_at"][0] or start)
    days = {feed.table: round(feed.observed(begun, now), 3) for feed in found}
    return {"account_id": account_id, "days": DAYS, "observed_days": days}


def _feed(feed: Feed, now: datetime) -> dict[str, Any]:
    half, late = feed.lag_days or (None, None)
    return {
        "table": feed.table,
        "recorded_until": _time(feed.reach.recorded_at),
        "happened_until": _time(feed.reach.happened_at),
        "watched_since": _time(feed.since),
        "lag_days_median": half,
        "lag_days_99": late,
        "observed_days": round(feed.observed(now - timedelta(days=DAYS), now), 3),
        "blind": [{"since": _time(since), "until": _time(until)} for since, until in feed.blind],
    }


def _source(one: Source) -> dict[str, Any]:
    return {
        "source": one.source,
        "table": one.table_name,
        "first_seen": _time(one.first_at),
        "last_seen": _time(one.last_at),
        "happened_until": _time(one.last_happened_at),
        "quiet_since": _time(one.quiet_since),
        "due": one.quiet_due,
        "retired_at": _time(one.retired_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else isoformat(moment)
