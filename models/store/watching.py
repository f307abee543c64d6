"""Watching a model on what the store holds, and the record of every look: the service shows the latest one.

What the scores said then is taken from the runs that were stored; moments without a run are scored again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.model import ChurnModel
from models.monitor.rows import EVERY_DAYS, sampled
from models.monitor.watch import MONTHS, Watch, watch
from models.store import bulk, history
from models.store.engine import reading, writing
from models.store.tables import CONTRACT, monitor_runs, score_runs, scores


@dataclass(frozen=True)
class StoredWatch:
    """A look that was kept: when it was taken, and all of it, plain."""

    run_id: int
    model_id: str
    as_of: datetime
    computed_at: datetime
    result: dict[str, Any]


def watch_store(engine: Engine, model: ChurnModel, as_of: datetime) -> Watch:
    """Look at a model as of a moment with what is stored, over a sample of accounts where there are many.

    Raises `ContractError` where nobody is a customer then.
    """
    accounts = CONTRACT["accounts"].c.account_id
    with reading(engine) as conn:
        looked_at = sampled(conn.scalars(sa.select(accounts)).all())
        if not looked_at:
            raise ContractError("The store holds no accounts; import a history first: ebbtide import FOLDER.")
        held = history.read_history(conn, looked_at, observed_from=history.observed_from(conn, as_of))
        said = said_then(conn, model.model_id, as_of, looked_at)
    return watch(model, held, as_of, said)


def said_then(conn: Connection, model_id: str, as_of: datetime, account_ids: Sequence[str]) -> pl.DataFrame:
    """What runs of this model said of these accounts: account_id, as_of, p_churn, p_silent, of runs 28 days apart."""
    done = sa.select(score_runs.c.as_of).where(
        score_runs.c.model_id == model_id, score_runs.c.status == "done", score_runs.c.as_of < as_of
    )
    moments = _spaced(sorted(set(conn.scalars(done))), as_of)
    columns = [scores.c[name] for name in ("account_id", "as_of", "p_churn", "p_silent")]
    query = sa.select(*columns).where(scores.c.model_id == model_id, scores.c.run_id.is_not(None))
    wanted = pl.DataFrame({"account_id": list(account_ids)}, schema={"account_id": pl.String})
    parts = [bulk.select(conn, query.where(scores.c.as_of == moment)) for moment in moments]
    empty = bulk.select(conn, query.where(sa.false()))
    return pl.concat([empty, *parts]).join(wanted, on="account_id", how="semi")


def _spaced(moments: Sequence[datetime], as_of: datetime) -> list[datetime]:
    """The moments nearest to steps of 28 days back from `as_of`, each step having one within half a step or none."""
    found = []
    for back in range(1, MONTHS):
        step = as_of - timedelta(days=EVERY_DAYS * back)
        near = [moment for moment in moments if abs(moment - step) < timedelta(days=EVERY_DAYS / 2)]
        found += [min(near, key=lambda moment: abs(moment - step))] if near else []
    return sorted(found)


def keep_watch(engine: Engine, found: Watch, computed_at: datetime) -> int:
    """Store a look; gives its run_id."""
    plain = found.to_plain()
    row = {
        "model_id": found.model_id,
        "as_of": found.as_of,
        "computed_at": computed_at,
        "worst": plain["worst"],
        "result": plain,
    }
    with writing(engine) as conn:
        return int(conn.execute(monitor_runs.insert().values(row).returning(monitor_runs.c.run_id)).scalar_one())


def last_watch(conn: Connection, model_id: str) -> StoredWatch | None:
    """The look at a model that was taken last of those of the latest moment; None before the first."""
    columns = [monitor_runs.c[name] for name in StoredWatch.__dataclass_fields__]
    query = sa.select(*columns).where(monitor_runs.c.model_id == model_id)
    latest = (monitor_runs.c.as_of.desc(), monitor_runs.c.run_id.desc())
    row = conn.execute(query.order_by(*latest).limit(1)).one_or_none()
    return None if row is None else StoredWatch(*row)
