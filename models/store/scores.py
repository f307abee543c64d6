"""Scores into the store and out of it.

`scores` keeps every score ever served, by account, moment and model; `latest_scores` points to the one that
speaks for an account now, so reading it is two look-ups by primary key however long the history is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import CreateTable

from models.errors import ContractError, NotScored
from models.store import bulk, outbox
from models.store.among import among, wanted
from models.store.codec import Layout, decode, decode_frame, encode
from models.store.engine import writing
from models.store.erased import without
from models.store.history import account_ranges, within
from models.store.tables import feature_layouts, latest_scores, scores
from models.store.types import MICROSECOND, schema
from models.webhooks.events import band_changed

#: What `save_scores` takes, column -> type; the rest of the table it fills in itself.
FILLED = ("run_id", "computed_at", "layout_id", "features")
SCORE_SCHEMA = {name: dtype for name, dtype in schema(scores).items() if name not in FILLED}

BATCH_ROWS = 20_000
#: Clocks of several machines differ; what lies further ahead was made by a clock that was wrong.
AHEAD = timedelta(days=1)

_layouts: dict[str, Layout] = {}
"""Layouts seen by this process. An id stands for the names it was made of, so an entry never goes stale."""


@dataclass(frozen=True)
class StoredScore:
    """A score as it was served: `values` has every column of `scores` but the blob, `features` the blob's content."""

    values: dict[str, Any]
    features: dict[str, float | str | None]


def save_scores(
    engine: Engine,
    frame: pl.DataFrame,
    features: pl.DataFrame | None,
    computed_at: datetime,
    run_id: int | None = None,
    *,
    instead: bool = False,
) -> None:
    """Keep scores with the features they came from.

    `frame` has the columns of `SCORE_SCHEMA`, one row per (account_id, as_of, model_id); a score already there
    is replaced. `features` (None: not kept) is what `models.features.compute` gave, one row per row of `frame`
    by account_id and as_of. `run_id`: the run they belong to; None: scored on the arrival of new facts.
    An account's latest score is the one with the latest as_of, of those the one computed last; with `instead` this one,
    for what was said of a later moment rested on a feed that had fallen silent. One as of a day to come gives way.
    Raises `ContractError` for a missing column.
    """
    missing = [name for name in SCORE_SCHEMA if name not in frame.columns]
    if missing:
        raise ContractError(f"The scores lack the column {missing[0]!r}.")
    layout = None if features is None else _keep_layout(engine, Layout.of(features))
    for part in frame.select(*SCORE_SCHEMA).cast(SCORE_SCHEMA).iter_slices(BATCH_ROWS):  # type: ignore[arg-type]
        rows = part.with_columns(
            pl.lit(run_id, pl.Int64).alias("run_id"),
            pl.lit(computed_at).alias("computed_at"),
            pl.lit(None if layout is None else layout.layout_id, pl.String).alias("layout_id"),
            _blobs(part, features, layout),
        )
        with writing(engine) as conn:
            _replace(conn, without(conn, rows), instead=instead)


_KEY = ("account_id", "as_of", "model_id")

#: Two look-ups by primary key. Built once: building it takes as long as running it.
LATEST = (
    sa.select(scores)
    .join(
        latest_scores,
        sa.and_(*(scores.c[name] == latest_scores.c[name] for name in _KEY)),
    )
    .where(latest_scores.c.account_id == sa.bindparam("account_id"))
)


def latest(conn: Connection, account_id: str) -> StoredScore:
    """The account's latest score. Raises `NotScored`."""
    row = conn.execute(LATEST, {"account_id": account_id}).one_or_none()
    if row is None:
        raise NotScored(f"Account {account_id!r} has no score yet.")
    return stored(conn, row)


def latest_of(conn: Connection, account_ids: Sequence[str]) -> dict[str, StoredScore]:
    """Account id -> its latest score, for those of some accounts that have one."""
    mine = among(conn.dialect.name, latest_scores.c.account_id)
    same = sa.and_(*(scores.c[name] == latest_scores.c[name] for name in _KEY))
    rows = conn.execute(sa.select(scores).join(latest_scores, same).where(mine), wanted(conn, account_ids))
    return {row.account_id: stored(conn, row) for row in rows}


def score_history(
    conn: Connection, account_id: str, limit: int = 100, before: tuple[datetime, str] | None = None
) -> list[StoredScore]:
    """The account's scores, latest as_of first, of one moment by model id; `before`: after that one (as_of, model)."""
    query = sa.select(scores).where(scores.c.account_id == account_id)
    if before is not None:
        as_of, model_id = before
        same = sa.and_(scores.c.as_of == as_of, scores.c.model_id > model_id)
        query = query.where(scores.c.as_of <= as_of, sa.or_(scores.c.as_of < as_of, same))
    query = query.order_by(scores.c.as_of.desc(), scores.c.model_id).limit(limit)
    return [stored(conn, row) for row in conn.execute(query)]


def said_at(conn: Connection, account_id: str, moment: datetime) -> StoredScore | None:
    """What was last said of the account as of `moment` or earlier; None where nothing had been said yet."""
    query = (
        sa.select(scores)
        .where(scores.c.account_id == account_id, scores.c.as_of <= moment)
        .order_by(scores.c.as_of.desc(), scores.c.computed_at.desc(), scores.c.model_id)
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    return None if row is None else stored(conn, row)


def read_scores(conn: Connection, as_of: datetime, model_id: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The scores of one moment and model, by account id, and the features they came from, in the same order.

    Scores have the columns of the table but the blob; features have account_id, as_of and what was kept of them
    (null where nothing was).
    """
    query = sa.select(scores).where(scores.c.as_of == as_of, scores.c.model_id == model_id)
    return _decoded(conn, bulk.select_many(conn, query.order_by(scores.c.account_id), schema(scores)))


def scores_of(
    conn: Connection, account_ids: Sequence[str], as_of: datetime, model_id: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The same for those of some accounts that have such a score; each is a look-up by primary key.

    The features have a column `kept`, too: whether they were.
    """
    query = sa.select(scores).where(
        among(conn.dialect.name, scores.c.account_id), scores.c.as_of == as_of, scores.c.model_id == model_id
    )
    found = bulk.select(conn, query.order_by(scores.c.account_id), schema(scores), wanted(conn, account_ids))
    given, features = _decoded(conn, found)
    return given, features.with_columns(found["layout_id"].is_not_null().alias("kept"))


def _decoded(conn: Connection, found: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    decoded = [
        part.select("account_id").hstack(decode_frame(part["features"], _layout(conn, str(part["layout_id"][0]))))
        for part in found.filter(pl.col("layout_id").is_not_null()).partition_by("layout_id")
    ]
    features = found.select("account_id", "as_of")
    if decoded:
        kept = pl.concat(decoded, how="diagonal")
        features = features.join(kept, on="account_id", how="left", maintain_order="left")
    return found.drop("layout_id", "features"), features


def forget_scores(engine: Engine, before: datetime, at_once: int = BATCH_ROWS) -> int:
    """Delete scores as of earlier than `before` that are nobody's latest; gives how many.

    Works through the accounts `at_once` at a time, each in a transaction of its own.
    """
    latest_one = sa.exists().where(*(scores.c[name] == latest_scores.c[name] for name in _KEY))
    with engine.connect() as conn:
        ranges = account_ranges(conn, at_once)
    forgotten = 0
    for low, high in ranges:
        old = scores.delete().where(*within(scores.c.account_id, low, high), scores.c.as_of < before, ~latest_one)
        with writing(engine) as conn:
            forgotten += conn.execute(old).rowcount
    return forgotten


def latest_bands(conn: Connection, low: str | None = None, high: str | None = None) -> pl.DataFrame:
    """account_id, as_of, model_id, computed_at, health and band of the latest scores, for ids in [low, high)."""
    query = sa.select(latest_scores).where(*within(latest_scores.c.account_id, low, high))
    return bulk.select_many(conn, query, schema(latest_scores))


def stored(conn: Connection, row: sa.Row[Any]) -> StoredScore:
    values = dict(row._mapping)
    blob, layout_id = values.pop("features"), values.pop("layout_id")
    features = {} if blob is None else decode(blob, _layout(conn, layout_id))
    return StoredScore(values, features)


def _layout(conn: Connection, layout_id: str) -> Layout:
    if layout_id not in _layouts:
        query = sa.select(feature_layouts.c.layout).where(feature_layouts.c.layout_id == layout_id)
        _layouts[layout_id] = Layout.from_plain(conn.execute(query).scalar_one())
    return _layouts[layout_id]


def _keep_layout(engine: Engine, layout: Layout) -> Layout:
    with writing(engine) as conn:
        row = {"layout_id": layout.layout_id, "layout": layout.to_plain()}
        conn.execute(_insert(conn, feature_layouts).values(row).on_conflict_do_nothing())
    return layout


def _blobs(part: pl.DataFrame, features: pl.DataFrame | None, layout: Layout | None) -> pl.Series:
    if features is None or layout is None:
        return pl.Series("features", [None] * part.height, pl.Binary)
    key = ["account_id", "as_of"]
    mine = part.select(key).join(features, on=key, how="left", maintain_order="left")
    return encode(mine, layout)


def _insert(conn: Connection, table: sa.Table) -> Any:
    return (postgresql.insert if conn.dialect.name == "postgresql" else sqlite.insert)(table)


_stage = sa.Table(
    "incoming_scores",
    sa.MetaData(),
    *(sa.Column(column.name, column.type) for column in scores.columns),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DELETE ROWS",
)


def _replace(conn: Connection, rows: pl.DataFrame, *, instead: bool) -> None:
    conn.execute(CreateTable(_stage, if_not_exists=True))
    conn.execute(_stage.delete())
    bulk.append(conn, _stage, rows)
    if "account.band_changed" in outbox.wanted(conn):
        changed = _CHANGED_BANDS if instead else _CHANGED_BANDS.where(_later(_stage.c, latest_scores.c))
        outbox.emit(conn, [band_changed(*row) for row in conn.execute(changed)])
    conn.execute(_keep(conn, scores, _KEY))
    conn.execute(_keep(conn, latest_scores, ("account_id",), always=instead))
    conn.execute(_stage.delete())


def _later(new: Any, old: Any) -> sa.ColumnElement[bool]:
    """Whether a new row speaks of a later moment than the one that is there, or of the same one more recently; or the
    one there of a day that has not come, as it does once a clock that was ahead is set right."""
    of_old, made = (sa.type_coerce(moment, sa.BigInteger) for moment in (old.as_of, new.computed_at))
    return sa.or_(
        new.as_of > old.as_of,
        sa.and_(new.as_of == old.as_of, new.computed_at >= old.computed_at),
        of_old > made + AHEAD // MICROSECOND,
    )


#: Staged rows that will change an account's band, as `models.webhooks.events.band_changed` takes them.
_CHANGED_BANDS = (
    sa.select(
        *(_stage.c.account_id, _stage.c.computed_at, latest_scores.c.band, _stage.c.band, _stage.c.health),
        *(latest_scores.c.health, _stage.c.model_id, _stage.c.as_of),
    )
    .join(latest_scores, latest_scores.c.account_id == _stage.c.account_id)
    .where(latest_scores.c.band != _stage.c.band)
    .order_by(_stage.c.account_id)
)


def _keep(conn: Connection, table: sa.Table, key: tuple[str, ...], *, always: bool = False) -> Any:
    """Staged rows into the table by key, in key order; a row there gives way unless it speaks of a later moment, or
    `always`."""
    names = [column.name for column in table.columns]
    rows = sa.select(*(_stage.c[name] for name in names)).where(sa.true())
    insert = _insert(conn, table).from_select(names, rows.order_by(*(_stage.c[name] for name in key)))
    new, old = insert.excluded, table.c
    replaced = {name: new[name] for name in names if name not in key}
    return insert.on_conflict_do_update(
        index_elements=list(key), set_=replaced, where=None if always else _later(new, old)
    )
