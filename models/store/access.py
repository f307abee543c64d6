"""What the service asks of the store. Everything here raises `StoreError` while the database cannot be used."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy.engine import Connection, Engine

from models import registry
from models.errors import NotScored, UnknownAccount
from models.history import History
from models.labels import LabelParams
from models.model import ChurnModel
from models.rhythm import Quiet
from models.scorecard import Target
from models.standing import SCORED, standings
from models.store import (
    accounts,
    audit,
    books,
    erased,
    history,
    issued,
    keys,
    lists,
    moves,
    narrowed,
    opinions,
    outcomes,
    overrides,
    pointers,
    portfolio,
    scores,
    scoring,
    sources,
    watches,
)
from models.store.books import EVERYBODY, Book
from models.store.disagreement import Found, disagreements
from models.store.engine import reading, writing
from models.store.migrate import check_schema
from models.store.missed import Spells, missed
from models.store.then import Then, score_then
from models.tally import Tallies

#: Why an account has no score: its standing -> what to tell.
REASONS = {
    "test": "is marked as a test account",
    "unknown": "is not a customer yet",
    "gone": "is no longer a customer",
    "leaving": "has given notice",
    "unpaid": "has been paying nothing",
}


class NotScoredBecause(NotScored):
    """An account without a score, and its standing (`models.standing`); `waiting` if the next run will score it."""

    def __init__(self, account_id: str, standing: str) -> None:
        self.account_id = account_id
        self.standing = "waiting" if standing in SCORED else standing
        reason = REASONS.get(standing, "is waiting for the next run")
        super().__init__(f"Account {account_id!r} has no score: it {reason}.")


class Store:
    """One database, for many threads."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime] | None = None) -> None:
        """`clock` tells the present, where others shall be told of low answers."""
        self.engine, self._clock = engine, clock

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for some look-ups."""
        with self.engine.connect() as conn:
            yield conn

    def check(self) -> None:
        """Raise `StoreError` unless the database can be reached and has this version's tables."""
        check_schema(self.engine)

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()

    def key(self, presented: str, at: datetime) -> keys.ApiKey | None:
        """The API key this text is at a moment, or None."""
        with self.connection() as conn:
            return keys.verify_key(conn, presented, at)

    def api_keys(self) -> list[keys.ApiKey]:
        """All API keys, without their secrets."""
        with self.connection() as conn:
            return keys.list_keys(conn)

    def create_key(
        self, name: str, scopes: Sequence[str], expires_at: datetime | None, book: Book, by: audit.By
    ) -> tuple[keys.ApiKey, str]:
        """Make a key; see `models.store.keys.create_key`."""
        return keys.create_key(self.engine, name, scopes, by.at, expires_at=expires_at, book=book, by=by)

    def rotate_key(self, key_id: str, overlap: timedelta, by: audit.By) -> tuple[keys.ApiKey, str]:
        """Give a key a new secret; see `models.store.keys.rotate_key`."""
        return keys.rotate_key(self.engine, key_id, by.at, overlap, by)

    def revoke_key(self, key_id: str, by: audit.By) -> keys.ApiKey:
        """Revoke a key; see `models.store.keys.revoke_key`."""
        return keys.revoke_key(self.engine, key_id, by.at, by)

    def audit_lines(self, limit: int, before: int | None, **filters: str) -> list[audit.Line]:
        """The audit log, newest first; see `models.store.audit.lines`."""
        with self.connection() as conn:
            return audit.lines(conn, limit, before, **filters)

    def remember_settings(self, by: audit.By, settings: Mapping[str, str]) -> bool:
        """Write down settings that differ from the last ones; see `models.store.audit.remember_settings`."""
        self.check()
        return audit.remember_settings(self.engine, by, settings)

    def catch_up(self, events: Sequence[registry.Change]) -> None:
        """Copy what the artefact store tells of the model in service; see `models.store.pointers.catch_up`."""
        pointers.catch_up(self.engine, pointers.told(events))

    def held(self, book: Book, account_ids: Collection[str]) -> set[str]:
        """Those of the ids that are described accounts in the book."""
        with self.connection() as conn:
            return books.held(conn, book, account_ids)

    def touch(self, key: keys.ApiKey, at: datetime) -> None:
        """Remember when the key was used."""
        keys.touch_key(self.engine, key, at)

    def override(self, account_id: str, now: datetime) -> overrides.Override | None:
        """The account's override that holds now."""
        with self.connection() as conn:
            return overrides.override(conn, account_id, now)

    def overrides_of(self, account_ids: Sequence[str], now: datetime) -> dict[str, overrides.Override]:
        """The overrides that hold now, of some accounts."""
        with self.connection() as conn:
            return overrides.overrides(conn, account_ids, now)

    def overrides_version(self, now: datetime) -> tuple[datetime | None, datetime | None]:
        """See `models.store.overrides.version`."""
        with self.connection() as conn:
            return overrides.version(conn, now)

    def put_override(self, given: overrides.Override, by: audit.By, book: Book = EVERYBODY) -> bool:
        """Set an override; gives whether none held until then. Raises `UnknownAccount`."""
        with writing(self.engine) as conn:
            _require(conn, given.account_id, book, keep=True)
            return overrides.put_override(conn, given, by)

    def end_override(self, account_id: str, by: audit.By, book: Book = EVERYBODY) -> overrides.Override | None:
        """Take an override back; gives the one that held. Raises `UnknownAccount`."""
        with writing(self.engine) as conn:
            _require(conn, account_id, book, keep=True)
            return overrides.end_override(conn, account_id, by)

    def put_sentiment(self, given: opinions.Sentiment, book: Book = EVERYBODY) -> bool:
        """Keep a manager's view; gives whether it is the account's first. Raises `UnknownAccount`."""
        with writing(self.engine) as conn:
            _require(conn, given.account_id, book, keep=True)
            return opinions.put_sentiment(conn, given)

    def sentiment(self, account_id: str) -> opinions.Sentiment | None:
        """The latest view that a manager gave of an account. Raises `UnknownAccount`."""
        with self.connection() as conn:
            _require(conn, account_id)
            return opinions.sentiment(conn, account_id)

    def disagreements(self, now: datetime, limit: int, within: tuple[Book, ...], **only: str | None) -> Found:
        """The widest disagreements; see `models.store.disagreement`."""
        with reading(self.engine) as conn:
            return disagreements(conn, now, limit, within, **only)

    def latest(self, account_id: str) -> scores.StoredScore:
        """The account's latest score. Raises `NotScored`, without saying why; see `why_not_scored`."""
        with self.connection() as conn:
            return scores.latest(conn, account_id)

    def scores_of(
        self, account_id: str, limit: int, before: tuple[datetime, str] | None = None
    ) -> list[scores.StoredScore]:
        """Every score the account ever got, latest first. Raises `UnknownAccount`."""
        with self.connection() as conn:
            found = scores.score_history(conn, account_id, limit, before)
            if not found and history.read_history(conn, [account_id]).accounts.is_empty():
                raise UnknownAccount(f"There is no account {account_id!r}.")
            return found

    def said(self, account_id: str, moments: Sequence[datetime]) -> tuple[History, list[scores.StoredScore | None]]:
        """What is known of the account, and what had been said of it by each moment. Raises `UnknownAccount`."""
        with reading(self.engine) as conn:
            watched = history.observed_from(conn, max(moments))
            held = history.read_history(conn, [account_id], observed_from=watched)
            if held.accounts.is_empty():
                raise UnknownAccount(f"There is no account {account_id!r}.")
            return held, [scores.said_at(conn, account_id, moment) for moment in moments]

    def said_at(self, account_id: str, moment: datetime) -> scores.StoredScore | None:
        """What was last said of the account as of a moment or before."""
        with self.connection() as conn:
            return scores.said_at(conn, account_id, moment)

    def score_then(self, model: ChurnModel, account_id: str, as_of: datetime, known_at: datetime, **how: Any) -> Then:
        """Score an account as of a moment with what was known at another; see `models.store.then.score_then`."""
        return score_then(self.engine, model, account_id, as_of, known_at, **how)

    def run_by(self, moment: datetime) -> moves.Run | None:
        """The last finished run as of a moment or before."""
        with self.connection() as conn:
            return moves.run_by(conn, moment)

    def members(self, within: Sequence[Book], runs: Sequence[moves.Run], most: int) -> list[str]:
        """The accounts that are in all the books and were scored in any of the runs; at most so many."""
        with self.connection() as conn:
            return moves.members(conn, within, runs, most)

    def tallies(
        self,
        account_ids: Sequence[str],
        first: tuple[moves.Run, ChurnModel],
        last: tuple[moves.Run, ChurnModel],
        *,
        target: Target,
        by: str | None,
    ) -> Tallies:
        """Why the scores of these accounts changed between two runs, on the whole and by group."""
        with reading(self.engine) as conn:
            group_of = moves.groups(conn, account_ids, by)
            found = Tallies({}, {})
            for part in moves.compared(conn, account_ids, first, last, target):
                found.add(group_of, part.first, part.last, part.moved)
            return found

    def why_not_scored(self, account_id: str, at: datetime, label: LabelParams) -> UnknownAccount | NotScoredBecause:
        """The error that says why an account has no score."""
        with self.connection() as conn:
            held = history.read_history(conn, [account_id])
        if held.accounts.is_empty():
            return UnknownAccount(f"There is no account {account_id!r}.")
        return NotScoredBecause(account_id, standings(held, [at], label)["standing"][0])

    def last_watch(self, model_id: str) -> watches.StoredWatch | None:
        """The latest look at a model; None before the first."""
        with self.connection() as conn:
            return watches.last_watch(conn, model_id)

    def freshness(self) -> dict[str, history.Freshness]:
        """How far the tables reach."""
        with self.connection() as conn:
            return history.freshness(conn)

    def contacts_end(self, present: datetime) -> portfolio.End | None:
        """Where contacts end; see `models.store.portfolio.contacts_end`."""
        return portfolio.contacts_end(self.engine, present)

    def contacts_quiet(self, present: datetime) -> Quiet | None:
        """Whether the contact feed is quiet; see `models.store.portfolio.contacts_quiet`."""
        return portfolio.contacts_quiet(self.engine, present)

    def missed(self, at: datetime) -> Spells:
        """The spells in which nobody was listening lately; see `models.store.missed.missed`."""
        with reading(self.engine) as conn:
            return missed(conn, at)

    def note_source(self, source: str, table: str, rows: int, at: datetime, happened_at: datetime | None) -> None:
        """Remember that a source told something; see `models.store.sources.note`."""
        sources.note(self.engine, source, table, rows, at, happened_at)

    def upsert(self, table: str, rows: pl.DataFrame, book: Book = EVERYBODY) -> pl.Series:
        """Upsert rows of the book; what became of each, in order. See `models.store.narrowed`."""
        at = None if self._clock is None else self._clock()
        return narrowed.upsert_within(self.engine, table, rows, book, at)

    def account(self, account_id: str, book: Book) -> tuple[dict[str, Any], str]:
        """An account as the caller sees it, and its tag. Raises `UnknownAccount`."""
        with self.connection() as conn:
            return accounts.get_account(conn, account_id, book)

    def put_account(
        self, row: pl.DataFrame, condition: accounts.Condition | None, book: Book
    ) -> tuple[pl.Series, str | None]:
        """Upsert one account on a condition; see `models.store.accounts.put_account`."""
        return accounts.put_account(self.engine, row, condition, None if self._clock is None else self._clock(), book)

    def score_now(self, model: ChurnModel, account_ids: Sequence[str], now: datetime, **options: Any) -> scoring.Asked:
        """Score these accounts as of now without storing it; see `models.store.scoring.score_accounts`."""
        return scoring.score_accounts(self.engine, model, account_ids, now, **options)

    def rescore(self, model: ChurnModel, account_ids: Sequence[str], now: datetime, **options: Any) -> int:
        """Score these accounts as of now; see `models.store.scoring.rescore`."""
        return scoring.rescore(self.engine, model, account_ids, now, computed_at=now, **options)

    def last_erasure(self) -> int:
        """The number of the latest erasure; 0 before the first."""
        with self.connection() as conn:
            return erased.last(conn)

    def current_list(self, kind: str) -> lists.RiskList:
        """The list readers see. Raises `UnknownList`."""
        with self.connection() as conn:
            return lists.current(conn, kind)

    def kept_list(self, list_id: int) -> lists.RiskList:
        """A list published earlier. Raises `UnknownList` for one that is no longer kept."""
        with self.connection() as conn:
            return lists.get_list(conn, list_id)

    def choose(self, order: issued.Order, now: datetime) -> issued.Pick:
        """Pick a list to be issued; see `models.store.issued.choose`."""
        return issued.choose(self.engine, order, now)

    def freeze(self, chosen: issued.Pick, **how: Any) -> int:
        """Keep a picked list for good; see `models.store.issued.freeze`."""
        return issued.freeze(self.engine, chosen, **how)

    def approached(self, days: int, now: datetime) -> set[str]:
        """The accounts somebody turned to within so many days before a moment."""
        with self.connection() as conn:
            return issued.approached(conn, days, now)

    def given(self, account_ids: Sequence[str], as_of: datetime, model_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The scores that a model gave some accounts at a moment, and their features; see `scores.scores_of`."""
        with self.connection() as conn:
            return scores.scores_of(conn, account_ids, as_of, model_id)

    def known(self, account_ids: Sequence[str], at: datetime) -> History:
        """What is known of some accounts now, fit for questions up to `at`."""
        with reading(self.engine) as conn:
            return history.read_history(conn, account_ids, observed_from=history.observed_from(conn, at))

    def issued_list(self, list_id: int, book: Book) -> lists.RiskList:
        """A list that was issued and that the caller may read. Raises `UnknownList`."""
        with self.connection() as conn:
            return issued.get_issued(conn, list_id, book)

    def became(
        self, found: lists.RiskList, params: LabelParams, now: datetime, book: Book
    ) -> tuple[list[str], list[str], dict[str, str], set[str]]:
        """What became of an issued list, as far as it is in the book: its accounts, its pool, the outcome of each as
        known now, and which of its accounts somebody turned to until the end of the horizon."""
        with reading(self.engine) as conn:
            listed = lists.fitting(conn, found.list_id, "rank_by_loss", lists.Filters(), book)
            pool = issued.inside_now(conn, book, issued.pool(conn, found.list_id))
            outcome = outcomes.outcomes(conn, pool, found.as_of, now, params)
            until = found.as_of + params.window
            return listed, pool, outcome, outcomes.outreached(conn, listed, found.created_at, until)

    def changes_of_list(self, list_id: int, book: Book) -> dict[str, Any] | None:
        """What changed since the list before an issued one, as it was told then; of the book's accounts. Raises
        `UnknownList`."""
        with self.connection() as conn:
            issued.get_issued(conn, list_id, book)
            told = issued.changes(conn, list_id)
            if told is None or not book.restricted:
                return told
            moved = {kind: told[kind] for kind in ("new", "left", "stayed")}
            there = books.held(conn, book, [move["account_id"] for moves in moved.values() for move in moves])
            mine = {kind: [move for move in moves if move["account_id"] in there] for kind, moves in moved.items()}
            return told | mine

    def page(
        self, list_id: int, rank_by: str, filters: lists.Filters, after: int, limit: int, book: Book = EVERYBODY
    ) -> list[dict[str, Any]]:
        """Entries of a list after a rank, of the book's accounts."""
        with self.connection() as conn:
            return lists.page(conn, list_id, rank_by, filters, after_rank=after, limit=limit, book=book)

    def page_of_kept(
        self, list_id: int, rank_by: str, filters: lists.Filters, after: int, limit: int, book: Book = EVERYBODY
    ) -> list[dict[str, Any]]:
        """The same; raises `UnknownList` if the list is no longer kept, looked up in the same moment."""
        with reading(self.engine) as conn:
            lists.get_list(conn, list_id)
            return lists.page(conn, list_id, rank_by, filters, after_rank=after, limit=limit, book=book)

    def listed(self, list_id: int, book: Book) -> int:
        """How many entries of a list are of the book's accounts."""
        with self.connection() as conn:
            return lists.count(conn, list_id, book=book)


def _require(conn: Connection, account_id: str, book: Book = EVERYBODY, *, keep: bool = False) -> None:
    if not books.held(conn, book, [account_id], keep=keep):
        raise UnknownAccount(f"There is no account {account_id!r}.")
