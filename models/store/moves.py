"""Two runs compared account by account, for a whole portfolio or a part of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from models.changes import Changes, Given, changes
from models.model import ChurnModel
from models.scorecard import Target
from models.store import history, scores
from models.store.among import among, wanted
from models.store.books import Book, inside
from models.store.missed import Spells, missed
from models.store.tables import CONTRACT, score_runs
from models.store.tables import scores as given_scores
from models.tally import Scores

#: Accounts compared at a time.
AT_ONCE = 2_000
#: What a portfolio may be told by: columns of accounts, as they are now.
GROUPS = ("owner", "segment", "region")


@dataclass(frozen=True)
class Run:
    """A finished run."""

    run_id: int
    as_of: datetime
    model_id: str
    scored: int


@dataclass(frozen=True)
class Compared:
    """Some accounts in two runs: their scores in either, and why those that are in both changed."""

    first: Scores
    last: Scores
    moved: Changes


def run_by(conn: Connection, moment: datetime) -> Run | None:
    """The last finished run as of a moment or before; None where there is none."""
    query = sa.select(score_runs).where(score_runs.c.status == "done", score_runs.c.as_of <= moment)
    row = conn.execute(query.order_by(score_runs.c.as_of.desc(), score_runs.c.run_id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    return Run(row.run_id, row.as_of, row.model_id, int((row.summary or {}).get("scored", 0)))


def members(conn: Connection, books: Sequence[Book], runs: Sequence[Run], most: int) -> list[str]:
    """The accounts that are in all the books and were scored in any of the runs, in order of id: at most `most`."""
    account_id = CONTRACT["accounts"].c.account_id
    conditions = [condition for book in books for condition in inside(book, account_id)]
    stored = given_scores.c
    scored = [
        sa.exists().where(stored.account_id == account_id, stored.as_of == run.as_of, stored.model_id == run.model_id)
        for run in runs
    ]
    query = sa.select(account_id).where(*conditions, sa.or_(*scored)).order_by(account_id)
    return list(conn.scalars(query.limit(most)))


def groups(conn: Connection, account_ids: Sequence[str], by: str | None) -> dict[str, str | None]:
    """Account id -> its group as it is now; everybody in one where `by` is None."""
    if by is None:
        return {}
    accounts = CONTRACT["accounts"].c
    query = sa.select(accounts.account_id, accounts[by]).where(among(conn.dialect.name, accounts.account_id))
    return {row[0]: row[1] for row in conn.execute(query, wanted(conn, account_ids))}


def compared(
    conn: Connection,
    account_ids: Sequence[str],
    first: tuple[Run, ChurnModel],
    last: tuple[Run, ChurnModel],
    target: Target,
) -> Iterator[Compared]:
    """The accounts in two runs, `AT_ONCE` at a time. Every score is a look-up by primary key."""
    watched = history.observed_from(conn, last[0].as_of)
    missing = [missed(conn, run.as_of) for run, _ in (first, last)]
    for start in range(0, len(account_ids), AT_ONCE):
        part = account_ids[start : start + AT_ONCE]
        then, now = (scores.scores_of(conn, part, run.as_of, run.model_id) for run, _ in (first, last))
        both = sorted(set(then[0]["account_id"]) & set(now[0]["account_id"]))
        held = history.read_history(conn, both, observed_from=watched)
        begun = given(first[1], first[0].as_of, both, target, *then, missing[0])
        ended = given(last[1], last[0].as_of, both, target, *now, missing[1])
        moved = changes(held, both, begun, ended, target)
        yield Compared(_scores(then[0], target), _scores(now[0], target), moved)


def given(
    model: ChurnModel,
    as_of: datetime,
    account_ids: Sequence[str],
    target: Target,
    found: pl.DataFrame,
    features: pl.DataFrame,
    missing: Spells,
) -> Given:
    """Scores of these accounts as the ledger takes them; `found` and `features` as `scores.scores_of` gives them,
    `missing` as `missed` does."""
    ids = pl.DataFrame({"account_id": list(account_ids)}, schema={"account_id": pl.String})
    log_odds = ids.join(found, on="account_id", how="left", maintain_order="left")[f"log_odds_{target}"].to_numpy()
    rows = ids.join(features, on="account_id", how="left", maintain_order="left")
    kept = rows["kept"].cast(pl.Boolean).to_numpy().astype(np.bool_)
    return Given(model, as_of, log_odds, rows if kept.any() else None, kept, missing)


def _scores(found: pl.DataFrame, target: Target) -> Scores:
    log_odds, health = (found[name].to_numpy() for name in (f"log_odds_{target}", "health_unclipped"))
    return Scores(found["account_id"].to_list(), log_odds, health)
