"""Scoring what the store holds: everybody in a run, or the few whose facts just changed.

A run reads one moment of the database chunk by chunk, saves the scores of each chunk, and at the end publishes
the ranked silent list in one step. Runs exclude each other; readers and writers of facts are never kept waiting.

    12:00  run begins, as of 12:00       reads the store as it is at 12:00
    12:01  facts about account a arrive  a is scored alone, as of 12:01: that stays its latest score
    12:03  the list is published         everybody as of 12:00, a included
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models import health, lists
from models.clock import isoformat
from models.errors import ContractError
from models.history import History
from models.model import ChurnModel
from models.scoring import Scored, is_fresh, score_history
from models.standing import SCORED, STANDINGS, standings
from models.store import bulk, history, runs, scores
from models.store.engine import reading, writing
from models.store.lists import ENTRY_SCHEMA, publish_list
from models.store.missed import Spells, missed, much
from models.store.tables import CONTRACT, latest_scores
from models.store.types import MICROSECOND

#: Accounts scored at a time: bounds the memory of a run, not its result.
CHUNK_ACCOUNTS = 50_000
#: Accounts scored at a time on the arrival of facts.
RESCORED_AT_ONCE = 5_000
#: The name of the right to run, see `models.store.runs.exclusive`.
WORK = "score"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scoring:
    """A finished run. `standings`: how many accounts there are of each (`models.standing`); `scored` of them were
    customers and `listed` quiet."""

    run_id: int
    list_id: int
    as_of: datetime
    model_id: str
    standings: dict[str, int]
    scored: int
    listed: int

    @property
    def accounts(self) -> int:
        """All described accounts."""
        return sum(self.standings.values())


@dataclass(frozen=True)
class Asked:
    """Some accounts scored: the scores of those who are customers, what was known of them all, and the bands that those
    with an earlier score had."""

    scored: Scored
    known: History
    bands: dict[str, str]

    def standings(self, as_of: datetime, model: ChurnModel) -> dict[str, str]:
        """Account id -> standing of all who are described (`models.standing`), to say why somebody has no score."""
        found = standings(self.known, [as_of], model.label)
        return dict(found.select("account_id", "standing").iter_rows())


def score_store(
    engine: Engine,
    model: ChurnModel,
    as_of: datetime,
    *,
    who: str,
    clock: Callable[[], datetime],
    margin: float = 1.0,
    currency: str | None = None,
    chunk_accounts: int = CHUNK_ACCOUNTS,
    progress: Progress | None = None,
    quiet_since: datetime | None = None,
    ended_at: datetime | None = None,
) -> Scoring:
    """Score every account as of a moment and publish the silent list.

    `who` is remembered with the list; `margin` and `currency` as in `models.scoring`; `progress` is told accounts
    done and accounts in all. `quiet_since`: the contact feed has told nothing since then, so `as_of` is the end of what
    it told; every confidence is one grade lower and the list says so. `ended_at`: the same of an export that was read
    once, in which nothing is amiss. An account that is not scored any more (ended,
    notice, test) loses its latest score. Raises `RunInProgress` while another run is at work and `ContractError` for a
    moment before every account; after any failure the old list is still the current one.
    """
    model.require_history()
    with runs.exclusive(engine, WORK):
        computed_at = clock()
        run_id = runs.start_run(engine, as_of, model.model_id, computed_at)
        try:
            run = _Run(engine, model, as_of, margin, currency, run_id, computed_at, quiet_since, ended_at)
            counts, entries = run.score_all(chunk_accounts, progress or _silently)
            _require_somebody(counts, as_of)
            _forget(engine, _older(as_of, computed_at))
            population = {"accounts": sum(counts.values()), **counts, "quiet": entries.height}
            list_id = publish_list(
                engine,
                lists.KIND,
                entries,
                as_of=as_of,
                model_id=model.model_id,
                population=population,
                parameters={
                    "margin": margin,
                    "currency": currency,
                    "who": who,
                    "run_id": run_id,
                    **quiet_line(quiet_since),
                },
                created_at=clock(),
            )
        except BaseException as error:
            runs.finish_run(engine, run_id, clock(), "failed", {"error": type(error).__name__})
            raise
        scored = sum(counts[standing] for standing in SCORED)
        runs.finish_run(engine, run_id, clock(), "done", population | {"scored": scored, "list_id": list_id})
    return Scoring(run_id, list_id, as_of, model.model_id, counts, scored, entries.height)


def _require_somebody(counts: dict[str, int], as_of: datetime) -> None:
    """An empty store has an empty list; accounts of which nobody had begun by then are a wrong moment."""
    if counts["unknown"] and counts["unknown"] + counts["test"] == sum(counts.values()):
        raise ContractError(
            f"No account had begun, or was known, by {isoformat(as_of)}, so nothing was scored and the published list "
            "stays; choose a later moment."
        )


def rescore(
    engine: Engine,
    model: ChurnModel,
    account_ids: Sequence[str],
    as_of: datetime,
    *,
    computed_at: datetime,
    margin: float = 1.0,
    currency: str | None = None,
    quiet_since: datetime | None = None,
    ended_at: datetime | None = None,
    missing: Spells | None = None,
) -> int:
    """Score these accounts as of a moment; gives how many were customers and so got a score. `quiet_since`, `ended_at`
    and `missing` as in `score_accounts`.

    Features are bit for bit those of a run at the same moment: the portfolio's coverage and sources are looked up,
    only the rows of others are not. Ids nobody has described are passed over. The list stays as it was published.
    """
    wanted = sorted(set(account_ids))
    parts = (wanted[start : start + RESCORED_AT_ONCE] for start in range(0, len(wanted), RESCORED_AT_ONCE))
    options: dict[str, Any] = {"margin": margin, "currency": currency}
    options |= {"quiet_since": quiet_since, "ended_at": ended_at, "missing": missing}
    return sum(_rescore(engine, model, part, as_of, computed_at, options) for part in parts)


def score_accounts(
    engine: Engine,
    model: ChurnModel,
    account_ids: Sequence[str],
    as_of: datetime,
    *,
    margin: float = 1.0,
    currency: str | None = None,
    quiet_since: datetime | None = None,
    ended_at: datetime | None = None,
    missing: Spells | None = None,
) -> Asked:
    """Score some accounts as of a moment from what is stored, and store nothing; see `rescore`.

    Where the contact feed has told nothing since `quiet_since`, they are scored as of the last it told, lest its
    silence be taken for theirs, with a lower confidence; where an export ended at `ended_at`, as of its end, with the
    confidence it has. Those who are no customers any more get no score all the same. `missing`: the spells in which
    nobody was listening (`models.store.missed`), which are not counted as anybody's silence; None: look them up.
    """
    wanted = list(account_ids)
    told_until = quiet_since or ended_at
    moment = as_of if told_until is None else min(as_of, told_until + MICROSECOND)
    with reading(engine) as conn:
        context = _context(conn, moment, quiet_since, missing)
        held = history.read_history(conn, wanted, observed_from=context.observed_from)
        mine = sa.select(latest_scores).where(latest_scores.c.account_id.in_(wanted))
        bands = _bands(bulk.select(conn, mine), as_of)
    options = {"margin": margin, "currency": currency, "previous_bands": bands}
    there = None if told_until is None else _customers(held, as_of, model)
    heard = held.without(context.missing)
    scored = score_history(model, heard, moment, fresh=context.fresh, account_ids=there, **options)  # type: ignore[arg-type]
    return Asked(scored, held, bands)


def _rescore(
    engine: Engine,
    model: ChurnModel,
    wanted: list[str],
    as_of: datetime,
    computed_at: datetime,
    options: dict[str, Any],
) -> int:
    asked = score_accounts(engine, model, wanted, as_of, **options)
    scored = asked.scored
    if scored.scores.height:
        instead = (options["quiet_since"] or options["ended_at"]) is not None
        scores.save_scores(engine, to_store(model, scored), kept(model, scored), computed_at, instead=instead)
    described = set(asked.known.accounts["account_id"])
    lost = sorted(described & asked.bands.keys() - set(scored.scores["account_id"]))
    if lost:
        _forget(engine, latest_scores.c.account_id.in_(lost) & (latest_scores.c.as_of <= as_of))
    return scored.scores.height


def to_store(model: ChurnModel, scored: Scored) -> pl.DataFrame:
    """The scores in the store's columns (`models.store.scores.SCORE_SCHEMA`)."""
    return scored.scores.with_columns(
        health_low=_health_at(model, scored.scores["p_churn_high"]),
        health_high=_health_at(model, scored.scores["p_churn_low"]),
    ).select(*scores.SCORE_SCHEMA)


@dataclass(frozen=True)
class _Context:
    """What the portfolio lends to each of its accounts."""

    observed_from: dict[str, datetime]
    fresh: bool
    missing: Spells


@dataclass(frozen=True)
class _Run:
    engine: Engine
    model: ChurnModel
    as_of: datetime
    margin: float
    currency: str | None
    run_id: int
    computed_at: datetime
    quiet_since: datetime | None
    ended_at: datetime | None

    @property
    def before_now(self) -> bool:
        """Whether the run is of an earlier moment because contacts end there: it says all the same how things are."""
        return (self.quiet_since or self.ended_at) is not None

    def score_all(self, chunk_accounts: int, progress: Progress) -> tuple[dict[str, int], pl.DataFrame]:
        """Accounts per standing, and the entries of the list."""
        counts = dict.fromkeys(STANDINGS, 0)
        entries = [pl.DataFrame(schema=ENTRY_SCHEMA)]
        with reading(self.engine) as conn:
            total = conn.scalar(sa.select(sa.func.count()).select_from(CONTRACT["accounts"])) or 0
            context = _context(conn, self.as_of, self.quiet_since)
            for low, high in history.account_ranges(conn, chunk_accounts):
                part = history.read_range(conn, low, high, observed_from=context.observed_from)
                for standing, number in _count(part, self.as_of, self.model).items():
                    counts[standing] += number
                entries.append(self._score(part, context, scores.latest_bands(conn, low, high)))
                progress(sum(counts.values()), total)
        return counts, pl.concat(entries)

    def _score(self, part: History, context: _Context, latest: pl.DataFrame) -> pl.DataFrame:
        there = _customers(part, self.computed_at, self.model) if self.before_now else None
        scored = score_history(
            self.model,
            part.without(context.missing),
            self.as_of,
            fresh=context.fresh,
            account_ids=there,
            margin=self.margin,
            currency=self.currency,
            previous_bands=_bands(latest, self.as_of),
        )
        if scored.scores.height:
            frame = to_store(self.model, scored)
            more = {"instead": self.before_now}
            scores.save_scores(self.engine, frame, kept(self.model, scored), self.computed_at, self.run_id, **more)
        return lists.quiet_entries(self.model, scored).select(*ENTRY_SCHEMA).cast(ENTRY_SCHEMA)  # type: ignore[arg-type]


def _silently(done: int, total: int) -> None:
    """Nobody is watching."""


def _customers(held: History, at: datetime, model: ChurnModel) -> list[str]:
    """Who gets a score at a moment."""
    found = standings(held, [at], model.label)
    return found.filter(pl.col("standing").is_in(SCORED))["account_id"].to_list()


def quiet_line(since: datetime | None) -> dict[str, str]:
    """How a list says that the contact feed was quiet when it was made."""
    return {} if since is None else {"contacts_quiet_since": isoformat(since)}


def _context(
    conn: Connection, as_of: datetime, quiet_since: datetime | None, missing: Spells | None = None
) -> _Context:
    recorded = CONTRACT["interactions"].c.recorded_at
    last: datetime | None = conn.scalar(sa.select(sa.func.max(recorded)).where(recorded <= as_of))
    spells = missed(conn, as_of) if missing is None else missing
    fresh = quiet_since is None and is_fresh(last, as_of) and not much(spells, as_of)
    return _Context(history.observed_from(conn, as_of), fresh, spells)


def _count(part: History, as_of: datetime, model: ChurnModel) -> dict[str, int]:
    return dict(standings(part, [as_of], model.label)["standing"].value_counts().iter_rows())


def _bands(latest: pl.DataFrame, as_of: datetime) -> dict[str, str]:
    """account_id -> band, of latest scores up to a moment."""
    return dict(latest.filter(pl.col("as_of") <= as_of).select("account_id", "band").iter_rows())


def kept(model: ChurnModel, scored: Scored) -> pl.DataFrame:
    """The features to keep with the scores, and the facts that their reasons quote."""
    return scored.features.select("account_id", "as_of", *model.columns.names, *model.columns.quoted)


def _health_at(model: ChurnModel, p_churn: pl.Series) -> pl.Series:
    """The health of a risk, unknown where it is."""
    chances = p_churn.cast(pl.Float64).fill_null(np.nan).to_numpy()
    with np.errstate(divide="ignore"):
        log_odds = np.log(chances) - np.log1p(-chances)
    return pl.Series(health.health(log_odds, model.health)).fill_nan(None)


def _older(as_of: datetime, computed_at: datetime) -> sa.ColumnElement[bool]:
    """Latest scores that a run as of this moment did not renew, those as of a day to come included."""
    columns = latest_scores.c
    same = (columns.as_of == as_of) & (columns.computed_at < computed_at)
    return (columns.as_of < as_of) | same | (columns.as_of > computed_at + scores.AHEAD)


def _forget(engine: Engine, which: sa.ColumnElement[bool]) -> None:
    with writing(engine) as conn:
        conn.execute(latest_scores.delete().where(which))
