"""Questions about an earlier moment: what would have been said of an account as of then, with what was known when.

    as of 1 March, known on 1 March    what a run of 1 March gave, bit for bit, unless stored rows were replaced since
    as of 1 March, known on 1 April    the same day with what was told of it until April
    as of 1 March, known on 15 February    the same day with what was known a fortnight before

Rows are told as they are stored now: what was overwritten since is not there any more. What *was* said is a stored
score, which never changes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from models.history import History
from models.ledger import with_late
from models.model import ChurnModel
from models.scoring import Scored, is_fresh, score_history
from models.store import history, scores
from models.store.engine import reading
from models.store.missed import Spells, missed, much
from models.store.tables import CONTRACT

_MOMENT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Then:
    """`scored`: the account, or nobody where it was no customer; `known`: what is taken as known then; `reached`: table
    -> when its last row became known; `fresh`: whether the contacts were up to date."""

    scored: Scored
    known: History
    reached: dict[str, datetime | None]
    fresh: bool


def score_then(
    engine: Engine,
    model: ChurnModel,
    account_id: str,
    as_of: datetime,
    known_at: datetime,
    *,
    margin: float,
    currency: str | None,
    quiet: bool = False,
    missing: Spells | None = None,
) -> Then:
    """Score an account as of a moment with what was known at another; stores nothing. `quiet`: whether the contact feed
    was, at `known_at`. `missing`: when nobody was listening (`models.store.missed`); None: look it up.

    The band follows the last one that had been given before `as_of`, as a run's would.
    """
    with reading(engine) as conn:
        watched = history.observed_from(conn, known_at)
        held = history.read_history(conn, [account_id], observed_from=watched)
        before = scores.said_at(conn, account_id, as_of - _MOMENT)
        missing = missed(conn, min(as_of, known_at)) if missing is None else missing
        reached = {}
        for name in ("interactions", "surveys"):
            recorded = CONTRACT[name].c.recorded_at
            reached[name] = conn.scalar(sa.select(sa.func.max(recorded)).where(recorded <= known_at))
    if known_at > as_of:
        held = with_late(held, as_of, known_at)
    elif known_at < as_of:
        held = held.known_at(known_at)
    fresh = not quiet and is_fresh(reached["interactions"], as_of) and not much(missing, as_of)
    bands = {} if before is None else {account_id: before.values["band"]}
    scored = score_history(
        model,
        held.without(missing),
        as_of,
        fresh=fresh,
        margin=margin,
        currency=currency,
        account_ids=[account_id],
        previous_bands=bands,
    )
    return Then(scored, held, reached, fresh)
