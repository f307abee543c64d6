"""A wide table's file as what a fit learns from: columns, labels, groups, moments, and what was counted on the way."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from models import tables
from models.clock import INSTANT
from models.errors import ContractError, SettingsError, TooFewLabels
from models.imports.convert import FALSE, OUTSIDE, TRUE, as_text, blank_nulls
from models.imports.read import LINE, Raw, read
from models.schema import Column, Schema
from training.tables.declare import ColumnDeclared, TableConfig
from training.tables.infer import FORMS, Inferred, column_of, infer, quoted, refuse

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Rows of either outcome below which nothing can be learnt and tested.
LEAST_EVENTS = 30
#: Identical rows that hold more than this share of the table are alike because the table says little.
MOST_ALIKE = 0.1
#: Unreadable cells that are spelled out.
SHOWN = 5
#: Cells that mean stayed that are spelled out.
MOST_CELLS = 10
#: What programs write where there is no number.
_NO_NUMBER = ("nan", "inf", "infinity")


@dataclass(frozen=True)
class Names:
    """The columns that are not features: the label, whose row it is, and as of when; empty where none says it."""

    label: str
    identity: str = ""
    moment: str = ""


@dataclass(frozen=True)
class Table:
    """Labelled rows. `frame` (n rows) holds the schema's columns as a scorecard reads them, `y` (n,) 0 and 1, `groups`
    (n,) codes of rows that stay together, `accounts` and `moments` (n,) whose row it is and as of when (null: nobody
    says). `inferred`: every column's type; `counts`: what there was in the file."""

    schema: Schema
    frame: pl.DataFrame
    y: Floats
    groups: Codes
    accounts: pl.Series
    moments: pl.Series
    inferred: tuple[Inferred, ...]
    counts: dict[str, Any]


def load(path: Path, names: Names, config: TableConfig) -> tuple[Raw, tuple[Inferred, ...]]:
    """Read the file and judge its columns. Raises `ContractError` for a file without the columns named."""
    raw = read(path)
    if not raw.frame.height:
        raise ContractError(f"{path.name} holds no rows.")
    for name, option in ((names.label, "--label"), (names.identity, "--id"), (names.moment, "--as-of-column")):
        if name and name not in raw.names:
            raise ContractError(f"{path.name} has no column {name!r} ({option}); it has {', '.join(raw.names)}.")
    given = [name for name in (names.label, names.identity, names.moment) if name]
    if len(set(given)) != len(given):
        raise ContractError("--label, --id and --as-of-column must name different columns.")
    unknown = sorted(set(config.columns) - set(raw.names))
    if unknown:
        raise SettingsError(f"The configuration declares the column {unknown[0]!r}, which {path.name} has not.")
    roles = {names.label, names.identity, names.moment}
    features = [name for name in raw.names if name not in roles]
    plain = ColumnDeclared()
    found = [infer(name, raw.frame[name], raw.frame[LINE], config.columns.get(name, plain)) for name in features]
    return raw, tuple(found)


def table(raw: Raw, found: Sequence[Inferred], names: Names, config: TableConfig) -> Table:
    """The rows to learn from. Raises `ContractError` for columns or cells that cannot be used as they are, naming each,
    and `TooFewLabels` for too few rows of either outcome."""
    refuse(found, dated=bool(names.moment or config.as_of), id_given=bool(names.identity))
    unknown = config.columns.get(names.label, ColumnDeclared()).missing
    y = labels(raw.frame[names.label], names.label, config.positive, unknown)
    kept = y.is_not_null()
    rows, labelled = raw.frame.filter(kept), y.drop_nulls().to_numpy().astype(np.float64)
    few = min(labelled.sum(), len(labelled) - labelled.sum())
    if few < LEAST_EVENTS:
        raise TooFewLabels(
            f"{labelled.sum():,.0f} of {len(labelled):,} rows are labelled as left; "
            f"{LEAST_EVENTS} of either outcome are needed to learn from and to test on."
        )
    own = tuple(column_of(one, config.columns.get(one.name, ColumnDeclared())) for one in found if one.kind in FORMS)
    if not own:
        raise ContractError("No column is left to learn from beside the label.")
    schema = Schema("table", own, names.identity, names.moment)
    moments = moments_of(rows, names.moment, config)
    prepared = prepare(schema, rows, moments)
    schema = replace(schema, own=tuple(_spanned(column, prepared[column.name]) for column in own))
    accounts = identities(rows, names.identity)
    groups, counts = _grouped(prepared, accounts if names.identity else None, labelled)
    counts |= {
        "rows": rows.height,
        "events": int(labelled.sum()),
        "without_label": raw.frame.height - rows.height,
        **(_stayed(rows[names.label], labelled) if config.positive is not None else {}),
        "not_rows": [f"line {one.line} {one.reason}" for one in raw.broken[:SHOWN]],
        "not_rows_count": len(raw.broken),
        "nameless_columns": len(raw.nameless),
        "accounts": accounts.n_unique(),
    }
    return Table(schema, prepared, labelled, groups, accounts, moments, tuple(found), counts)


def prepare(schema: Schema, rows: pl.DataFrame, moments: pl.Series) -> pl.DataFrame:
    """The schema's columns of raw rows. Raises `ContractError` naming the cells that cannot be read, by line."""
    made = tables.prepare(schema, rows, moments)
    if made.problems:
        raise ContractError(unreadable(rows, made.problems))
    return made.frame


def unreadable(rows: pl.DataFrame, problems: Sequence[tuple[str, pl.Series, str]]) -> str:
    """The first cells that cannot be read, in one text."""
    told = []
    for name, where, reason in problems:
        cells = rows.filter(where).select(LINE, as_text(rows.filter(where)[name]).alias("cell")).head(SHOWN)
        more = where.sum() - cells.height
        lines = "; ".join(f"line {line} holds {cell!r}" for line, cell in cells.iter_rows())
        way = _way_out(name, rows[name], cells, reason)
        told.append(f"{name!r} {reason}: {lines}{f' and {more:,} more' if more else ''}.{way}")
    return "Some cells cannot be read. " + " ".join(told)


def _way_out(column: str, raw: pl.Series, cells: pl.DataFrame, reason: str) -> str:
    """What to do about cells that say not-a-number or infinity, as programs write where they know nothing, and about
    others that may stand for nothing, or for a name."""
    here = f"in [columns.{quoted(column)}] of the configuration."
    if reason == OUTSIDE:
        return f' Where it means unknown, say missing = ["{cells["cell"][0][:10]}"] {here}'
    if reason.startswith("is too large"):
        return f' If it names something, say type = "category" (or "drop") {here}'
    odd = [cell for cell in cells["cell"].to_list() if cell.strip().lower().lstrip("+-") in _NO_NUMBER]
    if not odd:
        return ""
    if raw.dtype != pl.String:
        return " Where it means unknown, write the cell as null."
    return f' Where it means unknown, say missing = ["{odd[0].strip()}"] {here}'


def labels(raw: pl.Series, name: str, positive: str | None, missing: Sequence[str] = ()) -> pl.Series:
    """(n,) 1 left, 0 stayed, null unknown: empty, NA, null, NaN (what a data frame makes of a label it lacks), or
    `missing`. With `positive`, all other known cells mean stayed. Raises `ContractError` for cells that are neither."""
    unknown = frozenset(cell.strip().lower() for cell in missing) | {"nan"}
    text = blank_nulls(as_text(raw), unknown).str.strip_chars()
    if positive is not None:
        if not (text == positive).any():
            raise ContractError(f"No cell of {name!r} is {positive!r}; it holds {_some(text)}.")
        return (text == positive).cast(pl.Float64)
    low = text.str.to_lowercase()
    number = low.cast(pl.Float64, strict=False)
    yes = low.is_in(sorted(TRUE)) | (number == 1).fill_null(value=False)
    no = low.is_in(sorted(FALSE)) | (number == 0).fill_null(value=False)
    if not (yes | no | low.is_null()).all():
        raise ContractError(
            f"{name!r} holds {_some(text)}, where a label is 1 or 0, true or false, yes or no; "
            'say which cell means left: positive = "..." in [table] of the configuration.'
        )
    return pl.select(pl.when(low.is_not_null()).then(yes.cast(pl.Float64))).to_series()


def _stayed(raw: pl.Series, y: Floats) -> dict[str, Any]:
    """Which cells are taken to mean stayed: the most frequent with their rows, and how many differ."""
    text = as_text(raw).str.strip_chars().filter(pl.Series(y == 0)).alias("cell")
    found = text.value_counts(name="rows").sort("rows", "cell", descending=[True, False])
    return {"stayed_cells": dict(found.head(MOST_CELLS).iter_rows()), "stayed_cells_count": found.height}


def _some(text: pl.Series) -> str:
    values = text.drop_nulls().unique().sort().head(SHOWN).to_list()
    return ", ".join(map(repr, values))


def moments_of(rows: pl.DataFrame, column: str, config: TableConfig) -> pl.Series:
    """(n,) as of when each row is; null where nobody says. Raises `ContractError` for cells that say no time."""
    if not column:
        return pl.Series([config.moment], dtype=INSTANT).new_from_index(0, rows.height)
    declared = config.columns.get(column, ColumnDeclared())
    read_as = Column(column, "date", column, "commercial", nulls=declared.missing, formats=declared.formats)
    found = tables.cells(read_as, rows[column])
    problems = [(column, where, reason) for where, reason in found.problems]
    if problems:
        raise ContractError(unreadable(rows, problems))
    if found.values.has_nulls():
        line = rows.filter(found.values.is_null())[LINE][0]
        raise ContractError(f"{column!r} says as of when a row is, and is empty in line {line}; every row needs it.")
    return found.values


def identities(rows: pl.DataFrame, column: str) -> pl.Series:
    """(n,) whose row it is; where nobody says, each row is somebody else's."""
    own = pl.select(pl.concat_str(pl.lit("row "), pl.lit(rows[LINE]).cast(pl.String))).to_series()
    if not column:
        return own
    text = blank_nulls(as_text(rows[column]), frozenset())
    return text.zip_with(text.is_not_null(), own)


def _spanned(column: Column, values: pl.Series) -> Column:
    if column.form in ("text", "boolean"):
        return column
    known = values.drop_nulls()
    if not len(known):
        return column
    return replace(column, span=(float(known.quantile(0.01)), float(known.quantile(0.99))))  # type: ignore[arg-type]


def _grouped(frame: pl.DataFrame, accounts: pl.Series | None, y: Floats) -> tuple[Codes, dict[str, Any]]:
    """Groups of rows of one account or alike in every column, and how many are repeated or contradict each other."""
    alike = frame.hash_rows().rank("dense").to_numpy().astype(np.int64) - 1
    size, left = np.bincount(alike), np.bincount(alike, weights=y)
    mixed = (left > 0) & (left < size)
    repeated = len(y) - len(np.unique(np.column_stack([alike, y]), axis=0))
    counts = {"repeated_rows": repeated, "conflicting_rows": int(size[mixed].sum()), "grouped_by": "identical rows"}
    if accounts is None:
        own = np.arange(len(y))
    else:
        own = accounts.rank("dense").to_numpy().astype(np.int64) - 1
        counts["grouped_by"] = "account and identical rows"
    counts["repeated_accounts"] = len(y) - len(np.unique(own))
    joined = coo_matrix((np.ones(len(y)), (own, alike + own.max() + 1)), shape=(own.max() + alike.max() + 2,) * 2)
    groups = connected_components(joined, directed=False)[1][own].astype(np.int64)
    if np.bincount(groups).max() > max(MOST_ALIKE * len(y), 1):
        # Few columns of few values: rows are alike without being anybody's twice.
        groups, counts["grouped_by"] = own, "account" if accounts is not None else "nothing: rows are too much alike"
    return np.unique(groups, return_inverse=True)[1].astype(np.int64), counts
