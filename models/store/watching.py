"""Watching a model on what the store holds.

What the scores said then is taken from the runs that were stored; moments without a run are scored again.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from models.errors import ContractError
from models.model import ChurnModel
from models.monitor.rows import EVERY_DAYS, sampled
from models.monitor.watch import MONTHS, Watch, watch
from models.store import bulk, history
from models.store.engine import reading
from models.store.tables import CONTRACT, score_runs, scores


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
